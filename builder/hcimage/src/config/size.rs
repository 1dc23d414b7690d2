//! Sizes as people write them.

use serde::{Deserialize, Deserializer, de::Error as _};

/// A number of bytes, written as `512MiB`, `64KiB`, `2GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse(&text).map(Self).ok_or_else(|| {
            D::Error::custom(format!(
                "`{text}` is not a size: write a whole number and KiB, MiB or GiB, such as `512MiB`"
            ))
        })
    }
}

fn parse(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let shift = match text[digits..].trim() {
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => return None,
    };
    text[..digits].parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// Bytes for people: `149.3 MiB`.
pub(crate) fn show(bytes: u64) -> String {
    #[allow(clippy::cast_precision_loss)]
    let mebibytes = bytes as f64 / f64::from(1 << 20);
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KiB", mebibytes * 1024.0),
        1_048_576..1_073_741_824 => format!("{mebibytes:.1} MiB"),
        _ => format!("{:.2} GiB", mebibytes / 1024.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_need_a_unit() {
        assert_eq!(parse("512MiB"), Some(512 << 20));
        assert_eq!(parse("1 GiB"), Some(1 << 30));
        for wrong in ["512", "5MB", "MiB", "99999999999999999999KiB", "99999999999GiB"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
        assert_eq!(show(149 << 20), "149.0 MiB");
        assert_eq!(show(12), "12 B");
    }
}
