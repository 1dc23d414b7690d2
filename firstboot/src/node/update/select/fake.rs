//! A selector in memory, for tests: the same words and refusals as on a medium, and a loader that counts.

use super::{Entry, MAX_TRIES, Proof, SelectError, Selection, Selector, Truth};
use contract::slots::Slot;

/// A boot partition and its loader in memory.
#[derive(Clone, Debug)]
pub struct FakeSelector {
    /// Entries of A and B.
    pub entries: [Option<Entry>; 2],
    /// Kernels of A and B, and whether they may be started.
    pub kernels: [Option<(Vec<u8>, bool)>; 2],
    /// The new kernel.
    pub new: Option<Vec<u8>>,
    /// What [`Selector::canary`] says.
    pub proof: Proof,
    /// What is said to be damaged until it is repaired.
    pub damage: Vec<String>,
    /// Every change, in words, such as `arm b 3`.
    pub log: Vec<String>,
    /// The change, counted from 0, that fails as on a medium that does not take it.
    pub fails_at: Option<usize>,
}

fn index(slot: Slot) -> usize {
    match slot {
        Slot::A => 0,
        Slot::B => 1,
    }
}

fn part(kernel: &[u8], offset: u64, length: usize) -> Result<std::ops::Range<usize>, SelectError> {
    let size = kernel.len() as u64;
    let end = offset + length as u64;
    if end > size {
        return Err(SelectError::Beyond { offset, end, size });
    }
    Ok(offset as usize..end as usize)
}

impl FakeSelector {
    /// A flashed node after its first boot: A is committed, B is empty, the loader counts.
    pub fn flashed(kernel: &[u8]) -> Self {
        Self {
            entries: [Some(Entry::Committed { generation: 1 }), None],
            kernels: [Some((kernel.to_vec(), true)), None],
            new: None,
            proof: Proof::Counts { seen: "fake loader".to_owned() },
            damage: Vec::new(),
            log: Vec::new(),
            fails_at: None,
        }
    }

    /// What the loader takes next: as on a medium.
    pub fn next(&self) -> Option<Slot> {
        let bootable = |slot: &Slot| self.kernels[index(*slot)].as_ref().is_some_and(|kernel| kernel.1);
        let live = |slot: &Slot| self.entries[index(*slot)].filter(|entry| !entry.is_exhausted());
        let slots = Slot::ALL.into_iter().filter(bootable);
        let newest = slots
            .clone()
            .filter(|slot| live(slot).is_some())
            .max_by_key(|slot| live(slot).map(Entry::generation));
        newest.or_else(|| slots.max())
    }

    /// Starts the machine: counts, and says which slot runs.
    pub fn boot(&mut self) -> Option<Slot> {
        let slot = self.next()?;
        if let Some(Entry::Trial { left, done, .. }) = &mut self.entries[index(slot)]
            && *left > 0
        {
            *left -= 1;
            *done += 1;
        }
        Some(slot)
    }

    fn change(&mut self, what: String) -> Result<(), SelectError> {
        if self.fails_at == Some(self.log.len()) {
            return Err(SelectError::medium("write", std::io::Error::other(what)));
        }
        self.log.push(what);
        Ok(())
    }

    fn not_the_last(&self, slot: Slot) -> Result<(), SelectError> {
        let mut without = self.clone();
        (without.entries[index(slot)], without.kernels[index(slot)]) = (None, None);
        without.next().map(|_| ()).ok_or(SelectError::LastSlot { slot })
    }

    fn trial(&self, slot: Slot, wish: &'static str) -> Result<u64, SelectError> {
        match self.entries[index(slot)] {
            Some(Entry::Trial { generation, .. }) => Ok(generation),
            other => Err(SelectError::entry(slot, wish, other)),
        }
    }
}

impl Selector for FakeSelector {
    fn read(&mut self) -> Result<Selection, SelectError> {
        let [a, b] = self.entries;
        Ok(Selection { a, b, next: self.next(), damage: self.damage.clone() })
    }

    fn canary(&mut self) -> Result<Proof, SelectError> {
        Ok(self.proof.clone())
    }

    fn disarm(&mut self, slot: Slot) -> Result<(), SelectError> {
        self.not_the_last(slot)?;
        self.change(format!("disarm {slot}"))?;
        (self.entries[index(slot)], self.kernels[index(slot)]) = (None, None);
        Ok(())
    }

    fn kernel_size(&mut self, slot: Slot) -> Result<Option<u64>, SelectError> {
        Ok(self.kernels[index(slot)].as_ref().map(|(bytes, _)| bytes.len() as u64))
    }

