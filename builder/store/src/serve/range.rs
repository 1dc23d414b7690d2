//! Which bytes of a file are asked for (RFC 9110, section 14). Decisions on values.

/// What an answer brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// The whole file: 200.
    Whole,
    /// So many bytes from here: 206. Never empty.
    Part {
        /// The first byte's place in the file.
        from: u64,
        /// How many bytes.
        len: u64,
    },
    /// Bytes that the file does not have: 416.
    Outside,
}

/// What a `Range` asks for of a file of `size` bytes. One range is honoured; several at once, other units and
/// what is no range at all are passed over, as the RFC allows, and the whole file is sent.
pub(super) fn wanted(range: Option<&str>, size: u64) -> Wanted {
    let Some(spec) = range.and_then(bytes_of) else { return Wanted::Whole };
    let Some((first, last)) = spec.split_once('-') else { return Wanted::Whole };
    match (number(first), number(last)) {
        (Some(from), _) if last.is_empty() => part(from, size, size),
        (Some(from), Some(last)) if from <= last => part(from, last.saturating_add(1), size),
        // The last so many bytes.
        (None, Some(count)) if first.is_empty() => part(size.saturating_sub(count), size, size),
        _ => Wanted::Whole,
    }
}

/// The ranges of `bytes=…`, where it is a single one.
fn bytes_of(range: &str) -> Option<&str> {
    let (unit, spec) = range.split_once('=')?;
    let spec = spec.trim();
    (unit.trim().eq_ignore_ascii_case("bytes") && !spec.contains(',')).then_some(spec)
}

/// Digits alone. A number that is too large for 64 bits is larger than any file.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

fn part(from: u64, end: u64, size: u64) -> Wanted {
    match end.min(size).checked_sub(from) {
        None | Some(0) => Wanted::Outside,
        Some(len) => Wanted::Part { from, len },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn part(from: u64, len: u64) -> Wanted {
        Wanted::Part { from, len }
    }

    #[test]
    fn ranges_are_read_as_the_rfc_has_them() {
        let table = [
            (None, Wanted::Whole),
            (Some("bytes=0-0"), part(0, 1)),
            (Some("bytes=0-9"), part(0, 10)),
            (Some("bytes=0-10"), part(0, 10)),
            (Some("bytes=9-"), part(9, 1)),
            (Some("bytes=3-5"), part(3, 3)),
            (Some("BYTES = 3-5 "), part(3, 3)),
            (Some("bytes=-3"), part(7, 3)),
            (Some("bytes=-10"), part(0, 10)),
            (Some("bytes=-99"), part(0, 10)),
            (Some("bytes=4-99999999999999999999999"), part(4, 6)),
            (Some("bytes=10-"), Wanted::Outside),
            (Some("bytes=10-12"), Wanted::Outside),
            (Some("bytes=-0"), Wanted::Outside),
            (Some("bytes=99999999999999999999999-"), Wanted::Outside),
            (Some("bytes=5-3"), Wanted::Whole),
            (Some("bytes=-"), Wanted::Whole),
            (Some("bytes="), Wanted::Whole),
            (Some("bytes=1"), Wanted::Whole),
            (Some("bytes=+1-2"), Wanted::Whole),
            (Some("bytes=1-2-3"), Wanted::Whole),
            (Some("bytes=--1"), Wanted::Whole),
            (Some("bytes=a-b"), Wanted::Whole),
            (Some("bytes=0x1-2"), Wanted::Whole),
            (Some("bytes=1 -2"), Wanted::Whole),
            (Some("bytes=0-1,3-4"), Wanted::Whole),
            (Some("lines=0-1"), Wanted::Whole),
            (Some("0-1"), Wanted::Whole),
            (Some(""), Wanted::Whole),
        ];
        for (range, expected) in table {
            assert_eq!(wanted(range, 10), expected, "{range:?}");
        }
    }

    #[test]
    fn an_empty_file_has_no_part() {
        for range in ["bytes=0-", "bytes=0-0", "bytes=-1", "bytes=-0"] {
            assert_eq!(wanted(Some(range), 0), Wanted::Outside, "{range}");
        }
        assert_eq!(wanted(None, 0), Wanted::Whole);
    }
}
