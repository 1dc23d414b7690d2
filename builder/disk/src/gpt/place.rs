//! Placing partitions, and writing the table.

use super::{ALIGNMENT, GptError, SECTOR, ends::Ends};
use crate::output::Output;
use contract::{Arch, Guid, slots::Part};
use std::collections::BTreeMap;

/// Entries in the table, and the bytes of each.
const ENTRIES: usize = 128;
const ENTRY: usize = 128;
/// Sectors in front of the first usable one: protective MBR, header, entries.
const HEAD: u64 = 2 + (ENTRIES * ENTRY) as u64 / SECTOR;
/// Sectors behind the last usable one: entries, header.
const TAIL: u64 = HEAD - 1;
/// The letters of a name, in UTF-16 units.
const NAME: usize = 36;
/// No disk is larger, in bytes; leaves room for every sum.
const LIMIT: u64 = 1 << 63;

/// A partition before it has a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// The name in the table, 1 to 36 UTF-16 units.
    pub name: String,
    /// What it is for.
    pub type_guid: Guid,
    /// The partition itself (PARTUUID).
    pub guid: Guid,
    /// The first sector (of 512 bytes), or the next multiple of 1 MiB.
    pub start_lba: Option<u64>,
    /// The size in bytes, a multiple of 512.
    pub size: u64,
    /// Attribute bits, such as [`contract::slots::READ_ONLY`].
    pub attributes: u64,
}

impl Partition {
    /// A partition of an image for `arch`, with the name, type and attributes that the contract gives it.
    #[must_use]
    pub fn of(part: Part, arch: Arch, guid: Guid, size: u64) -> Self {
        Self {
            name: part.label().to_owned(),
            type_guid: part.type_guid(arch),
            guid,
            start_lba: None,
            size,
            attributes: part.attributes(),
        }
    }
}

/// A disk's partitions, in the order in which they lie and are numbered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The disk itself.
    pub disk_guid: Guid,
    /// The size of the disk in bytes, or just what is needed, rounded up to 1 MiB.
    pub disk_size: Option<u64>,
    /// The partitions.
    pub partitions: Vec<Partition>,
}

/// A partition with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The partition's number, from 1.
    pub number: u32,
    /// What it is.
    pub partition: Partition,
    /// The first byte.
    pub offset: u64,
}

impl Placed {
    /// The first sector.
    #[must_use]
    pub const fn first_lba(&self) -> u64 {
        self.offset / SECTOR
    }

    /// The last sector.
    #[must_use]
    pub const fn last_lba(&self) -> u64 {
        (self.offset + self.partition.size) / SECTOR - 1
    }
}

/// A partition table in which everything has its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    disk_guid: Guid,
    disk_size: u64,
    partitions: Vec<Placed>,
}

impl Layout {
    /// Gives every partition its place.
    ///
    /// # Errors
    /// Names, sizes or starts that the table cannot hold, and disks that are too small.
    pub fn place(&self) -> Result<Table, GptError> {
        self.check()?;
        let mut free = HEAD * SECTOR;
        let mut partitions = Vec::new();
        for (partition, number) in self.partitions.iter().zip(1..) {
            let offset = start(partition, free)?;
            free = end(partition, offset)?;
            partitions.push(Placed { number, partition: partition.clone(), offset });
        }
        let needed = free + TAIL * SECTOR;
        let disk_size = self.disk_size.unwrap_or_else(|| needed.next_multiple_of(ALIGNMENT));
        if disk_size < needed || !disk_size.is_multiple_of(SECTOR) || disk_size > LIMIT {
            return Err(GptError::Disk { size: disk_size, needed });
        }
        Ok(Table { disk_guid: self.disk_guid, disk_size, partitions })
    }

    fn check(&self) -> Result<(), GptError> {
        if self.partitions.len() > ENTRIES {
            return Err(GptError::TooMany { count: self.partitions.len(), limit: ENTRIES });
        }
        let mut seen = BTreeMap::new();
        for (partition, second) in self.partitions.iter().zip(1..) {
            let Partition { name, guid, size, .. } = partition;
            let units = name.encode_utf16().count();
            if !(1..=NAME).contains(&units) {
                return Err(GptError::Name { name: name.clone(), units });
            }
            if *size == 0 || !size.is_multiple_of(SECTOR) {
                return Err(GptError::Size { name: name.clone(), size: *size });
            }
            for (what, value) in [("name", name.clone()), ("guid", guid.to_string())] {
                if let Some(first) = seen.insert((what, value.clone()), second) {
                    return Err(GptError::Duplicate { first, second, what, value });
                }
            }
        }
        Ok(())
    }
}

