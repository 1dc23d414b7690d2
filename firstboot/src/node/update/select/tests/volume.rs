//! A sparse boot partition in memory.

use contract::slots::Slot;
use fat::{FatError, ReadAt, SECTOR, Sector, Volume, WriteAt};
use std::{collections::BTreeMap, fs, io, process::Command};

const CLUSTERS: u32 = 65_600;
const RESERVED: u32 = 32;
/// Sectors of one table, for clusters of one sector.
const PER_TABLE: u32 = (CLUSTERS + 2).div_ceil(128);
const SIZE: u64 = (RESERVED + 2 * PER_TABLE + CLUSTERS) as u64 * SECTOR as u64;

/// Sectors that are not zeros.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Image(BTreeMap<u64, Box<Sector>>);

pub(super) fn volume(image: &Image) -> Volume<&Image> {
    Volume::open(image, SIZE).unwrap()
}

/// A kernel of a few sectors that says what it is, and ends in what it began with.
pub(super) fn kernel(slot: Slot, version: u64) -> Vec<u8> {
    let mark = format!("kernel {slot} {version:08}\n").into_bytes();
    mark.iter().copied().cycle().take(mark.len() * 100).collect()
}

/// The slot and version of a whole kernel.
pub(super) fn kernel_slot(bytes: &[u8]) -> Option<(Slot, u64)> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (slot, version) = text.lines().next()?.strip_prefix("kernel ")?.split_once(' ')?;
    let slot = Slot::ALL.into_iter().find(|known| known.name() == slot)?;
    let version = version.parse().ok()?;
    (kernel(slot, version) == bytes).then_some((slot, version))
}

impl Image {
    /// A FAT32 volume with nothing on it.
    pub(super) fn empty() -> Self {
        let mut boot = [0; SECTOR];
        boot[..11].copy_from_slice(b"\xeb\x58\x90HCIMAGE ");
        boot[11..17].copy_from_slice(&[0, 2, 1, RESERVED as u8, 0, 2]);
        boot[21] = 0xf8;
        boot[32..36].copy_from_slice(&((SIZE / SECTOR as u64) as u32).to_le_bytes());
        boot[36..40].copy_from_slice(&PER_TABLE.to_le_bytes());
        boot[44..52].copy_from_slice(&[2, 0, 0, 0, 1, 0, 6, 0]);
        boot[64..67].copy_from_slice(&[0x80, 0, 0x29]);
        boot[71..90].copy_from_slice(b"HCBOOT     FAT32   ");
        boot[510..].copy_from_slice(&[0x55, 0xaa]);
        let mut table = [0; SECTOR];
        for (at, next) in [0x0fff_fff8_u32, 0x0fff_ffff, 0x0fff_ffff].iter().enumerate() {
            table[at * 4..at * 4 + 4].copy_from_slice(&next.to_le_bytes());
        }
        let mut image = Self(BTreeMap::new());
        image.set(0, boot);
        image.set(6, boot);
        image.set(image.table(0), table);
        image.set(image.table(1), table);
        image
    }

    pub(super) fn sector(&self, sector: u64) -> Sector {
        self.0.get(&sector).map_or([0; SECTOR], |bytes| **bytes)
    }

    pub(super) fn set(&mut self, sector: u64, bytes: Sector) {
        self.0.insert(sector, Box::new(bytes));
    }

    /// The first sector of a table; of the clusters for 2.
    pub(super) fn table(&self, index: u64) -> u64 {
        u64::from(RESERVED) + index * u64::from(PER_TABLE)
    }

    pub(super) fn edit(&mut self, act: impl FnOnce(&mut Volume<&Self>) -> Result<(), FatError>) {
        let plan = {
            let mut volume = volume(self);
            act(&mut volume).unwrap();
            volume.take_plan()
        };
        plan.apply(self).unwrap();
    }

    /// The sectors of a folder, found by the entries of the folders above.
    pub(super) fn folder_sectors(&self, path: &str) -> Vec<u64> {
        let mut cluster = 2;
        for name in path.split('/') {
            let short = format!("{:11}", name.to_uppercase());
            let entries: Vec<[u8; 32]> =
                self.chain(cluster).iter().flat_map(|at| self.sector(*at).as_chunks().0.to_vec()).collect();
            let found = entries.iter().find(|entry| entry[..11] == *short.as_bytes()).unwrap();
            cluster = u32::from(u16::from_le_bytes([found[26], found[27]]));
        }
        self.chain(cluster)
    }

    fn chain(&self, first: u32) -> Vec<u64> {
        let (mut sectors, mut cluster) = (Vec::new(), first);
        while cluster < 0x0fff_fff8 {
            sectors.push(self.table(2) + u64::from(cluster) - 2);
            let table = self.sector(self.table(0) + u64::from(cluster) / 128);
            let at = cluster as usize % 128 * 4;
            cluster = u32::from_le_bytes([table[at], table[at + 1], table[at + 2], table[at + 3]]);
        }
        sectors
    }

