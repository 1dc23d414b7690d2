//! What lies on a boot partition for systemd-boot: entries that count tries in their names, and kernels (UAPI.1 *Boot
//! Loader Specification*; docs/adr/0015). The builder writes the first entry, the node all others.

use crate::slots::Slot;

/// Where entries are.
pub const ENTRIES: &str = "loader/entries";
/// Where kernels are. What ends in `.efi` here can be started without an entry, too.
pub const KERNELS: &str = "EFI/Linux";
/// The loader's settings: their place.
pub const LOADER_CONF: &str = "loader/loader.conf";
/// The loader's settings.
pub const LOADER_CONF_TEXT: &str = "timeout 1\neditor no\nauto-firmware no\n";
/// Tries of a flashed image's entry, and of an update's.
pub const TRIES: u8 = 3;
/// The most tries: systemd-boot 257 writes counters without leading zeros, so one digit is what keeps the width of a
/// name, and with it the room that its directory entries take.
pub const MAX_TRIES: u8 = 9;
/// Sorts before every kernel that has no entry: those sort by the image's name, which begins with a letter.
const SORT_KEY: &str = "0-hcimage";

/// A counter in an entry's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter {
    /// Starts that are left.
    pub left: u8,
    /// Starts that were begun.
    pub done: u8,
}

/// The name of a slot's entry: `hc-a.conf`, or `hc-a+3-0.conf` on trial.
#[must_use]
pub fn entry_name(slot: Slot, counter: Option<Counter>) -> String {
    match counter {
        None => format!("hc-{slot}.conf"),
        Some(Counter { left, done }) => {
            format!("hc-{slot}+{}-{}.conf", left.min(MAX_TRIES), done.min(MAX_TRIES))
        }
    }
}

/// The slot and the counter that an entry's name tells of, with counters of any width; nothing for names of others.
#[must_use]
pub fn parse_entry_name(name: &str) -> Option<(Slot, Option<Counter>)> {
    let name = name.to_ascii_lowercase();
    let rest = name.strip_prefix("hc-")?.strip_suffix(".conf")?;
    let slot = Slot::ALL.into_iter().find(|slot| rest.starts_with(slot.name()))?;
    let rest = &rest[1..];
    if rest.is_empty() {
        return Some((slot, None));
    }
    let (left, done) =
        rest.strip_prefix('+').map(|counts| counts.split_once('-').unwrap_or((counts, "0")))?;
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| {
            text.trim_start_matches('0').parse::<u8>().unwrap_or(if text.bytes().all(|b| b == b'0') {
                0
            } else {
                u8::MAX
            })
        })
    };
    Some((slot, Some(Counter { left: number(left)?, done: number(done)? })))
}

/// An entry's text. Of two, the one with the higher generation is taken.
#[must_use]
pub fn entry_text(slot: Slot, generation: u64) -> String {
    format!(
        "title hcimage, slot {slot}\nsort-key {SORT_KEY}\nversion {generation:020}\nefi /{}\n",
        kernel_path(slot)
    )
}

/// The generation in an entry's text, if it is one of ours for `slot`.
#[must_use]
pub fn parse_entry_text(slot: Slot, text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    let digits = text.lines().find_map(|line| line.strip_prefix("version "))?;
    let generation = digits.parse().ok()?;
    (entry_text(slot, generation) == text).then_some(generation)
}

/// The kernel of a slot.
#[must_use]
pub fn kernel_path(slot: Slot) -> String {
    format!("{KERNELS}/hc-{slot}.efi")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_any_width_are_read_and_one_width_is_written() {
        let counter = |left, done| Some(Counter { left, done });
        for (name, expected) in [
            ("hc-a.conf", Some((Slot::A, None))),
            ("HC-B.CONF", Some((Slot::B, None))),
            ("hc-b+3-0.conf", Some((Slot::B, counter(3, 0)))),
            ("hc-b+03-00.conf", Some((Slot::B, counter(3, 0)))),
            ("hc-b+2.conf", Some((Slot::B, counter(2, 0)))),
            ("hc-b+9999-1.conf", Some((Slot::B, counter(255, 1)))),
            ("hc-c.conf", None),
            ("hc-a-1.conf", None),
            ("hc-a+.conf", None),
            ("hc-a+1-.conf", None),
            ("hc-a.efi", None),
        ] {
            assert_eq!(parse_entry_name(name), expected, "{name}");
        }
        let lengths =
            [counter(9, 0), counter(2, 1), counter(0, 9)].map(|counter| entry_name(Slot::A, counter).len());
        // One long directory entry holds 13 letters.
        assert_eq!(lengths, [13; 3]);
        assert_eq!(parse_entry_name(&entry_name(Slot::B, counter(2, 1))), Some((Slot::B, counter(2, 1))));
    }

    #[test]
    fn texts_are_read_back_and_others_are_not() {
        let text = entry_text(Slot::B, 12);
        assert_eq!(parse_entry_text(Slot::B, text.as_bytes()), Some(12));
        assert_eq!(parse_entry_text(Slot::A, text.as_bytes()), None);
        assert_eq!(parse_entry_text(Slot::B, &text.as_bytes()[1..]), None);
        assert_eq!(text.len(), entry_text(Slot::A, u64::MAX).len());
    }
}
