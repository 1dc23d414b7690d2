//! What the node's disk shall look like: slot B and state behind what the image shipped, state up to the end of the
//! medium. And what the kernel must be told of it.

use crate::gpt::{Entry, Geometry, Table};
use contract::{
    Digest, Guid,
    slots::{LINUX_TYPE, Part, Slot},
};
use std::collections::BTreeMap;

/// Least bytes of a state partition.
pub const LEAST_STATE: u64 = 64 << 20;
/// Partitions start and end on this many bytes.
const ALIGNMENT: u64 = 1 << 20;

/// Name of the state partition once its file system is whole.
pub const STATE: &str = Part::State.label();
/// Its name from its creation until then. The name is the mark that nothing in it has ever been used: a partition of
/// this name may be formatted, one named `state` never is while it holds anything.
pub const STATE_NEW: &str = "state-new";

/// A medium on which the layout cannot be made.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// The medium ends too early.
    #[error(
        "the medium has {found} MiB, but this image needs {needed} MiB (slot B and {state} MiB of state): use a larger medium"
    )]
    TooSmall {
        /// MiB that the medium has.
        found: u64,
        /// MiB that are needed.
        needed: u64,
        /// MiB of state that are needed.
        state: u64,
    },
    /// The table has no room for more partitions.
    #[error("the partition table is full ({slots} entries): write the image again")]
    Full {
        /// Entries that it has room for.
        slots: u32,
    },
    /// A partition that must be there is not.
    #[error("the disk has no partition named `{0}`: write the image again")]
    Missing(&'static str),
}

/// The table that `current` shall become on a medium of `geometry`. Partitions that are there are never moved,
/// shortened or renamed; a table that needs nothing is returned as it is.
pub fn grown(current: &Table, geometry: Geometry) -> Result<Table, LayoutError> {
    let array = (u64::from(current.slots) * 128).div_ceil(geometry.sector);
    let mut table = Table { last_usable: geometry.sectors - 2 - array, ..current.clone() };
    let align = ALIGNMENT / geometry.sector;
    for (part, like) in
        [(Part::Root(Slot::B), Part::Root(Slot::A)), (Part::Verity(Slot::B), Part::Verity(Slot::A))]
    {
        let (name, like) = (part.label(), like.label());
        if find(&table, name).is_none() {
            let (_, model) = find(&table, like).ok_or(LayoutError::Missing(like))?;
            let model = model.clone();
            let first = free_start(&table, align);
            append(&mut table, name, model.kind, first, first + model.sectors() - 1, model.attributes)?;
        }
    }
    let end = (table.last_usable + 1) / align * align;
    let least = LEAST_STATE / geometry.sector;
    match state(&table).map(|(number, entry)| (number, entry.clone())) {
        None => {
            let first = free_start(&table, align);
            if first + least > end {
                return Err(too_small(first + least, array, geometry));
            }
            append(&mut table, STATE_NEW, LINUX_TYPE, first, end - 1, Part::State.attributes())?;
        }
        Some((number, entry)) => {
            let last_on_disk = table.entries.values().all(|other| other.last <= entry.last);
            if let Some(entry) = table.entries.get_mut(&number)
                && last_on_disk
                && entry.last + 1 < end
            {
                entry.last = end - 1;
            }
        }
    }
    Ok(table)
}

/// `table` with the state partition under another name.
#[must_use]
pub fn renamed_state(table: &Table, name: &str) -> Table {
    let mut renamed = table.clone();
    let number = state(table).map(|(number, _)| number);
    if let Some(entry) = number.and_then(|number| renamed.entries.get_mut(&number)) {
        name.clone_into(&mut entry.name);
    }
    renamed
}

/// The state partition, under either name.
#[must_use]
pub fn state(table: &Table) -> Option<(u32, &Entry)> {
    find(table, STATE).or_else(|| find(table, STATE_NEW))
}

fn find<'t>(table: &'t Table, name: &str) -> Option<(u32, &'t Entry)> {
    table.entries.iter().find(|(_, entry)| entry.name == name).map(|(number, entry)| (*number, entry))
}

/// The first aligned sector behind all partitions.
fn free_start(table: &Table, align: u64) -> u64 {
    let end = table.entries.values().map(|entry| entry.last + 1).max().unwrap_or(table.first_usable);
    end.next_multiple_of(align)
}

/// Adds a partition. Its GUID is derived from the disk's and its name: never a random one, and never half of a root
/// hash, so an empty slot matches no kernel.
fn append(
    table: &mut Table,
    name: &str,
    kind: Guid,
    first: u64,
    last: u64,
    attributes: u64,
) -> Result<(), LayoutError> {
    let number = (1..=table.slots).find(|number| !table.entries.contains_key(number));
    let number = number.ok_or(LayoutError::Full { slots: table.slots })?;
    let id = Guid::derive(&Digest::of(&table.disk.0), name);
    table.entries.insert(number, Entry { kind, id, first, last, attributes, name: name.to_owned() });
    Ok(())
}

fn too_small(end: u64, array: u64, geometry: Geometry) -> LayoutError {
    let mib = |sectors: u64| (sectors * geometry.sector).div_ceil(1 << 20);
    LayoutError::TooSmall {
        found: (geometry.sectors * geometry.sector) >> 20,
        needed: mib(end + array + 1),
        state: LEAST_STATE >> 20,
    }
}

/// A partition as the kernel has it: start and length in bytes.
pub type Extent = (u64, u64);

/// What the kernel must be told, so that it sees the table without reading it again (it cannot while the root is in
/// use).
#[derive(Debug, PartialEq, Eq)]
pub enum Change {
    /// A partition that it does not know.
    Add {
        /// Partition number.
        number: u32,
        /// Where it is.
        extent: Extent,
    },
    /// A partition that has grown.
    Grow {
        /// Partition number.
        number: u32,
        /// Where it is now.
        extent: Extent,
    },
}

/// The kernel's partition is somewhere else than the table says.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "partition {number}: the kernel has {kernel_length} bytes at {kernel_start}, the table says {length} at {start}: restart; if it stays so, write the image again"
)]
pub struct Moved {
    number: u32,
    kernel_start: u64,
    kernel_length: u64,
    start: u64,
    length: u64,
}

/// What takes the kernel from `known` (by partition number) to `table`.
pub fn kernel_changes(
    table: &Table,
    known: &BTreeMap<u32, Extent>,
    geometry: Geometry,
) -> Result<Vec<Change>, Moved> {
    let mut changes = Vec::new();
    for (number, entry) in &table.entries {
        let (number, extent) = (*number, (entry.first * geometry.sector, entry.sectors() * geometry.sector));
        match known.get(&number) {
            None => changes.push(Change::Add { number, extent }),
            Some(kernel) if *kernel == extent => {}
            Some(kernel) if kernel.0 == extent.0 && kernel.1 < extent.1 => {
                changes.push(Change::Grow { number, extent });
            }
            Some((kernel_start, kernel_length)) => {
                let (kernel_start, kernel_length, (start, length)) = (*kernel_start, *kernel_length, extent);
                return Err(Moved { number, kernel_start, kernel_length, start, length });
            }
        }
    }
    Ok(changes)
}

#[cfg(test)]
mod tests;
