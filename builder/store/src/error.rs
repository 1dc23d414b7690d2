//! What can go wrong with the cache or a download.

use contract::Digest;
use std::{io, path::PathBuf};

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A file or directory could not be read or written.
    #[error("cannot {verb} {}: {source}", path.display())]
    File {
        /// What was tried, such as `write`.
        verb: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file in the cache is not what its name says, and may not be fetched again.
    #[error(
        "{name}: the cached file has sha256 {found}, expected {expected}; it was removed, run again without --offline to fetch it"
    )]
    DamagedOffline {
        /// What it should be.
        name: String,
        /// Digest of the file.
        found: Digest,
        /// Digest expected.
        expected: Digest,
    },
    /// A file of the user's is not the one that it was given for.
    #[error("{}: has sha256 {found}, expected {expected}", path.display())]
    OtherFile {
        /// The file.
        path: PathBuf,
        /// Its digest.
        found: Digest,
        /// Digest expected.
        expected: Digest,
    },
    /// Something is not in the cache, and may not be fetched.
    #[error("{name} is not in the cache ({sha256}); run again without --offline to fetch it")]
    Offline {
        /// What it is.
        name: String,
        /// Its digest.
        sha256: Digest,
    },
    /// No mirror is known at all.
    #[error(
        "no Debian mirror is known: give one with --mirror URL or HCIMAGE_MIRROR, or name one in /etc/apt/sources.list"
    )]
    NoMirror,
    /// Every mirror that answered says that the file does not exist.
    #[error("{name} is on no mirror any more; tried:\n{}", tried.join("\n"))]
    Gone {
        /// What it is.
        name: String,
        /// Each address with its answer.
        tried: Vec<String>,
    },
    /// No mirror gave the file.
    #[error("cannot download {name}; tried:\n{}", tried.join("\n"))]
    Unreachable {
        /// What it is.
        name: String,
        /// Each address with what happened.
        tried: Vec<String>,
    },
    /// An address at which nothing can be served.
    #[error("cannot listen at {address}: {source}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A pack file is not what its index says.
    #[error("{}: damaged: {why}; delete it and run again", path.display())]
    DamagedPack {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        why: String,
    },
}

impl StoreError {
    /// For `map_err` on file operations: names what was tried and on what.
    pub fn file(verb: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { verb, path, source }
    }
}
