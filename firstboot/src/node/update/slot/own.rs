//! The disk of the running root. It is found from the root itself: from the mounted device to the partition below it,
//! and from there to its disk, which has to be the one that `hcinit` named. Labels are only looked for on that disk.

use super::{Device, Disk, Pair, SlotError};
use crate::{
    gpt::{self, Entry, Found, Geometry, OnDisk},
    node::boot::Boot,
    sysfs,
};
use contract::{
    Digest, Guid,
    slots::{Part, Slot},
};
use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

/// Where the running root lies, as `/sys` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// The mapped device under `/`, such as `dm-0`.
    pub mapped: String,
    /// The partitions below it, each as `disk/partition`.
    pub below: Vec<(String, String)>,
}

impl Chain {
    /// Follows the device under `/`.
    ///
    /// # Errors
    /// When `/sys` does not show it.
    pub fn find() -> io::Result<Self> {
        let device = fs::metadata("/")?.dev();
        let numbers = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
        let home = fs::canonicalize(Path::new("/sys/dev/block").join(numbers))?;
        let mapped = last(&home);
        let mut below = Vec::new();
        for name in sysfs::names(&home.join("slaves"))? {
            let part = fs::canonicalize(Path::new("/sys/class/block").join(&name))?;
            below.push((part.parent().map(last).unwrap_or_default(), name));
        }
        Ok(Self { mapped, below })
    }

    /// The disk below all of it.
    ///
    /// # Errors
    /// When it is not `expected`, or there are several.
    pub fn disk(&self, expected: &str) -> Result<(), SlotError> {
        let mut disks: Vec<&str> = self.below.iter().map(|(disk, _)| disk.as_str()).collect();
        disks.sort_unstable();
        disks.dedup();
        if disks == [expected] {
            return Ok(());
        }
        let found = if disks.is_empty() { "nothing".to_owned() } else { disks.join(" and ") };
        Err(SlotError::OtherDisk { found, expected: expected.to_owned() })
    }
}

fn last(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The disk that the machine was started from.
#[derive(Debug)]
pub struct Own {
    slot: Slot,
    root: Digest,
    disk: String,
    geometry: Geometry,
}

impl Own {
    /// The disk of this boot.
    ///
    /// # Errors
    /// When the running root lies on another one, or it is gone.
    pub fn find(boot: &Boot) -> Result<Self, SlotError> {
        let chain = Chain::find().map_err(SlotError::io("follow the running root in", "/sys"))?;
        chain.disk(&boot.disk)?;
        let media = sysfs::media().map_err(SlotError::io("list the disks in", "/sys/block"))?;
        let geometry =
            media.into_iter().find(|medium| medium.name == boot.disk).map(|medium| medium.geometry);
        let gone = || SlotError::Table { disk: boot.disk.clone(), why: "the disk is gone".to_owned() };
        let (slot, root, disk) = (boot.slot, boot.root, boot.disk.clone());
        Ok(Self { slot, root, geometry: geometry.ok_or_else(gone)?, disk })
    }

    fn device(&self) -> PathBuf {
        Path::new("/dev").join(&self.disk)
    }

    fn table(&self) -> Result<OnDisk, SlotError> {
        let wrong = |why: String| SlotError::Table { disk: self.disk.clone(), why };
        let mut disk = File::open(self.device()).map_err(SlotError::io("open", self.device().display()))?;
        match gpt::read(&mut disk, self.geometry) {
            Ok(Found::Table(table)) => Ok(table),
            Ok(Found::Nothing) => Err(wrong("there is none".to_owned())),
            Ok(Found::Damaged(why)) => Err(wrong(why)),
            Err(error) => Err(wrong(error.to_string())),
        }
    }

    fn entry<'t>(&self, table: &'t OnDisk, part: Part) -> Result<(u32, &'t Entry), SlotError> {
        let (disk, label) = (self.disk.clone(), part.label());
        let mut found = table.table.entries.iter().filter(|(_, entry)| entry.name == label);
        match (found.next(), found.count()) {
            (None, _) => Err(SlotError::Missing { disk, label }),
            (Some((number, entry)), 0) => Ok((*number, entry)),
            (Some(_), more) => Err(SlotError::Several { disk, label, count: more + 1 }),
        }
    }

    /// The device of a partition, which must be where the table says.
    fn open(&self, part: Part, open: impl FnOnce(&Path) -> io::Result<Device>) -> Result<Device, SlotError> {
        let table = self.table()?;
        let (number, entry) = self.entry(&table, part)?;
        let known =
            sysfs::partitions(&self.disk).map_err(SlotError::io("list the partitions of", &self.disk))?;
        let label = part.label();
        let missing = || SlotError::Missing { disk: self.disk.clone(), label };
        let kernel = known.get(&number).ok_or_else(missing)?;
        let device = kernel.device().display().to_string();
        let extent = (entry.first * self.geometry.sector, entry.sectors() * self.geometry.sector);
        if kernel.extent != extent {
            return Err(SlotError::Stale { device, kernel: kernel.extent.1, table: extent.1 });
        }
        open(&kernel.device()).map_err(|source| match source.kind() {
            io::ErrorKind::ResourceBusy => SlotError::Busy { device, label },
            _ => SlotError::Io { act: "open", place: device, source },
        })
    }
}

