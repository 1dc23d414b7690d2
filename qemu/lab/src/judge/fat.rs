//! A reader of FAT32, as firmware reads: long names, either case, and no belief in what it finds.

use super::gpt::u32_at;
use crate::Medium;
use std::{io, ops::Range};

/// A FAT32 file system in a stretch of a medium.
pub struct Fat<'m> {
    medium: &'m dyn Medium,
    start: u64,
    cluster: u64,
    data: u64,
    root: u32,
    table: Vec<u8>,
    clusters: u32,
}

/// A file or a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its long name, or the short one where there is none.
    pub name: String,
    /// Its size in bytes; 0 for a folder.
    pub size: u64,
    /// Whether it is a folder.
    pub folder: bool,
    /// The DOS attributes.
    pub attributes: u8,
    first: u32,
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

impl<'m> Fat<'m> {
    /// Opens the file system in `extent`.
    ///
    /// # Errors
    /// When there is none.
    pub fn open(medium: &'m dyn Medium, extent: &Range<u64>) -> Result<Self, String> {
        let io = |error: io::Error| error.to_string();
        let boot = medium.bytes(extent.start..extent.start + 512).map_err(io)?;
        let (sector, per_cluster) = (u64::from(u16_at(&boot, 11)), u64::from(boot[13]));
        let (reserved, copies) = (u64::from(u16_at(&boot, 14)), u64::from(boot[16]));
        let (table, total) = (u64::from(u32_at(&boot, 36)), u64::from(u32_at(&boot, 32)));
        let sane = boot[510..] == [0x55, 0xaa]
            && sector == 512
            && per_cluster.is_power_of_two()
            && u16_at(&boot, 22) == 0;
        if !sane || total * sector > extent.end - extent.start {
            return Err("the boot sector is not FAT32's".into());
        }
        let data = reserved + copies * table;
        let clusters = u32::try_from((total.saturating_sub(data)) / per_cluster).unwrap_or(0);
        if u64::from(clusters + 2) * 4 > table * sector || table > 1 << 17 {
            return Err("the table is too small for its clusters".into());
        }
        let first = extent.start + reserved * sector;
        let length = u64::from(clusters + 2) * 4;
        let table = medium.bytes(first..first + length).map_err(io)?;
        let (cluster, data) = (per_cluster * sector, extent.start + data * sector);
        Ok(Self { medium, start: extent.start, cluster, data, root: u32_at(&boot, 44), table, clusters })
    }

    /// Where the file system begins.
    #[must_use]
    pub const fn start(&self) -> u64 {
        self.start
    }

