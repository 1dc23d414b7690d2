//! What happened, for people and for the node's own memory: a floor, a release that waits for its trial, those that did
//! not stay. Notes: when they are lost or cannot be written the node still starts, goes back and updates.

use super::cluster::Reach;
use crate::node::file;
use contract::{Code, Digest, slots::Slot};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Releases that did not stay: so many are remembered.
const FAILURES: usize = 8;
/// Lines of the journal that are kept of the last one.
pub const LINES: usize = 200;

/// All notes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// The highest floor of all releases that were kept.
    pub floor: u64,
    /// What is staged, or on trial.
    pub staged: Option<Staged>,
    /// What did not stay, the newest last.
    pub failures: Vec<Failure>,
    /// The root hash that was kept last.
    pub kept: Option<Digest>,
    /// The owner asked for a start that proves that the loader counts.
    pub proving: bool,
}

/// A release that waits for its trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Staged {
    /// Where it is.
    pub slot: Slot,
    /// Its root hash.
    pub root: Digest,
    /// Its version.
    pub version: String,
    /// How node and cluster reached each other before.
    #[serde(default)]
    pub reach: Reach,
    /// Network adapters that the kernel knew before.
    #[serde(default)]
    pub adapters: usize,
    /// The root hash that ran before.
    pub before: Digest,
    /// It is the kept slot, taken back into service by the owner.
    #[serde(default)]
    pub rollback: bool,
}

/// A release that did not stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Its root hash.
    pub root: Digest,
    /// Its version, or the first digits of its root hash.
    pub version: String,
    /// U05, U06; U02 for one that its owner went back from.
    pub code: Code,
    /// Why, one line each.
    pub why: Vec<String>,
}

impl Record {
    /// Remembers a release that did not stay, once.
    pub fn failed(&mut self, failure: Failure) {
        self.failures.retain(|known| known.root != failure.root);
        self.failures.push(failure);
        let surplus = self.failures.len().saturating_sub(FAILURES);
        self.failures.drain(..surplus);
    }

    /// Those that are not taken again by themselves.
    #[must_use]
    pub fn turned_down(&self) -> Vec<(Digest, String)> {
        self.failures.iter().map(|it| (it.root, it.why.join("; "))).collect()
    }

    /// What is known of a release that did not stay.
    #[must_use]
    pub fn failure(&self, root: &Digest) -> Option<&Failure> {
        self.failures.iter().find(|failure| failure.root == *root)
    }
}

/// Where the notes are.
#[derive(Clone, Debug)]
pub struct Notes {
    folder: PathBuf,
}

impl Notes {
    /// In `folder`.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Reads them. What cannot be read is not known, with the words why.
    #[must_use]
    pub fn load(&self) -> (Record, Option<String>) {
        let path = self.folder.join("record.json");
        let read = file::read(&path).and_then(|text| {
            text.map(|text| serde_json::from_slice(&text).map_err(std::io::Error::other)).transpose()
        });
        match read {
            Ok(record) => (record.unwrap_or_default(), None),
            Err(error) => (Record::default(), Some(format!("{}: {error}; going on without", path.display()))),
        }
    }

    /// Writes them; the words why, when they cannot be (state may be full).
    #[must_use]
    pub fn save(&self, record: &Record) -> Option<String> {
        let text = match serde_json::to_vec_pretty(record) {
            Ok(text) => text,
            Err(error) => return Some(format!("the notes on updates: {error}")),
        };
        let path = self.folder.join("record.json");
        let error = file::replace(&path, &text, 0o600).err()?;
        Some(format!("cannot keep the notes on this update in {}: {error}; going on without", path.display()))
    }

    /// Keeps the last lines of a release that did not stay; the words why, when they cannot be.
    #[must_use]
    pub fn save_lines(&self, lines: &str) -> Option<String> {
        let path = self.folder.join("last-lines");
        let error = file::replace(&path, lines.as_bytes(), 0o600).err()?;
        Some(format!("cannot keep the last lines in {}: {error}", path.display()))
    }

    /// The last lines of the last release that did not stay.
    #[must_use]
    pub fn lines(&self) -> Option<String> {
        let bytes = file::read(&self.folder.join("last-lines")).ok().flatten()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(number: u8) -> Failure {
        let why = vec![format!("reason {number}")];
        Failure { root: Digest([number; 32]), version: number.to_string(), code: Code::U05, why }
    }

    #[test]
    fn notes_are_read_as_they_were_written_and_missing_ones_stop_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let notes = Notes::in_folder(&dir.path().join("update"));
        assert_eq!(notes.load(), (Record::default(), None));
        let mut record = Record { floor: 7, ..Record::default() };
        (0..12).for_each(|number| record.failed(failure(number)));
        record.failed(failure(9));
        let known: Vec<&str> = record.failures.iter().map(|it| it.version.as_str()).collect();
        assert_eq!(known, ["4", "5", "6", "7", "8", "10", "11", "9"]);
        assert_eq!(record.turned_down()[7], (Digest([9; 32]), "reason 9".to_owned()));
        assert_eq!(notes.save(&record), None);
        assert_eq!(notes.load(), (record, None));
        assert_eq!((notes.save_lines("one\ntwo\n"), notes.lines()), (None, Some("one\ntwo\n".to_owned())));
        std::fs::write(dir.path().join("update/record.json"), "{").unwrap();
        let (record, warning) = notes.load();
        assert_eq!(record, Record::default());
        assert!(warning.unwrap().contains("record.json"));
        let nowhere = Notes::in_folder(Path::new("/proc/nowhere"));
        assert!(nowhere.save(&Record::default()).unwrap().contains("going on without"));
    }
}
