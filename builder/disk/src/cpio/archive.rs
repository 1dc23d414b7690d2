//! An archive as a value, and its bytes.

use super::CpioError;
use contract::Epoch;
use std::{borrow::Cow, collections::BTreeMap, io::Write};

const DIRECTORY: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const SYMLINK: u32 = 0o120_000;
const CHARACTER: u32 = 0o020_000;
/// Archives are filled up to a multiple of this, in bytes, as GNU cpio does: more than the 4 that the kernel needs
/// between two archives.
const BLOCK: usize = 512;
/// The name that ends an archive.
const TRAILER: &str = "TRAILER!!!";

/// One thing in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry<'a> {
    /// A directory.
    Directory {
        /// Permission bits, such as `0o755`.
        mode: u32,
    },
    /// A regular file.
    File {
        /// Permission bits.
        mode: u32,
        /// What it holds.
        bytes: Cow<'a, [u8]>,
    },
    /// A symbolic link.
    Symlink {
        /// Where it points to.
        target: String,
    },
    /// A character device.
    Character {
        /// Permission bits.
        mode: u32,
        /// The device's numbers.
        major: u32,
        /// The device's numbers.
        minor: u32,
    },
}

impl Entry<'_> {
    const fn kind(&self) -> u32 {
        match self {
            Self::Directory { .. } => DIRECTORY,
            Self::File { .. } => FILE,
            Self::Symlink { .. } => SYMLINK,
            Self::Character { .. } => CHARACTER,
        }
    }

    const fn permissions(&self) -> u32 {
        match self {
            Self::Directory { mode } | Self::File { mode, .. } | Self::Character { mode, .. } => *mode,
            Self::Symlink { .. } => 0o777,
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::File { bytes, .. } => bytes,
            Self::Symlink { target } => target.as_bytes(),
            Self::Directory { .. } | Self::Character { .. } => &[],
        }
    }

    const fn device(&self) -> [u32; 2] {
        match self {
            Self::Character { major, minor, .. } => [*major, *minor],
            _ => [0, 0],
        }
    }
}

/// Files by path, sorted by the bytes of the path, so that directories come before what is in them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Archive<'a> {
    entries: BTreeMap<String, Entry<'a>>,
}

impl<'a> Archive<'a> {
    /// An empty archive.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `entry` at a relative path such as `usr/bin/hcinit`. Parents that are not there yet are made as
    /// directories with mode 755: the kernel drops what has no parent.
    ///
    /// # Errors
    /// A path that is not plain or is taken, a parent that is no directory, a mode with foreign bits, a file of
    /// 4 GiB and more.
    pub fn add(&mut self, path: &str, entry: Entry<'a>) -> Result<(), CpioError> {
        let owned = || path.to_owned();
        if path.contains('\0') || path.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(CpioError::Path { path: owned() });
        }
        let mode = entry.permissions();
        if mode > 0o7777 {
            return Err(CpioError::Mode { path: owned(), mode });
        }
        let (size, limit) = (entry.bytes().len() as u64, u64::from(u32::MAX));
        if size > limit {
            return Err(CpioError::TooLarge { path: owned(), size, limit });
        }
        if self.entries.contains_key(path) {
            return Err(CpioError::Duplicate { path: owned() });
        }
        for (end, _) in path.match_indices('/') {
            let parent = &path[..end];
            match self.entries.get(parent) {
                Some(Entry::Directory { .. }) => {}
                Some(_) => return Err(CpioError::Parent { path: owned(), parent: parent.to_owned() }),
                None => {
                    self.entries.insert(parent.to_owned(), Entry::Directory { mode: 0o755 });
                }
            }
        }
        self.entries.insert(owned(), entry);
        Ok(())
    }

    /// Adds a regular file; see [`Archive::add`].
    ///
    /// # Errors
    /// As [`Archive::add`].
    pub fn file(&mut self, path: &str, mode: u32, bytes: impl Into<Cow<'a, [u8]>>) -> Result<(), CpioError> {
        self.add(path, Entry::File { mode, bytes: bytes.into() })
    }

    /// Adds a directory; see [`Archive::add`].
    ///
    /// # Errors
    /// As [`Archive::add`].
    pub fn directory(&mut self, path: &str, mode: u32) -> Result<(), CpioError> {
        self.add(path, Entry::Directory { mode })
    }

    /// Adds a symbolic link; see [`Archive::add`].
    ///
    /// # Errors
    /// As [`Archive::add`].
    pub fn symlink(&mut self, path: &str, target: &str) -> Result<(), CpioError> {
        self.add(path, Entry::Symlink { target: target.to_owned() })
    }

    /// Everything in the archive, in its order.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Entry<'a>)> {
        self.entries.iter().map(|(path, entry)| (path.as_str(), entry))
    }

    /// Writes the archive, filled up to a multiple of 512 bytes, so that another one may follow.
    ///
    /// # Errors
    /// A time outside of 1970 to 2106, or an output that refuses the bytes.
    pub fn write(&self, epoch: Epoch, output: &mut impl Write) -> Result<(), CpioError> {
        let time = u32::try_from(epoch.0).map_err(|_| CpioError::Epoch(epoch))?;
        let mut written = 0;
        let mut write = |bytes: &[u8], alignment: usize| {
            let padding = (written + bytes.len()).next_multiple_of(alignment) - written - bytes.len();
            written += bytes.len() + padding;
            output.write_all(bytes)?;
            output.write_all(&[0; BLOCK][..padding])
        };
        for ((path, entry), inode) in self.entries.iter().zip(1..) {
            write(&header(path, entry, inode, time), 4).map_err(CpioError::Write)?;
            write(entry.bytes(), 4).map_err(CpioError::Write)?;
        }
        let end = Entry::File { mode: 0, bytes: Cow::Borrowed(&[]) };
        let mut trailer = header(TRAILER, &end, 0, 0);
        // As GNU cpio writes it: one link and nothing else.
        trailer[14..22].copy_from_slice(b"00000000");
        write(&trailer, BLOCK).map_err(CpioError::Write)
    }

    /// The bytes that [`Archive::write`] writes.
    ///
    /// # Errors
    /// A time outside of 1970 to 2106.
    pub fn to_bytes(&self, epoch: Epoch) -> Result<Vec<u8>, CpioError> {
        let mut bytes = Vec::new();
        self.write(epoch, &mut bytes)?;
        Ok(bytes)
    }
}

/// The header: 13 numbers of eight hexadecimal digits behind the magic, and the path with its NUL.
fn header(path: &str, entry: &Entry<'_>, inode: u32, time: u32) -> Vec<u8> {
    let links = if matches!(entry, Entry::Directory { .. }) { 2 } else { 1 };
    let [major, minor] = entry.device();
    // `Archive::add` keeps the size below 4 GiB; a path of 4 GiB would not have fitted there either.
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let size = length(entry.bytes());
    let name = length(path.as_bytes()).saturating_add(1);
    let numbers =
        [inode, entry.kind() | entry.permissions(), 0, 0, links, time, size, 0, 0, major, minor, name, 0];
    let mut header = b"070701".to_vec();
    for number in numbers {
        header.extend(format!("{number:08X}").bytes());
    }
    header.extend(path.bytes());
    header.push(0);
    header
}
