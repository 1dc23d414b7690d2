//! The backend for systemd-boot, on UEFI firmware and on U-Boot's: entries that count in their names.

use super::{
    Proof, SelectError, Selection, Selector, Truth,
    moves::{self, NEW, Said},
};
use contract::slots::Slot;
use fat::{Extent, ReadAt, SECTOR, Volume, WriteAt};
use std::io;

/// The unmounted boot partition, for as long as one piece of work takes.
pub trait Esp: ReadAt + WriteAt {
    /// Its size in bytes.
    fn size(&self) -> u64;
}

/// How the backend reaches the machine.
pub trait Port {
    /// The boot partition.
    type Esp: Esp;

    /// Opens the boot partition under its lock; closing it gives the lock back.
    ///
    /// # Errors
    /// When it is not there.
    fn open(&mut self) -> Result<Self::Esp, SelectError>;

    /// The text of one of the loader's variables, such as `LoaderBootCountPath`; none when it is not set.
    ///
    /// # Errors
    /// When it cannot be read.
    fn variable(&mut self, name: &str) -> io::Result<Option<String>>;
}

/// The backend, over a port.
#[derive(Debug)]
pub struct EfiEntry<P> {
    port: P,
    /// Where the new kernel is, once it was looked up. Its clusters stay while its name does.
    new: Option<Vec<Extent>>,
}

impl<P: Port> EfiEntry<P> {
    /// A backend that nothing was asked of yet.
    pub fn new(port: P) -> Self {
        Self { port, new: None }
    }

    /// Reads with the volume as it is.
    fn look<T>(
        &mut self,
        act: impl FnOnce(&P::Esp, &Volume<&P::Esp>) -> Result<T, SelectError>,
    ) -> Result<T, SelectError> {
        let esp = self.port.open()?;
        let volume = Volume::open(&esp, esp.size())?;
        act(&esp, &volume)
    }

    /// Carries out the edits of `act`, after everything that was written before.
    fn change<T>(
        &mut self,
        act: impl FnOnce(&mut Volume<&P::Esp>) -> Result<T, SelectError>,
    ) -> Result<T, SelectError> {
        let mut esp = self.port.open()?;
        let (said, plan) = {
            let mut volume = Volume::open(&esp, esp.size())?;
            (act(&mut volume)?, volume.take_plan())
        };
        if !plan.steps.is_empty() {
            esp.flush()
                .and_then(|()| plan.apply(&mut esp))
                .map_err(|error| SelectError::medium("write", error))?;
        }
        Ok(said)
    }

    fn new_extents(&mut self) -> Result<Vec<Extent>, SelectError> {
        if let Some(known) = &self.new {
            return Ok(known.clone());
        }
        let found = self.look(|_, volume| match volume.extents(NEW) {
            Err(error) if error.is_missing() => Err(SelectError::NotBegun),
            other => Ok(other?),
        })?;
        self.new = Some(found.clone());
        Ok(found)
    }
}

/// The parts of `extents` that hold `length` bytes from `offset` on: where each is on the volume, and its place among
/// the bytes.
fn parts(
    extents: &[Extent],
    offset: u64,
    length: usize,
) -> Result<Vec<(u64, std::ops::Range<usize>)>, SelectError> {
    let size = extents.iter().map(|extent| extent.length).sum();
    let end = offset.saturating_add(length as u64);
    if end > size {
        return Err(SelectError::Beyond { offset, end, size });
    }
    let (mut parts, mut start) = (Vec::new(), 0);
    for extent in extents {
        let (from, to) = (offset.max(start), end.min(start + extent.length));
        if from < to {
            let range = (from - offset) as usize..(to - offset) as usize;
            parts.push((extent.offset + from - start, range));
        }
        start += extent.length;
    }
    Ok(parts)
}

