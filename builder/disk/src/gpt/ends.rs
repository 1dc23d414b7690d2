//! A disk of which only the ends are real: what the `gpt` crate needs to write its two tables.

use std::io::{self, Read, Seek, SeekFrom, Write};

/// Both ends in memory; the middle reads as zeros and cannot be written.
pub(super) struct Ends {
    size: u64,
    position: u64,
    /// The protective MBR, the header and the entries.
    pub(super) head: Vec<u8>,
    /// The backup's entries and header.
    pub(super) tail: Vec<u8>,
}

impl std::fmt::Debug for Ends {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the ends of a disk of {} bytes", self.size)
    }
}

impl Ends {
    /// The first `head` and the last `tail` bytes of a disk of `size` bytes, all zeros.
    pub(super) fn new(size: u64, head: usize, tail: usize) -> Self {
        Self { size, position: 0, head: vec![0; head], tail: vec![0; tail] }
    }

    /// Where the tail begins, in bytes.
    pub(super) fn tail_start(&self) -> u64 {
        self.size - self.tail.len() as u64
    }

    /// The bytes from the position on, if it lies in an end.
    fn here(&mut self) -> Option<&mut [u8]> {
        let tail_start = self.tail_start();
        let (end, start) =
            if self.position < tail_start { (&mut self.head, 0) } else { (&mut self.tail, tail_start) };
        end.get_mut(usize::try_from(self.position - start).ok()?..).filter(|rest| !rest.is_empty())
    }
}

impl Read for Ends {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(here) = self.here() else { return Err(outside(self.position)) };
        let count = here.len().min(buffer.len());
        buffer[..count].copy_from_slice(&here[..count]);
        self.position += count as u64;
        Ok(count)
    }
}

impl Write for Ends {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(here) = self.here() else { return Err(outside(self.position)) };
        let count = here.len().min(bytes.len());
        here[..count].copy_from_slice(&bytes[..count]);
        self.position += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Ends {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(offset) => self.size.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

fn outside(position: u64) -> io::Error {
    io::Error::other(format!("offset {position} is in no end of the disk"))
}
