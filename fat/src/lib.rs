//! FAT32 volumes that are there already: read without trusting a byte of them, and changed by plans (Microsoft, *FAT32
//! File System Specification* 1.03; docs/formats/selector.md).
//!
//! A [`Volume`] looks at its source through [`ReadAt`] and never writes to it. Each edit adds sector writes and flush
//! barriers to a [`Plan`], in an order in which a machine may stop after any of them: files before their names, names
//! before the room they give back. A change of one name is one sector wherever the directory has room for that. What
//! no path reaches is free, so that what an interrupted edit left is healed by the next one.
//!
//! Must not know: devices, clocks, what the files mean.
#![forbid(unsafe_code)]

mod allocate;
mod boot;
mod chain;
mod edit;
mod entry;
mod error;
mod name;
mod place;
mod plan;
mod rename;
mod survey;
mod tables;
mod volume;

pub use entry::Entry;
pub use error::{FatError, Fault};
pub use plan::{Plan, Step, WriteAt};
pub use survey::Survey;
pub use volume::{Extent, ReadAt, Volume};

/// Bytes in a sector: the only size that every firmware reads.
pub const SECTOR: usize = 512;
/// One sector's bytes.
pub type Sector = [u8; SECTOR];

/// A moment as a directory entry holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Years since 1980, month and day: 7, 4 and 5 bits.
    pub date: u16,
    /// Hours, minutes and seconds halved: 5, 6 and 5 bits.
    pub time: u16,
}

impl Stamp {
    /// The first moment that FAT can say, for callers without a clock.
    pub const START: Self = Self { date: 1 << 5 | 1, time: 0 };
}
