//! A volume as it is, under the edits that were made to it and not carried out yet.

use crate::{
    Entry, FatError, Plan, SECTOR, Sector,
    boot::{Boot, u32_at},
    entry,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

/// Bytes of the table that are read at once.
const CHUNK: usize = 64 << 10;

/// Where a volume's bytes come from.
pub trait ReadAt {
    /// Fills `bytes` from `offset`, both multiples of 512.
    ///
    /// # Errors
    /// When it cannot be read, or ends before.
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()>;
}

impl<T: ReadAt + ?Sized> ReadAt for &T {
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        (**self).read_at(offset, bytes)
    }
}

impl ReadAt for [u8] {
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let found = start.checked_add(bytes.len()).and_then(|end| self.get(start..end));
        bytes.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

impl ReadAt for Vec<u8> {
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.as_slice().read_at(offset, bytes)
    }
}

/// A run of bytes on a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Where it starts, in bytes.
    pub offset: u64,
    /// Its length in bytes; the last one of a file ends where the file does.
    pub length: u64,
}

/// A FAT32 volume and the edits to it. Nothing is written: [`Volume::take_plan`] gives the writes. After an edit that
/// failed, its plan is not to be carried out: open the volume again.
#[derive(Debug)]
pub struct Volume<S> {
    source: S,
    pub(crate) boot: Boot,
    /// The first table: for every cluster the next one of its chain.
    pub(crate) table: Vec<u32>,
    /// Sectors that the plan changes.
    overlay: BTreeMap<u64, Box<Sector>>,
    pub(crate) plan: Plan,
    /// Clusters that an edit has taken and nothing reaches yet.
    pub(crate) held: BTreeSet<u32>,
}

/// Where a directory lies.
pub(crate) struct Directory {
    pub(crate) path: String,
    pub(crate) clusters: Vec<u32>,
    pub(crate) raw: Vec<entry::Raw>,
}

impl<S: ReadAt> Volume<S> {
    /// Reads the volume in a place of `size` bytes, by the first of its tables, as firmware does.
    ///
    /// # Errors
    /// When it cannot be read, or is no FAT32 with sectors of 512 bytes and at most 16 Mi clusters.
    pub fn open(source: S, size: u64) -> Result<Self, FatError> {
        let mut sector = [0; SECTOR];
        read(&source, 0, &mut sector)?;
        let boot = Boot::parse(&sector, size)?;
        let table = read_table(&source, &boot, 0)?;
        Ok(Self {
            source,
            boot,
            table,
            overlay: BTreeMap::new(),
            plan: Plan::default(),
            held: BTreeSet::new(),
        })
    }

    /// The writes of all edits since the last call. Reading goes on as if they were carried out.
    pub fn take_plan(&mut self) -> Plan {
        std::mem::take(&mut self.plan)
    }

    /// What a directory holds, in its own order. The root is the empty path.
    ///
    /// # Errors
    /// When it is not there, is a file, or contradicts itself.
    pub fn list(&self, path: &str) -> Result<Vec<Entry>, FatError> {
        Ok(entry::list(&self.directory(path)?.raw).entries)
    }

    /// The file or directory at `path`, whose parts are separated by `/`.
    ///
    /// # Errors
    /// [`FatError::Missing`] when it is not there.
    pub fn find(&self, path: &str) -> Result<Entry, FatError> {
        let (parent, name) = split(path)?;
        let found = self.list(parent).map_err(|error| match error {
            FatError::Missing(_) => FatError::Missing(path.to_owned()),
            other => other,
        })?;
        found.into_iter().find(|entry| entry.is_named(name)).ok_or_else(|| FatError::Missing(path.to_owned()))
    }

    /// Where a file's bytes lie, in their order.
    ///
    /// # Errors
    /// When it is not there, is a directory, or its chain does not hold its size.
    pub fn extents(&self, path: &str) -> Result<Vec<Extent>, FatError> {
        let file = self.file(path)?;
        let (unit, mut left) = (self.boot.cluster_bytes(), u64::from(file.size));
        let mut extents: Vec<Extent> = Vec::new();
        for cluster in self.file_chain(path, &file)? {
            let (offset, length) = (self.boot.sector(cluster) * SECTOR as u64, left.min(unit));
            left -= length;
            match extents.last_mut() {
                Some(last) if last.offset + last.length == offset => last.length += length,
                _ => extents.push(Extent { offset, length }),
            }
        }
        Ok(extents)
    }

    /// A file's bytes.
    ///
    /// # Errors
    /// As [`Volume::extents`], and when it has more than `limit` bytes.
    pub fn read_file(&self, path: &str, limit: u64) -> Result<Vec<u8>, FatError> {
        let size = u64::from(self.file(path)?.size);
        if size > limit {
            return Err(FatError::TooLarge { path: path.to_owned(), size, limit });
        }
        let mut bytes = Vec::new();
        for extent in self.extents(path)? {
            let first = extent.offset / SECTOR as u64;
            for sector in first..first + extent.length.div_ceil(SECTOR as u64) {
                bytes.extend_from_slice(&self.sector(sector)?[..]);
            }
            bytes.truncate(usize::try_from(size).unwrap_or(usize::MAX));
        }
        Ok(bytes)
    }

