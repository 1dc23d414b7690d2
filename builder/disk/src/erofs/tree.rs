//! The tree to write, as values.

use std::collections::BTreeMap;

use contract::Epoch;

use super::Shape;

/// An inode of a [`FileSystem`], by its place in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InodeId(pub usize);

/// Names and what they name.
#[derive(Debug, Clone, Default)]
pub struct FileSystem {
    /// Paths without a leading slash, such as `usr/bin/x`; the root is the empty string. Several names of
    /// one inode are hard links.
    pub names: BTreeMap<String, InodeId>,
    /// The inodes. Each must have a name.
    pub inodes: Vec<Inode>,
}

impl FileSystem {
    /// Adds an inode under a name, and returns its id for further names.
    pub fn add(&mut self, path: impl Into<String>, inode: Inode) -> InodeId {
        let id = InodeId(self.inodes.len());
        self.inodes.push(inode);
        self.names.insert(path.into(), id);
        id
    }

    /// Gives an inode one more name.
    pub fn link(&mut self, path: impl Into<String>, id: InodeId) {
        self.names.insert(path.into(), id);
    }
}

/// One inode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inode {
    /// Permission bits, setuid, setgid and sticky included: `0o7777` at most.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Seconds since 1970. One that is equal to the volume's epoch is stored in half the space.
    pub mtime: i64,
    /// Extended attributes by full name, such as `security.capability`.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// What it is.
    pub kind: Kind,
}

/// What an inode is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A directory; its entries are the names below its own.
    Directory,
    /// A regular file.
    File {
        /// How its bytes lie.
        shape: Shape,
        /// Which bytes: whatever the writer's [`super::Bodies`] understands.
        body: u64,
    },
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

/// What an image says about itself.
#[derive(Debug, Clone)]
pub struct Volume {
    /// The file system's UUID, in the order in which it is printed.
    pub uuid: [u8; 16],
    /// The time of the build, and of every inode that has it as its mtime.
    pub epoch: Epoch,
    /// At most 15 bytes.
    pub label: String,
}