    /// What is in the folder `path`, such as `loader/entries`; empty is the root.
    ///
    /// # Errors
    /// When it is not there, or damaged.
    pub fn list(&self, path: &str) -> Result<Vec<Node>, String> {
        let mut first = self.root;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            let node = self.child(first, name)?.ok_or_else(|| format!("there is no {path}"))?;
            if !node.folder {
                return Err(format!("{path}: {name} is no folder"));
            }
            first = if node.first == 0 { self.root } else { node.first };
        }
        self.folder(first)
    }

    /// The file or folder `path`; `None` when it, or a folder on the way, is not there.
    ///
    /// # Errors
    /// When a folder on the way is damaged.
    pub fn find(&self, path: &str) -> Result<Option<Node>, String> {
        let mut first = self.root;
        let mut found = None;
        for name in path.split(['/', '\\']).filter(|name| !name.is_empty()) {
            if first == 0 {
                return Ok(None);
            }
            found = self.child(first, name)?;
            match &found {
                Some(node) => first = if node.folder { node.first } else { 0 },
                None => return Ok(None),
            }
        }
        Ok(found)
    }

    /// Where the bytes of a file are on the medium, in order.
    ///
    /// # Errors
    /// When its chain is damaged or too short.
    pub fn extents(&self, node: &Node) -> Result<Vec<Range<u64>>, String> {
        let mut left = node.size;
        let mut extents: Vec<Range<u64>> = Vec::new();
        if left == 0 {
            return Ok(extents);
        }
        for cluster in self.chain(node.first).map_err(|why| format!("{}: {why}", node.name))? {
            let start = self.place(cluster);
            let end = start + left.min(self.cluster);
            left -= end - start;
            match extents.last_mut() {
                Some(last) if last.end == start => last.end = end,
                _ => extents.push(start..end),
            }
            if left == 0 {
                return Ok(extents);
            }
        }
        Err(format!("{}: the chain ends {left} bytes early", node.name))
    }

    /// The bytes of a file.
    ///
    /// # Errors
    /// When its chain is damaged.
    pub fn read(&self, node: &Node) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        for extent in self.extents(node)? {
            bytes.extend(self.medium.bytes(extent).map_err(|error| error.to_string())?);
        }
        Ok(bytes)
    }

    fn child(&self, folder: u32, name: &str) -> Result<Option<Node>, String> {
        Ok(self.folder(folder)?.into_iter().find(|node| node.name.eq_ignore_ascii_case(name)))
    }

    fn place(&self, cluster: u32) -> u64 {
        self.data + u64::from(cluster - 2) * self.cluster
    }

    /// All clusters of a chain.
    fn chain(&self, first: u32) -> Result<Vec<u32>, String> {
        let mut chain = Vec::new();
        let mut next = first;
        while next < 0x0fff_fff8 {
            if next < 2 || next >= self.clusters + 2 {
                return Err(format!("its chain leads to cluster {next}"));
            }
            if chain.len() > self.clusters as usize {
                return Err("its chain is a circle".into());
            }
            chain.push(next);
            next = u32_at(&self.table, next as usize * 4) & 0x0fff_ffff;
        }
        Ok(chain)
    }

    fn folder(&self, first: u32) -> Result<Vec<Node>, String> {
        let mut nodes = Vec::new();
        let mut long = Long::default();
        for cluster in self.chain(first).map_err(|why| format!("a folder: {why}"))? {
            let start = self.place(cluster);
            let bytes = self.medium.bytes(start..start + self.cluster).map_err(|error| error.to_string())?;
            for record in bytes.chunks_exact(32) {
                match (record[0], record[11]) {
                    (0, _) => return Ok(nodes),
                    (0xe5, _) => long = Long::default(),
                    (_, 0x0f) => long.push(record),
                    (_, attributes) if attributes & 0x08 != 0 => long = Long::default(),
                    _ => nodes.push(node(record, std::mem::take(&mut long))),
                }
            }
        }
        Ok(nodes)
    }
}

fn node(record: &[u8], long: Long) -> Node {
    let folder = record[11] & 0x10 != 0;
    let first = u32::from(u16_at(record, 20)) << 16 | u32::from(u16_at(record, 26));
    let size = if folder { 0 } else { u64::from(u32_at(record, 28)) };
    Node {
        name: long.name(record).unwrap_or_else(|| short(record)),
        size,
        folder,
        attributes: record[11],
        first,
    }
}

/// A name of eight and three letters, with the two bits that Windows NT keeps for lower case.
fn short(record: &[u8]) -> String {
    let part = |bytes: &[u8], lower: bool| {
        let text = String::from_utf8_lossy(bytes).trim_end().to_owned();
        if lower { text.to_ascii_lowercase() } else { text }
    };
    let (stem, end) = (part(&record[..8], record[12] & 8 != 0), part(&record[8..11], record[12] & 16 != 0));
    if end.is_empty() { stem } else { format!("{stem}.{end}") }
}

/// A long name in the making: its pieces come last first, before the short one.
#[derive(Default)]
struct Long {
    letters: Vec<u16>,
    next: u8,
    sum: u8,
}

impl Long {
    fn push(&mut self, record: &[u8]) {
        let number = record[0] & 0x3f;
        if record[0] & 0x40 != 0 {
            *self = Self { letters: Vec::new(), next: number, sum: record[13] };
        }
        if number == 0 || number != self.next || record[13] != self.sum {
            *self = Self::default();
            return;
        }
        self.next -= 1;
        let places = (1..11).step_by(2).chain((14..26).step_by(2)).chain((28..32).step_by(2));
        let piece: Vec<u16> = places.map(|at| u16_at(record, at)).collect();
        self.letters.splice(0..0, piece);
    }

    /// The name, if it is whole and belongs to this short one.
    fn name(self, record: &[u8]) -> Option<String> {
        let sum = record[..11].iter().fold(0_u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte));
        if self.letters.is_empty() || self.next != 0 || sum != self.sum {
            return None;
        }
        let letters = self.letters.split(|letter| *letter == 0).next()?;
        Some(String::from_utf16_lossy(letters))
    }
}
