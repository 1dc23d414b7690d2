//! Placing files on a volume, and writing it.

use super::{
    Body, FatError, FileTree, SECTOR, Volume,
    directory::{self, Entries, Target},
    files::{Directory, Node},
    geometry::Geometry,
    name::{self, ShortName},
    stamp::Stamp,
};
use crate::output::Output;
use std::io::Read;

/// The end of a chain of clusters.
const END: u32 = 0x0fff_ffff;
/// What the first two entries of a table hold: the medium (a fixed disk), and "unmounted without errors".
const TABLE_HEAD: [u32; 2] = [0x0fff_fff8, END];
/// The sectors of the boot sector's and the counts' copies.
const BACKUP: u16 = 6;
/// How much of a stream is in memory at a time, in bytes; a multiple of every cluster size.
const BUFFER: usize = 1 << 20;

/// A volume with a place for everything.
#[derive(Debug)]
pub struct Plan<'a> {
    volume: Volume,
    label: ShortName,
    geometry: Geometry,
    /// The length of every chain in clusters, from cluster 2 on.
    chains: Vec<u32>,
    /// What directories and files hold.
    runs: Vec<Run<'a>>,
}

/// The bytes of one directory or file and their place.
#[derive(Debug)]
struct Run<'a> {
    offset: u64,
    path: String,
    body: Body<'a>,
}

/// A directory whose entries are not made yet.
struct Pending<'a> {
    path: String,
    directory: Directory<'a>,
    first: u32,
    parent: u32,
}

impl<'a> Plan<'a> {
    pub(super) fn new(volume: &Volume, files: FileTree<'a>) -> Result<Self, FatError> {
        let mut plan = Self {
            volume: volume.clone(),
            label: label(&volume.label)?,
            geometry: Geometry::new(volume.size)?,
            chains: Vec::new(),
            runs: Vec::new(),
        };
        let stamp = Stamp::new(volume.epoch)?;
        let needed = plan.needed("", &files.root, true)?;
        let available = u64::from(plan.geometry.clusters) * plan.geometry.cluster();
        if needed > available {
            return Err(FatError::Full { label: volume.label.clone(), needed, available });
        }
        let first = plan.allocate(plan.directory_size(&files.root, true));
        plan.place(Pending { path: String::new(), directory: files.root, first, parent: 0 }, stamp)?;
        plan.runs.sort_by_key(|run| run.offset);
        Ok(plan)
    }

    /// The bytes of clusters that all files and directories take.
    #[must_use]
    pub fn used(&self) -> u64 {
        u64::from(self.used_clusters()) * self.geometry.cluster()
    }

    /// The bytes of clusters that are left.
    #[must_use]
    pub fn free(&self) -> u64 {
        u64::from(self.geometry.clusters - self.used_clusters()) * self.geometry.cluster()
    }

    /// Writes the volume; what it does not write must read as zeros. The output's offset 0 is the volume's first
    /// byte.
    ///
    /// # Errors
    /// A body that cannot be read or has not the announced length, or an output that refuses the bytes.
    pub fn write(self, output: &mut impl Output) -> Result<(), FatError> {
        let write =
            |output: &mut dyn Output, at, bytes: &[u8]| output.write_at(at, bytes).map_err(FatError::Write);
        let head = self.head();
        for start in [0, u64::from(BACKUP) * SECTOR] {
            write(output, start, &head)?;
        }
        let table = self.table();
        for index in [0, 1] {
            write(output, self.geometry.table(index), &table)?;
        }
        for Run { offset, path, body } in self.runs {
            match body {
                Body::Borrowed(bytes) => write(output, offset, bytes)?,
                Body::Owned(bytes) => write(output, offset, &bytes)?,
                Body::Stream { size, from } => copy(&path, size, from, offset, output)?,
            }
        }
        Ok(())
    }

