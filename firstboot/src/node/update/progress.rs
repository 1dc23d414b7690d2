//! How far an update came: a line for each step, and a file in /run for other programs.

use super::apply::Tell;
use crate::node::{file, place, say};
use serde::{Deserialize, Serialize};
use std::{io, path::Path};

/// The file is written anew after so many bytes.
const STRIDE: u64 = 8 << 20;

/// How far it came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// What is written, such as `nas 20260905-081320-0123abcd`.
    pub release: String,
    /// What is done now.
    pub step: String,
    /// Bytes of this step that are done.
    pub done: u64,
    /// Of how many.
    pub of: u64,
}

impl Progress {
    /// Reads it; none while no update runs.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn load() -> io::Result<Option<Self>> {
        let text = file::read(Path::new(place::PROGRESS))?;
        text.map(|text| serde_json::from_slice(&text).map_err(io::Error::other)).transpose()
    }

    /// In words, such as `fetching 3.1 MiB of the root: 40 %`.
    #[must_use]
    pub fn words(&self) -> String {
        let Self { step, done, of, .. } = self;
        if *of == 0 { step.clone() } else { format!("{step}: {} %", done.saturating_mul(100) / of) }
    }
}

/// Tells a person (or the journal) and other programs.
#[derive(Debug)]
pub struct Teller {
    progress: Progress,
    line: fn(&str),
    /// At which byte the file was written last.
    told: u64,
    broken: bool,
}

impl Teller {
    /// An update to `release`.
    #[must_use]
    pub fn new(release: &str, line: fn(&str)) -> Self {
        let progress = Progress { release: release.to_owned(), ..Progress::default() };
        Self { progress, line, told: 0, broken: false }
    }

    fn write(&mut self) {
        let text = serde_json::to_vec(&self.progress).map_err(io::Error::other);
        let path = Path::new(place::PROGRESS);
        if let Err(error) = text.and_then(|text| file::replace(path, &text, 0o644))
            && !self.broken
        {
            self.broken = true;
            say::warn(format_args!("{}: {error}; going on without", path.display()));
        }
    }
}

impl Tell for Teller {
    fn step(&mut self, text: &str) {
        (self.line)(text);
        self.progress =
            Progress { step: text.to_owned(), done: 0, of: 0, ..std::mem::take(&mut self.progress) };
        self.told = 0;
        self.write();
    }

    fn moved(&mut self, done: u64, of: u64) {
        (self.progress.done, self.progress.of) = (done, of);
        if done.abs_diff(self.told) >= STRIDE || done == of {
            self.told = done;
            self.write();
        }
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        if let Err(error) = file::remove(Path::new(place::PROGRESS)) {
            say::warn(format_args!("{}: {error}", place::PROGRESS));
        }
    }
}
