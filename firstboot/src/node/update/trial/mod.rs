//! What a boot means for the slots, and what is done about it: keep what runs, go back, or say that nothing better is
//! left. Runs once at every boot (`hcimage-trial.service`).
//!
//! Decisions: [`situation`], [`other`]. The story: [`settle`]. The port: [`Machine`].

mod machine;
mod story;
#[cfg(test)]
mod tests;

pub use machine::Real;
pub(super) use machine::{adapters, restart};

pub use story::{Boot, End, settle};

use super::select::{Entry, Selection, TRIES};
use crate::node::health::gate::Verdict;
use contract::slots::Slot;
use std::io;

/// What this boot is, of the slot that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Situation {
    /// It was kept before.
    Kept,
    /// It is counted, and there is nothing to compare it with: the first start of all, or one that proves that the
    /// loader counts. It is kept as it is.
    Counted,
    /// It is on trial, and the other slot takes over when it fails.
    Trial,
    /// It is counted or has no entry at all, and the other slot cannot be started: it runs on, whatever its checks say.
    Last,
}

/// What the other slot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Other {
    /// Empty, or being written.
    Nothing,
    /// Kept from before, to go back to.
    Kept,
    /// The next start tries it.
    Staged,
    /// It was taken back by its gate, as far as the boot partition can tell.
    TakenBack,
    /// Its tries ran out.
    UsedUp,
}

/// What this boot is. `proving` is a note that may be missing: then a proof is a trial, which passes as well.
#[must_use]
pub fn situation(selection: &Selection, running: Slot, proving: bool) -> Situation {
    let other = selection.of(running.other());
    let fallback = matches!(other, Some(Entry::Committed { .. }));
    match selection.of(running) {
        Some(Entry::Committed { .. }) => Situation::Kept,
        Some(Entry::Trial { .. }) if proving || other.is_none() => Situation::Counted,
        Some(Entry::Trial { .. }) if fallback => Situation::Trial,
        // Without an entry it was not the loader's first choice: it is kept only when it passes.
        Some(Entry::Trial { .. }) | None => Situation::Last,
    }
}

/// What the other slot is, seen from a slot that is kept.
#[must_use]
pub fn other(selection: &Selection, running: Slot) -> Other {
    match selection.of(running.other()) {
        None => Other::Nothing,
        Some(Entry::Committed { .. }) => Other::Kept,
        Some(Entry::Trial { left: 1.., .. }) => Other::Staged,
        Some(Entry::Trial { left: 0, done, .. }) if done >= TRIES => Other::UsedUp,
        Some(Entry::Trial { left: 0, .. }) => Other::TakenBack,
    }
}

/// The running machine, as a trial sees it. Nothing here waits without end.
pub trait Machine {
    /// Reads every block of the running root through dm-verity, from the medium. A damaged block does not come back
    /// with an error: the kernel panics, which is a failed trial too.
    ///
    /// # Errors
    /// When a block cannot be read; in words.
    fn read_root(&mut self) -> Result<u64, String>;

    /// Whether state can be written. A full one can: that is not the release's doing.
    ///
    /// # Errors
    /// When not; in words.
    fn try_state(&mut self) -> Result<(), String>;

    /// Network adapters that the kernel knows.
    fn adapters(&mut self) -> usize;

    /// Waits for probes and services as long as their deadlines allow, and judges them against what worked before.
    ///
    /// # Errors
    /// When that could not be found out, or took longer than anything may; in words.
    fn gate(&mut self) -> Result<Verdict, String>;

    /// Waits some seconds for the cluster; false when it had its time.
    fn waits(&mut self) -> bool;

    /// What worked in this release is what the next one is measured against.
    ///
    /// # Errors
    /// When it cannot be kept (state may be full); in words.
    fn keep_measure(&mut self) -> Result<(), String>;

    /// The last lines of the journal, as far as they can be had.
    fn last_lines(&mut self) -> String;

    /// Restarts the machine, soon.
    ///
    /// # Errors
    /// When systemd does not take the wish.
    fn restart(&mut self) -> io::Result<()>;

    /// Says that this boot is decided, so that nobody restarts the machine any more for want of a decision.
    ///
    /// # Errors
    /// When /run cannot be written.
    fn decided(&mut self) -> io::Result<()>;
}
