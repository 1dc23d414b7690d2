//! Which slot the machine starts from, told by what lies on its boot partition and never by a note elsewhere. One
//! trait, a backend for each way in which a board's boot loader counts tries.

pub mod efi_entry;
#[cfg(test)]
pub mod fake;
mod moves;
pub mod real;
#[cfg(test)]
mod tests;

use crate::node::card::CardError;
use contract::slots::Slot;
use std::{fmt, io};

pub use contract::selector::{MAX_TRIES, TRIES};

/// What the boot partition says of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// It starts whenever nothing newer does; nothing is counted.
    Committed {
        /// Which of two entries is newer: the higher one is taken.
        generation: u64,
    },
    /// Each start is counted before the kernel is loaded. With no tries left it comes after everything else.
    Trial {
        /// Which of two entries is newer: the higher one is taken.
        generation: u64,
        /// Starts that are left.
        left: u8,
        /// Starts that were begun.
        done: u8,
    },
}

impl Entry {
    /// Which of two entries is newer.
    #[must_use]
    pub const fn generation(self) -> u64 {
        match self {
            Self::Committed { generation } | Self::Trial { generation, .. } => generation,
        }
    }

    /// Whether it is on trial and used up, or given up.
    #[must_use]
    pub const fn is_exhausted(self) -> bool {
        matches!(self, Self::Trial { left: 0, .. })
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Committed { generation } => write!(f, "committed (generation {generation})"),
            Self::Trial { generation, left, done } => {
                write!(f, "on trial (generation {generation}, {done} starts, {left} left)")
            }
        }
    }
}

/// What the boot partition says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Slot A's entry.
    pub a: Option<Entry>,
    /// Slot B's entry.
    pub b: Option<Entry>,
    /// The slot that the loader takes at the next start; none when nothing there can be started.
    pub next: Option<Slot>,
    /// What is not as it should be, in words, for [`Selector::repair`].
    pub damage: Vec<String>,
}

impl Selection {
    /// The entry of a slot.
    #[must_use]
    pub const fn of(&self, slot: Slot) -> Option<Entry> {
        match slot {
            Slot::A => self.a,
            Slot::B => self.b,
        }
    }
}

/// Whether the loader of this machine counts tries: without it a slot that does not start would be started for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// It does: seen at this start, or at an earlier one of the same loader on the same firmware.
    Counts {
        /// The loader and the firmware, as they name themselves.
        seen: String,
    },
    /// Nothing shows that it does.
    Missing {
        /// Why, and the way to find out.
        why: String,
    },
}

/// What is known without the boot partition, for its repair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Truth {
    /// The slot that runs: its kernel is the one that was started, its root is verified by it.
    pub running: Slot,
    /// Whether it may be kept: it was committed before, or has passed its gate. A lost entry of it is made anew only then.
    pub kept: bool,
}

