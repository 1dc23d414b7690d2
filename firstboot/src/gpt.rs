//! The GUID partition table of the node's own disk: a bounded reader of both copies, and an order of writes that may
//! be cut at any sector.
//!
//! Source: UEFI specification 2.10, sections 5.2 and 5.3. Own code instead of the `gpt` crate because the order of
//! writes is the point here (see [`writes`]) and must be a value that a test can cut; the crate is the tests' oracle.

mod encode;
#[cfg(test)]
mod tests;

pub use encode::{Write, protective_mbr, writes};

use contract::Guid;
use std::{
    collections::BTreeMap,
    io::{self, Read, Seek, SeekFrom},
};

/// Bytes of one partition entry; the specification allows more, no tool writes more.
const ENTRY: usize = 128;
/// Most entries that are believed (the usual number is 128).
const MOST_ENTRIES: u32 = 1024;
/// Bytes of a header that the checksum covers.
const HEADER: usize = 92;

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Partition type.
    pub kind: Guid,
    /// The partition's own GUID (PARTUUID).
    pub id: Guid,
    /// First sector.
    pub first: u64,
    /// Last sector, inclusive.
    pub last: u64,
    /// Attribute bits.
    pub attributes: u64,
    /// Name (PARTLABEL), at most 36 UTF-16 units.
    pub name: String,
}

impl Entry {
    /// Length in sectors.
    #[must_use]
    pub fn sectors(&self) -> u64 {
        self.last - self.first + 1
    }
}

/// A partition table, as either copy has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The disk's GUID.
    pub disk: Guid,
    /// First sector that partitions may use.
    pub first_usable: u64,
    /// Last sector that partitions may use.
    pub last_usable: u64,
    /// Number of entries that the table has room for.
    pub slots: u32,
    /// Used entries by partition number, from 1.
    pub entries: BTreeMap<u32, Entry>,
}

/// The shape of a medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Bytes of a logical sector: 512 or 4096.
    pub sector: u64,
    /// Number of logical sectors.
    pub sectors: u64,
}

/// A table with where it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnDisk {
    /// What the table says.
    pub table: Table,
    /// Whether the primary copy is intact; if not, the table is the backup's.
    pub primary: bool,
    /// Whether the backup copy is intact, equal, and in the medium's last sector.
    pub backup: bool,
}

/// What a disk's first and last sectors hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// No GPT at all.
    Nothing,
    /// A GPT of which no copy can be believed; the text says why.
    Damaged(String),
    /// A table.
    Table(OnDisk),
}

/// Reads both copies. An error is an I/O error of the disk; damage is a finding.
pub fn read(disk: &mut (impl Read + Seek), geometry: Geometry) -> io::Result<Found> {
    if geometry.sectors < 6 || !matches!(geometry.sector, 512 | 4096) {
        return Ok(Found::Nothing);
    }
    let end = geometry.sectors - 1;
    let primary = read_copy(disk, geometry, 1)?;
    let backup = read_copy(disk, geometry, end)?;
    Ok(match (primary, backup) {
        (Ok(primary), backup) => {
            let same = backup.is_ok_and(|backup| backup == primary);
            Found::Table(OnDisk { table: primary, primary: true, backup: same })
        }
        (Err(_), Ok(backup)) => Found::Table(OnDisk { table: backup, primary: false, backup: true }),
        (Err(Fault::NoSignature), Err(_)) => Found::Nothing,
        (Err(Fault::Damaged(why)), Err(_)) => Found::Damaged(why),
    })
}

/// Why a copy is not believed.
#[derive(Debug)]
enum Fault {
    NoSignature,
    Damaged(String),
}

fn read_copy(
    disk: &mut (impl Read + Seek),
    geometry: Geometry,
    lba: u64,
) -> io::Result<Result<Table, Fault>> {
    let mut header = vec![0; HEADER];
    read_at(disk, lba * geometry.sector, &mut header)?;
    let layout = match parse_header(&header, geometry, lba) {
        Ok(layout) => layout,
        Err(fault) => return Ok(Err(fault)),
    };
    let mut array = vec![0; layout.slots as usize * ENTRY];
    read_at(disk, layout.array * geometry.sector, &mut array)?;
    let found = crc32(&array);
    if found != layout.array_crc {
        let why = format!("the entries' checksum is {found:08x}, the header says {:08x}", layout.array_crc);
        return Ok(Err(Fault::Damaged(why)));
    }
    Ok(parse_entries(&array, &layout, geometry).map_err(Fault::Damaged))
}

fn read_at(disk: &mut (impl Read + Seek), offset: u64, bytes: &mut [u8]) -> io::Result<()> {
    disk.seek(SeekFrom::Start(offset))?;
    disk.read_exact(bytes)
}

