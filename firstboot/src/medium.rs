//! The node's own disk: reads its table, and brings disk and kernel to what the table shall be.

use crate::{
    choose::Disk,
    error::InitError,
    gpt::{self, Found, OnDisk, Table, Write},
    layout::{self, Change},
    log::Log,
    sys::{self, PartitionCommand},
    sysfs::{self, Medium, Partition},
};
use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt as _,
};

/// Every disk of the machine, read once each.
#[derive(Debug, Default)]
pub struct Shelf {
    /// Disks with a readable table.
    pub disks: Vec<Disk>,
    /// Block devices that are there, readable table or not.
    pub media: Vec<Medium>,
    /// What is wrong with the tables of others.
    pub damaged: BTreeMap<String, String>,
}

impl Shelf {
    /// Looks at the disks that have appeared or changed since the last time; returns whether there were any.
    pub fn refresh(&mut self) -> Result<bool, InitError> {
        let media = sysfs::media().map_err(InitError::io("list the disks in", "/sys/block"))?;
        if media == self.media {
            return Ok(false);
        }
        let known = std::mem::replace(&mut self.media, media);
        for medium in &self.media {
            if known.contains(medium) {
                continue;
            }
            self.disks.retain(|disk| disk.name != medium.name);
            let read = File::open(medium.device()).and_then(|mut file| gpt::read(&mut file, medium.geometry));
            match read {
                Ok(Found::Table(found)) => self.disks.push(Disk { name: medium.name.clone(), found }),
                Ok(Found::Nothing) => {}
                Ok(Found::Damaged(why)) => {
                    self.damaged.insert(medium.name.clone(), why);
                }
                Err(error) => {
                    self.damaged.insert(medium.name.clone(), error.to_string());
                }
            }
        }
        let media = &self.media;
        self.disks.retain(|disk| media.iter().any(|medium| medium.name == disk.name));
        Ok(true)
    }

    /// What is known of disks that cannot be read; ends in `; ` unless empty.
    #[must_use]
    pub fn damage(&self) -> String {
        self.damaged.iter().map(|(name, why)| format!("{name}: {why}; ")).collect()
    }
}

/// The disk that the machine was started from.
#[derive(Debug)]
pub struct OwnDisk<'l> {
    medium: Medium,
    found: OnDisk,
    log: &'l Log,
}

impl<'l> OwnDisk<'l> {
    /// `disk`, which is one of `shelf`.
    #[must_use]
    pub fn new(disk: &Disk, shelf: &Shelf, log: &'l Log) -> Option<Self> {
        let medium = shelf.media.iter().find(|medium| medium.name == disk.name)?.clone();
        Some(Self { medium, found: disk.found.clone(), log })
    }

    /// The disk's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.medium.name
    }

    /// The disk as a value, for decisions.
    #[must_use]
    pub fn view(&self) -> Disk {
        Disk { name: self.medium.name.clone(), found: self.found.clone() }
    }

    /// The table as it is on the disk now.
    #[must_use]
    pub fn table(&self) -> &Table {
        &self.found.table
    }

    /// The kernel's partition `number`; tells the kernel of it first if it could not read a damaged table.
    pub fn partition(&self, number: u32) -> Result<Partition, InitError> {
        self.tell_kernel()?;
        let found = self.kernel_partitions()?.remove(&number);
        found.ok_or_else(|| InitError::NoPartition { disk: self.medium.name.clone(), number })
    }

    /// Makes slot B and state, and grows state to the end of the medium, where that is still to be done.
    pub fn grow(&mut self) -> Result<(), InitError> {
        let target = layout::grown(&self.found.table, self.medium.geometry)
            .map_err(|source| InitError::Layout { disk: self.medium.name.clone(), source })?;
        if target != self.found.table {
            self.log.step(format_args!(
                "disk {}: {}",
                self.medium.name,
                difference(&self.found.table, &target)
            ));
        } else if !self.found.primary || !self.found.backup {
            self.log.warn(format_args!(
                "disk {}: one copy of the partition table is lost, putting it back",
                self.medium.name
            ));
        }
        self.write(&target)
    }

    /// Gives the state partition its other name: the mark that its file system is whole, or is about to be made.
    pub fn rename_state(&mut self, name: &str) -> Result<(), InitError> {
        let target = layout::renamed_state(&self.found.table, name);
        self.write(&target)
    }

    fn write(&mut self, target: &Table) -> Result<(), InitError> {
        let writes = gpt::writes(&self.found, target, self.medium.geometry);
        if !writes.is_empty() {
            let device = self.medium.device();
            self.apply(&writes).map_err(InitError::io("write the partition table of", &device))?;
            self.found = OnDisk { table: target.clone(), primary: true, backup: true };
        }
        self.tell_kernel()
    }

    /// Each write reaches the medium before the next one starts.
    fn apply(&self, writes: &[Write]) -> io::Result<()> {
        let disk = OpenOptions::new().read(true).write(true).open(self.medium.device())?;
        let put = |write: &Write| {
            disk.write_all_at(&write.bytes, write.offset)?;
            disk.sync_all()
        };
        writes.iter().try_for_each(put)?;
        let mut first = [0; 512];
        disk.read_exact_at(&mut first, 0)?;
        gpt::protective_mbr(&first, self.medium.geometry).iter().try_for_each(put)
    }

    fn tell_kernel(&self) -> Result<(), InitError> {
        let partitions = self.kernel_partitions()?;
        let known = partitions.iter().map(|(number, partition)| (*number, partition.extent)).collect();
        let changes = layout::kernel_changes(&self.found.table, &known, self.medium.geometry)
            .map_err(|source| InitError::Moved { disk: self.medium.name.clone(), source })?;
        if changes.is_empty() {
            return Ok(());
        }
        let device = self.medium.device();
        let disk = File::open(&device).map_err(InitError::io("open", &device))?;
        for change in changes {
            let (command, number, (start, length)) = match change {
                Change::Add { number, extent } => (PartitionCommand::Add, number, extent),
                Change::Grow { number, extent } => (PartitionCommand::Resize, number, extent),
            };
            sys::change_partition(&disk, command, number, start, length)
                .map_err(InitError::io("tell the kernel of new partitions of", &device))?;
        }
        Ok(())
    }

    fn kernel_partitions(&self) -> Result<BTreeMap<u32, Partition>, InitError> {
        let name = &self.medium.name;
        sysfs::partitions(name).map_err(InitError::io("list the partitions of", self.medium.device()))
    }
}

/// What `target` has that `current` has not, for the log.
fn difference(current: &Table, target: &Table) -> String {
    let mut parts = Vec::new();
    for (number, entry) in &target.entries {
        match current.entries.get(number) {
            None => {
                parts.push(format!("new partition {number} `{}` ({} sectors)", entry.name, entry.sectors()))
            }
            Some(old) if old.last != entry.last => {
                let (old, new) = (old.sectors(), entry.sectors());
                parts.push(format!("`{}` grows from {old} to {new} sectors", entry.name));
            }
            Some(_) => {}
        }
    }
    if parts.is_empty() { "the backup table goes to the medium's end".to_owned() } else { parts.join(", ") }
}
