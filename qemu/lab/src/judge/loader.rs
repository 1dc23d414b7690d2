//! What systemd-boot 257 would start: a model of `src/boot/boot.c`, made from reading it. It knows entries of type 1
//! (`loader/entries/*.conf`) and of type 2 (`EFI/Linux/*.efi`), their counters, their order, and the entry that is taken
//! when nobody presses a key.

use super::{
    fat::{Fat, Node},
    pe,
};
use std::cmp::Ordering;

/// Reads the os-release in a kernel image; there is none in what is no such image.
pub(crate) type Releases<'r> = &'r mut dyn FnMut(&Node) -> Result<Option<String>, String>;

/// One line of the loader's menu.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The file that it comes from, such as `loader/entries/hc-b+02-01.conf`.
    pub file: String,
    /// Its name without the counter.
    pub id: String,
    /// What is started, from the root of the boot partition.
    pub program: String,
    /// Tries left; none without a counter.
    pub left: Option<u32>,
    /// Tries done.
    pub done: u32,
    sort_key: Option<String>,
    version: String,
}

/// The menu in its order; the first one is taken unless `loader.conf` names another.
///
/// # Errors
/// When a folder or a file that the loader would read is damaged.
pub fn entries(fat: &Fat<'_>) -> Result<Vec<Entry>, String> {
    entries_with(fat, &mut |node| Ok(pe::text(&fat.read(node)?, ".osrel")))
}

/// The same, with somebody who knows the os-release of a kernel image.
pub(crate) fn entries_with(fat: &Fat<'_>, release: Releases<'_>) -> Result<Vec<Entry>, String> {
    let mut entries = Vec::new();
    for node in listed(fat, "loader/entries", ".conf")? {
        let text = String::from_utf8_lossy(&fat.read(&node)?).into_owned();
        entries.extend(first_type(fat, &node.name, &text)?);
    }
    for node in listed(fat, "EFI/Linux", ".efi")? {
        let text = release(&node)?;
        entries.extend(text.map(|text| second_type(&node.name, &text)));
    }
    order(&mut entries);
    Ok(entries)
}

/// Sorts the menu.
pub(crate) fn order(entries: &mut [Entry]) {
    entries.sort_by(compare);
}

/// The entry that is started: the default of `loader.conf`, else the first.
///
/// # Errors
/// When `loader.conf` is damaged.
pub(crate) fn choice(fat: &Fat<'_>, entries: &[Entry]) -> Result<Option<Entry>, String> {
    let pattern = match fat.find("loader/loader.conf")? {
        Some(node) => key(&String::from_utf8_lossy(&fat.read(&node)?), "default"),
        None => None,
    };
    let named = pattern.and_then(|pattern| entries.iter().find(|entry| matches(&pattern, &entry.id)));
    Ok(named.or(entries.first()).cloned())
}

/// The files of a folder with this ending; a folder that is not there is empty.
fn listed(fat: &Fat<'_>, folder: &str, end: &str) -> Result<Vec<Node>, String> {
    if fat.find(folder)?.is_none_or(|node| !node.folder) {
        return Ok(Vec::new());
    }
    let named = |name: &str| name.to_ascii_lowercase().ends_with(end) && !name.starts_with('.');
    Ok(fat.list(folder)?.into_iter().filter(|node| !node.folder && named(&node.name)).collect())
}

fn first_type(fat: &Fat<'_>, file: &str, text: &str) -> Result<Option<Entry>, String> {
    let program = key(text, "efi").or_else(|| key(text, "uki")).or_else(|| key(text, "linux"));
    let Some(program) = program.map(|path| path.replace('\\', "/")) else { return Ok(None) };
    // An entry whose program is not there is not shown.
    if fat.find(&program)?.is_none_or(|node| node.folder) {
        return Ok(None);
    }
    let (id, left, done) = counter(file);
    Ok(Some(Entry {
        file: format!("loader/entries/{file}"),
        id,
        program: program.trim_start_matches('/').to_owned(),
        left,
        done,
        sort_key: key(text, "sort-key"),
        version: key(text, "version").unwrap_or_default(),
    }))
}

