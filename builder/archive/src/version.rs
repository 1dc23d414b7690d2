//! Debian versions and their order (Debian Policy 5.6.12, `deb-version(7)`).
//!
//! `[epoch:]upstream[-revision]`. The order is not the order of the text: digits compare as numbers, `~` sorts
//! before the end of the text, letters before everything else. Two texts may be one version (`1.0`, `0:1.00-0`).

use std::{cmp::Ordering, fmt};

/// A well-formed Debian version, borrowed from the text it stands in. Equal means equal to dpkg, so `1.0` equals
/// `1.00`; compare [`Version::as_str`] where the text matters.
#[derive(Clone, Copy)]
pub struct Version<'a>(&'a str);

/// A text that is not a Debian version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{version}` is not a Debian version: {fault}")]
pub struct VersionError {
    /// The text as found.
    pub version: String,
    /// What is wrong with it.
    pub fault: &'static str,
}

impl<'a> Version<'a> {
    /// Checks `text` as `dpkg --validate-version` does, but wants the upstream part to begin with a digit or a
    /// letter rather than with a digit alone: some packages in the archive do.
    ///
    /// # Errors
    /// [`VersionError`] naming the part that is wrong.
    pub fn parse(text: &'a str) -> Result<Self, VersionError> {
        let fault = |fault| VersionError { version: text.to_owned(), fault };
        let (epoch, upstream, revision) = split(text);
        if text.contains(':') && (epoch.is_empty() || !epoch.bytes().all(|b| b.is_ascii_digit())) {
            return Err(fault("the epoch before `:` must be a number"));
        }
        if epoch.len() > 9 {
            return Err(fault("the epoch is too large"));
        }
        if !upstream.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            return Err(fault("the upstream version must begin with a digit"));
        }
        if !upstream.bytes().all(|b| b.is_ascii_alphanumeric() || b".+-~:".contains(&b)) {
            return Err(fault("the upstream version may hold letters, digits and `.+-~:` only"));
        }
        if text.ends_with('-') {
            return Err(fault("the revision after `-` is empty"));
        }
        if !revision.bytes().all(|b| b.is_ascii_alphanumeric() || b".+~".contains(&b)) {
            return Err(fault("the revision may hold letters, digits and `.+~` only"));
        }
        Ok(Self(text))
    }

    /// The version as it was written.
    #[must_use]
    pub const fn as_str(self) -> &'a str {
        self.0
    }
}

/// Epoch (empty if there is none), upstream version and revision (empty if there is none) of `text`.
fn split(text: &str) -> (&str, &str, &str) {
    let (epoch, rest) = text.split_once(':').unwrap_or(("", text));
    let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
    (epoch, upstream, revision)
}

impl Ord for Version<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let (left, right) = (split(self.0), split(other.0));
        compare_part(left.0, right.0)
            .then_with(|| compare_part(left.1, right.1))
            .then_with(|| compare_part(left.2, right.2))
    }
}

/// Compares one part: runs of non-digits and runs of digits in turn.
fn compare_part(left: &str, right: &str) -> Ordering {
    let (mut left, mut right) = (left.as_bytes(), right.as_bytes());
    while !left.is_empty() || !right.is_empty() {
        let order =
            compare_letters(&mut left, &mut right).then_with(|| compare_digits(&mut left, &mut right));
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}

fn compare_letters(left: &mut &[u8], right: &mut &[u8]) -> Ordering {
    loop {
        let heads = (weight(left.first()), weight(right.first()));
        if heads == (0, 0) {
            return Ordering::Equal;
        }
        if heads.0 != heads.1 {
            return heads.0.cmp(&heads.1);
        }
        *left = &left[1..];
        *right = &right[1..];
    }
}

/// The rank of a byte in a run of non-digits; a digit or the end of the text ends the run with rank 0.
fn weight(byte: Option<&u8>) -> i32 {
    match byte {
        None => 0,
        Some(b) if b.is_ascii_digit() => 0,
        Some(b'~') => -1,
        Some(b) if b.is_ascii_alphabetic() => i32::from(*b),
        Some(b) => i32::from(*b) + 256,
    }
}

fn compare_digits(left: &mut &[u8], right: &mut &[u8]) -> Ordering {
    let (a, b) = (take_number(left), take_number(right));
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

/// Takes the run of digits at the head of `text` and gives it back without leading zeros.
fn take_number<'a>(text: &mut &'a [u8]) -> &'a [u8] {
    let end = text.iter().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    *text = rest;
    &number[number.iter().position(|b| *b != b'0').unwrap_or(end)..]
}

impl PartialOrd for Version<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Version<'_> {}

impl fmt::Display for Version<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Debug for Version<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_of_policy() {
        let ascending = [
            "0~~",
            "0~",
            "0",
            "0.0~rc1",
            "0.0",
            "1.0~~",
            "1.0~~a",
            "1.0~",
            "1.0",
            "1.0-1~bpo1",
            "1.0-1",
            "1.0-1+b1",
            "1.0a",
            "1.0+dfsg",
            "1.0.1",
            "1.2",
            "1.10",
            "a",
            "1:0~",
            "1:0.1",
            "10:0",
        ];
        let sorted = |mut list: Vec<&'static str>| {
            list.sort_by_key(|text| Version::parse(text).unwrap());
            list
        };
        let mut reversed = ascending.to_vec();
        reversed.reverse();
        assert_eq!(sorted(reversed), ascending);
    }

    #[test]
    fn other_texts_of_one_version_are_equal() {
        for (left, right) in
            [("1.0", "0:1.0"), ("1.0", "1.00"), ("1.0", "1.0-0"), ("01", "1"), ("1.a0", "1.a")]
        {
            assert_eq!(Version::parse(left).unwrap(), Version::parse(right).unwrap());
        }
    }

    #[test]
    fn malformed_versions_are_named() {
        for (text, fault) in [
            ("", "begin with a digit"),
            (":1", "epoch before `:`"),
            ("a:1", "epoch before `:`"),
            ("1:", "begin with a digit"),
            ("1234567890:1", "too large"),
            ("1.0-", "revision after `-` is empty"),
            ("1_0", "letters, digits and `.+-~:` only"),
            ("1-a_b", "revision may hold"),
            ("-1", "begin with a digit"),
            ("1 0", "only"),
            ("1.ä", "only"),
        ] {
            let error = Version::parse(text).unwrap_err().to_string();
            assert!(error.contains(fault), "{text}: {error}");
        }
    }
}
