//! Every word that an update says to the node's owner, by its code: what happened, both values, what to do.

use contract::{Blame, Code, Digest, Reason, slots::Slot};
use std::fmt::Display;

fn reason(code: Code, blame: Blame, text: String) -> Reason {
    Reason { code, area: "update".to_owned(), text, blame }
}

/// U01: nobody gave the bundle.
#[must_use]
pub fn unreachable(place: &str, why: impl Display) -> Reason {
    let text = format!(
        "cannot read {place}: {why}. What was already written stays and is not fetched again: run `hcnode update` \
         once it can be reached, or bring the bundle as a file: `hcnode update --to FILE`"
    );
    reason(Code::U01, Blame::Elsewhere, text)
}

/// U02: the bundle is not one that this node takes.
#[must_use]
pub fn refused(place: &str, why: impl Display) -> Reason {
    reason(
        Code::U02,
        Blame::Elsewhere,
        format!("{place} was refused: {why}. Nothing was changed on this node"),
    )
}

/// U03: the other slot does not take it.
#[must_use]
pub fn unwritten(slot: Slot, why: impl Display) -> Reason {
    let text = format!(
        "slot {slot} could not be written: {why}. The running slot {other} was not touched and starts as before; run \
         `hcnode update` again, and if it says the same, the medium is worn out: replace it",
        other = slot.other()
    );
    reason(Code::U03, Blame::Node, text)
}

/// U03: the other slot, or the disk, is not what an update may write.
#[must_use]
pub fn not_ours(why: impl Display) -> Reason {
    reason(Code::U03, Blame::Node, format!("{why}. Nothing was changed on this node"))
}

/// U04: without counting a bad release would be tried for ever.
#[must_use]
pub fn does_not_count(why: impl Display) -> Reason {
    let text = format!(
        "the boot loader is not known to count its tries on this machine ({why}), so a release that does not start \
         would not be taken back. No update is taken until it is known: run `hcnode update prove` and restart the \
         node once"
    );
    reason(Code::U04, Blame::Node, text)
}

/// U05: the gate said no, and the slot from before runs again.
#[must_use]
pub fn taken_back(version: &str, running: &str, why: &[String]) -> Reason {
    let why =
        if why.is_empty() { "its reason was lost with the node's notes".to_owned() } else { why.join("; ") };
    let text = format!(
        "release {version} was tried and taken back: {why}. {running} runs again, and this release is not taken a \
         second time by itself; its last lines: `hcnode update status --log`, once more: `hcnode update --again`"
    );
    reason(Code::U05, Blame::Node, text)
}

/// U06: all tries went by without a word from the new release.
#[must_use]
pub fn never_came_up(version: &str, running: &str, tries: u8) -> Reason {
    let text = format!(
        "release {version} was started {tries} times and never said that it works (its kernel, its root or its services \
         did not come up). {running} runs again, and this release is not taken a second time by itself; once more: \
         `hcnode update --again`"
    );
    reason(Code::U06, Blame::Node, text)
}

/// U07: nothing better is left.
#[must_use]
pub fn last_resort(running: &str, why: &[String]) -> Reason {
    let text = format!(
        "{running} does not pass its checks and the other slot cannot be started either: {}. The node stays up as it is; \
         mend what is named, or bring a release that works: `hcnode update --to FILE`",
        why.join("; ")
    );
    reason(Code::U07, Blame::Node, text)
}

/// The first digits of a root hash: how a release is named when its version is not known.
#[must_use]
pub fn short(root: &Digest) -> String {
    root.to_string()[..12].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_names_both_sides_and_the_way_out() {
        let why = vec!["samba: smbd listens: connection refused".to_owned()];
        for (reason, code, parts) in [
            (
                unreachable("http://nas.lan/x.hcb", "no route to host"),
                "HC-U01",
                ["no route to host", "--to FILE"],
            ),
            (
                refused("x.hcb", "it is for board raspberrypi, this is uefi"),
                "HC-U02",
                ["raspberrypi", "Nothing was"],
            ),
            (unwritten(Slot::B, "block 7"), "HC-U03", ["slot b could not", "running slot a was not touched"]),
            (not_ours("/dev/vda4 is mounted"), "HC-U03", ["/dev/vda4", "Nothing was"]),
            (
                does_not_count("no LoaderBootCountPath"),
                "HC-U04",
                ["LoaderBootCountPath", "hcnode update prove"],
            ),
            (taken_back("2", "nas 1", &why), "HC-U05", ["smbd listens", "nas 1 runs again"]),
            (taken_back("2", "nas 1", &[]), "HC-U05", ["reason was lost", "--again"]),
            (never_came_up("2", "nas 1", 3), "HC-U06", ["3 times", "--again"]),
            (last_resort("nas 1", &why), "HC-U07", ["smbd listens", "stays up"]),
        ] {
            let text = reason.to_string();
            assert!(text.starts_with(code), "{text}");
            parts.iter().for_each(|part| assert!(text.contains(part), "{part}: {text}"));
        }
        assert_eq!(short(&Digest([0xab; 32])), "abababababab");
    }
}
