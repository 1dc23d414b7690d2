//! Anything that holds the bytes of a disk.

use crate::{Error, Result};
use std::{fs::File, io, ops::Range, os::unix::fs::FileExt as _, path::Path};

/// Bytes that can be read at any place: an image, a disk in use, or what a power cut left of one.
pub trait Medium: Send + Sync {
    /// The size in bytes.
    fn size(&self) -> u64;

    /// Fills `buffer` from `offset` on; behind the end there are zeros.
    ///
    /// # Errors
    /// When the file behind it cannot be read.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// A number that stands for the bytes of `extent`, for caches: among the states of one walk, equal numbers mean equal
    /// bytes. `None` where nobody keeps account.
    fn fingerprint(&self, _extent: Range<u64>) -> Option<u64> {
        None
    }

    /// The bytes of `extent`.
    ///
    /// # Errors
    /// When the file behind it cannot be read.
    fn bytes(&self, extent: Range<u64>) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(extent.end - extent.start).map_err(io::Error::other)?];
        self.read_at(extent.start, &mut bytes)?;
        Ok(bytes)
    }

    /// Writes `extent` to a file of its own; what is zero stays a hole. For tools that want a file.
    ///
    /// # Errors
    /// When either cannot be used.
    fn copy_to(&self, extent: Range<u64>, path: &Path) -> Result<()> {
        const PIECE: u64 = 1 << 20;
        let file = File::create(path).map_err(Error::file("create", path))?;
        file.set_len(extent.end - extent.start).map_err(Error::file("write", path))?;
        let mut at = extent.start;
        while at < extent.end {
            let end = (at + PIECE).min(extent.end);
            let bytes = self.bytes(at..end).map_err(Error::io("read the medium"))?;
            if bytes.iter().any(|byte| *byte != 0) {
                file.write_all_at(&bytes, at - extent.start).map_err(Error::file("write", path))?;
            }
            at = end;
        }
        Ok(())
    }
}

/// A raw image on a medium that may be larger than it.
#[derive(Debug)]
pub struct Image {
    file: File,
    length: u64,
    size: u64,
}

impl Image {
    /// The image in the file `path`, on a medium of at least `size` bytes.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(path: &Path, size: u64) -> Result<Self> {
        let file = File::open(path).map_err(Error::file("open", path))?;
        let length = file.metadata().map_err(Error::file("look at", path))?.len();
        Ok(Self { file, length, size: size.max(length) })
    }
}

impl Medium for Image {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let there = self.length.saturating_sub(offset).min(buffer.len() as u64);
        let (there, beyond) = buffer.split_at_mut(usize::try_from(there).map_err(io::Error::other)?);
        beyond.fill(0);
        self.file.read_exact_at(there, offset)
    }
}
