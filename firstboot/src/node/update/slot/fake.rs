//! A disk in memory, for tests: it can lose power, lie, and run out of life.

use super::{Disk, Pair, Region, SlotError};
use contract::{Digest, slots::Slot};
use std::{cell::RefCell, io, rc::Rc};

/// What can go wrong, counted over all partitions.
#[derive(Debug, Default)]
pub struct Faults {
    /// Operations so far.
    pub count: usize,
    /// This operation and all after it fail: the power is gone.
    pub dies_at: Option<usize>,
    /// This write fails.
    pub write_fails: Option<usize>,
    /// This read fails.
    pub read_fails: Option<usize>,
    /// These writes say that they were done, and were not.
    pub drops: Vec<usize>,
    /// Writes so far.
    pub writes: usize,
    /// Reads so far.
    pub reads: usize,
    /// Bytes written.
    pub written: u64,
}

/// One partition's bytes.
pub type Bytes = Rc<RefCell<Vec<u8>>>;

/// A disk with two slots, of which A or B runs.
#[derive(Clone, Debug)]
pub struct FakeDisk {
    /// The running slot and its root hash.
    pub running: (Slot, Digest),
    /// Root and verity of A, then of B.
    pub parts: [[Bytes; 2]; 2],
    /// What the table names the slots.
    pub names: [Digest; 2],
    /// What goes wrong.
    pub faults: Rc<RefCell<Faults>>,
    /// Somebody has the other slot mounted.
    pub busy: bool,
}

fn index(slot: Slot) -> usize {
    usize::from(slot == Slot::B)
}

impl FakeDisk {
    /// A disk whose slot A runs, and whose slot B is empty.
    pub fn flashed(root: Vec<u8>, verity: Vec<u8>, hash: Digest, room: (usize, usize)) -> Self {
        let fill = |mut bytes: Vec<u8>, room| {
            bytes.resize(room, 0);
            Rc::new(RefCell::new(bytes))
        };
        let parts =
            [[fill(root, room.0), fill(verity, room.1)], [fill(vec![], room.0), fill(vec![], room.1)]];
        let faults = Rc::default();
        Self { running: (Slot::A, hash), parts, names: [hash, Digest([0; 32])], faults, busy: false }
    }

    /// The bytes of a slot's root.
    pub fn root(&self, slot: Slot) -> Vec<u8> {
        self.parts[index(slot)][0].borrow().clone()
    }

    /// The bytes of a slot's verity partition.
    pub fn verity(&self, slot: Slot) -> Vec<u8> {
        self.parts[index(slot)][1].borrow().clone()
    }

    fn pair(&self, slot: Slot, writable: bool) -> Pair<'_> {
        let [root, verity] = &self.parts[index(slot)];
        let region = |bytes: &Bytes| {
            Box::new(Memory { bytes: bytes.clone(), faults: self.faults.clone(), writable })
                as Box<dyn Region>
        };
        Pair { root: region(root), verity: region(verity) }
    }
}

/// A partition in memory.
#[derive(Debug)]
pub struct Memory {
    bytes: Bytes,
    faults: Rc<RefCell<Faults>>,
    writable: bool,
}

impl Faults {
    fn step(&mut self) -> io::Result<()> {
        self.count += 1;
        if self.dies_at.is_some_and(|end| self.count > end) {
            return Err(io::Error::other("the power is gone"));
        }
        Ok(())
    }
}

impl Region for Memory {
    fn size(&self) -> u64 {
        self.bytes.borrow().len() as u64
    }

    fn read(&mut self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        assert!(offset.is_multiple_of(4096) && bytes.len().is_multiple_of(4096), "{offset}");
        let mut faults = self.faults.borrow_mut();
        faults.step()?;
        faults.reads += 1;
        if faults.read_fails == Some(faults.reads) {
            return Err(io::Error::from_raw_os_error(5));
        }
        let all = self.bytes.borrow();
        let part = all.get(offset as usize..offset as usize + bytes.len());
        bytes.copy_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        assert!(self.writable, "the running slot is never written");
        assert!(offset.is_multiple_of(4096) && bytes.len().is_multiple_of(4096), "{offset}");
        let mut faults = self.faults.borrow_mut();
        faults.step()?;
        faults.writes += 1;
        if faults.write_fails == Some(faults.writes) {
            return Err(io::Error::from_raw_os_error(5));
        }
        let dropped = faults.drops.contains(&faults.writes);
        faults.written += bytes.len() as u64;
        if !dropped {
            let mut all = self.bytes.borrow_mut();
            let part = all.get_mut(offset as usize..offset as usize + bytes.len());
            part.ok_or(io::ErrorKind::StorageFull)?.copy_from_slice(bytes);
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.faults.borrow_mut().step()
    }
}

impl Disk for FakeDisk {
    fn running(&self) -> (Slot, Digest) {
        self.running
    }

    fn room(&self, slot: Slot) -> Result<(u64, u64), SlotError> {
        let [root, verity] = &self.parts[index(slot)];
        Ok((root.borrow().len() as u64, verity.borrow().len() as u64))
    }

    fn source(&self) -> Result<Pair<'_>, SlotError> {
        Ok(self.pair(self.running.0, false))
    }

    fn target(&self) -> Result<Pair<'_>, SlotError> {
        if self.busy {
            return Err(SlotError::Busy { device: "/dev/vda4".to_owned(), label: "root-b" });
        }
        Ok(self.pair(self.running.0.other(), true))
    }

    fn named(&self, slot: Slot) -> Result<Digest, SlotError> {
        Ok(self.names[index(slot)])
    }

    fn name(&mut self, root: &Digest) -> Result<(), SlotError> {
        let wrong = SlotError::io("write the partition table of", "vda");
        self.faults.borrow_mut().step().map_err(wrong)?;
        self.names[index(self.running.0.other())] = *root;
        Ok(())
    }
}