/// What a header says, once its own checksum agrees.
struct Layout {
    disk: Guid,
    first_usable: u64,
    last_usable: u64,
    array: u64,
    slots: u32,
    array_crc: u32,
}

fn parse_header(header: &[u8], geometry: Geometry, lba: u64) -> Result<Layout, Fault> {
    if &header[..8] != b"EFI PART" {
        return Err(Fault::NoSignature);
    }
    let (size, crc) = (u32_at(header, 12), u32_at(header, 16));
    if size as usize != HEADER {
        return Err(Fault::Damaged(format!("the header has {size} bytes, expected {HEADER}")));
    }
    let mut unsealed = header.to_vec();
    unsealed[16..20].fill(0);
    let found = crc32(&unsealed);
    if found != crc {
        return Err(Fault::Damaged(format!("the header's checksum is {found:08x}, it says {crc:08x}")));
    }
    let (own, entry, slots) = (u64_at(header, 24), u32_at(header, 84), u32_at(header, 80));
    if own != lba {
        return Err(Fault::Damaged(format!("the header in sector {lba} says that it is in sector {own}")));
    }
    if entry as usize != ENTRY || slots == 0 || slots > MOST_ENTRIES {
        let why = format!("{slots} entries of {entry} bytes, expected 1 to {MOST_ENTRIES} of {ENTRY}");
        return Err(Fault::Damaged(why));
    }
    let array = u64_at(header, 72);
    let array_sectors = array_sectors(slots, geometry);
    if array < 2 || array.checked_add(array_sectors).is_none_or(|end| end > geometry.sectors) {
        return Err(Fault::Damaged(format!("the entries are in sector {array}, outside of the medium")));
    }
    Ok(Layout {
        disk: guid_at(header, 56),
        first_usable: u64_at(header, 40),
        last_usable: u64_at(header, 48),
        array,
        slots,
        array_crc: u32_at(header, 88),
    })
}

fn parse_entries(array: &[u8], layout: &Layout, geometry: Geometry) -> Result<Table, String> {
    let mut entries = BTreeMap::new();
    for (number, bytes) in (1..).zip(array.chunks_exact(ENTRY)) {
        if bytes[..16] == [0; 16] {
            continue;
        }
        let units: Vec<u16> =
            bytes[56..].chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
        let end = units.iter().position(|unit| *unit == 0).unwrap_or(units.len());
        let entry = Entry {
            kind: guid_at(bytes, 0),
            id: guid_at(bytes, 16),
            first: u64_at(bytes, 32),
            last: u64_at(bytes, 40),
            attributes: u64_at(bytes, 48),
            name: String::from_utf16_lossy(&units[..end]),
        };
        let (first, last) = (entry.first, entry.last);
        if first < layout.first_usable
            || last < first
            || last > layout.last_usable
            || last >= geometry.sectors
        {
            let usable = (layout.first_usable, layout.last_usable.min(geometry.sectors - 1));
            let why = format!(
                "partition {number} spans sectors {first} to {last}, usable are {} to {}",
                usable.0, usable.1
            );
            return Err(why);
        }
        entries.insert(number, entry);
    }
    let mut by_place: Vec<(u64, u64, u32)> =
        entries.iter().map(|(number, entry)| (entry.first, entry.last, *number)).collect();
    by_place.sort_unstable();
    if let Some(pair) = by_place.windows(2).find(|pair| pair[1].0 <= pair[0].1) {
        return Err(format!("partitions {} and {} overlap", pair[0].2, pair[1].2));
    }
    let Layout { disk, first_usable, last_usable, slots, .. } = *layout;
    Ok(Table { disk, first_usable, last_usable, slots, entries })
}

/// Sectors that an array of `slots` entries takes.
fn array_sectors(slots: u32, geometry: Geometry) -> u64 {
    (u64::from(slots) * ENTRY as u64).div_ceil(geometry.sector)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at + 4)) << 32 | u64::from(u32_at(bytes, at))
}

/// A GUID as GPT stores it; swapping the first three groups is its own inverse.
fn guid_at(bytes: &[u8], at: usize) -> Guid {
    let mut mixed = [0; 16];
    mixed.copy_from_slice(&bytes[at..at + 16]);
    Guid(Guid(mixed).to_mixed_endian())
}

/// CRC-32 as Ethernet and GPT use it (reflected polynomial 0xedb88320).
fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut byte = 0;
        while byte < 256 {
            let mut crc = byte as u32;
            let mut bit = 0;
            while bit < 8 {
                crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
                bit += 1;
            }
            table[byte] = crc;
            byte += 1;
        }
        table
    };
    !bytes.iter().fold(!0, |crc: u32, byte| (crc >> 8) ^ TABLE[usize::from(crc as u8 ^ byte)])
}
