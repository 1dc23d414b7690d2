//! Directory entries: 32 bytes each, long ones in front of their short one.

use crate::{
    Stamp,
    name::{self, ShortName},
};

/// Bytes in an entry.
pub(crate) const ENTRY: usize = 32;
/// Entries in a sector.
pub(crate) const PER_SECTOR: usize = crate::SECTOR / ENTRY;
/// UTF-16 units in one long entry.
const UNITS: usize = 13;
/// Where they are in it.
const PLACES: [usize; UNITS] = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];

pub(crate) const DELETED: u8 = 0xe5;
pub(crate) const READ_ONLY: u8 = 0x01;
const VOLUME_LABEL: u8 = 0x08;
pub(crate) const DIRECTORY: u8 = 0x10;
pub(crate) const ARCHIVE: u8 = 0x20;
const LONG_NAME: u8 = 0x0f;
/// Set in the number of the long entry that comes first on disk and holds the end of the name.
const LAST_LONG: u8 = 0x40;

/// One entry's bytes.
pub(crate) type Raw = [u8; ENTRY];

/// A file or directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name: the long one if it has one.
    pub name: String,
    /// Whether it is a directory.
    pub directory: bool,
    /// Whether it has the attribute that keeps systems, and firmware, from changing it.
    pub read_only: bool,
    /// Its size in bytes; 0 for a directory.
    pub size: u32,
    /// Its first cluster; 0 for an empty file.
    pub(crate) cluster: u32,
    pub(crate) short: ShortName,
    /// Where its first long entry is, counted in the directory's entries.
    pub(crate) first: usize,
    /// Where its short entry is.
    pub(crate) index: usize,
}

impl Entry {
    /// Whether FAT finds it under `name`.
    #[must_use]
    pub fn is_named(&self, name: &str) -> bool {
        name::same(&self.name, name) || name::same(&name::shown(&self.short, 0), name)
    }
}

/// What a directory's entries are, as they lie there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listing {
    /// Files and directories, without `.` and `..`.
    pub(crate) entries: Vec<Entry>,
    /// All short names, labels and links too.
    pub(crate) taken: Vec<ShortName>,
    /// Long entries that belong to no short one.
    pub(crate) orphans: Vec<usize>,
    /// Whether one of them cannot be one: not even a label or a part of a name.
    pub(crate) odd: bool,
    /// The first entry that says that nothing follows, or their number.
    pub(crate) end: usize,
}

/// The long entries seen so far, of a name that is not whole yet.
struct Long {
    first: usize,
    expected: u8,
    checksum: u8,
    units: Vec<[u16; UNITS]>,
}

/// Takes the entries of a directory apart.
pub(crate) fn list(raw: &[Raw]) -> Listing {
    let mut listing = Listing { end: raw.len(), ..Listing::default() };
    let mut long: Option<Long> = None;
    for (index, entry) in raw.iter().enumerate() {
        let orphaned = |long: Option<Long>| long.map_or(index..index, |long| long.first..index);
        if entry[0] == 0 || entry[0] == DELETED {
            listing.orphans.extend(orphaned(long.take()));
            if entry[0] == 0 {
                listing.end = index;
                break;
            }
        } else if entry[11] & 0x3f == LONG_NAME {
            long = continued(long, entry, index, &mut listing.orphans);
        } else {
            let mut short: ShortName = [0; 11];
            short.copy_from_slice(&entry[..11]);
            listing.taken.push(short);
            listing.odd |= is_odd(entry);
            let whole = long
                .as_ref()
                .is_some_and(|long| long.expected == 0 && long.checksum == name::checksum(&short));
            if !whole {
                listing.orphans.extend(orphaned(long.take()));
            }
            let name = long.take();
            if entry[11] & VOLUME_LABEL == 0 && !matches!(&short, b".          " | b"..         ") {
                let first = name.as_ref().map_or(index, |long| long.first);
                let text = name.and_then(|long| text(&long.units));
                listing.entries.push(short_entry(entry, short, text, first, index));
            }
        }
    }
    listing.orphans.extend(long.map_or(0..0, |long| long.first..listing.end));
    listing
}

