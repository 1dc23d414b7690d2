//! One inode of the tree, and who put it there.

use crate::Content;
use std::{collections::BTreeMap, fmt};

/// Names an inode of one [`crate::Tree`]; hard links are paths with the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(crate) usize);

/// An inode: what `stat` and `getxattr` would say, and its origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// What kind of inode, with what it holds.
    pub kind: Kind,
    /// Permission bits, set-user-id, set-group-id and sticky bit (`07777`).
    pub mode: u16,
    /// Owner, a number; names are in the tree's own `/etc/passwd`.
    pub uid: u32,
    /// Group, a number; names are in the tree's own `/etc/group`.
    pub gid: u32,
    /// Modification time, seconds since 1970 UTC.
    pub mtime: i64,
    /// Extended attributes by full name, such as `security.capability`.
    pub xattrs: BTreeMap<String, Vec<u8>>,
    /// Who put it there.
    pub origin: Origin,
}

/// What kind of inode it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file.
    File(Content),
    /// A symbolic link with its target as written.
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
}

/// Who put a node there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A package of the lock, as `name`.
    Package(String),
    /// A file of an overlay.
    Overlay(String),
    /// An effect, such as `depmod`, or a package's recipe, such as `recipe openssh-server`.
    Effect(String),
    /// The build itself: the frame of every image.
    Frame,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Package(name) => write!(f, "package {name}"),
            Self::Overlay(name) => write!(f, "overlay {name}"),
            Self::Effect(name) => write!(f, "effect {name}"),
            Self::Frame => f.write_str("the image's frame"),
        }
    }
}

impl Node {
    fn with(kind: Kind, mode: u16, origin: Origin) -> Self {
        Self { kind, mode, uid: 0, gid: 0, mtime: 0, xattrs: BTreeMap::new(), origin }
    }

    /// A directory owned by root. Like the others below it has no time yet: [`crate::Tree::freeze`] gives
    /// every node without one the build's epoch.
    #[must_use]
    pub fn directory(mode: u16, origin: Origin) -> Self {
        Self::with(Kind::Directory, mode, origin)
    }

    /// A regular file owned by root.
    #[must_use]
    pub fn file(content: Content, mode: u16, origin: Origin) -> Self {
        Self::with(Kind::File(content), mode, origin)
    }

    /// A symbolic link owned by root.
    #[must_use]
    pub fn symlink(target: impl Into<String>, origin: Origin) -> Self {
        Self::with(Kind::Symlink(target.into()), 0o777, origin)
    }

    /// The same node with another owner.
    #[must_use]
    pub fn owned_by(self, uid: u32, gid: u32) -> Self {
        Self { uid, gid, ..self }
    }

    /// Whether this is a directory.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        matches!(self.kind, Kind::Directory)
    }
}
