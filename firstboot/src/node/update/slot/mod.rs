//! Where an update is written: the two partitions of the slot that does not run, on the disk that the machine was
//! started from, and on no other. Everything goes past the page cache: what is read is what the medium has, and an
//! update takes no memory from the services.

mod device;
#[cfg(test)]
pub mod fake;
mod own;

pub use device::Device;
pub use own::{Chain, Own};

use contract::{Digest, slots::Slot};
use std::io;

/// Reads and writes begin and end on this many bytes.
pub const ALIGN: usize = 4096;

/// One partition.
pub trait Region {
    /// Its size in bytes.
    fn size(&self) -> u64;

    /// Fills `bytes` from `offset` on, from the medium; both are multiples of [`ALIGN`].
    ///
    /// # Errors
    /// When the medium does not give them.
    fn read(&mut self, offset: u64, bytes: &mut [u8]) -> io::Result<()>;

    /// Writes `bytes` at `offset`; both are multiples of [`ALIGN`].
    ///
    /// # Errors
    /// When the medium does not take them.
    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Waits until everything that was written is on the medium.
    ///
    /// # Errors
    /// When it does not get there.
    fn flush(&mut self) -> io::Result<()>;
}

/// The partitions of a slot.
pub struct Pair<'r> {
    /// The root file system.
    pub root: Box<dyn Region + 'r>,
    /// Its hash tree.
    pub verity: Box<dyn Region + 'r>,
}

/// The disk that the machine was started from.
pub trait Disk {
    /// The slot that runs, and its root hash.
    fn running(&self) -> (Slot, Digest);

    /// Bytes of a slot's root and verity partitions.
    ///
    /// # Errors
    /// When the disk has no such slot.
    fn room(&self, slot: Slot) -> Result<(u64, u64), SlotError>;

    /// The slot that runs, to be read.
    ///
    /// # Errors
    /// When it cannot be opened.
    fn source(&self) -> Result<Pair<'_>, SlotError>;

    /// The other slot, to be written. Nobody else has it while the pair lives.
    ///
    /// # Errors
    /// When somebody else has it, or it cannot be opened.
    fn target(&self) -> Result<Pair<'_>, SlotError>;

    /// The root hash that the partition table gives a slot: the halves are its partitions' GUIDs.
    ///
    /// # Errors
    /// When the table cannot be read.
    fn named(&self, slot: Slot) -> Result<Digest, SlotError>;

    /// Gives the other slot its root hash in the partition table.
    ///
    /// # Errors
    /// When the table cannot be read or written.
    fn name(&mut self, root: &Digest) -> Result<(), SlotError>;
}

/// Why a slot is not read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SlotError {
    /// The disk has no such partition.
    #[error("disk {disk} has no partition `{label}`: restart the node, which makes it")]
    Missing {
        /// The disk.
        disk: String,
        /// The partition.
        label: &'static str,
    },
    /// Several have its name.
    #[error(
        "disk {disk} has {count} partitions named `{label}`, expected one: the partition table was changed by hand"
    )]
    Several {
        /// The disk.
        disk: String,
        /// The partition.
        label: &'static str,
        /// How many.
        count: usize,
    },
    /// The root comes from somewhere else.
    #[error("the running root lies on {found}, but the node was started from {expected}: restart the node")]
    OtherDisk {
        /// Where the running root lies.
        found: String,
        /// What `hcinit` said.
        expected: String,
    },
    /// Somebody has it.
    #[error("{device} (`{label}`) is in use (mounted, or held by another program): unmount it and try again")]
    Busy {
        /// The partition's device.
        device: String,
        /// The partition.
        label: &'static str,
    },
    /// The kernel and the table disagree.
    #[error(
        "{device} has {kernel} bytes for the kernel and {table} in the partition table: restart the node"
    )]
    Stale {
        /// The partition's device.
        device: String,
        /// What the kernel says.
        kernel: u64,
        /// What the table says.
        table: u64,
    },
    /// No table that can be believed.
    #[error("the partition table of {disk} cannot be read: {why}")]
    Table {
        /// The disk.
        disk: String,
        /// Why.
        why: String,
    },
    /// The medium.
    #[error("cannot {act} {place}: {source}")]
    Io {
        /// What was to be done.
        act: &'static str,
        /// To what.
        place: String,
        /// Why not.
        source: io::Error,
    },
}

impl SlotError {
    pub(super) fn io(act: &'static str, place: impl ToString) -> impl FnOnce(io::Error) -> Self {
        let place = place.to_string();
        move |source| Self::Io { act, place, source }
    }
}