/// Where a partition starts, in bytes, when everything up to `free` is taken.
fn start(partition: &Partition, free: u64) -> Result<u64, GptError> {
    let Some(start) = partition.start_lba else { return Ok(free.next_multiple_of(ALIGNMENT)) };
    let name = partition.name.clone();
    match start.checked_mul(SECTOR) {
        None => Err(GptError::Overflow { name }),
        Some(offset) if offset < free => Err(GptError::Overlap { name, start, free: free / SECTOR }),
        Some(offset) => Ok(offset),
    }
}

/// Where a partition ends, in bytes.
fn end(partition: &Partition, offset: u64) -> Result<u64, GptError> {
    let end = offset.checked_add(partition.size).filter(|end| *end < LIMIT - TAIL * SECTOR - ALIGNMENT);
    end.ok_or_else(|| GptError::Overflow { name: partition.name.clone() })
}

impl Table {
    /// The size of the disk in bytes.
    #[must_use]
    pub const fn disk_size(&self) -> u64 {
        self.disk_size
    }

    /// The partitions, in their order.
    #[must_use]
    pub fn partitions(&self) -> &[Placed] {
        &self.partitions
    }

    /// The partition with a name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Placed> {
        self.partitions.iter().find(|placed| placed.partition.name == name)
    }

    /// The partition of an image with a role.
    #[must_use]
    pub fn part(&self, part: Part) -> Option<&Placed> {
        self.named(part.label())
    }

    /// Writes the first 34 and the last 33 sectors; the output's offset 0 is the disk's first byte.
    ///
    /// # Errors
    /// An output that refuses the bytes.
    pub fn write(&self, output: &mut impl Output) -> Result<(), GptError> {
        let ends = self.serialise()?;
        output.write_at(0, &ends.head).map_err(GptError::Write)?;
        output.write_at(ends.tail_start(), &ends.tail).map_err(GptError::Write)
    }

    fn serialise(&self) -> Result<Ends, GptError> {
        let fault = |error: &dyn std::fmt::Display| GptError::Table(error.to_string());
        let mut ends = Ends::new(self.disk_size, bytes(HEAD), bytes(TAIL));
        let sectors = u32::try_from(self.disk_size / SECTOR - 1).unwrap_or(u32::MAX);
        gpt::mbr::ProtectiveMBR::with_lb_size(sectors)
            .overwrite_lba0(&mut ends)
            .map_err(|error| fault(&error))?;
        let guid = self.disk_guid.to_string().parse().map_err(|error: _| fault(&error))?;
        let mut disk = gpt::GptConfig::new()
            .writable(true)
            .create_from_device(ends, Some(guid))
            .map_err(|error| fault(&error))?;
        let entries = self.partitions.iter().map(|placed| Ok((placed.number, entry(placed)?)));
        disk.update_partitions(entries.collect::<Result<_, GptError>>()?).map_err(|error| fault(&error))?;
        disk.write().map_err(|error| fault(&error))
    }
}

/// A few sectors in bytes, as a length in memory.
const fn bytes(sectors: u64) -> usize {
    (sectors * SECTOR) as usize
}

fn entry(placed: &Placed) -> Result<gpt::partition::Partition, GptError> {
    let Partition { name, type_guid, guid, attributes, .. } = &placed.partition;
    Ok(gpt::partition::Partition {
        part_type_guid: gpt::partition_types::Type {
            guid: type_guid.to_string().parse().map_err(|_| GptError::Table(type_guid.to_string()))?,
            os: gpt::partition_types::OperatingSystem::Linux,
        },
        part_guid: guid.to_string().parse().map_err(|_| GptError::Table(guid.to_string()))?,
        first_lba: placed.first_lba(),
        last_lba: placed.last_lba(),
        flags: *attributes,
        name: name.clone(),
    })
}
