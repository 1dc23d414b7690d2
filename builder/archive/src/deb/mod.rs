//! A streaming reader of `.deb` files, deb(5): an ar archive of `debian-binary`, `control.tar` and `data.tar`.
//!
//! Nothing is unpacked to a disk: a [`Visitor`] sees the control part first and then each entry with its
//! content. Strict where dpkg is lenient: an order, name or type that no Debian tool writes is an error, and so
//! is every path that could reach outside the package.

mod ar;
mod control;
mod error;
mod path;
mod tar;
#[cfg(test)]
mod tests;

use crate::compress::Compression;
use ar::Ar;
pub use control::{Control, ScriptKind};
pub use error::{DebError, TarFault};
pub use path::PathFault;
use std::{collections::BTreeMap, io::Read};
use tar::Tar;

/// What a package may unpack to. The default suits every package in Debian: 256 MiB of control files,
/// 16 GiB of data, a million entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the unpacked `control.tar`.
    pub control: u64,
    /// Bytes of the unpacked `data.tar`.
    pub data: u64,
    /// Entries of `data.tar`.
    pub entries: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { control: 256 << 20, data: 16 << 30, entries: 1_000_000 }
    }
}

/// A member of `data.tar`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The path relative to the root of the file system: no leading `./` or `/`, no trailing slash, no `..`.
    /// The root directory is the empty string.
    pub path: String,
    /// What it is.
    pub kind: EntryKind,
    /// Permission bits with setuid, setgid and sticky (`0o7777`).
    pub mode: u32,
    /// Owner's number.
    pub uid: u64,
    /// Group's number.
    pub gid: u64,
    /// Owner's name; empty when the package gives none.
    pub uname: String,
    /// Group's name; empty when the package gives none.
    pub gname: String,
    /// Modification time in seconds since 1970.
    pub mtime: i64,
    /// Extended attributes (PAX `SCHILY.xattr.*`), such as `security.capability`.
    pub xattrs: BTreeMap<String, Vec<u8>>,
}

/// The kind of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A directory.
    Dir,
    /// A regular file with its content.
    File {
        /// Length of the content in bytes.
        size: u64,
    },
    /// A symbolic link and its target, which may be absolute and may point anywhere.
    Symlink(String),
    /// A hard link to a file that came before, in the form of [`Entry::path`].
    Hardlink(String),
    /// A character device.
    Char {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    Block {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
}

/// Receives a package as it is read.
pub trait Visitor {
    /// The caller's error.
    type Error: From<DebError>;

    /// Called once, before any entry.
    ///
    /// # Errors
    /// What the visitor likes; it ends the reading.
    fn control(&mut self, control: Control) -> Result<(), Self::Error>;

    /// Called for each entry in the package's order. `content` gives the bytes of a file and nothing for other
    /// kinds; what is left unread is skipped. When `content` fails, [`read`] returns its own, better error
    /// in place of the visitor's.
    ///
    /// # Errors
    /// What the visitor likes; it ends the reading.
    fn entry(&mut self, entry: Entry, content: &mut dyn Read) -> Result<(), Self::Error>;
}

/// What is known at the end of a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finished {
    /// The newest modification time of a member of `control.tar` or `data.tar`, in seconds since 1970.
    pub newest: i64,
}

/// Reads a package to its last byte with the default [`Limits`].
///
/// # Errors
/// As [`read_within`].
pub fn read<V: Visitor>(input: impl Read, visitor: &mut V) -> Result<Finished, V::Error> {
    read_within(Limits::default(), input, visitor)
}

/// Reads a package to its last byte, within `limits`.
///
/// # Errors
/// [`DebError`] for everything that is wrong with the package or its stream, or the visitor's own error.
pub fn read_within<V: Visitor>(
    limits: Limits,
    input: impl Read,
    visitor: &mut V,
) -> Result<Finished, V::Error> {
    let mut ar = Ar::open(input)?;
    read_format(&mut ar)?;

    let compression = find_tar(&mut ar, "control.tar")?;
    let member = ar.member.clone();
    let stream = open(compression, &mut ar, limits.control, &member)?;
    let control = Control::read(&mut Tar::new(stream, &member), &member)?;
    let mut newest = control.newest;
    visitor.control(control)?;

    let compression = find_tar(&mut ar, "data.tar")?;
    let member = ar.member.clone();
    let stream = open(compression, &mut ar, limits.data, &member)?;
    newest = newest.max(read_data(&mut Tar::new(stream, &member), &member, limits.entries, visitor)?);

    while ar.advance()? {
        if !ar.member.starts_with('_') {
            return Err(DebError::Unexpected { member: ar.member, expected: "the end of the package" }.into());
        }
        ar.skip()?;
    }
    Ok(Finished { newest })
}