fn second_type(file: &str, release: &str) -> Entry {
    let field = |name: &str| {
        let line = release.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
        Some(line.trim_matches(['"', '\'']).to_owned())
    };
    let version = ["IMAGE_VERSION", "VERSION", "VERSION_ID", "BUILD_ID"].into_iter().find_map(field);
    let (id, left, done) = counter(file);
    Entry {
        file: format!("EFI/Linux/{file}"),
        id,
        program: format!("EFI/Linux/{file}"),
        left,
        done,
        sort_key: field("IMAGE_ID").or_else(|| field("ID")),
        version: version.unwrap_or_default(),
    }
}

/// The last value of a key; comments are lines of their own.
fn key(text: &str, name: &str) -> Option<String> {
    text.lines()
        .filter_map(|line| {
            let line = line.trim();
            let rest = line.strip_prefix(name)?;
            rest.starts_with([' ', '\t']).then(|| rest.trim().to_owned())
        })
        .next_back()
}

/// `name+LEFT-DONE.end`: the name with its end, and the two numbers.
fn counter(file: &str) -> (String, Option<u32>, u32) {
    let plain = (file.to_owned(), None, 0);
    let (Some(dot), Some(plus)) = (file.rfind('.'), file.rfind('+')) else { return plain };
    let Some(numbers) = file.get(plus + 1..dot) else { return plain };
    let (left, done) = numbers.split_once('-').unwrap_or((numbers, "0"));
    match (left.parse(), done.parse()) {
        (Ok(left), Ok(done)) => (format!("{}{}", &file[..plus], &file[dot..]), Some(left), done),
        _ => plain,
    }
}

fn compare(a: &Entry, b: &Entry) -> Ordering {
    let exhausted = |entry: &Entry| entry.left == Some(0);
    exhausted(a)
        .cmp(&exhausted(b))
        .then_with(|| a.sort_key.is_none().cmp(&b.sort_key.is_none()))
        .then_with(|| match (&a.sort_key, &b.sort_key) {
            (Some(first), Some(second)) => first.cmp(second).then_with(|| versions(&b.version, &a.version)),
            _ => Ordering::Equal,
        })
        .then_with(|| versions(&b.id, &a.id))
        .then_with(|| match (a.left, b.left) {
            (Some(first), Some(second)) => second.cmp(&first).then(a.done.cmp(&b.done)),
            _ => Ordering::Equal,
        })
}

/// `strverscmp_improved` (UAPI.10): numbers by value, letters by their order; `~`, `-`, `^` and `.` have places of their own.
fn versions(a: &str, b: &str) -> Ordering {
    let valid = |text: &str| -> Vec<u8> {
        text.bytes().filter(|byte| byte.is_ascii_alphanumeric() || b"~-^.".contains(byte)).collect()
    };
    let (a, b) = (valid(a), valid(b));
    let (mut a, mut b) = (a.as_slice(), b.as_slice());
    loop {
        // A tilde is older than the end, and the end is older than all else.
        for sign in [b'~', 0, b'-', b'^', b'.'] {
            let has = |text: &[u8]| if sign == 0 { text.is_empty() } else { text.first() == Some(&sign) };
            match (has(a), has(b)) {
                (true, true) if sign == 0 => return Ordering::Equal,
                (true, true) => (a, b) = (&a[1..], &b[1..]),
                (true, false) => return Ordering::Less,
                (false, true) => return Ordering::Greater,
                (false, false) => {}
            }
        }
        let digits = |text: &[u8]| text.first().is_some_and(u8::is_ascii_digit);
        if digits(a) || digits(b) {
            let (first, second) = (run(&mut a, u8::is_ascii_digit), run(&mut b, u8::is_ascii_digit));
            let significant = |text: &[u8]| -> Vec<u8> {
                text.iter().copied().skip_while(|digit| *digit == b'0').collect()
            };
            let (first, second) = (significant(&first), significant(&second));
            match first.len().cmp(&second.len()).then_with(|| first.cmp(&second)) {
                Ordering::Equal => {}
                order => return order,
            }
        } else {
            let (first, second) =
                (run(&mut a, u8::is_ascii_alphabetic), run(&mut b, u8::is_ascii_alphabetic));
            match first.cmp(&second) {
                Ordering::Equal => {}
                order => return order,
            }
        }
    }
}

