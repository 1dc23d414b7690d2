use std::collections::BTreeMap;
use std::io::{Read, Seek};

use super::super::Error;
use super::super::format::{
    BLOCK, INODE_COMPACT, INODE_EXTENDED, LAYOUT_COMPACT, LAYOUT_INLINE, LAYOUT_PLAIN, S_IFBLK, S_IFCHR,
    S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG, S_IFSOCK, SLOT, device_parts,
};
use super::super::xattr;
use super::{Reader, damaged, le};

/// An inode of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its number in the image. Names with one number are hard links.
    pub nid: u64,
    /// Permission bits, setuid, setgid and sticky included.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Seconds since 1970.
    pub mtime: i64,
    /// Names that it has; of a directory also those from inside.
    pub nlink: u32,
    /// Bytes of a file, of a link's target, or of a directory's entries.
    pub size: u64,
    /// Extended attributes by full name.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// What it is.
    pub what: What,
    pub(super) layout: u16,
    /// First block of what is stored as it is; count of blocks of what is compressed.
    pub(super) block: u32,
    /// Where in the image inode and attributes end.
    pub(super) end: u64,
}

/// What an inode of an image is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link, and what it says.
    Symlink(String),
    /// A character device.
    CharDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
}

impl Found {
    /// Blocks outside the metadata that its bytes take in the image, bytes.
    pub fn stored(&self) -> u64 {
        let blocks = match (&self.what, self.layout) {
            (What::File, LAYOUT_COMPACT) => u64::from(self.block),
            (What::File | What::Directory | What::Symlink(_), LAYOUT_INLINE) => self.size / BLOCK as u64,
            (What::File | What::Directory | What::Symlink(_), _) => self.size.div_ceil(BLOCK as u64),
            _ => 0,
        };
        blocks * BLOCK as u64
    }
}

impl<R: Read + Seek> Reader<R> {
    /// The inode of this number.
    pub fn inode(&mut self, nid: u64) -> Result<Found, Error> {
        let Some(at) = nid.checked_mul(SLOT as u64).and_then(|offset| offset.checked_add(self.meta)) else {
            return damaged(self.meta, format!("inode number {nid} is out of range"));
        };
        let compact = self.bytes(at, INODE_COMPACT as u64)?;
        let format = le(&compact, 0, 2) as u16;
        let (extended, layout) = (format & 1 == 1, format >> 1);
        if format >> 4 != 0 || ![LAYOUT_PLAIN, LAYOUT_INLINE, LAYOUT_COMPACT].contains(&layout) {
            return damaged(at, format!("inode format {format:#x} is not read here"));
        }
        let len = if extended { INODE_EXTENDED } else { INODE_COMPACT };
        let core = self.bytes(at, len as u64)?;
        let xattr_len = xattr::len(le(&core, 2, 2) as u16) as u64;
        let attributes = self.bytes(at + len as u64, xattr_len)?;
        let xattrs = xattr::decode(&attributes);
        let xattrs = xattrs.or_else(|why| damaged(at + len as u64, why))?;
        let mode = le(&core, 4, 2) as u16;
        let special = le(&core, 16, 4) as u32;
        let mut found = Found {
            nid,
            mode: mode & !S_IFMT,
            uid: if extended { le(&core, 24, 4) } else { le(&core, 24, 2) } as u32,
            gid: if extended { le(&core, 28, 4) } else { le(&core, 26, 2) } as u32,
            mtime: if extended { le(&core, 32, 8) as i64 } else { self.epoch },
            nlink: if extended { le(&core, 44, 4) } else { le(&core, 6, 2) } as u32,
            size: if extended { le(&core, 8, 8) } else { le(&core, 8, 4) },
            xattrs,
            what: What::File,
            layout,
            block: special,
            end: at + len as u64 + xattr_len,
        };
        let (major, minor) = device_parts(special);
        found.what = match mode & S_IFMT {
            S_IFREG => What::File,
            S_IFDIR => What::Directory,
            S_IFLNK => What::Symlink(self.target(&found)?),
            S_IFCHR => What::CharDevice { major, minor },
            S_IFBLK => What::BlockDevice { major, minor },
            S_IFIFO => What::Fifo,
            S_IFSOCK => What::Socket,
            _ => return damaged(at, format!("mode {mode:o} is of no known type")),
        };
        if layout == LAYOUT_COMPACT && found.what != What::File {
            return damaged(at, "compressed, but not a regular file");
        }
        Ok(found)
    }

    fn target(&mut self, found: &Found) -> Result<String, Error> {
        if found.size >= BLOCK as u64 {
            return damaged(found.end, format!("a symbolic link of {} bytes", found.size));
        }
        let bytes = self.flat(found, 0, found.size)?;
        String::from_utf8(bytes).or_else(|_| damaged(found.end, "a symbolic link that is not UTF-8"))
    }
}
