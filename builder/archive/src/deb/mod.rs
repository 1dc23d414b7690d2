//! A streaming reader of `.deb` files, deb(5): an ar archive of `debian-binary`, `control.tar` and `data.tar`.
//!
//! Nothing is unpacked to a disk: a [`Visitor`] sees the control part first and then each entry with its
//! content. Strict where dpkg is lenient: an order, name or type that no Debian tool writes is an error, and so
//! is every path that could reach outside the package.

mod ar;
mod control;
mod path;
mod tar;
#[cfg(test)]
mod tests;

use crate::{
    compress::{Compression, TooLarge},
    deb822,
    version::VersionError,
};
use ar::{Ar, Truncated};
pub use control::{Control, ScriptKind};
pub use path::PathFault;
use std::{
    collections::BTreeMap,
    io::{self, Read},
};
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

/// What is wrong with a package. It does not name the package: its name may be unknown, the caller knows it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DebError {
    /// The file does not begin as an ar archive does.
    #[error("not a .deb: it does not begin with `!<arch>`")]
    NotADeb,
    /// `debian-binary` holds something else than `2.x`.
    #[error("`debian-binary` names format {version}, expected 2.0")]
    Format {
        /// What it holds.
        version: String,
    },
    /// The stream ended within a member.
    #[error("truncated: `{member}` ends after {found} of {expected} bytes")]
    Truncated {
        /// The member of the ar archive.
        member: String,
        /// Its size by its header.
        expected: u64,
        /// The bytes that were there.
        found: u64,
    },
    /// The stream ended within the header of a member.
    #[error("truncated: {found} of 60 bytes of the header after `{after}`")]
    TruncatedHeader {
        /// The member before; empty if there is none.
        after: String,
        /// The bytes that were there.
        found: usize,
    },
    /// What should be the header of a member is none.
    #[error("what follows `{after}` is no ar header")]
    BadHeader {
        /// The member before; empty if there is none.
        after: String,
    },
    /// A member at a place where it must not be.
    #[error("found member `{member}` where {expected} should be")]
    Unexpected {
        /// The member of the ar archive.
        member: String,
        /// What should be there.
        expected: &'static str,
    },
    /// The archive ended before a member that it must have.
    #[error("the package ends before `{member}`")]
    Missing {
        /// The member of the ar archive, without the suffix of its compression.
        member: &'static str,
    },
    /// A decoder stopped before the end of its member.
    #[error("`{member}` has {left} bytes behind the end of its content")]
    Unread {
        /// The member of the ar archive.
        member: String,
        /// The number of bytes.
        left: u64,
    },
    /// A member unpacks to more than [`Limits`] allow.
    #[error("`{member}` unpacks to more than the {limit} bytes that are allowed")]
    TooLarge {
        /// The member of the ar archive.
        member: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// The stream failed or a member does not decompress.
    #[error("cannot read `{member}`")]
    Stream {
        /// The member of the ar archive.
        member: String,
        /// The error of the stream or of the decoder.
        source: io::Error,
    },
    /// An entry of a tar member is not acceptable.
    #[error("`{member}`: `{path}`: {fault}")]
    Tar {
        /// The member of the ar archive.
        member: String,
        /// The entry, or the one before it if its header could not be read.
        path: String,
        /// What is wrong with it.
        fault: TarFault,
    },
    /// `control.tar` has no `control`.
    #[error("`control.tar` has no `control` file")]
    NoControlFile,
    /// A text member of `control.tar` is not UTF-8.
    #[error("`control.tar`: `{name}` is not UTF-8")]
    ControlNotUtf8 {
        /// The member of `control.tar`.
        name: &'static str,
    },
    /// `control` is not one deb822 paragraph with the fields that it must have.
    #[error("`control`: {source}")]
    Control {
        /// The line and what is wrong with it.
        source: deb822::SyntaxError,
    },
    /// The version in `control` is malformed.
    #[error("`control`: {0}")]
    Version(#[from] VersionError),
    /// A line of `conffiles` that is no absolute path.
    #[error("`conffiles`: `{line}` is not an absolute path")]
    Conffile {
        /// The line.
        line: String,
    },
}

impl DebError {
    /// Finds the fault that the readers below a decoder put into an `io::Error`.
    fn from_stream(member: &str, error: io::Error) -> Self {
        let payload = error.get_ref();
        if let Some(Truncated { member, expected, found }) = payload.and_then(|e| e.downcast_ref()) {
            return Self::Truncated { member: member.clone(), expected: *expected, found: *found };
        }
        if let Some(TooLarge { limit }) = payload.and_then(|e| e.downcast_ref()) {
            return Self::TooLarge { member: member.to_owned(), limit: *limit };
        }
        Self::Stream { member: member.to_owned(), source: error }
    }
}

/// What can be wrong with an entry of a tar member.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TarFault {
    /// The header's checksum does not match.
    #[error("the checksum of the next header is wrong")]
    Checksum,
    /// Neither a POSIX nor a GNU header.
    #[error("the next header is neither ustar nor GNU tar")]
    Magic,
    /// A number in the header is malformed, negative or too large.
    #[error("`{0}` is not a number in range")]
    Number(&'static str),
    /// The PAX records are malformed.
    #[error("malformed PAX records")]
    Pax,
    /// A PAX record that we do not know.
    #[error("unknown PAX record `{0}`")]
    UnknownPaxKey(String),
    /// A long name, PAX header or control file that is too long.
    #[error("{size} bytes, more than the {limit} that are allowed")]
    LongExtension {
        /// The size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// A long name or PAX header without an entry behind it.
    #[error("the archive ends behind a header that should describe another entry")]
    DanglingExtension,
    /// A name or link target that is not UTF-8.
    #[error("a name is not UTF-8")]
    NotUtf8,
    /// A path that is not acceptable.
    #[error(transparent)]
    Path(PathFault),
    /// A hard link's target that is not acceptable.
    #[error("hard link to `{0}`: {1}")]
    LinkPath(String, PathFault),
    /// A hard link to something that is not a file before it in the same package.
    #[error("hard link to `{0}`, which is not a file before it in this package")]
    NoLinkTarget(String),
    /// A symbolic link without target.
    #[error("symbolic link without target")]
    NoTarget,
    /// A type of entry that we do not know.
    #[error("unknown entry type {0:#04x}")]
    UnknownType(u8),
    /// Content in an entry that is no regular file.
    #[error("an entry that is no regular file has {0} bytes of content")]
    UnexpectedContent(u64),
    /// The same path for the second time.
    #[error("the path occurs twice in this package")]
    Duplicate,
    /// A path through something that the same package made a link or file.
    #[error("`{0}` above it is not a directory in this package")]
    BelowNonDirectory(String),
    /// More entries than [`Limits`] allow.
    #[error("more than {0} entries")]
    TooManyEntries(usize),
    /// The archive ends within the content of an entry.
    #[error("the archive ends within the content")]
    ShortContent,
    /// The archive ends without its two blocks of zeros.
    #[error("the archive ends without its end mark")]
    NoEndMark,
    /// One block of zeros where there must be two.
    #[error("a single block of zeros where the end mark has two")]
    LoneZeroBlock,
    /// Bytes behind the end mark.
    #[error("there are bytes behind the end mark of the archive")]
    AfterEndMark,
    /// Something else than a plain file in `control.tar`.
    #[error("not a plain file at the top of `control.tar`")]
    NotAControlFile,
}
