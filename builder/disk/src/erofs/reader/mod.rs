//! Reads back what the writer writes, and refuses the rest of the format. Bounded: no number in the image
//! makes it allocate more than the image has, except for what a file expands to, which the caller limits.

mod data;
mod inode;
mod walk;

use std::io::{Read, Seek, SeekFrom};

pub use inode::{Found, What};
pub use walk::Named;

use super::Error;
use super::format::{
    ALGORITHM_ZSTD, BLOCK, BLOCK_BITS, COMPAT_SB_CHKSUM, INCOMPAT_COMPR_CFGS, INCOMPAT_ZERO_PADDING,
    INCOMPAT_ZTAILPACKING, MAGIC, SUPER_OFFSET, crc32c,
};

/// An image that is read.
#[derive(Debug)]
pub struct Reader<R> {
    source: R,
    size: u64,
    meta: u64,
    root: u64,
    inodes: u64,
    epoch: i64,
    uuid: [u8; 16],
    label: String,
}

/// Little-endian numbers of a slice whose length was checked.
pub(super) fn le(bytes: &[u8], at: usize, len: usize) -> u64 {
    bytes[at..at + len].iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

pub(super) fn damaged<T>(at: u64, why: impl Into<String>) -> Result<T, Error> {
    Err(Error::Damaged { at, why: why.into() })
}

impl<R: Read + Seek> Reader<R> {
    /// Reads and checks the superblock. The source starts with the image and may be longer than it.
    pub fn open(mut source: R) -> Result<Self, Error> {
        let failed = |source| Error::Read { at: 0, source };
        let available = source.seek(SeekFrom::End(0)).map_err(failed)?;
        let mut reader = Self {
            source,
            size: available,
            meta: 0,
            root: 0,
            inodes: 0,
            epoch: 0,
            uuid: [0; 16],
            label: String::new(),
        };
        let mut block = reader.bytes(0, BLOCK as u64)?;
        let block = &mut block[SUPER_OFFSET..];
        let at = SUPER_OFFSET as u64;
        if le(block, 0, 4) as u32 != MAGIC {
            return damaged(at, "the magic number is not EROFS's");
        }
        if le(block, 8, 4) as u32 & COMPAT_SB_CHKSUM == 0 || block[12..14] != [BLOCK_BITS, 0] {
            return damaged(at, "no checksum, or blocks of another size than 4096");
        }
        let sum = le(block, 4, 4) as u32;
        block[4..8].fill(0);
        let got = crc32c(block);
        if sum != got {
            return damaged(at, format!("the superblock's checksum is {got:08x}, it says {sum:08x}"));
        }
        let compressed = INCOMPAT_ZERO_PADDING | INCOMPAT_COMPR_CFGS | INCOMPAT_ZTAILPACKING;
        let algorithms = le(block, 84, 2) as u16;
        match (le(block, 80, 4) as u32, algorithms) {
            (0, 0) => {}
            (features, algorithms) if features == compressed && algorithms == 1 << ALGORITHM_ZSTD => {}
            (features, algorithms) => {
                return damaged(
                    at,
                    format!("features {features:#x} with algorithms {algorithms:#x} are not read here"),
                );
            }
        }
        let size = le(block, 36, 4) * BLOCK as u64;
        if size > available {
            return damaged(at, format!("the image has {available} bytes, its superblock says {size}"));
        }
        let label = block[64..80].split(|byte| *byte == 0).next().unwrap_or_default();
        reader.label = String::from_utf8_lossy(label).into_owned();
        reader.uuid.copy_from_slice(&block[48..64]);
        reader.size = size;
        reader.root = le(block, 14, 2);
        reader.inodes = le(block, 16, 8);
        reader.epoch = le(block, 24, 8) as i64;
        reader.meta = le(block, 40, 4) * BLOCK as u64;
        Ok(reader)
    }

    /// The image's size, bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// How many inodes the superblock counts.
    pub fn inodes(&self) -> u64 {
        self.inodes
    }

    /// The build's time, seconds since 1970.
    pub fn epoch(&self) -> i64 {
        self.epoch
    }

    /// The file system's UUID, in the order in which it is printed.
    pub fn uuid(&self) -> [u8; 16] {
        self.uuid
    }

    /// The volume's label.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// So many bytes of the image.
    fn bytes(&mut self, at: u64, len: u64) -> Result<Vec<u8>, Error> {
        if at.checked_add(len).is_none_or(|end| end > self.size) {
            return damaged(at, format!("{len} bytes from here end outside the image of {}", self.size));
        }
        let failed = |source| Error::Read { at, source };
        self.source.seek(SeekFrom::Start(at)).map_err(failed)?;
        let mut bytes = vec![0; len as usize];
        self.source.read_exact(&mut bytes).map_err(failed)?;
        Ok(bytes)
    }
}
