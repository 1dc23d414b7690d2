//! Maintainer scripts that changed, as far as the packages themselves are in the cache.

use super::changes::{Change, DIGEST, Map, between};
use crate::error::Failure;
use archive::deb::{self, Control, DebError, Entry, Visitor};
use contract::Digest;
use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufReader, Read},
};
use store::Cache;

/// The scripts that differ between two sets of packages, each by the digest of its file. Only packages that
/// changed are opened.
pub(super) fn changed(
    old: &BTreeMap<String, Digest>,
    new: &BTreeMap<String, Digest>,
    cache: Option<&Cache>,
) -> Result<Vec<Change>, Failure> {
    let (mut before, mut after, mut unknown) = (Map::new(), Map::new(), Vec::new());
    for name in old.keys().chain(new.keys().filter(|name| !old.contains_key(*name))) {
        let (old, new) = (old.get(name), new.get(name));
        if old == new {
            continue;
        }
        for (digest, scripts) in [(old, &mut before), (new, &mut after)] {
            match digest.map(|digest| scripts_of(name, digest, cache)).transpose()? {
                Some(Some(found)) => scripts.extend(found),
                Some(None) => unknown.push(name.clone()),
                None => {}
            }
        }
    }
    let mut found = between(&before, &after);
    // A package of which one side is not known would look as if its scripts had come or gone.
    found.retain(|change| !unknown.iter().any(|name| change.what.starts_with(&format!("{name} "))));
    unknown.dedup();
    found.extend(unknown.into_iter().map(|what| Change {
        what,
        old: None,
        new: Some("not known: one of the two packages is not in the cache".to_owned()),
    }));
    Ok(found)
}

/// A package's scripts by `PACKAGE SCRIPT`, or nothing when it is not in the cache.
fn scripts_of(name: &str, digest: &Digest, cache: Option<&Cache>) -> Result<Option<Map>, Failure> {
    let Some(path) = cache.map(|cache| cache.file(digest)) else { return Ok(None) };
    let file = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(Failure::file("read", &path))?,
    };
    let mut scripts = Scripts(Map::new(), name);
    match deb::read(BufReader::new(file), &mut scripts) {
        Ok(_) | Err(End::Seen) => Ok(Some(scripts.0)),
        Err(End::Deb(source)) => Err(Failure::Deb { name: name.to_owned(), source }),
    }
}

/// Sees the control part and goes.
struct Scripts<'a>(Map, &'a str);

enum End {
    Seen,
    Deb(DebError),
}

impl From<DebError> for End {
    fn from(error: DebError) -> Self {
        Self::Deb(error)
    }
}

impl Visitor for Scripts<'_> {
    type Error = End;

    fn control(&mut self, control: Control) -> Result<(), End> {
        let named = |(kind, text): (deb::ScriptKind, Vec<u8>)| {
            (format!("{} {}", self.1, kind.name()), format!("{DIGEST}{}", Digest::of(&text)))
        };
        self.0 = control.scripts.into_iter().map(named).collect();
        Ok(())
    }

    fn entry(&mut self, _: Entry, _: &mut dyn Read) -> Result<(), End> {
        Err(End::Seen)
    }
}
