//! What can be wrong with a `.deb`.

use super::{PathFault, ar::Truncated};
use crate::{compress::TooLarge, deb822, version::VersionError};
use std::io;

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
    pub(super) fn from_stream(member: &str, error: io::Error) -> Self {
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