fn run(text: &mut &[u8], of: impl Fn(&u8) -> bool) -> Vec<u8> {
    let end = text.iter().position(|byte| !of(byte)).unwrap_or(text.len());
    let (taken, rest) = text.split_at(end);
    *text = rest;
    taken.to_vec()
}

/// A pattern with `*` and `?`, as `fnmatch` takes it; either case.
fn matches(pattern: &str, name: &str) -> bool {
    fn inner(pattern: &[u8], name: &[u8]) -> bool {
        match (pattern.first(), name.first()) {
            (Some(b'*'), _) => inner(&pattern[1..], name) || (!name.is_empty() && inner(pattern, &name[1..])),
            (Some(b'?'), Some(_)) => inner(&pattern[1..], &name[1..]),
            (Some(first), Some(second)) => {
                first.eq_ignore_ascii_case(second) && inner(&pattern[1..], &name[1..])
            }
            (None, None) => true,
            _ => false,
        }
    }
    inner(pattern.as_bytes(), name.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(file: &str, sort_key: &str, version: &str) -> Entry {
        let (id, left, done) = counter(file);
        let sort_key = (!sort_key.is_empty()).then(|| sort_key.to_owned());
        Entry { file: file.into(), id, program: String::new(), left, done, sort_key, version: version.into() }
    }

    #[test]
    fn the_menu_has_the_order_of_the_loader() {
        let mut menu = [
            entry("hc-a.conf", "hc", "0001"),
            entry("hc-b+00-03.conf", "hc", "0002"),
            entry("hc-a.efi", "", "9"),
            entry("hc-b+03-00.conf", "hc", "0002"),
            entry("zz.efi", "", "1"),
            entry("later.conf", "hd", "9999"),
        ];
        menu.sort_by(compare);
        let files: Vec<&str> = menu.iter().map(|entry| entry.file.as_str()).collect();
        assert_eq!(
            files,
            ["hc-b+03-00.conf", "hc-a.conf", "later.conf", "zz.efi", "hc-a.efi", "hc-b+00-03.conf"]
        );
    }

    #[test]
    fn versions_are_compared_as_the_loader_does() {
        // From the examples of UAPI.10.
        for (older, newer) in [
            ("0002", "10"),
            ("1.9", "1.10"),
            ("1~rc1", "1"),
            ("1", "1.1"),
            ("a", "b"),
            ("1-1", "1.1"),
            ("1", "1^2"),
            ("", "1"),
        ] {
            assert_eq!(versions(older, newer), Ordering::Less, "{older} {newer}");
            assert_eq!(versions(newer, older), Ordering::Greater, "{newer} {older}");
        }
        assert_eq!(versions("007", "7"), Ordering::Equal);
    }

    #[test]
    fn counters_are_read_and_odd_names_left_alone() {
        assert_eq!(counter("hc-b+03-00.conf"), ("hc-b.conf".into(), Some(3), 0));
        assert_eq!(counter("hc-b+2-1.efi"), ("hc-b.efi".into(), Some(2), 1));
        assert_eq!(counter("hc-b+3.conf"), ("hc-b.conf".into(), Some(3), 0));
        for odd in ["hc+a.conf", "hc-b.conf", "+.conf", "a.b+1"] {
            assert_eq!(counter(odd), (odd.to_owned(), None, 0), "{odd}");
        }
    }

    #[test]
    fn patterns_are_shell_patterns() {
        assert!(matches("hc-*.conf", "HC-a.conf") && matches("*", "") && !matches("hc-?.conf", "hc-.conf"));
    }
}
