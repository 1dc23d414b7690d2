//! The files that go onto a FAT volume, as a value.

use super::{FatError, name};
use std::{collections::BTreeMap, fmt, io::Read};

/// The largest file that a directory entry can describe: 4 GiB less one byte.
pub(super) const MAX_FILE: u64 = u32::MAX as u64;

/// The bytes of one file.
pub enum Body<'a> {
    /// Bytes that somebody else owns.
    Borrowed(&'a [u8]),
    /// Bytes made for this volume.
    Owned(Vec<u8>),
    /// Exactly `size` bytes that are read once, when the volume is written.
    Stream {
        /// The length in bytes.
        size: u64,
        /// Where they come from.
        from: Box<dyn Read + 'a>,
    },
}

impl Body<'_> {
    /// The length in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        match self {
            Self::Borrowed(bytes) => bytes.len() as u64,
            Self::Owned(bytes) => bytes.len() as u64,
            Self::Stream { size, .. } => *size,
        }
    }
}

impl fmt::Debug for Body<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.size())
    }
}

impl<'a> From<&'a [u8]> for Body<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Borrowed(bytes)
    }
}

impl From<Vec<u8>> for Body<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Owned(bytes)
    }
}

/// Directories and files by path (`EFI/BOOT/BOOTX64.EFI`), sorted by the bytes of their names. Parents come
/// into being with their children. Names keep their case, but two that differ only in case are one.
#[derive(Debug, Default)]
pub struct FileTree<'a> {
    pub(super) root: Directory<'a>,
}

#[derive(Debug, Default)]
pub(super) struct Directory<'a> {
    pub(super) entries: BTreeMap<String, Node<'a>>,
}

#[derive(Debug)]
pub(super) enum Node<'a> {
    Directory(Directory<'a>),
    File(Body<'a>),
}

impl<'a> FileTree<'a> {
    /// An empty root directory.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file at `path` (components separated by `/`, none empty).
    ///
    /// # Errors
    /// A name that FAT cannot hold, a path that is taken (in any case), or a file of 4 GiB and more.
    pub fn file(&mut self, path: &str, body: impl Into<Body<'a>>) -> Result<(), FatError> {
        let body = body.into();
        if body.size() > MAX_FILE {
            return Err(FatError::FileTooLarge { path: path.to_owned(), size: body.size(), limit: MAX_FILE });
        }
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let directory = self.root.descend(path, parent)?;
        match directory.same_name(path, name)? {
            Some(present) => {
                Err(FatError::Duplicate { path: path.to_owned(), present, name: name.to_owned() })
            }
            None => {
                directory.entries.insert(name.to_owned(), Node::File(body));
                Ok(())
            }
        }
    }

    /// Makes sure that there is a directory at `path`, for one that would else be empty.
    ///
    /// # Errors
    /// As [`FileTree::file`].
    pub fn directory(&mut self, path: &str) -> Result<(), FatError> {
        self.root.descend(path, path).map(|_| ())
    }
}

impl<'a> Directory<'a> {
    /// The directory at `parents` below this one, made if need be; `path` is what errors name.
    fn descend(&mut self, path: &str, parents: &str) -> Result<&mut Self, FatError> {
        let mut directory = self;
        for name in parents.split('/').filter(|_| !parents.is_empty()) {
            let duplicate =
                |present| FatError::Duplicate { path: path.to_owned(), present, name: name.to_owned() };
            if let Some(present) = directory.same_name(path, name)?.filter(|present| present != name) {
                return Err(duplicate(present));
            }
            let node =
                directory.entries.entry(name.to_owned()).or_insert_with(|| Node::Directory(Self::default()));
            match node {
                Node::Directory(next) => directory = next,
                Node::File(_) => return Err(duplicate(name.to_owned())),
            }
        }
        Ok(directory)
    }

    /// The entry that FAT would take for `name`, if there is one. Checks `name` on the way.
    fn same_name(&self, path: &str, name: &str) -> Result<Option<String>, FatError> {
        name::check(path, name)?;
        let folded = name.to_uppercase();
        Ok(self.entries.keys().find(|present| present.to_uppercase() == folded).cloned())
    }
}
