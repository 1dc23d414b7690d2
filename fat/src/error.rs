//! What can be wrong.

use std::{fmt, io};

/// Why a volume could not be read or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FatError {
    /// The source.
    #[error("fat: cannot read {length} bytes at {offset}: {source}")]
    Read {
        /// Where, in bytes.
        offset: u64,
        /// How many.
        length: usize,
        /// Why.
        source: io::Error,
    },
    /// No FAT32, or one that this does not read.
    #[error("fat: this is no fat32 volume of {size} bytes: {problem}")]
    Volume {
        /// The size of its place, in bytes.
        size: u64,
        /// What is wrong.
        problem: String,
    },
    /// A file or directory that contradicts itself.
    #[error("fat: {0}")]
    Damaged(Fault),
    /// A path that is not there.
    #[error("fat: there is no `{0}`")]
    Missing(String),
    /// A path that is there already.
    #[error("fat: `{0}` is there already")]
    Exists(String),
    /// A file where a directory should be, or the other way round.
    #[error("fat: `{path}` is no {expected}")]
    Kind {
        /// The path.
        path: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A directory that is to be removed and holds something.
    #[error("fat: the directory `{0}` is not empty")]
    NotEmpty(String),
    /// A name that FAT cannot hold.
    #[error("fat: the name `{name}` {problem}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// No room.
    #[error(
        "fat: `{path}` needs {needed} bytes and the volume has {available} left: delete something from it"
    )]
    Full {
        /// What it is for.
        path: String,
        /// Bytes needed.
        needed: u64,
        /// Bytes free.
        available: u64,
    },
    /// A size that is not the file's.
    #[error("fat: `{path}` has {size} bytes and cannot be overwritten with {given} in place")]
    Length {
        /// The path.
        path: String,
        /// The size in bytes.
        size: u64,
        /// The bytes given.
        given: u64,
    },
    /// A file above a limit.
    #[error("fat: `{path}` has {size} bytes, and at most {limit} are taken")]
    TooLarge {
        /// The path.
        path: String,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
}

impl FatError {
    /// Whether it says that something is not there.
    #[must_use]
    pub const fn is_missing(&self) -> bool {
        matches!(self, Self::Missing(_))
    }
}

/// One thing that is wrong with what a volume holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// A chain of clusters that leaves the volume, ends in a free or bad cluster, or never ends.
    Chain {
        /// Whose.
        path: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// A cluster that belongs to two paths.
    Shared {
        /// The path that came second.
        path: String,
        /// The cluster.
        cluster: u32,
    },
    /// A directory entry that cannot be one.
    Entry {
        /// The directory; empty for the root.
        path: String,
    },
    /// More than is looked at.
    Limit {
        /// Where.
        path: String,
    },
}

impl Fault {
    /// Where it is; empty for the root.
    #[must_use]
    pub fn path(&self) -> &str {
        match self {
            Self::Chain { path, .. }
            | Self::Shared { path, .. }
            | Self::Entry { path }
            | Self::Limit { path } => path,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chain { path, problem } => write!(f, "the clusters of `{path}` {problem}"),
            Self::Shared { path, cluster } => {
                write!(f, "cluster {cluster} of `{path}` belongs to another path too")
            }
            Self::Entry { path } => write!(f, "the directory `{path}` holds an entry that cannot be one"),
            Self::Limit { path } => write!(f, "below `{path}` there is more than is looked at"),
        }
    }
}
