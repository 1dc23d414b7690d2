//! `hcnode status` for a person.

use super::words::{plain, release, stage};
use contract::{Stage, Status};
use std::fmt::Write as _;

/// The status as lines; with `colour` the stage has one.
#[must_use]
pub fn people(status: &Status, colour: bool) -> String {
    let Status { name, addresses, release: version, slot, stage: at, reason, next, probes, at: _ } = status;
    let (on, off) = match (colour, at) {
        (false, _) => ("", ""),
        (true, Stage::Ready) => ("\u{1b}[1;32m", "\u{1b}[0m"),
        (true, Stage::Degraded) => ("\u{1b}[1;31m", "\u{1b}[0m"),
        (true, _) => ("\u{1b}[1;33m", "\u{1b}[0m"),
    };
    let mut text = format!("{} is {on}{}{off}\n", plain(name), stage(*at));
    let mut row = |key: &str, value: &str| {
        // Writing to a string cannot fail.
        writeln!(text, "  {key:<10}{}", plain(value)).unwrap_or_default();
    };
    for (index, address) in addresses.iter().enumerate() {
        row(if index == 0 { "address" } else { "" }, address);
    }
    row("release", &release(version, *slot));
    if let Some(reason) = reason {
        row("reason", &reason.to_string());
    }
    row("next", next);
    for probe in probes {
        let found = probe.found.as_ref().map(|found| format!(": {found}")).unwrap_or_default();
        let mark = if probe.passed { "ok" } else { "FAIL" };
        row(mark, &format!("{} ({}){found}", probe.name, probe.overlay));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::{Blame, Code, Outcome, Reason, slots::Slot};

    fn status() -> Status {
        let text = "smb listens, but: \u{1b}refused".to_owned();
        Status {
            name: "nas".into(),
            addresses: vec!["192.168.1.20 (eth0)".into(), "fd00::20 (eth0)".into()],
            release: "nas 1".into(),
            slot: Some(Slot::B),
            stage: Stage::Degraded,
            reason: Some(Reason { code: Code::P01, area: "samba".into(), text, blame: Blame::Node }),
            next: "see the journal".into(),
            probes: vec![
                Outcome { overlay: "ssh".into(), name: "ssh listens".into(), passed: true, found: None },
                Outcome {
                    overlay: "samba".into(),
                    name: "smb listens".into(),
                    passed: false,
                    found: Some("refused".into()),
                },
            ],
            at: 0,
        }
    }

    #[test]
    fn people_read_all_of_it() {
        assert_eq!(
            people(&status(), false),
            "nas is degraded\n  address   192.168.1.20 (eth0)\n            fd00::20 (eth0)\n  \
             release   nas 1, slot b\n  reason    HC-P01 samba: smb listens, but: ?refused\n  \
             next      see the journal\n  ok        ssh listens (ssh)\n  \
             FAIL      smb listens (samba): refused\n"
        );
    }

    #[test]
    fn colours_are_for_terminals() {
        assert!(people(&status(), true).starts_with("nas is \u{1b}[1;31mdegraded\u{1b}[0m\n"));
        let ready = Status { stage: Stage::Ready, ..status() };
        assert!(people(&ready, true).starts_with("nas is \u{1b}[1;32mready"));
    }
}
