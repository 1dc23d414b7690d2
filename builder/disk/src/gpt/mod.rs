//! GUID partition tables (UEFI 2.10, chapter 5; docs/formats/gpt.md).
//!
//! [`Layout::place`] gives every partition its sectors; [`Table::write`] emits the protective MBR, the table and
//! its backup. Every GUID is given by the caller: the `gpt` crate, which serialises the table, would draw random
//! ones. Must not know: what the partitions hold.

mod ends;
mod place;

pub use place::{Layout, Partition, Placed, Table};

/// Bytes in a logical block. Disks with 4 KiB blocks need another table.
pub const SECTOR: u64 = 512;
/// Partitions start at multiples of this, in bytes.
pub const ALIGNMENT: u64 = 1 << 20;

/// What can be wrong with a partition table.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GptError {
    /// A name that the table cannot hold.
    #[error("gpt: the partition name `{name}` has {units} UTF-16 units: expected 1 to 36")]
    Name {
        /// The name.
        name: String,
        /// Its length in UTF-16 units.
        units: usize,
    },
    /// Two partitions with one name or one GUID, which the node could not tell apart.
    #[error("gpt: the partitions {first} and {second} have the same {what} `{value}`")]
    Duplicate {
        /// The number of the first, from 1.
        first: usize,
        /// The number of the second, from 1.
        second: usize,
        /// `name` or `guid`.
        what: &'static str,
        /// What both have.
        value: String,
    },
    /// More partitions than the table has entries.
    #[error("gpt: {count} partitions do not fit into a table of {limit}")]
    TooMany {
        /// How many there are.
        count: usize,
        /// How many fit.
        limit: usize,
    },
    /// A size that is no whole number of sectors, or none.
    #[error("gpt: `{name}` has {size} bytes: expected a multiple of 512 above 0")]
    Size {
        /// The partition.
        name: String,
        /// Its size in bytes.
        size: u64,
    },
    /// A given start that lies in front of the end of what comes before.
    #[error("gpt: `{name}` is to start at sector {start}, and the first free one there is {free}")]
    Overlap {
        /// The partition.
        name: String,
        /// Its first sector as given.
        start: u64,
        /// The first sector that is free.
        free: u64,
    },
    /// A disk that is too small, or no whole number of sectors.
    #[error(
        "gpt: a disk of {size} bytes cannot hold the partitions: expected a multiple of 512 from {needed}"
    )]
    Disk {
        /// The size given, in bytes.
        size: u64,
        /// The smallest size, in bytes.
        needed: u64,
    },
    /// Sizes whose sum no disk has.
    #[error("gpt: `{name}` would end after 2^63 bytes")]
    Overflow {
        /// The partition.
        name: String,
    },
    /// The table could not be made.
    #[error("gpt: making the table: {0}")]
    Table(String),
    /// The output could not be written.
    #[error("gpt: writing the table: {0}")]
    Write(std::io::Error),
}
