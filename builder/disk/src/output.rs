//! Where a sparse image goes: runs of bytes at offsets, and zeros wherever nothing was written.

use contract::Digest;
use sha2::{Digest as _, Sha256};
use std::io::{self, Seek, SeekFrom, Write};

/// Takes the bytes of an image in runs. Whatever is never written reads as zeros, so an implementation over a
/// fresh file keeps it sparse. Every writer of this crate that takes an `Output` sends ascending offsets.
pub trait Output {
    /// Puts `bytes` at `offset` (in bytes from the start of the image).
    ///
    /// # Errors
    /// Whatever the medium behind it reports.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;
}

impl<O: Output + ?Sized> Output for &mut O {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        (**self).write_at(offset, bytes)
    }
}

/// An image in memory: grows with zeros as it is written.
impl Output for Vec<u8> {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let end = start.checked_add(bytes.len()).ok_or(io::ErrorKind::FileTooLarge)?;
        if self.len() < end {
            self.resize(end, 0);
        }
        self[start..end].copy_from_slice(bytes);
        Ok(())
    }
}

/// An [`Output`] over anything that can seek, such as an empty file. The caller sets the file's length.
#[derive(Debug)]
pub struct Seekable<W>(pub W);

impl<W: Write + Seek> Output for Seekable<W> {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.seek(SeekFrom::Start(offset))?;
        self.0.write_all(bytes)
    }
}

/// A part of another output, such as one partition of a disk. Refuses to write past its end.
#[derive(Debug)]
pub struct Window<O> {
    inner: O,
    start: u64,
    size: u64,
}

impl<O: Output> Window<O> {
    /// The `size` bytes of `inner` that begin at `start`.
    pub const fn new(inner: O, start: u64, size: u64) -> Self {
        Self { inner, start, size }
    }
}

impl<O: Output> Output for Window<O> {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let end = offset.checked_add(bytes.len() as u64).filter(|&end| end <= self.size);
        let (Some(_), Some(at)) = (end, self.start.checked_add(offset)) else {
            let length = bytes.len();
            return Err(io::Error::other(format!(
                "{length} bytes at offset {offset} do not fit into a window of {} bytes",
                self.size
            )));
        };
        self.inner.write_at(at, bytes)
    }
}

/// Passes runs on and hashes the image that they make, zeros in the gaps included. Runs must ascend.
pub struct Hashed<O> {
    inner: O,
    hash: Sha256,
    hashed: u64,
}

impl<O: Output> Hashed<O> {
    /// Hashes what goes to `inner`.
    pub fn new(inner: O) -> Self {
        Self { inner, hash: Sha256::new(), hashed: 0 }
    }

    /// The digest of the image, of which `size` is the length in bytes.
    ///
    /// # Errors
    /// A size that is less than what was written.
    pub fn finish(mut self, size: u64) -> io::Result<Digest> {
        self.zeros_up_to(size)?;
        Ok(Digest(self.hash.finalize().into()))
    }

    fn zeros_up_to(&mut self, offset: u64) -> io::Result<()> {
        static ZEROS: [u8; 1 << 16] = [0; 1 << 16];
        let Some(mut gap) = offset.checked_sub(self.hashed) else {
            return Err(io::Error::other(format!(
                "offset {offset} comes after {} bytes are hashed: runs must ascend",
                self.hashed
            )));
        };
        while gap > 0 {
            // No more than the array's length, so it fits.
            let part = gap.min(ZEROS.len() as u64);
            self.hash.update(&ZEROS[..part as usize]);
            gap -= part;
        }
        self.hashed = offset;
        Ok(())
    }
}

impl<O: Output> Output for Hashed<O> {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.zeros_up_to(offset)?;
        self.hash.update(bytes);
        self.hashed += bytes.len() as u64;
        self.inner.write_at(offset, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_shifts_and_stops_at_its_end() {
        let mut image = Vec::new();
        let mut window = Window::new(&mut image, 4, 3);
        window.write_at(1, b"ab").unwrap();
        let error = window.write_at(2, b"cd").unwrap_err().to_string();
        assert_eq!(error, "2 bytes at offset 2 do not fit into a window of 3 bytes");
        assert!(window.write_at(u64::MAX, b"x").is_err());
        assert_eq!(image, b"\0\0\0\0\0ab");
    }

    #[test]
    fn a_hash_covers_the_gaps() {
        let mut image = Vec::new();
        let mut hashed = Hashed::new(&mut image);
        hashed.write_at(3, b"ab").unwrap();
        hashed.write_at(100_000, b"c").unwrap();
        let error = hashed.write_at(5, b"x").unwrap_err().to_string();
        assert_eq!(error, "offset 5 comes after 100001 bytes are hashed: runs must ascend");
        let digest = hashed.finish(200_000).unwrap();
        image.resize(200_000, 0);
        assert_eq!(digest, Digest::of(&image));
        assert!(Hashed::new(&mut image).finish(0).is_ok());
    }

    #[test]
    fn a_seekable_leaves_gaps_alone() {
        let mut file = Seekable(std::io::Cursor::new(Vec::new()));
        file.write_at(3, b"x").unwrap();
        file.write_at(0, b"y").unwrap();
        assert_eq!(file.0.into_inner(), b"y\0\0x");
    }
}
