//! Long names and their 8.3 aliases (Microsoft, *FAT32 File System Specification* 1.03, "Long Directory
//! Entries"; *Long Filename Specification* 0.5).

use super::FatError;
use std::collections::{BTreeMap, BTreeSet};

/// The longest name, in UTF-16 units.
const MAX_NAME: usize = 255;

/// An 8.3 name as a directory entry holds it: upper case, each part filled up with spaces.
pub(super) type ShortName = [u8; 11];

/// Refuses a name that a long directory entry cannot hold or that some reader of FAT would take for another.
pub(super) fn check(path: &str, name: &str) -> Result<(), FatError> {
    let invalid = |problem| Err(FatError::Name { path: path.to_owned(), name: name.to_owned(), problem });
    if name.is_empty() {
        return invalid("is empty");
    }
    if name.ends_with(['.', ' ']) {
        return invalid("ends in a dot or a space, which readers drop");
    }
    if name.starts_with(' ') {
        return invalid("begins with a space, which readers drop");
    }
    if name.chars().any(|c| c.is_control() || r#""*/:<>?\|"#.contains(c)) {
        return invalid(r#"has a control character or one of "*/:<>?\|"#);
    }
    if name.encode_utf16().count() > MAX_NAME {
        return invalid("has more than 255 UTF-16 units");
    }
    Ok(())
}

/// The 8.3 names of one directory, by long name. Names that are 8.3 already (but for case) keep theirs; the
/// others get `~1` and so on in the order of their bytes.
pub(super) fn aliases<'n>(names: impl Iterator<Item = &'n String> + Clone) -> BTreeMap<&'n str, ShortName> {
    let mut taken = BTreeSet::new();
    let mut found = BTreeMap::new();
    for name in names.clone() {
        if let Some(short) = exact(name) {
            taken.insert(short);
            found.insert(name.as_str(), short);
        }
    }
    for name in names {
        if !found.contains_key(name.as_str()) {
            let (base, extension) = basis(name);
            // A directory has at most 65,536 entries, so one of these numbers is free.
            let short = (1..).map(|n| numbered(&base, &extension, n)).find(|short| taken.insert(*short));
            found.extend(short.map(|short| (name.as_str(), short)));
        }
    }
    found
}

/// Whether `short` shows as exactly `name`, so that no long entry is needed.
pub(super) fn shows_as(short: &ShortName, name: &str) -> bool {
    exact(name).as_ref() == Some(short) && !name.bytes().any(|b| b.is_ascii_lowercase())
}

/// The checksum that ties long entries to their short one.
pub(super) fn checksum(short: &ShortName) -> u8 {
    short.iter().fold(0, |sum: u8, byte| sum.rotate_right(1).wrapping_add(*byte))
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
fn exact(name: &str) -> Option<ShortName> {
    let (base, extension) = name.split_once('.').unwrap_or((name, ""));
    let fits = (1..=8).contains(&base.len()) && extension.len() <= 3;
    let plain = base.bytes().chain(extension.bytes()).all(is_short_byte);
    let whole = !name.contains('.') || !extension.is_empty();
    (fits && plain && whole).then(|| fill(base.as_bytes(), extension.as_bytes()))
}

/// The basis-name: upper case, without spaces and inner dots, an underscore for what 8.3 cannot say.
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

    fn shown(names: &[&str]) -> Vec<String> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let aliases = aliases(names.iter());
        names.iter().map(|name| String::from_utf8(aliases[name.as_str()].to_vec()).unwrap()).collect()
    }

    #[test]
    fn aliases_are_unique_and_follow_the_specification() {
        let table = [
            ("BOOTX64.EFI", "BOOTX64 EFI"),
            ("uki.efi", "UKI     EFI"),
            ("loader.conf", "LOADER~1CON"),
            ("a.b.c", "AB~1    C  "),
            (".hidden", "HIDDEN~1   "),
            ("hcimage_13.7+3.efi", "HCIMAG~1EFI"),
            ("hcimage_13.8+3.efi", "HCIMAG~3EFI"),
            ("HCIMAG~2.EFI", "HCIMAG~2EFI"),
            ("später.txt", "SP_TER~1TXT"),
            ("…", "_~1        "),
        ];
        let (names, short): (Vec<&str>, Vec<&str>) = table.into_iter().unzip();
        assert_eq!(shown(&names), short);
    }

    #[test]
    fn the_number_eats_the_base_as_it_grows() {
        let names: Vec<String> = (0..120).map(|n| format!("a long name {n:03}.txt")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let shown = shown(&names);
        assert_eq!((&*shown[8], &*shown[9], &*shown[99]), ("ALONGN~9TXT", "ALONG~10TXT", "ALON~100TXT"));
    }

    #[test]
    fn names_that_readers_would_mangle_are_refused() {
        for name in ["", ".", "..", "a.", "a ", " a", "a:b", "a\\b", "a\u{7f}b", "a\nb", &"x".repeat(256)] {
            let error = check("boot/it", name).unwrap_err();
            assert!(matches!(error, FatError::Name { .. }), "{name:?}: {error}");
        }
        for name in ["a", "x".repeat(255).as_str(), ".a", "a b", "ü", "[a]+=;,"] {
            check("boot/it", name).unwrap();
        }
    }

    #[test]
    fn only_upper_case_short_names_need_no_long_entry() {
        for (name, plain) in [("BOOT.EFI", true), ("boot.efi", false), ("A", true), ("BOOT.EFIX", false)] {
            let alias = aliases([name.to_owned()].iter())[name];
            assert_eq!(shows_as(&alias, name), plain, "{name}");
        }
    }
}
