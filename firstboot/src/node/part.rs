//! How one service of hcnode stands: what it writes, and `status` reads.

use super::{file, place};
use contract::{Outcome, Reason, Stage};
use serde::{Deserialize, Serialize};
use std::{
    io,
    path::{Path, PathBuf},
};

/// How one service stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Where it is on its way.
    pub stage: Stage,
    /// Why it does not go on, when it does not.
    #[serde(default)]
    pub reason: Option<Reason>,
    /// What the node does next, or what its owner should do.
    #[serde(default)]
    pub next: String,
    /// Results of probes (health only).
    #[serde(default)]
    pub probes: Vec<Outcome>,
}

impl Part {
    /// Writes the part of `service`, such as `join`, in one step.
    ///
    /// # Errors
    /// When /run cannot be written.
    pub fn write(&self, service: &str) -> io::Result<()> {
        self.write_in(Path::new(place::PARTS), service)
    }

    /// The same in another folder.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn write_in(&self, folder: &Path, service: &str) -> io::Result<()> {
        let mut text = serde_json::to_vec(self)?;
        text.push(b'\n');
        file::replace(&path(folder, service), &text, 0o644)
    }

    /// What `service` said last in `folder`, if it ever said anything.
    ///
    /// # Errors
    /// When its file cannot be read or is no part.
    pub fn read_in(folder: &Path, service: &str) -> io::Result<Option<Self>> {
        let text = file::read(&path(folder, service))?;
        text.map(|text| serde_json::from_slice(&text).map_err(io::Error::other)).transpose()
    }
}

fn path(folder: &Path, service: &str) -> PathBuf {
    folder.join(format!("{service}.json"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::{Blame, Code};

    #[test]
    fn a_part_is_read_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("parts");
        let text = "line 7: token is cut off".to_owned();
        let reason = Reason { code: Code::J01, area: "config".to_owned(), text, blame: Blame::Settings };
        let part = Part {
            stage: Stage::Degraded,
            reason: Some(reason),
            next: "mend the seed".to_owned(),
            probes: Vec::new(),
        };
        assert_eq!(Part::read_in(&folder, "first-boot").unwrap(), None);
        part.write_in(&folder, "first-boot").unwrap();
        assert_eq!(Part::read_in(&folder, "first-boot").unwrap(), Some(part));
        std::fs::write(folder.join("join.json"), "{").unwrap();
        assert!(Part::read_in(&folder, "join").is_err());
    }
}