/// Why the boot partition could not be read or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SelectError {
    /// The medium.
    #[error("cannot {act} the boot partition: {source}")]
    Medium {
        /// What was to be done.
        act: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// What lies on it.
    #[error(transparent)]
    Fat(#[from] fat::FatError),
    /// It cannot be reached.
    #[error(transparent)]
    Card(#[from] CardError),
    /// A kernel that is not where it should be.
    #[error("slot {slot} has no kernel on the boot partition: nothing to start there; take the update again")]
    NoKernel {
        /// The slot.
        slot: Slot,
    },
    /// No kernel is being written.
    #[error("no kernel is being written to the boot partition: begin it first")]
    NotBegun,
    /// A place beyond the end of a kernel.
    #[error("bytes {offset} to {end} are beyond the kernel on the boot partition, which has {size}")]
    Beyond {
        /// Where it starts.
        offset: u64,
        /// Where it ends.
        end: u64,
        /// The kernel's size in bytes.
        size: u64,
    },
    /// The slot has no entry that this can be done to.
    #[error("slot {slot} cannot be {wish}: its boot entry is {found}")]
    Entry {
        /// The slot.
        slot: Slot,
        /// What was to be done.
        wish: &'static str,
        /// What is there.
        found: String,
    },
    /// The slot is the only one that starts.
    #[error("slot {slot} is the only one that this machine can start: it was not touched")]
    LastSlot {
        /// The slot.
        slot: Slot,
    },
    /// More tries than a name holds, or none.
    #[error("{tries} tries: a boot entry holds 1 to {MAX_TRIES}")]
    Tries {
        /// What was asked for.
        tries: u8,
    },
}

impl SelectError {
    fn medium(act: &'static str, source: io::Error) -> Self {
        Self::Medium { act, source }
    }

    fn entry(slot: Slot, wish: &'static str, found: Option<Entry>) -> Self {
        let found = found.map_or_else(|| "not there".to_owned(), |entry| entry.to_string());
        Self::Entry { slot, wish, found }
    }
}

/// The selector of one board. Every decision is one sector on the medium: a machine that loses power finds the state
/// before or the state after it. Each call takes and gives back the lock of the boot partition.
pub trait Selector {
    /// What the boot partition says now.
    ///
    /// # Errors
    /// When it cannot be read.
    fn read(&mut self) -> Result<Selection, SelectError>;

    /// The proof that the loader counts on this machine, or why there is none. Arming the running slot and a restart
    /// give one.
    ///
    /// # Errors
    /// When the boot partition cannot be read, or does not take the proof.
    fn canary(&mut self) -> Result<Proof, SelectError>;

    /// Takes a slot out of the choice: entry first, then its kernel's name. The kernel stays a source of
    /// blocks until another one takes its place.
    ///
    /// # Errors
    /// When nothing else can be started, or the medium does not take it.
    fn disarm(&mut self, slot: Slot) -> Result<(), SelectError>;

    /// The size in bytes of the kernel that a slot has, whether it may start or not: a source of blocks.
    ///
    /// # Errors
    /// When the boot partition cannot be read.
    fn kernel_size(&mut self, slot: Slot) -> Result<Option<u64>, SelectError>;

    /// Fills `bytes` from a slot's kernel.
    ///
    /// # Errors
    /// When there is none, it is shorter, or it cannot be read.
    fn read_installed(&mut self, slot: Slot, offset: u64, bytes: &mut [u8]) -> Result<(), SelectError>;

    /// Makes room for a new kernel that nothing can start, or finds the room of this size that an interrupted update
    /// made, with what was written to it.
    ///
    /// # Errors
    /// When the boot partition is full, or does not take it.
    fn begin_kernel(&mut self, size: u64) -> Result<(), SelectError>;

    /// Writes a part of the new kernel: both ends at multiples of 512 bytes, but for the kernel's last byte. What was
    /// written is on the medium when the kernel is placed.
    ///
    /// # Errors
    /// When none was begun, it is beyond its end, or the medium does not take it.
    fn write_kernel(&mut self, offset: u64, bytes: &[u8]) -> Result<(), SelectError>;

    /// Fills `bytes` from the new kernel, from the medium and not from memory.
    ///
    /// # Errors
    /// When none was begun, it is shorter, or it cannot be read.
    fn read_kernel(&mut self, offset: u64, bytes: &mut [u8]) -> Result<(), SelectError>;

    /// Gives the new kernel the name under which `slot` starts, after the caller has verified slot and kernel. The slot
    /// must be disarmed.
    ///
    /// # Errors
    /// When no kernel was begun, the slot is not disarmed, or the medium does not take it.
    fn place_kernel(&mut self, slot: Slot) -> Result<(), SelectError>;

    /// Puts a slot on trial, as the newest one.
    ///
    /// # Errors
    /// When it has no kernel, or the medium does not take it.
    fn arm(&mut self, slot: Slot, tries: u8) -> Result<(), SelectError>;

    /// Ends a slot's trial: it is kept.
    ///
    /// # Errors
    /// When it is not on trial, or the medium does not take it.
    fn commit(&mut self, slot: Slot) -> Result<(), SelectError>;

    /// Ends a slot's trial: it is not started again, and stays a source of blocks.
    ///
    /// # Errors
    /// When it is not on trial, nothing else can be started, or the medium does not take it.
    fn give_up(&mut self, slot: Slot) -> Result<(), SelectError>;

    /// Mends what [`Selection::damage`] tells of, as far as it is known how it was. Returns what was done.
    ///
    /// # Errors
    /// When the boot partition cannot be read, or does not take it.
    fn repair(&mut self, truth: &Truth) -> Result<Vec<String>, SelectError>;
}