impl Disk for Own {
    fn running(&self) -> (Slot, Digest) {
        (self.slot, self.root)
    }

    fn room(&self, slot: Slot) -> Result<(u64, u64), SlotError> {
        let table = self.table()?;
        let size = |part| self.entry(&table, part).map(|(_, entry)| entry.sectors() * self.geometry.sector);
        Ok((size(Part::Root(slot))?, size(Part::Verity(slot))?))
    }

    fn source(&self) -> Result<Pair<'_>, SlotError> {
        let open = |part| self.open(part, Device::read_only);
        let (root, verity) = (open(Part::Root(self.slot))?, open(Part::Verity(self.slot))?);
        Ok(Pair { root: Box::new(root), verity: Box::new(verity) })
    }

    fn target(&self) -> Result<Pair<'_>, SlotError> {
        let slot = self.slot.other();
        let open = |part| self.open(part, Device::exclusive);
        let (root, verity) = (open(Part::Root(slot))?, open(Part::Verity(slot))?);
        Ok(Pair { root: Box::new(root), verity: Box::new(verity) })
    }

    fn named(&self, slot: Slot) -> Result<Digest, SlotError> {
        let table = self.table()?;
        let id = |part| self.entry(&table, part).map(|(_, entry)| entry.id);
        Ok(joined(id(Part::Root(slot))?, id(Part::Verity(slot))?))
    }

    fn name(&mut self, root: &Digest) -> Result<(), SlotError> {
        let current = self.table()?;
        let slot = self.slot.other();
        let mut target = current.table.clone();
        for (part, half) in [(Part::Root(slot), 0), (Part::Verity(slot), 1)] {
            let (number, _) = self.entry(&current, part)?;
            if let Some(entry) = target.entries.get_mut(&number) {
                entry.id = Guid::from_half(root, half);
            }
        }
        let wrong = SlotError::io("write the partition table of", &self.disk);
        let put = || {
            let disk = OpenOptions::new().read(true).write(true).open(self.device())?;
            // Each write reaches the medium before the next one starts: one copy is whole at any time.
            gpt::writes(&current, &target, self.geometry).iter().try_for_each(|write| {
                disk.write_all_at(&write.bytes, write.offset)?;
                disk.sync_all()
            })
        };
        put().map_err(wrong)?;
        let found = self.named(slot)?;
        if found == *root {
            return Ok(());
        }
        let why = format!("slot {slot} has root hash {found} after {root} was written");
        Err(SlotError::Table { disk: self.disk.clone(), why })
    }
}

/// The root hash whose halves are these GUIDs.
pub(super) fn joined(root: Guid, verity: Guid) -> Digest {
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(&root.0);
    bytes[16..].copy_from_slice(&verity.0);
    Digest(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_must_lie_on_the_disk_of_this_boot() {
        let chain = |below: &[(&str, &str)]| Chain {
            mapped: "dm-0".to_owned(),
            below: below.iter().map(|(disk, part)| ((*disk).to_owned(), (*part).to_owned())).collect(),
        };
        assert!(chain(&[("vda", "vda2"), ("vda", "vda3")]).disk("vda").is_ok());
        for (below, found) in [
            (vec![("vdb", "vdb2"), ("vdb", "vdb3")], "lies on vdb, but"),
            (vec![("vda", "vda2"), ("vdb", "vdb3")], "lies on vda and vdb, but"),
            (vec![], "lies on nothing, but"),
        ] {
            let message = chain(&below).disk("vda").unwrap_err().to_string();
            assert!(message.contains(found) && message.contains("started from vda"), "{message}");
        }
    }

    #[test]
    fn halves_are_joined_again() {
        let root = Digest::of(b"root");
        assert_eq!(joined(Guid::from_half(&root, 0), Guid::from_half(&root, 1)), root);
    }
}