    /// Renames as EDK2's driver was seen to: new entries behind all others, then the old ones are deleted.
    pub(super) fn append_rename(&mut self, path: &str, to: &str) {
        let (folder, name) = path.rsplit_once('/').unwrap();
        let mut bytes = Vec::new();
        let sectors = self.folder_sectors(folder);
        for sector in &sectors {
            bytes.extend(self.sector(*sector));
        }
        let mut raw: Vec<[u8; 32]> = bytes.as_chunks().0.to_vec();
        let end = raw.iter().position(|entry| entry[0] == 0).unwrap_or(raw.len());
        let long = |entry: &[u8; 32]| entry[11] == 0x0f && entry[0] & 0x40 != 0;
        let letters = |entry: &[u8; 32]| {
            let places = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];
            places.iter().map(|at| char::from(entry[*at])).take_while(|c| *c != '\0').collect::<String>()
        };
        let old =
            (0..end).find(|at| raw[*at][0] != 0xe5 && long(&raw[*at]) && letters(&raw[*at]) == name).unwrap();
        if end + 2 > raw.len() {
            // No room behind the others: firmware takes what is free.
            self.edit(|volume| volume.rename(path, to));
            return;
        }
        let mut short = raw[old + 1];
        short[..11].copy_from_slice(format!("HC{:06}CON", end).as_bytes());
        let sum = short[..11].iter().fold(0_u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte));
        let mut first = raw[old];
        for (at, letter) in [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30]
            .into_iter()
            .zip(to.bytes().map(u16::from).chain([0]).chain(std::iter::repeat(0xffff)))
        {
            first[at..at + 2].copy_from_slice(&letter.to_le_bytes());
        }
        first[13] = sum;
        (raw[end], raw[end + 1]) = (first, short);
        (raw[old][0], raw[old + 1][0]) = (0xe5, 0xe5);
        for (sector, part) in sectors.iter().zip(raw.concat().as_chunks::<SECTOR>().0) {
            self.set(*sector, *part);
        }
    }

    /// Puts recorded entries, one in hex a line, in the place of the folder of entries; its last one, and the deleted
    /// ones, are made to point to the text at byte `text` of the volume.
    pub(super) fn record_entries(&mut self, recorded: &str, text: u64, size: u32) {
        let sector = self.folder_sectors("loader/entries")[0];
        let own = self.sector(sector);
        let cluster = (text / SECTOR as u64 - self.table(2) + 2) as u16;
        let mut bytes = [0; SECTOR];
        bytes[..64].copy_from_slice(&own[..64]);
        for (slot, line) in bytes.as_chunks_mut::<32>().0.iter_mut().skip(2).zip(recorded.lines()) {
            hex::decode_to_slice(line, slot).unwrap();
            if slot[11] != 0x0f {
                slot[20..22].fill(0);
                slot[26..28].copy_from_slice(&cluster.to_le_bytes());
                slot[28..].copy_from_slice(&size.to_le_bytes());
            }
        }
        self.set(sector, bytes);
    }
}

impl ReadAt for Image {
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        for (sector, part) in (offset / SECTOR as u64..).zip(bytes.as_chunks_mut::<SECTOR>().0) {
            *part = self.sector(sector);
        }
        Ok(())
    }
}

impl WriteAt for Image {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        for (sector, part) in (offset / SECTOR as u64..).zip(bytes.as_chunks::<SECTOR>().0) {
            self.set(sector, *part);
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// `fsck.fat` finds no more than lost clusters, counts and names that were half written; false when it is not
/// installed.
pub(super) fn fsck_has_no_damage(name: &str, image: &Image) -> bool {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("volume");
    let file = fs::File::create(&path).unwrap();
    file.set_len(SIZE).unwrap();
    for (sector, bytes) in &image.0 {
        std::os::unix::fs::FileExt::write_all_at(&file, &bytes[..], sector * SECTOR as u64).unwrap();
    }
    let said = ["/usr/sbin/fsck.fat", "/sbin/fsck.fat"]
        .into_iter()
        .find_map(|tool| Command::new(tool).arg("-n").arg(&path).env("LC_ALL", "C").output().ok());
    let Some(said) = said else {
        assert!(std::env::var_os("HCIMAGE_CI").is_none(), "fsck.fat is not installed");
        println!("skipped: the flip laboratory: fsck.fat is not installed");
        return false;
    };
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    for word in
        ["share clusters", "cluster chain", "Truncating", "loop", "Bad short", "Contains a free cluster"]
    {
        assert!(!said.contains(word), "{name}: {said}");
    }
    true
}
