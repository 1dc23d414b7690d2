//! `files.txt`: every path of an image, one line each, as `Tree::dump` writes it.

use super::changes::{DIGEST, Map};
use crate::error::Failure;
use std::{collections::BTreeMap, path::Path};

/// Folders in which units lie.
const UNITS: [&str; 2] = ["/etc/systemd/system/", "/usr/lib/systemd/system/"];
/// What a file may do that its caller may not.
const CAPABILITY: &str = "security.capability";
/// The set-user-id and set-group-id bits.
const SET_ID: u32 = 0o6000;

/// What is known of one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// As `ls` shows it: `-`, `d`, `l`, `c`, `b` or `p`.
    pub(super) kind: char,
    pub(super) mode: u32,
    pub(super) owner: String,
    pub(super) group: String,
    /// What follows the time: size and digest, target, attributes, origin.
    rest: String,
}

/// All paths of an image.
#[derive(Debug, Default)]
pub(super) struct Listing(BTreeMap<String, Entry>);

impl Listing {
    /// Reads the file; a line that is none is an error.
    pub(super) fn parse(text: &str, file: &Path) -> Result<Self, Failure> {
        let mut found = BTreeMap::new();
        for (at, line) in (1..).zip(text.lines()) {
            let (path, entry) = entry(line).ok_or_else(|| {
                Failure::refused(format!("{}:{at}: not a line of a build's list: `{line}`", file.display()))
            })?;
            found.insert(path, entry);
        }
        Ok(Self(found))
    }

    /// How many paths.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Units and what adds to them, by their name below the folders: a file, or where a link leads.
    pub(super) fn units(&self) -> Map {
        let units = self.0.iter().filter_map(|(path, entry)| {
            let name = UNITS.iter().find_map(|folder| path.strip_prefix(folder))?;
            if entry.kind == 'd' || is_wish(name) {
                return None;
            }
            Some((name.to_owned(), entry.content()))
        });
        // What is in /etc comes first in the order of paths and is what systemd takes.
        units.fold(Map::new(), |mut found, (name, content)| {
            found.entry(name).or_insert(content);
            found
        })
    }

    /// Who starts what: links in `.wants` and `.requires`.
    pub(super) fn enabled(&self) -> Map {
        let wishes = self.0.keys().filter_map(|path| {
            let name = UNITS.iter().find_map(|folder| path.strip_prefix(folder))?;
            let (by, unit) = name.split_once('/').filter(|_| is_wish(name))?;
            let (by, how) = by.rsplit_once('.')?;
            Some((format!("{unit} ({by})"), how.to_owned()))
        });
        wishes.collect()
    }

    /// Files that give their caller more than it has.
    pub(super) fn privileged(&self) -> Map {
        let has = |entry: &Entry| {
            let capability = entry.attribute(CAPABILITY).map(|hex| format!("capabilities {hex}"));
            let set = (entry.kind == '-' && entry.mode & SET_ID != 0)
                .then(|| format!("{:04o} {}:{}", entry.mode, entry.owner, entry.group));
            let both: Vec<String> = set.into_iter().chain(capability).collect();
            (!both.is_empty()).then(|| both.join(", "))
        };
        self.0.iter().filter_map(|(path, entry)| Some((path.clone(), has(entry)?))).collect()
    }
}

/// `multi-user.target.wants/x.service`.
fn is_wish(name: &str) -> bool {
    name.split_once('/')
        .is_some_and(|(folder, _)| folder.ends_with(".wants") || folder.ends_with(".requires"))
}

impl Entry {
    fn content(&self) -> String {
        match self.rest.strip_prefix("-> ") {
            Some(target) if target.starts_with("/dev/null") => "masked".to_owned(),
            Some(target) => format!("-> {}", target.rsplit_once(" (").map_or(target, |(target, _)| target)),
            None => format!("{DIGEST}{}", self.rest.split(' ').nth(1).unwrap_or_default()),
        }
    }

    fn attribute(&self, name: &str) -> Option<&str> {
        self.rest.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
    }
}

/// `PATH K MODE UID GID TIME …`; a path may have spaces in it.
fn entry(line: &str) -> Option<(String, Entry)> {
    let fits = |at: &usize| {
        let bytes = line.as_bytes().get(*at..*at + 8)?;
        let [b' ', kind, b' ', mode @ .., b' '] = bytes else { return None };
        (b"-dlcbp".contains(kind) && mode.iter().all(|digit| (b'0'..b'8').contains(digit))).then_some(())
    };
    let at = (1..line.len()).find(|at| fits(at).is_some())?;
    let (path, rest) = line.split_at(at);
    let mut words = rest[1..].splitn(6, ' ');
    let kind = words.next()?.chars().next()?;
    let mode = u32::from_str_radix(words.next()?, 8).ok()?;
    let mut word = || words.next().map(str::to_owned);
    let (owner, group, _time, rest) = (word()?, word()?, word()?, word()?);
    path.starts_with('/').then(|| (path.to_owned(), Entry { kind, mode, owner, group, rest }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
/ d 0755 0 0 1784307900 (package base-files)
/etc/systemd/system/ldconfig.service l 0777 0 0 1 -> /dev/null (effect units)
/etc/systemd/system/multi-user.target.wants/smbd.service l 0777 0 0 1 -> /usr/lib/systemd/system/smbd.service (effect units)
/usr/bin/mount - 4755 0 0 1 63792 aa11 (package mount)
/usr/bin/newuidmap - 0755 0 0 1 9 bb22 security.capability=0100 (package uidmap)
/usr/lib/systemd/system/ldconfig.service - 0644 0 0 1 7 cc33 (package libc-bin)
/usr/lib/systemd/system/smbd.service - 0644 0 0 1 7 dd44 (package samba)
/usr/lib/systemd/system/alias.service l 0777 0 0 1 -> smbd.service (package samba)
/usr/share/a file - 0644 0 0 1 7 ee55 (package x)
/usr/share/d d 2755 0 50 1 (package x)
";

    fn map(pairs: &[(&str, &str)]) -> Map {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_list_of_a_build_is_read() {
        let listing = Listing::parse(TEXT, Path::new("files.txt")).unwrap();
        assert_eq!(listing.len(), 10);
        assert_eq!(
            listing.units(),
            map(&[
                ("alias.service", "-> smbd.service"),
                ("ldconfig.service", "masked"),
                ("smbd.service", "sha256:dd44")
            ])
        );
        assert_eq!(listing.enabled(), map(&[("smbd.service (multi-user.target)", "wants")]));
        assert_eq!(
            listing.privileged(),
            map(&[("/usr/bin/mount", "4755 0:0"), ("/usr/bin/newuidmap", "capabilities 0100")])
        );
        assert!(listing.0.contains_key("/usr/share/a file"));
    }

    #[test]
    fn another_text_is_refused_with_its_line() {
        for wrong in ["hello", "/x - 0644 0 0", "x - 0644 0 0 1 7 aa (p)", "/x q 0644 0 0 1 7", ""] {
            let text = format!("/ d 0755 0 0 1 (x)\n{wrong}\n");
            let error = Listing::parse(&text, Path::new("files.txt")).unwrap_err().to_string();
            assert!(error.starts_with("files.txt:2: "), "{error}");
        }
    }
}
