//! A partition, past the page cache (`O_DIRECT`). The kernel wants memory that begins on a block: a buffer with some
//! slack has one in it.

use super::{ALIGN, Region};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use std::{
    fs::{File, OpenOptions},
    io::{self, Seek as _, SeekFrom},
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::Path,
};

/// Bytes that are moved at once.
const PIECE: usize = 1 << 20;

/// A block device (or, in tests, a file).
#[derive(Debug)]
pub struct Device {
    file: File,
    size: u64,
    buffer: Vec<u8>,
}

impl Device {
    /// Opens `path` to be read.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn read_only(path: &Path) -> io::Result<Self> {
        Self::new(OpenOptions::new().read(true).open(path)?)
    }

    /// Opens a block device to be written, if nobody has it: a mounted or mapped one is `EBUSY` (open(2), `O_EXCL` on
    /// a block device).
    ///
    /// # Errors
    /// When it cannot be opened, or is in use.
    pub fn exclusive(path: &Path) -> io::Result<Self> {
        let flags = i32::try_from(OFlags::EXCL.bits()).map_err(io::Error::other)?;
        Self::new(OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)?)
    }

    fn new(mut file: File) -> io::Result<Self> {
        // Set after the opening: a file system that cannot (tmpfs) says so here, and its files are nobody's slot.
        let flags = fcntl_getfl(&file)?;
        fcntl_setfl(&file, flags | OFlags::DIRECT)?;
        let size = file.seek(SeekFrom::End(0))?;
        Ok(Self { file, size, buffer: vec![0; PIECE + ALIGN] })
    }

    fn aligned(buffer: &mut [u8]) -> &mut [u8] {
        let start = buffer.as_ptr().align_offset(ALIGN).min(ALIGN);
        &mut buffer[start..start + PIECE]
    }

    fn within(&self, offset: u64, length: usize) -> io::Result<()> {
        let end = offset.checked_add(length as u64).filter(|end| *end <= self.size);
        let whole = offset.is_multiple_of(ALIGN as u64) && length.is_multiple_of(ALIGN);
        if end.is_some() && whole {
            return Ok(());
        }
        let size = self.size;
        Err(io::Error::other(format!("bytes {offset} and {length} more are no blocks of {size} bytes")))
    }
}

impl Region for Device {
    fn size(&self) -> u64 {
        self.size
    }

    fn read(&mut self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.within(offset, bytes.len())?;
        let Self { file, buffer, .. } = self;
        let buffer = Self::aligned(buffer);
        for (number, piece) in (0_u64..).zip(bytes.chunks_mut(PIECE)) {
            let part = &mut buffer[..piece.len()];
            file.read_exact_at(part, offset + number * PIECE as u64)?;
            piece.copy_from_slice(part);
        }
        Ok(())
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.within(offset, bytes.len())?;
        let Self { file, buffer, .. } = self;
        let buffer = Self::aligned(buffer);
        for (number, piece) in (0_u64..).zip(bytes.chunks(PIECE)) {
            let part = &mut buffer[..piece.len()];
            part.copy_from_slice(piece);
            file.write_all_at(part, offset + number * PIECE as u64)?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_go_to_the_medium_and_come_back() {
        let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let path = dir.path().join("slot");
        std::fs::write(&path, vec![0; 3 * PIECE]).unwrap();
        let mut device = match Device::exclusive(&path) {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                eprintln!("skipped: blocks_go_to_the_medium_and_come_back: this file system has no O_DIRECT");
                return;
            }
            other => other.unwrap(),
        };
        assert_eq!(device.size(), 3 * PIECE as u64);
        let text: Vec<u8> = (0..PIECE + 2 * ALIGN).map(|at| (at / 77) as u8).collect();
        device.write(ALIGN as u64, &text).unwrap();
        device.flush().unwrap();
        let mut found = vec![0; text.len()];
        Device::read_only(&path).unwrap().read(ALIGN as u64, &mut found).unwrap();
        assert!(found == text);
        assert_eq!(std::fs::read(&path).unwrap()[ALIGN..ALIGN + text.len()], text);
        for (offset, length) in [(1, ALIGN), (0, 1), (3 * PIECE as u64, ALIGN), (u64::MAX - 4095, ALIGN)] {
            let message = device.write(offset, &text[..length]).unwrap_err().to_string();
            assert!(message.contains("no blocks of 3145728 bytes"), "{message}");
        }
    }
}
