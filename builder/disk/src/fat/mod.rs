//! FAT32 volumes: the EFI system partition and a Pi's firmware partition (Microsoft, *FAT32 File System
//! Specification* 1.03; docs/formats/fat.md).
//!
//! [`Volume::plan`] places everything and finds every error that can be found before a byte is written;
//! [`Plan::write`] then emits the runs that are not zero, in ascending order. Every file and directory is one run
//! of clusters. Must not know: paths of the build machine, clocks, what the files mean.

mod directory;
mod files;
mod geometry;
mod name;
mod plan;
mod stamp;

pub use files::{Body, FileTree};
pub use plan::Plan;

use contract::Epoch;

/// Bytes in a sector: the only size that every firmware reads.
pub const SECTOR: u64 = 512;

/// A FAT32 volume before its files.
#[derive(Clone, Debug)]
pub struct Volume {
    /// The serial number, shown as `XXXX-XXXX`; derived by the caller, never drawn.
    pub id: u32,
    /// The label: 1 to 11 characters of A-Z, 0-9, `-`, `_` and space.
    pub label: String,
    /// The size in bytes, a multiple of 512.
    pub size: u64,
    /// The sectors (of 512 bytes) in front of the volume: where its partition starts.
    pub hidden_sectors: u32,
    /// The time of every entry, shown in UTC.
    pub epoch: Epoch,
}

impl Volume {
    /// Places `files` on this volume.
    ///
    /// # Errors
    /// A label, size or time that FAT32 cannot hold, or more files than fit.
    pub fn plan<'a>(&self, files: FileTree<'a>) -> Result<Plan<'a>, FatError> {
        Plan::new(self, files)
    }
}

/// What can be wrong with a FAT volume.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FatError {
    /// A path with a component that FAT cannot hold.
    #[error("fat: `{path}`: the name `{name}` {problem}")]
    Name {
        /// The whole path.
        path: String,
        /// The component.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Two entries of a directory with one name.
    #[error("fat: `{path}`: `{name}` is already there as `{present}`, and fat does not tell them apart")]
    Duplicate {
        /// The path that came second.
        path: String,
        /// Its component that is taken.
        name: String,
        /// The name that came first.
        present: String,
    },
    /// A file larger than a directory entry can say.
    #[error("fat: `{path}` has {size} bytes, and a file on fat has at most {limit}")]
    FileTooLarge {
        /// The path.
        path: String,
        /// Its size in bytes.
        size: u64,
        /// The largest size in bytes.
        limit: u64,
    },
    /// A directory with more entries than FAT allows.
    #[error("fat: the directory `{path}` needs {size} bytes of entries, and fat allows {limit}: split it")]
    DirectoryTooLarge {
        /// The path; empty for the root.
        path: String,
        /// What it needs, in bytes.
        size: u64,
        /// The most, in bytes.
        limit: u64,
    },
    /// The files do not fit.
    #[error(
        "fat: the files need {needed} bytes and the volume `{label}` has {available}: make the partition larger"
    )]
    Full {
        /// The volume's label.
        label: String,
        /// Bytes of clusters needed.
        needed: u64,
        /// Bytes of clusters there.
        available: u64,
    },
    /// A label that a directory entry cannot hold.
    #[error("fat: the label `{label}` is not 1 to 11 characters of A-Z, 0-9, `-`, `_` and inner spaces")]
    Label {
        /// The label.
        label: String,
    },
    /// A volume that cannot be FAT32.
    #[error("fat: a volume of {size} bytes cannot be fat32: expected a multiple of 512 from {min} to {max}")]
    Size {
        /// The size asked for, in bytes.
        size: u64,
        /// The smallest, in bytes.
        min: u64,
        /// The largest, in bytes.
        max: u64,
    },
    /// A moment outside of what FAT can say.
    #[error("fat: the time {epoch} is outside of 1980 to 2107, the years that fat can say")]
    Epoch {
        /// The moment.
        epoch: Epoch,
    },
    /// A stream that did not keep its word.
    #[error("fat: `{path}` was announced with {announced} bytes and gave {given}")]
    Length {
        /// The path.
        path: String,
        /// What it was announced with, in bytes.
        announced: u64,
        /// What came, in bytes; one more than announced stands for any excess.
        given: u64,
    },
    /// A body could not be read.
    #[error("fat: reading `{path}`: {source}")]
    Read {
        /// The path.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The output could not be written.
    #[error("fat: writing the volume: {0}")]
    Write(std::io::Error),
}
