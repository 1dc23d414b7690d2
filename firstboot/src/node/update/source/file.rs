//! A bundle as a file: on a USB stick, on a share.

use super::{Source, SourceError};
use std::{fs::File, io, ops::Range, os::unix::fs::FileExt as _, path::Path};

/// A file.
#[derive(Debug)]
pub struct Stick {
    path: String,
    file: File,
    size: u64,
    at: u64,
    received: u64,
}

impl Stick {
    /// Opens it.
    ///
    /// # Errors
    /// When it is not there, or no plain file.
    pub fn open(path: &Path) -> Result<Self, SourceError> {
        let name = path.display().to_string();
        let wrong = |source| SourceError::File { path: name.clone(), source };
        // Looked at before it is opened: the opening of a pipe would wait for ever.
        if !std::fs::metadata(path).map_err(wrong)?.is_file() {
            return Err(wrong(io::Error::other("it is no plain file")));
        }
        let file = File::open(path).map_err(wrong)?;
        let size = file.metadata().map_err(wrong)?.len();
        Ok(Self { path: name, file, size, at: 0, received: 0 })
    }
}

impl Source for Stick {
    fn name(&self) -> &str {
        &self.path
    }

    fn size(&self) -> Option<u64> {
        Some(self.size)
    }

    fn turn_to(&mut self, range: Range<u64>) -> Result<(), SourceError> {
        if range.end > self.size {
            return Err(SourceError::Short { size: self.size, from: range.start, to: range.end });
        }
        self.at = range.start;
        Ok(())
    }

    fn read(&mut self, bytes: &mut [u8]) -> Result<(), SourceError> {
        let read = self.file.read_exact_at(bytes, self.at);
        read.map_err(|source| SourceError::File { path: self.path.clone(), source })?;
        self.at += bytes.len() as u64;
        self.received += bytes.len() as u64;
        Ok(())
    }

    fn skip(&mut self, length: u64) -> Result<(), SourceError> {
        self.at += length;
        Ok(())
    }

    fn received(&self) -> u64 {
        self.received
    }
}
