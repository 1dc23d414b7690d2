//! From a bundle to the other slot: one stream, no scratch file, and nothing but memory for one megabyte at a time and
//! the hashes of the blocks.
//!
//! The running slot is only read. The other slot is out of the boot loader's choice before its first block is touched,
//! and comes back with the last sector of all. What is there already is found by reading and hashing it, so an update
//! that was cut off at any moment goes on by itself, without a note of how far it came.

mod error;
mod fill;
mod index;
mod offer;
mod part;
#[cfg(test)]
mod tests;

pub use error::ApplyError;
pub use index::check_slot;
pub use offer::head;

use super::{
    select::{Entry, Selector, TRIES},
    slot::Disk,
    source::Source,
};
use contract::{
    bundle::{Head, Kind},
    slots::Slot,
};
use fill::Fill;
use index::Leaves;
use part::{Kernel, Root};

/// Two runs of bytes that are not more than this apart are fetched as one: a question costs more than these bytes.
const GAP: u64 = 64 << 10;

/// Where an update is told of.
pub trait Tell {
    /// A new step begins.
    fn step(&mut self, text: &str);
    /// Bytes of this step that are done, of how many.
    fn moved(&mut self, done: u64, of: u64);
}

/// What an update took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Figures {
    /// Bytes that came from the source.
    pub fetched: u64,
    /// Blocks of 4096 bytes that were in place already.
    pub present: u64,
    /// Blocks that were copied from the running slot.
    pub copied: u64,
    /// Blocks that were unpacked from what came.
    pub unpacked: u64,
}

/// An update that is about to be written: everything it needs of the machine.
pub struct Apply<'a> {
    /// The disk of this boot.
    pub disk: &'a mut dyn Disk,
    /// Its boot partition.
    pub selector: &'a mut dyn Selector,
    /// The bundle.
    pub source: &'a mut dyn Source,
    /// Who is told.
    pub tell: &'a mut dyn Tell,
    /// The most bytes that may be fetched, if somebody set one.
    pub allowed: Option<u64>,
}

impl Apply<'_> {
    /// Writes and verifies the other slot and its kernel; the boot loader does not know of it yet. The head is believed,
    /// and this node takes it.
    ///
    /// # Errors
    /// When the source, the medium or the boot partition does not do its part. The running slot starts as before, and
    /// the next call goes on where this one stopped.
    pub fn write(&mut self, head: &Head) -> Result<Figures, ApplyError> {
        let slot = self.disk.running().0.other();
        let mut figures = Figures::default();
        self.root_and_kernel(head, slot, &mut figures)?;
        figures.fetched = self.source.received();
        Ok(figures)
    }

    fn root_and_kernel(&mut self, head: &Head, slot: Slot, figures: &mut Figures) -> Result<(), ApplyError> {
        let Self { disk, selector, source, tell, allowed } = self;
        // Held until all is written: nobody mounts it meanwhile, and one that is mounted ends it here.
        let mut target = disk.target()?;
        let mut running = disk.source()?;
        tell.step("looking at what is here");
        let index = index::fetch(*source, head, target.verity.as_mut())?;
        let local = Leaves::of_root(running.verity.as_mut(), &index)?;
        let kernel = Leaves::of_kernel(*selector, slot.other(), &index)?;
        let mut root = Root::new(target.root.as_mut(), running.root.as_mut());
        let mut fill = Fill { index: &index, source: *source, tell: *tell, figures };
        let present = fill.survey(Kind::Root, &mut root);
        fill.allow(&present, [&local, &kernel], *allowed)?;
        // From here on the other slot is nobody's to start. Its kernel stays for its blocks, where there is room for it.
        if selector.read()?.of(slot).is_some() || selector.kernel_size(slot)?.is_some() {
            selector.disarm(slot)?;
        }
        index::keep(&index, head, target.verity.as_mut())?;
        fill.fill(Kind::Root, &mut root, &[&local], present)?;
        let left = Leaves::of_kernel(*selector, slot, &index)?;
        selector.begin_kernel(head.header.uki.size)?;
        let mut new = Kernel::new(*selector, [slot.other(), slot], head.header.uki.size);
        let present = fill.survey(Kind::Uki, &mut new);
        fill.fill(Kind::Uki, &mut new, &[&kernel, &left], present)?;
        index::check_kept(&index, head, target.verity.as_mut())
    }
}

/// Gives the written slot its names, its kernel its place, and puts it on trial: the last is one sector.
///
/// # Errors
/// When the medium does not take it; the running slot starts as before.
pub fn stage(disk: &mut dyn Disk, selector: &mut dyn Selector, head: &Head) -> Result<(), ApplyError> {
    let slot = disk.running().0.other();
    disk.name(&head.header.root.root_hash)?;
    selector.place_kernel(slot)?;
    Ok(selector.arm(slot, TRIES)?)
}

/// Whether the other slot is staged with this very release: the next start tries it.
///
/// # Errors
/// When disk or boot partition cannot be read.
pub fn is_staged(disk: &dyn Disk, selector: &mut dyn Selector, head: &Head) -> Result<bool, ApplyError> {
    let slot = disk.running().0.other();
    let selection = selector.read()?;
    let armed = matches!(selection.of(slot), Some(Entry::Trial { left: 1.., .. }));
    Ok(armed && selection.next == Some(slot) && disk.named(slot)? == head.header.root.root_hash)
}