fn open<'a>(
    compression: Compression,
    ar: &'a mut Ar<impl Read>,
    limit: u64,
    member: &str,
) -> Result<Box<dyn Read + 'a>, DebError> {
    compression.decoder(ar, limit).map_err(|e| DebError::from_stream(member, e))
}

/// `debian-binary` must come first and name version 2 of the format.
fn read_format(ar: &mut Ar<impl Read>) -> Result<(), DebError> {
    if !ar.advance()? || ar.member != "debian-binary" {
        return Err(DebError::Unexpected { member: ar.member.clone(), expected: "debian-binary" });
    }
    if ar.size > 64 {
        return Err(DebError::Format { version: format!("of {} bytes", ar.size) });
    }
    let mut version = String::new();
    ar.read_to_string(&mut version).map_err(|e| DebError::from_stream("debian-binary", e))?;
    if version.starts_with("2.") && version.ends_with('\n') {
        Ok(())
    } else {
        Err(DebError::Format { version: format!("{:?}", version.trim_end()) })
    }
}

/// Goes to the member `name` with the suffix of a compression; members that begin with `_` may come before.
fn find_tar(ar: &mut Ar<impl Read>, name: &'static str) -> Result<Compression, DebError> {
    while ar.advance()? {
        if ar.member.starts_with('_') {
            ar.skip()?;
            continue;
        }
        let suffix = ar.member.strip_prefix(name);
        let unexpected = || DebError::Unexpected { member: ar.member.clone(), expected: name };
        return suffix.and_then(Compression::by_suffix).ok_or_else(unexpected);
    }
    Err(DebError::Missing { member: name })
}

/// The kind of a path that was seen, as far as later entries depend on it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    Dir,
    File,
    Other,
}

fn read_data<V: Visitor>(
    tar: &mut Tar<impl Read>,
    member: &str,
    limit: usize,
    visitor: &mut V,
) -> Result<i64, V::Error> {
    let mut seen = BTreeMap::new();
    let mut newest = i64::MIN;
    while let Some(entry) = tar.advance()? {
        let fault = |fault| DebError::Tar { member: member.to_owned(), path: entry.path.clone(), fault };
        if seen.len() == limit {
            return Err(fault(TarFault::TooManyEntries(limit)).into());
        }
        check_place(&entry, &mut seen).map_err(fault)?;
        newest = newest.max(entry.mtime);
        let visited = visitor.entry(entry, tar);
        match tar.take_failure() {
            Some(failure) => return Err(failure.into()),
            None => visited?,
        }
    }
    Ok(newest)
}

/// No path twice, no path through something that is no directory, no hard link to anything but a file before it.
fn check_place(entry: &Entry, seen: &mut BTreeMap<String, Seen>) -> Result<(), TarFault> {
    for (slash, _) in entry.path.match_indices('/') {
        let above = &entry.path[..slash];
        if seen.get(above).is_some_and(|kind| *kind != Seen::Dir) {
            return Err(TarFault::BelowNonDirectory(above.to_owned()));
        }
    }
    let kind = match &entry.kind {
        EntryKind::Dir => Seen::Dir,
        EntryKind::File { .. } => Seen::File,
        EntryKind::Hardlink(target) if seen.get(target) == Some(&Seen::File) => Seen::File,
        EntryKind::Hardlink(target) => return Err(TarFault::NoLinkTarget(target.clone())),
        _ => Seen::Other,
    };
    match seen.insert(entry.path.clone(), kind) {
        None => Ok(()),
        Some(_) => Err(TarFault::Duplicate),
    }
}
