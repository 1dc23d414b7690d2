//! Partitions, from either copy of a GUID partition table (UEFI 2.10, section 5.3).

use crate::Medium;
use std::{io, ops::Range};

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Its label.
    pub name: String,
    /// Its own GUID, as it is written in text: sixteen bytes from left to right.
    pub guid: [u8; 16],
    /// The GUID of its type, likewise.
    pub kind: [u8; 16],
    /// Its bytes.
    pub extent: Range<u64>,
}

const SECTOR: u64 = 512;

/// The partitions of the primary table, or of the backup at the end when that one is damaged.
///
/// # Errors
/// When neither is whole, with what is wrong with each.
pub fn partitions(medium: &dyn Medium) -> Result<Vec<Partition>, String> {
    let last = medium.size() / SECTOR - 1;
    table(medium, 1).or_else(|first| {
        table(medium, last).map_err(|second| format!("primary table: {first}; backup: {second}"))
    })
}

fn table(medium: &dyn Medium, at: u64) -> Result<Vec<Partition>, String> {
    let io = |error: io::Error| error.to_string();
    let mut header = medium.bytes(at * SECTOR..(at + 1) * SECTOR).map_err(io)?;
    if &header[..8] != b"EFI PART" {
        return Err("no signature".into());
    }
    let size = u32_at(&header, 12) as usize;
    let sum = u32_at(&header, 16);
    header[16..20].fill(0);
    if !(92..=512).contains(&size) || crc32(&header[..size]) != sum {
        return Err("the header's checksum is wrong".into());
    }
    if u64_at(&header, 24) != at {
        return Err(format!("it says that it lies in sector {}", u64_at(&header, 24)));
    }
    let (first, count, width) = (u64_at(&header, 72), u32_at(&header, 80), u32_at(&header, 84));
    if count > 1024 || !(128..=512).contains(&width) {
        return Err(format!("{count} entries of {width} bytes"));
    }
    let length = u64::from(count) * u64::from(width);
    let entries = medium.bytes(first * SECTOR..first * SECTOR + length).map_err(io)?;
    if crc32(&entries) != u32_at(&header, 88) {
        return Err("the entries' checksum is wrong".into());
    }
    Ok(entries.chunks_exact(width as usize).filter(|entry| entry[..16] != [0; 16]).map(partition).collect())
}

fn partition(entry: &[u8]) -> Partition {
    let letters: Vec<u16> =
        entry[56..128].chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    let letters = letters.split(|letter| *letter == 0).next().unwrap_or_default();
    Partition {
        name: String::from_utf16_lossy(letters),
        guid: guid(&entry[16..32]),
        kind: guid(&entry[..16]),
        extent: u64_at(entry, 32) * SECTOR..(u64_at(entry, 40) + 1) * SECTOR,
    }
}

/// From mixed endian, as it is stored, to the order of its text.
fn guid(bytes: &[u8]) -> [u8; 16] {
    const ORDER: [usize; 16] = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
    ORDER.map(|at| bytes[at])
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg()))
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_checksum_is_the_usual_one() {
        assert_eq!(super::crc32(b"123456789"), 0xcbf4_3926);
    }
}