    fn read_installed(&mut self, slot: Slot, offset: u64, bytes: &mut [u8]) -> Result<(), SelectError> {
        let (kernel, _) = self.kernels[index(slot)].as_ref().ok_or(SelectError::NoKernel { slot })?;
        bytes.copy_from_slice(&kernel[part(kernel, offset, bytes.len())?]);
        Ok(())
    }

    fn begin_kernel(&mut self, size: u64) -> Result<(), SelectError> {
        if self.new.as_ref().is_none_or(|new| new.len() as u64 != size) {
            self.change(format!("begin {size}"))?;
            self.new = Some(vec![0x5a; size as usize]);
        }
        Ok(())
    }

    fn write_kernel(&mut self, offset: u64, bytes: &[u8]) -> Result<(), SelectError> {
        let new = self.new.as_mut().ok_or(SelectError::NotBegun)?;
        let place = part(new, offset, bytes.len())?;
        new[place].copy_from_slice(bytes);
        Ok(())
    }

    fn read_kernel(&mut self, offset: u64, bytes: &mut [u8]) -> Result<(), SelectError> {
        let new = self.new.as_ref().ok_or(SelectError::NotBegun)?;
        bytes.copy_from_slice(&new[part(new, offset, bytes.len())?]);
        Ok(())
    }

    fn place_kernel(&mut self, slot: Slot) -> Result<(), SelectError> {
        if self.entries[index(slot)].is_some() || self.kernels[index(slot)].is_some() {
            return Err(SelectError::entry(slot, "given a kernel", self.entries[index(slot)]));
        }
        if self.new.is_none() {
            return Err(SelectError::NotBegun);
        }
        self.change(format!("place {slot}"))?;
        self.kernels[index(slot)] = self.new.take().map(|new| (new, true));
        Ok(())
    }

    fn arm(&mut self, slot: Slot, tries: u8) -> Result<(), SelectError> {
        if !(1..=MAX_TRIES).contains(&tries) {
            return Err(SelectError::Tries { tries });
        }
        if !self.kernels[index(slot)].as_ref().is_some_and(|kernel| kernel.1) {
            return Err(SelectError::NoKernel { slot });
        }
        self.change(format!("arm {slot} {tries}"))?;
        let newest = self.entries.iter().flatten().map(|entry| entry.generation()).max().unwrap_or(0);
        self.entries[index(slot)] = Some(Entry::Trial { generation: newest + 1, left: tries, done: 0 });
        Ok(())
    }

    fn commit(&mut self, slot: Slot) -> Result<(), SelectError> {
        let generation = self.trial(slot, "kept")?;
        self.change(format!("commit {slot}"))?;
        self.entries[index(slot)] = Some(Entry::Committed { generation });
        Ok(())
    }

    fn give_up(&mut self, slot: Slot) -> Result<(), SelectError> {
        let generation = self.trial(slot, "given up")?;
        self.not_the_last(slot)?;
        self.change(format!("give up {slot}"))?;
        let Some(Entry::Trial { done, .. }) = self.entries[index(slot)] else { return Ok(()) };
        self.entries[index(slot)] = Some(Entry::Trial { generation, left: 0, done });
        if let Some(kernel) = &mut self.kernels[index(slot)] {
            kernel.1 = false;
        }
        Ok(())
    }

    fn repair(&mut self, truth: &Truth) -> Result<Vec<String>, SelectError> {
        let mut done = std::mem::take(&mut self.damage);
        let running = &mut self.entries[index(truth.running)];
        if truth.kept && running.is_none() {
            *running = Some(Entry::Committed { generation: 1 });
            done.push(format!("slot {} has its boot entry again", truth.running));
        }
        Ok(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_is_tried_kept_or_given_up() {
        let mut selector = FakeSelector::flashed(b"old");
        selector.begin_kernel(3).unwrap();
        selector.write_kernel(0, b"new").unwrap();
        selector.place_kernel(Slot::B).unwrap();
        assert_eq!(selector.boot(), Some(Slot::A));
        selector.arm(Slot::B, 2).unwrap();
        assert_eq!([0; 3].map(|_| selector.boot()), [Some(Slot::B), Some(Slot::B), Some(Slot::A)]);
        let mut kept = selector.clone();
        kept.commit(Slot::B).unwrap();
        assert_eq!(kept.boot(), Some(Slot::B));
        selector.give_up(Slot::B).unwrap();
        selector.disarm(Slot::A).unwrap_err();
        assert_eq!(selector.log, ["begin 3", "place b", "arm b 2", "give up b"]);
    }
}
