//! Bytes of a table, and the order in which they reach the disk.

use super::{ENTRY, Geometry, HEADER, OnDisk, Table, array_sectors, crc32};

/// One write. The next one starts only when this one has reached the medium.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// Byte offset on the disk.
    pub offset: u64,
    /// What is written there.
    pub bytes: Vec<u8>,
}

/// The writes that take a disk from `current` to `target`, none when both copies say `target` already.
///
/// The law: a copy is written only while the other one is intact. So a lost primary is put back first, as it was;
/// then the backup gets the new table, in the medium's last sector; then the primary. Within a copy the header goes
/// last. Whatever the sector at which the power fails, one copy is whole and says either the old or the new table.
#[must_use]
pub fn writes(current: &OnDisk, target: &Table, geometry: Geometry) -> Vec<Write> {
    let mut writes = Vec::new();
    if !current.primary {
        writes.extend(copy(&current.table, geometry, Place::Primary));
    }
    if current.table != *target || !current.backup {
        writes.extend(copy(target, geometry, Place::Backup));
        writes.extend(copy(target, geometry, Place::Primary));
    }
    writes
}

/// The protective MBR in `sector` (the medium's first 512 bytes) with the size of the medium put right; `None` when it
/// is right already or is not a plain protective MBR, which is left alone.
#[must_use]
pub fn protective_mbr(sector: &[u8; 512], geometry: Geometry) -> Option<Write> {
    let size = u32::try_from(geometry.sectors - 1).unwrap_or(u32::MAX).to_le_bytes();
    let plain = sector[510..] == [0x55, 0xaa]
        && sector[450] == 0xee
        && sector[462..510].iter().all(|byte| *byte == 0);
    if !plain || sector[458..462] == size {
        return None;
    }
    let mut bytes = sector.to_vec();
    bytes[458..462].copy_from_slice(&size);
    Some(Write { offset: 0, bytes })
}

/// Which copy.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Primary,
    Backup,
}

/// The two writes of one copy: entries, then the header that makes them count.
fn copy(table: &Table, geometry: Geometry, place: Place) -> [Write; 2] {
    let end = geometry.sectors - 1;
    let array_sectors = array_sectors(table.slots, geometry);
    let (own, other, array) = match place {
        Place::Primary => (1, end, 2),
        Place::Backup => (end, 1, end - array_sectors),
    };
    let entries = entries(table);
    let mut header = vec![0; usize::try_from(geometry.sector).expect("512 or 4096")];
    header[..8].copy_from_slice(b"EFI PART");
    header[8..12].copy_from_slice(&0x0001_0000_u32.to_le_bytes());
    header[12..16].copy_from_slice(&u32::to_le_bytes(HEADER as u32));
    header[24..32].copy_from_slice(&own.to_le_bytes());
    header[32..40].copy_from_slice(&other.to_le_bytes());
    header[40..48].copy_from_slice(&table.first_usable.to_le_bytes());
    header[48..56].copy_from_slice(&table.last_usable.to_le_bytes());
    header[56..72].copy_from_slice(&table.disk.to_mixed_endian());
    header[72..80].copy_from_slice(&array.to_le_bytes());
    header[80..84].copy_from_slice(&table.slots.to_le_bytes());
    header[84..88].copy_from_slice(&u32::to_le_bytes(ENTRY as u32));
    header[88..92].copy_from_slice(&crc32(&entries).to_le_bytes());
    let crc = crc32(&header[..HEADER]);
    header[16..20].copy_from_slice(&crc.to_le_bytes());
    [
        Write { offset: array * geometry.sector, bytes: entries },
        Write { offset: own * geometry.sector, bytes: header },
    ]
}

fn entries(table: &Table) -> Vec<u8> {
    let mut array = vec![0; table.slots as usize * ENTRY];
    for (number, entry) in &table.entries {
        let bytes = &mut array[(*number as usize - 1) * ENTRY..][..ENTRY];
        bytes[..16].copy_from_slice(&entry.kind.to_mixed_endian());
        bytes[16..32].copy_from_slice(&entry.id.to_mixed_endian());
        bytes[32..40].copy_from_slice(&entry.first.to_le_bytes());
        bytes[40..48].copy_from_slice(&entry.last.to_le_bytes());
        bytes[48..56].copy_from_slice(&entry.attributes.to_le_bytes());
        for (pair, unit) in bytes[56..].chunks_exact_mut(2).zip(entry.name.encode_utf16()) {
            pair.copy_from_slice(&unit.to_le_bytes());
        }
    }
    array
}