    /// Places what one directory holds, in the order of the names, and then what is below.
    fn place(&mut self, pending: Pending<'a>, stamp: Stamp) -> Result<(), FatError> {
        let Pending { path, directory, first, parent } = pending;
        let aliases = name::aliases(directory.entries.keys());
        let mut entries = Entries::new(stamp);
        if path.is_empty() {
            entries.label(&self.label);
        } else {
            entries.links(first, parent);
        }
        let mut below = Vec::new();
        for (name, node) in &directory.entries {
            let (attributes, space) = match node {
                Node::Directory(inner) => (directory::DIRECTORY, self.directory_size(inner, false)),
                Node::File(body) => (directory::ARCHIVE, body.size()),
            };
            let cluster = self.allocate(space);
            let size = if attributes == directory::DIRECTORY { 0 } else { file_size(&path, space)? };
            entries.named(name, &aliases[name.as_str()], Target { attributes, cluster, size })?;
            below.push(cluster);
        }
        let body = Body::Owned(entries.finish());
        self.runs.push(Run { offset: self.geometry.offset(first), path: path.clone(), body });
        let own = if path.is_empty() { 0 } else { first };
        for ((name, node), cluster) in directory.entries.into_iter().zip(below) {
            let path = if path.is_empty() { name } else { format!("{path}/{name}") };
            match node {
                Node::Directory(directory) => {
                    self.place(Pending { path, directory, first: cluster, parent: own }, stamp)?;
                }
                Node::File(body) if cluster > 0 => {
                    self.runs.push(Run { offset: self.geometry.offset(cluster), path, body });
                }
                Node::File(_) => {}
            }
        }
        Ok(())
    }

    /// The next free clusters for `size` bytes: the first one's number, or 0 when there are no bytes.
    fn allocate(&mut self, size: u64) -> u32 {
        let count = size.div_ceil(self.geometry.cluster());
        if count == 0 {
            return 0;
        }
        let first = self.used_clusters() + 2;
        // `needed` has shown that all of them fit, and they are counted in 32 bits.
        self.chains.push(u32::try_from(count).unwrap_or(u32::MAX));
        first
    }

    fn used_clusters(&self) -> u32 {
        self.chains.iter().sum()
    }

    /// The bytes of entries in a directory; at least one, since a directory always has a cluster.
    fn directory_size(&self, directory: &Directory<'_>, is_root: bool) -> u64 {
        let aliases = name::aliases(directory.entries.keys());
        let own = if is_root { 1 } else { 2 };
        own * directory::ENTRY
            + aliases.iter().map(|(name, short)| directory::space(short, name)).sum::<u64>()
    }

    /// The bytes of clusters that a directory takes with everything below it.
    fn needed(&self, path: &str, directory: &Directory<'_>, is_root: bool) -> Result<u64, FatError> {
        let size = self.directory_size(directory, is_root);
        if size > directory::MAX_DIRECTORY {
            let limit = directory::MAX_DIRECTORY;
            return Err(FatError::DirectoryTooLarge { path: path.to_owned(), size, limit });
        }
        let cluster = self.geometry.cluster();
        directory.entries.iter().try_fold(size.next_multiple_of(cluster), |sum, (name, node)| {
            Ok(sum
                + match node {
                    Node::Directory(inner) => self.needed(&format!("{path}/{name}"), inner, false)?,
                    Node::File(body) => body.size().next_multiple_of(cluster),
                })
        })
    }

    /// The first three sectors: the boot sector, the counts, and a sector that only has a signature.
    fn head(&self) -> Vec<u8> {
        let mut head = vec![0; 3 * 512];
        let (boot, counts) = (self.boot_sector(), self.counts());
        head[..boot.len()].copy_from_slice(&boot);
        head[512..1024].copy_from_slice(&counts);
        for sector in 0..3 {
            head[sector * 512 + 510..][..2].copy_from_slice(&[0x55, 0xaa]);
        }
        head
    }

