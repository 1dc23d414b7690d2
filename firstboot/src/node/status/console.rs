//! The status above the login prompt of every console, without a login: a file that agetty(8) shows.

use super::words::{plain, release, stage, wrap};
use contract::{Stage, Status};
use std::time::Duration;

/// Columns of the smallest console.
const WIDTH: usize = 80;
/// Columns of a key and the spaces around it.
const KEY: usize = 12;
/// A reason is cut after so many lines.
const LINES: usize = 6;
/// Consoles are written to at most so often: a serial line is slow, and people read.
pub const PAUSE: Duration = Duration::from_secs(5);

/// The file, as agetty wants it: its `\` is the mark of a code.
#[must_use]
pub fn issue(status: &Status) -> String {
    let mut rows = vec![("address", address(status)), ("release", release(&status.release, status.slot))];
    if let Some(reason) = &status.reason {
        rows.push(("reason", reason.to_string()));
    }
    if status.reason.is_some() || status.stage != Stage::Ready {
        rows.push(("next", status.next.clone()));
    }
    let title: String = plain(&status.name).chars().take(63).collect();
    let mut text = format!("\\e{{bold}}{}\\e{{reset}} is {}\n\n", escaped(&title), stage(status.stage));
    for (key, value) in rows {
        let mut lines = wrap(&plain(&value), WIDTH - KEY - 1);
        if lines.len() > LINES {
            lines.truncate(LINES - 1);
            lines.push("... (all of it: `hcnode status`)".to_owned());
        }
        for (index, line) in lines.iter().enumerate() {
            let key = if index == 0 { key } else { "" };
            text.push_str(&format!("  {key:<width$}{}\n", escaped(line), width = KEY - 2));
        }
    }
    text.push('\n');
    text
}

fn address(status: &Status) -> String {
    match status.addresses.is_empty() {
        true => "none yet: is the cable in, and is there a DHCP server?".to_owned(),
        false => status.addresses.join(", "),
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
}

/// Lets changes through, none sooner than [`PAUSE`] after another.
#[derive(Debug, Default)]
pub struct Throttle {
    shown: Option<(String, Duration)>,
}

impl Throttle {
    /// Whether `text` is to be shown `now`, a time since any fixed moment.
    pub fn due(&mut self, text: &str, now: Duration) -> bool {
        let due = self.shown.as_ref().is_none_or(|(shown, at)| shown != text && now >= *at + PAUSE);
        if due {
            self.shown = Some((text.to_owned(), now));
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::{Blame, Code, Reason, slots::Slot};

    fn status(stage: Stage, reason: Option<&str>) -> Status {
        let reason = reason.map(|text| Reason {
            code: Code::J07,
            area: "trust".to_owned(),
            text: text.to_owned(),
            blame: Blame::Settings,
        });
        Status {
            name: "pi3".to_owned(),
            addresses: vec!["192.168.1.20 (eth0)".to_owned(), "fd00::20 (eth0)".to_owned()],
            release: "nas-x86_64 1.2".to_owned(),
            slot: Some(Slot::A),
            stage,
            reason,
            next: "make a new seed".to_owned(),
            probes: Vec::new(),
            at: 0,
        }
    }

    #[test]
    fn a_ready_node_needs_four_lines() {
        let mut status = status(Stage::Ready, None);
        assert_eq!(
            issue(&status),
            "\\e{bold}pi3\\e{reset} is ready\n\n  address   192.168.1.20 (eth0), fd00::20 (eth0)\n  \
             release   nas-x86_64 1.2, slot a\n\n"
        );
        status.addresses.clear();
        assert!(issue(&status).contains("address   none yet"));
    }

    #[test]
    fn a_reason_is_told_with_its_code_and_the_next_step() {
        let text = "the machine at 192.168.1.10 is NOT the cluster this card was made for (CA 3f9a.. expected \
                    77c2..). Stopped before sending the token.";
        assert_eq!(
            issue(&status(Stage::Joining, Some(text))),
            "\\e{bold}pi3\\e{reset} is joining\n\n  address   192.168.1.20 (eth0), fd00::20 (eth0)\n  \
             release   nas-x86_64 1.2, slot a\n  \
             reason    HC-J07 trust: the machine at 192.168.1.10 is NOT the cluster this\n            \
             card was made for (CA 3f9a.. expected 77c2..). Stopped before\n            \
             sending the token.\n  next      make a new seed\n\n"
        );
    }

    #[test]
    fn no_text_takes_the_console_over() {
        let long = "\u{1b}[2J \\e{red} \\l ".repeat(200);
        let text = issue(&status(Stage::Degraded, Some(&long)));
        assert!(text.lines().count() <= 14, "{text}");
        assert!(text.lines().all(|line| line.len() <= WIDTH + 4 * LINES), "{text}");
        assert!(!text.contains('\u{1b}'));
        let codes = text.replace("\\\\", "").replace("\\e{bold}", "").replace("\\e{reset}", "");
        assert!(!codes.contains('\\'), "{codes}");
        assert!(text.contains("(all of it: `hcnode status`)"));
    }

    #[test]
    fn consoles_are_not_flooded() {
        let mut throttle = Throttle::default();
        let seconds = Duration::from_secs;
        #[rustfmt::skip]
        let story = [
            (0, "a", true), (1, "a", false), (2, "b", false), (4, "c", false), (5, "c", true),
            (60, "c", false), (61, "d", true), (62, "c", false), (66, "c", true),
        ];
        for (now, text, due) in story {
            assert_eq!(throttle.due(text, seconds(now)), due, "{text} at {now}");
        }
    }
}