/// Whether a short entry has bits that nobody sets, a name of control characters, or is a directory with a size.
fn is_odd(entry: &Raw) -> bool {
    let kind = entry[11] & (VOLUME_LABEL | DIRECTORY);
    let sized = entry[28..] != [0; 4];
    entry[11] & 0xc0 != 0
        || entry[0] < 0x20 && entry[0] != 0x05
        || entry[1..11].iter().any(|byte| *byte < 0x20)
        || kind == VOLUME_LABEL | DIRECTORY
        || kind != 0 && sized
}

fn continued(long: Option<Long>, entry: &Raw, index: usize, orphans: &mut Vec<usize>) -> Option<Long> {
    let (number, checksum) = (entry[0], entry[13]);
    let units = PLACES.map(|at| u16::from_le_bytes([entry[at], entry[at + 1]]));
    let mut dropped = |long: Option<Long>| orphans.extend(long.map_or(0..0, |long| long.first..index));
    if number & LAST_LONG != 0 {
        dropped(long);
        let count = number & !LAST_LONG;
        if (1..=20).contains(&count) {
            return Some(Long { first: index, expected: count - 1, checksum, units: vec![units] });
        }
    } else {
        match long {
            Some(mut long) if long.expected == number && number > 0 && long.checksum == checksum => {
                long.expected -= 1;
                long.units.push(units);
                return Some(long);
            }
            other => dropped(other),
        }
    }
    orphans.push(index);
    None
}

/// The name in long entries, which come with its end first.
fn text(parts: &[[u16; UNITS]]) -> Option<String> {
    let units: Vec<u16> = parts.iter().rev().flatten().copied().take_while(|unit| *unit != 0).collect();
    let text = String::from_utf16(&units).ok()?;
    (!text.is_empty() && !text.contains(['/', '\\'])).then_some(text)
}

fn short_entry(entry: &Raw, short: ShortName, text: Option<String>, first: usize, index: usize) -> Entry {
    let half = |at: usize| u32::from(u16::from_le_bytes([entry[at], entry[at + 1]]));
    let directory = entry[11] & DIRECTORY != 0;
    Entry {
        name: text.unwrap_or_else(|| name::shown(&short, entry[12])),
        directory,
        read_only: entry[11] & READ_ONLY != 0,
        size: if directory { 0 } else { half(28) | half(30) << 16 },
        cluster: (half(20) << 16 | half(26)) & 0x0fff_ffff,
        short,
        first,
        index,
    }
}

/// The short entry of something new.
pub(crate) fn short(short: &ShortName, attributes: u8, cluster: u32, size: u32, stamp: Stamp) -> Raw {
    let mut raw = [0; ENTRY];
    raw[..11].copy_from_slice(short);
    raw[11] = attributes;
    for (at, field) in
        [(14, stamp.time), (16, stamp.date), (18, stamp.date), (22, stamp.time), (24, stamp.date)]
    {
        raw[at..at + 2].copy_from_slice(&field.to_le_bytes());
    }
    point(&mut raw, cluster, size);
    raw
}

/// Lets a short entry point at other clusters.
pub(crate) fn point(raw: &mut Raw, cluster: u32, size: u32) {
    let cluster = cluster.to_le_bytes();
    raw[20..22].copy_from_slice(&cluster[2..]);
    raw[26..28].copy_from_slice(&cluster[..2]);
    raw[28..32].copy_from_slice(&size.to_le_bytes());
}

/// The long entries that give `name` to `short`; none when it shows as that by itself.
pub(crate) fn long(name: &str, short: &ShortName) -> Vec<Raw> {
    if name::shows_as(short, name) {
        return Vec::new();
    }
    let mut units: Vec<u16> = name.encode_utf16().collect();
    let count = units.len().div_ceil(UNITS);
    if !units.len().is_multiple_of(UNITS) {
        units.push(0);
        units.resize(count * UNITS, 0xffff);
    }
    let checksum = name::checksum(short);
    let entry = |(index, part): (usize, &[u16])| {
        let mut raw = [0; ENTRY];
        // `name::check` allows 255 units, so 20 entries.
        raw[0] = (index as u8 + 1) | if index + 1 == count { LAST_LONG } else { 0 };
        (raw[11], raw[13]) = (LONG_NAME, checksum);
        for (at, unit) in PLACES.into_iter().zip(part) {
            raw[at..at + 2].copy_from_slice(&unit.to_le_bytes());
        }
        raw
    };
    units.chunks(UNITS).enumerate().map(entry).rev().collect()
}