    fn boot_sector(&self) -> Vec<u8> {
        let Geometry { sectors, per_cluster, reserved, per_table, .. } = self.geometry;
        let mut sector = vec![0xeb, 0x58, 0x90];
        sector.extend(b"MSWIN4.1");
        sector.extend(512_u16.to_le_bytes());
        sector.push(per_cluster);
        sector.extend(reserved.to_le_bytes());
        sector.extend([2, 0, 0, 0, 0, 0xf8, 0, 0]);
        // Cylinders are history, but some readers want a geometry: 63 sectors a track, 255 heads.
        sector.extend([63, 0, 255, 0]);
        sector.extend(self.volume.hidden_sectors.to_le_bytes());
        sector.extend(sectors.to_le_bytes());
        sector.extend(per_table.to_le_bytes());
        // Tables mirrored, version 0.0, root directory in cluster 2, counts in sector 1.
        sector.extend([0, 0, 0, 0, 2, 0, 0, 0, 1, 0]);
        sector.extend(BACKUP.to_le_bytes());
        sector.extend([0; 12]);
        sector.extend([0x80, 0, 0x29]);
        sector.extend(self.volume.id.to_le_bytes());
        sector.extend(self.label);
        sector.extend(b"FAT32   ");
        // What a BIOS would run: stop interrupts and halt, for ever.
        sector.extend([0xfa, 0xf4, 0xeb, 0xfd]);
        sector
    }

    fn counts(&self) -> [u8; 512] {
        let used = self.used_clusters();
        let free = self.geometry.clusters - used;
        let next = if free == 0 { u32::MAX } else { used + 2 };
        let mut sector = [0; 512];
        sector[..4].copy_from_slice(b"RRaA");
        sector[484..488].copy_from_slice(b"rrAa");
        sector[488..492].copy_from_slice(&free.to_le_bytes());
        sector[492..496].copy_from_slice(&next.to_le_bytes());
        sector
    }

    /// The entries of all used clusters; the rest of the table is zeros.
    fn table(&self) -> Vec<u8> {
        let mut table: Vec<u8> = TABLE_HEAD.iter().flat_map(|entry| entry.to_le_bytes()).collect();
        let mut cluster = 2;
        for length in &self.chains {
            let last = cluster + length - 1;
            for next in cluster..last {
                table.extend((next + 1).to_le_bytes());
            }
            table.extend(END.to_le_bytes());
            cluster = last + 1;
        }
        table
    }
}

/// A file's size as its entry holds it; `FileTree` has refused larger ones.
fn file_size(path: &str, size: u64) -> Result<u32, FatError> {
    let limit = super::files::MAX_FILE;
    u32::try_from(size).map_err(|_| FatError::FileTooLarge { path: path.to_owned(), size, limit })
}

fn label(text: &str) -> Result<ShortName, FatError> {
    let plain = text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b"-_ ".contains(&b));
    if text.is_empty() || text.len() > 11 || !plain || text.trim() != text {
        return Err(FatError::Label { label: text.to_owned() });
    }
    let mut label = [b' '; 11];
    label[..text.len()].copy_from_slice(text.as_bytes());
    Ok(label)
}

/// Copies exactly `size` bytes of a stream, and makes sure that there are no more.
fn copy(
    path: &str,
    size: u64,
    mut from: impl Read,
    offset: u64,
    output: &mut impl Output,
) -> Result<(), FatError> {
    let mut buffer = vec![0; BUFFER];
    let mut given = 0;
    loop {
        let count = fill(&mut from, &mut buffer)
            .map_err(|source| FatError::Read { path: path.to_owned(), source })?;
        let excess = given + count as u64 > size;
        if excess || count == 0 && given < size {
            let given = if excess { size + 1 } else { given };
            return Err(FatError::Length { path: path.to_owned(), announced: size, given });
        }
        if count == 0 {
            return Ok(());
        }
        output.write_at(offset + given, &buffer[..count]).map_err(FatError::Write)?;
        given += count as u64;
    }
}

/// Reads until `buffer` is full or the stream ends.
fn fill(from: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
