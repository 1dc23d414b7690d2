//! Names: long ones, and the 8.3 aliases beside them (Microsoft, *Long Filename Specification* 0.5).

use crate::FatError;

/// The longest name, in UTF-16 units.
const MAX_NAME: usize = 255;

/// An 8.3 name as a directory entry holds it: upper case, each part filled up with spaces.
pub(crate) type ShortName = [u8; 11];

/// Refuses a name that a directory cannot hold or that some reader of FAT would take for another.
pub(crate) fn check(name: &str) -> Result<(), FatError> {
    let invalid = |problem| Err(FatError::Name { name: name.to_owned(), problem });
    if name.is_empty() {
        return invalid("is empty");
    }
    if name.ends_with(['.', ' ']) || name.starts_with(' ') {
        return invalid("begins with a space or ends in a dot or a space, which readers drop");
    }
    if name.chars().any(|c| c.is_control() || r#""*/:<>?\|"#.contains(c)) {
        return invalid(r#"has a control character or one of "*/:<>?\|"#);
    }
    if name.encode_utf16().count() > MAX_NAME {
        return invalid("has more than 255 UTF-16 units");
    }
    Ok(())
}

/// Whether two names are one to FAT.
pub(crate) fn same(a: &str, b: &str) -> bool {
    a.chars().flat_map(char::to_lowercase).eq(b.chars().flat_map(char::to_lowercase))
}

/// The checksum that ties long entries to their short one.
pub(crate) fn checksum(short: &ShortName) -> u8 {
    short.iter().fold(0, |sum: u8, byte| sum.rotate_right(1).wrapping_add(*byte))
}

/// How a short name is shown; `case` is the byte in which some systems keep that a part is in lower case.
pub(crate) fn shown(short: &ShortName, case: u8) -> String {
    let part = |bytes: &[u8], lower: bool| {
        let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
        let text = text.trim_end_matches(' ').to_owned();
        if lower { text.to_ascii_lowercase() } else { text }
    };
    let mut own = *short;
    if own[0] == 0x05 {
        own[0] = 0xe5;
    }
    let (base, extension) = (part(&own[..8], case & 0x08 != 0), part(&own[8..], case & 0x10 != 0));
    if extension.is_empty() { base } else { format!("{base}.{extension}") }
}

/// Whether `short` shows as exactly `name`, so that no long entry is needed.
pub(crate) fn shows_as(short: &ShortName, name: &str) -> bool {
    exact(name).as_ref() == Some(short) && !name.bytes().any(|b| b.is_ascii_lowercase())
}

fn is_short_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"$%'-_@~`!(){}^#&".contains(&byte)
}

fn fill(base: &[u8], extension: &[u8]) -> ShortName {
    let mut short = [b' '; 11];
    short[..base.len()].copy_from_slice(base);
    short[8..8 + extension.len()].copy_from_slice(extension);
    short.make_ascii_uppercase();
    short
}

/// The 8.3 name that `name` is already, if one takes case apart.
pub(crate) fn exact(name: &str) -> Option<ShortName> {
    let (base, extension) = name.split_once('.').unwrap_or((name, ""));
    let fits = (1..=8).contains(&base.len()) && extension.len() <= 3;
    let plain = base.bytes().chain(extension.bytes()).all(is_short_byte);
    let whole = !name.contains('.') || !extension.is_empty();
    (fits && plain && whole).then(|| fill(base.as_bytes(), extension.as_bytes()))
}

/// An alias for `name` that is not `taken`.
pub(crate) fn alias(name: &str, taken: &[ShortName]) -> Option<ShortName> {
    if let Some(short) = exact(name).filter(|short| !taken.contains(short)) {
        return Some(short);
    }
    let (base, extension) = basis(name);
    // A directory has at most 65,536 entries, so one of these numbers is free.
    (1..=65_537).map(|n| numbered(&base, &extension, n)).find(|short| !taken.contains(short))
}

/// The basis-name: without spaces and inner dots, an underscore for what 8.3 cannot say.
fn basis(name: &str) -> (Vec<u8>, Vec<u8>) {
    let (base, extension) = match name.trim_start_matches('.').rsplit_once('.') {
        Some((base, extension)) => (base, extension),
        None => (name.trim_start_matches('.'), ""),
    };
    let squeeze = |part: &str, most: usize| {
        let kept = part.chars().filter(|c| !matches!(c, ' ' | '.'));
        let short = kept.map(|c| match u8::try_from(c) {
            Ok(byte) if is_short_byte(byte) => byte,
            _ => b'_',
        });
        short.take(most).collect::<Vec<_>>()
    };
    (squeeze(base, 8), squeeze(extension, 3))
}

fn numbered(base: &[u8], extension: &[u8], number: u32) -> ShortName {
    let tail = format!("~{number}");
    let head = &base[..base.len().min(8 - tail.len())];
    fill(&[head, tail.as_bytes()].concat(), extension)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_are_those_of_the_writer() {
        let text =
            |name, taken: &[ShortName]| String::from_utf8(alias(name, taken).unwrap().to_vec()).unwrap();
        assert_eq!(text("hc-a+03-00.conf", &[]), "HC-A_0~1CON");
        assert_eq!(text("hc-a.conf", &[]), "HC-A~1  CON");
        assert_eq!(text("hc-a.efi", &[]), "HC-A    EFI");
        assert_eq!(text("hc-a.efi", &[*b"HC-A    EFI"]), "HC-A~1  EFI");
        assert_eq!(shown(b"HC-A~1  CON", 0), "HC-A~1.CON");
        assert_eq!(shown(b"README     ", 0x08), "readme");
    }
}