/// Fills `bytes` from extents, in whole sectors.
fn fill(esp: &impl ReadAt, extents: &[Extent], offset: u64, bytes: &mut [u8]) -> Result<(), SelectError> {
    for (at, range) in parts(extents, offset, bytes.len())? {
        let skip = (at % SECTOR as u64) as usize;
        let mut whole = vec![0; (skip + range.len()).next_multiple_of(SECTOR)];
        esp.read_at(at - skip as u64, &mut whole).map_err(|error| SelectError::medium("read", error))?;
        bytes[range.clone()].copy_from_slice(&whole[skip..skip + range.len()]);
    }
    Ok(())
}

impl<P: Port> Selector for EfiEntry<P> {
    fn read(&mut self) -> Result<Selection, SelectError> {
        self.look(|_, volume| moves::read(volume))
    }

    fn canary(&mut self) -> Result<Proof, SelectError> {
        let mut get = |name| {
            self.port.variable(name).map_err(|error| SelectError::medium("read the variables of", error))
        };
        let counted = get("LoaderBootCountPath")?;
        let (Some(loader), Some(firmware)) = (get("LoaderInfo")?, get("LoaderFirmwareInfo")?) else {
            let why = "the boot loader does not say who it is: this machine was not started by systemd-boot";
            return Ok(Proof::Missing { why: why.to_owned() });
        };
        let seen = format!("{loader} on {firmware}\n");
        self.change(|volume| moves::canary(volume, &Said { counted: counted.as_deref(), seen: &seen }))
    }

    fn disarm(&mut self, slot: Slot) -> Result<(), SelectError> {
        self.change(|volume| moves::disarm(volume, slot))
    }

    fn kernel_size(&mut self, slot: Slot) -> Result<Option<u64>, SelectError> {
        self.look(|_, volume| match moves::installed(volume, slot)? {
            None => Ok(None),
            Some(path) => Ok(Some(u64::from(volume.find(&path)?.size))),
        })
    }

    fn read_installed(&mut self, slot: Slot, offset: u64, bytes: &mut [u8]) -> Result<(), SelectError> {
        self.look(|esp, volume| {
            let path = moves::installed(volume, slot)?.ok_or(SelectError::NoKernel { slot })?;
            fill(esp, &volume.extents(&path)?, offset, bytes)
        })
    }

    fn begin_kernel(&mut self, size: u64) -> Result<(), SelectError> {
        self.new = None;
        let limit = u64::from(u32::MAX);
        let too_large = || fat::FatError::TooLarge { path: NEW.to_owned(), size, limit };
        let size = u32::try_from(size).map_err(|_| too_large())?;
        self.change(|volume| moves::begin(volume, size))?;
        self.new_extents().map(|_| ())
    }

    fn write_kernel(&mut self, offset: u64, bytes: &[u8]) -> Result<(), SelectError> {
        let extents = self.new_extents()?;
        let mut esp = self.port.open()?;
        for (at, range) in parts(&extents, offset, bytes.len())? {
            let mut whole = bytes[range].to_vec();
            whole.resize(whole.len().next_multiple_of(SECTOR), 0);
            esp.write_at(at, &whole).map_err(|error| SelectError::medium("write", error))?;
        }
        Ok(())
    }

    fn read_kernel(&mut self, offset: u64, bytes: &mut [u8]) -> Result<(), SelectError> {
        let extents = self.new_extents()?;
        fill(&self.port.open()?, &extents, offset, bytes)
    }

    fn place_kernel(&mut self, slot: Slot) -> Result<(), SelectError> {
        self.new = None;
        self.change(|volume| moves::place(volume, slot))
    }

    fn arm(&mut self, slot: Slot, tries: u8) -> Result<(), SelectError> {
        self.change(|volume| moves::arm(volume, slot, tries))
    }

    fn commit(&mut self, slot: Slot) -> Result<(), SelectError> {
        self.change(|volume| moves::commit(volume, slot))
    }

    fn give_up(&mut self, slot: Slot) -> Result<(), SelectError> {
        self.change(|volume| moves::give_up(volume, slot))
    }

    fn repair(&mut self, truth: &Truth) -> Result<Vec<String>, SelectError> {
        self.change(|volume| moves::repair(volume, truth))
    }
}