    /// Bytes in a cluster, and the number of free clusters that the first table tells of.
    #[must_use]
    pub fn room(&self) -> (u64, u64) {
        let free = self.table.iter().skip(2).filter(|next| **next == 0).count();
        (self.boot.cluster_bytes(), free as u64)
    }

    /// Whether the second table differs from the first.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn tables_differ(&self) -> Result<bool, FatError> {
        Ok(self.boot.tables > 1 && read_table(&self.source, &self.boot, 1)? != self.table)
    }

    /// The same volume by its other table; nothing when it has one alone.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn other_table(&self) -> Result<Option<Vec<u32>>, FatError> {
        (self.boot.tables > 1).then(|| read_table(&self.source, &self.boot, 1)).transpose()
    }

    pub(crate) fn file(&self, path: &str) -> Result<Entry, FatError> {
        let found = self.find(path)?;
        if found.directory {
            return Err(FatError::Kind { path: path.to_owned(), expected: "file" });
        }
        Ok(found)
    }

    pub(crate) fn directory(&self, path: &str) -> Result<Directory, FatError> {
        let mut cluster = self.boot.root;
        let mut seen = String::new();
        for name in path.split('/').filter(|name| !name.is_empty()) {
            let entries = entry::list(&self.directory_at(&seen, cluster)?.raw).entries;
            seen = if seen.is_empty() { name.to_owned() } else { format!("{seen}/{name}") };
            let found = entries.into_iter().find(|entry| entry.is_named(name));
            let found = found.ok_or_else(|| FatError::Missing(seen.clone()))?;
            if !found.directory {
                return Err(FatError::Kind { path: seen, expected: "directory" });
            }
            cluster = found.cluster;
        }
        self.directory_at(&seen, cluster)
    }

    pub(crate) fn directory_at(&self, path: &str, cluster: u32) -> Result<Directory, FatError> {
        let clusters = self.directory_chain(path, cluster)?;
        let mut raw = Vec::new();
        for cluster in &clusters {
            let first = self.boot.sector(*cluster);
            for sector in first..first + u64::from(self.boot.per_cluster) {
                raw.extend_from_slice(self.sector(sector)?.as_chunks::<{ entry::ENTRY }>().0);
            }
        }
        Ok(Directory { path: path.to_owned(), clusters, raw })
    }

    /// The sector that holds entry `index` of a directory.
    pub(crate) fn entry_sector(&self, directory: &Directory, index: usize) -> u64 {
        let sector = (index / entry::PER_SECTOR) as u64;
        let per = u64::from(self.boot.per_cluster);
        let cluster = usize::try_from(sector / per).ok().and_then(|at| directory.clusters.get(at));
        self.boot.sector(cluster.copied().unwrap_or(self.boot.root)) + sector % per
    }

    pub(crate) fn sector(&self, sector: u64) -> Result<Box<Sector>, FatError> {
        if let Some(changed) = self.overlay.get(&sector) {
            return Ok(changed.clone());
        }
        let mut bytes = Box::new([0; SECTOR]);
        read(&self.source, sector * SECTOR as u64, &mut bytes[..])?;
        Ok(bytes)
    }

    /// Adds a write to the plan, unless the sector has these bytes already.
    pub(crate) fn write(&mut self, sector: u64, bytes: Box<Sector>) -> Result<(), FatError> {
        if self.sector(sector)? != bytes {
            self.write_anyway(sector, bytes);
        }
        Ok(())
    }

    pub(crate) fn write_anyway(&mut self, sector: u64, bytes: Box<Sector>) {
        self.overlay.insert(sector, bytes.clone());
        self.plan.steps.push(crate::Step::Write { sector, bytes });
    }

    /// Everything so far is on the medium before anything that follows.
    pub(crate) fn barrier(&mut self) {
        if matches!(self.plan.steps.last(), Some(crate::Step::Write { .. })) {
            self.plan.steps.push(crate::Step::Flush);
        }
    }
}

/// The directory and the name of a path.
pub(crate) fn split(path: &str) -> Result<(&str, &str), FatError> {
    let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
    if name.is_empty() {
        return Err(FatError::Name { name: path.to_owned(), problem: "is empty" });
    }
    Ok((parent, name))
}

fn read(source: &impl ReadAt, offset: u64, bytes: &mut [u8]) -> Result<(), FatError> {
    let length = bytes.len();
    source.read_at(offset, bytes).map_err(|source| FatError::Read { offset, length, source })
}

fn read_table(source: &impl ReadAt, boot: &Boot, index: u32) -> Result<Vec<u32>, FatError> {
    let count = boot.clusters as usize + 2;
    let mut offset = boot.table(index) * SECTOR as u64;
    let mut table = Vec::new();
    let mut buffer = vec![0; CHUNK];
    while table.len() < count {
        let left = (count - table.len()) * 4;
        let bytes = &mut buffer[..left.next_multiple_of(SECTOR).min(CHUNK)];
        read(source, offset, bytes)?;
        table.extend(bytes.as_chunks::<4>().0.iter().map(|bytes| u32_at(bytes, 0) & 0x0fff_ffff));
        offset += bytes.len() as u64;
    }
    table.truncate(count);
    Ok(table)
}
