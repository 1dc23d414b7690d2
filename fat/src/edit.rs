//! Edits. Each leaves the volume whole at every point of its plan, but for clusters that nothing reaches and counts.

use crate::{
    Entry, FatError, ReadAt, SECTOR, Stamp, Volume,
    chain::BAD,
    entry::{self, ARCHIVE, DELETED, DIRECTORY, PER_SECTOR},
    name,
    volume::{Directory, split},
};
use std::collections::BTreeMap;

impl<S: ReadAt> Volume<S> {
    /// A new file.
    ///
    /// # Errors
    /// When the name is taken or no name, its directory is missing, or there is no room.
    pub fn put(&mut self, path: &str, bytes: &[u8], stamp: Stamp) -> Result<(), FatError> {
        self.vacant(path)?;
        let clusters = self.free_clusters(path, bytes.len() as u64)?;
        self.write_data(&clusters, bytes)?;
        self.create(path, &clusters, bytes.len() as u64, stamp)
    }

    /// A new file of `size` bytes with whatever lies in its place, to be written through its [extents](Volume::extents).
    ///
    /// # Errors
    /// As [`Volume::put`].
    pub fn reserve(&mut self, path: &str, size: u32, stamp: Stamp) -> Result<(), FatError> {
        self.vacant(path)?;
        let clusters = self.free_clusters(path, u64::from(size))?;
        self.create(path, &clusters, u64::from(size), stamp)
    }

    /// A new directory.
    ///
    /// # Errors
    /// As [`Volume::put`].
    pub fn make_directory(&mut self, path: &str, stamp: Stamp) -> Result<(), FatError> {
        let mut parent = self.vacant(path)?;
        let clusters = self.free_clusters(path, 1)?;
        let own = clusters.first().copied().unwrap_or(0);
        // Seen from below, the root has no number.
        let above = parent.clusters.first().copied().filter(|above| *above != self.boot.root).unwrap_or(0);
        let first = self.boot.sector(own);
        let mut head = Box::new([0; SECTOR]);
        for (slot, (name, cluster)) in
            head.as_chunks_mut().0.iter_mut().zip([(b".          ", own), (b"..         ", above)])
        {
            *slot = entry::short(name, DIRECTORY, cluster, 0, stamp);
        }
        self.write(first, head)?;
        for sector in first + 1..first + u64::from(self.boot.per_cluster) {
            self.write(sector, Box::new([0; SECTOR]))?;
        }
        self.set_table(&Self::linked(&clusters))?;
        self.barrier();
        self.add_named(&mut parent, path, DIRECTORY, own, 0, stamp)?;
        self.finish()
    }

    /// New contents for a file, of any size: they are whole on the medium before one sector points at them.
    ///
    /// # Errors
    /// When it is not there or there is no room for both contents.
    pub fn replace(&mut self, path: &str, bytes: &[u8]) -> Result<(), FatError> {
        let old = self.file(path)?;
        let (parent, _) = split(path)?;
        let clusters = self.free_clusters(path, bytes.len() as u64)?;
        self.write_data(&clusters, bytes)?;
        self.set_table(&Self::linked(&clusters))?;
        self.barrier();
        let mut directory = self.directory(parent)?;
        let size = file_size(path, bytes.len() as u64)?;
        entry::point(&mut directory.raw[old.index], clusters.first().copied().unwrap_or(0), size);
        self.write_entries(&directory, &[old.index])?;
        self.barrier();
        self.release(old.cluster)?;
        self.finish()
    }

    /// Overwrites a file with as many bytes as it has, where they are: one write for a file of one sector.
    ///
    /// # Errors
    /// When it is not there or has another size.
    pub fn overwrite(&mut self, path: &str, bytes: &[u8]) -> Result<(), FatError> {
        let file = self.file(path)?;
        let (size, given) = (u64::from(file.size), bytes.len() as u64);
        if size != given {
            return Err(FatError::Length { path: path.to_owned(), size, given });
        }
        let clusters = self.file_chain(path, &file)?;
        self.write_data(&clusters, bytes)?;
        self.barrier();
        Ok(())
    }

    /// Removes a file or an empty directory: first its name, then its clusters.
    ///
    /// # Errors
    /// When it is not there, or holds something.
    pub fn remove(&mut self, path: &str) -> Result<(), FatError> {
        let found = self.find(path)?;
        if found.directory && !self.list(path)?.is_empty() {
            return Err(FatError::NotEmpty(path.to_owned()));
        }
        self.unlink(path, &found)
    }

    /// Removes a name, whatever it is and however damaged. What a directory held goes with it.
    ///
    /// # Errors
    /// When it is not there.
    pub fn discard(&mut self, path: &str) -> Result<(), FatError> {
        let found = self.find(path)?;
        self.unlink(path, &found)
    }

    fn unlink(&mut self, path: &str, found: &Entry) -> Result<(), FatError> {
        let (parent, _) = split(path)?;
        let mut directory = self.directory(parent)?;
        self.forget(&mut directory, found.first, found.index)?;
        self.release(found.cluster)?;
        self.finish()
    }

    /// Marks entries as deleted: the sector with the short one first.
    pub(crate) fn forget(
        &mut self,
        directory: &mut Directory,
        first: usize,
        index: usize,
    ) -> Result<(), FatError> {
        for entry in &mut directory.raw[first..=index] {
            entry[0] = DELETED;
        }
        self.write_entries(directory, &[index])?;
        self.barrier();
        let rest: Vec<usize> = (first..index / PER_SECTOR * PER_SECTOR).collect();
        self.write_entries(directory, &rest)?;
        self.barrier();
        Ok(())
    }

    /// Gives back what a name that is gone had, as far as nothing else reaches it.
    fn release(&mut self, first: u32) -> Result<(), FatError> {
        let used = self.survey()?.used;
        let mut freed = BTreeMap::new();
        let mut cluster = first;
        while self.boot.has(cluster) && !used.get(cluster as usize).copied().unwrap_or(true) {
            let next = self.table.get(cluster as usize).copied().unwrap_or(0);
            if matches!(next, 0 | BAD) || freed.insert(cluster, 0).is_some() {
                break;
            }
            cluster = next;
        }
        self.set_table(&freed)
    }

    fn create(&mut self, path: &str, clusters: &[u32], size: u64, stamp: Stamp) -> Result<(), FatError> {
        let size = file_size(path, size)?;
        self.set_table(&Self::linked(clusters))?;
        self.barrier();
        let mut directory = self.directory(split(path)?.0)?;
        self.add_named(&mut directory, path, ARCHIVE, clusters.first().copied().unwrap_or(0), size, stamp)?;
        self.finish()
    }

    /// The directory of a path that is not there.
    fn vacant(&self, path: &str) -> Result<Directory, FatError> {
        let (parent, name) = split(path)?;
        name::check(name)?;
        let directory = self.directory(parent)?;
        if entry::list(&directory.raw).entries.iter().any(|entry| entry.is_named(name)) {
            return Err(FatError::Exists(path.to_owned()));
        }
        Ok(directory)
    }

    fn add_named(
        &mut self,
        directory: &mut Directory,
        path: &str,
        attributes: u8,
        cluster: u32,
        size: u32,
        stamp: Stamp,
    ) -> Result<(), FatError> {
        let (_, name) = split(path)?;
        let taken = entry::list(&directory.raw).taken;
        let full = || FatError::Full { path: path.to_owned(), needed: 32, available: 0 };
        let short = name::alias(name, &taken).ok_or_else(full)?;
        let mut new = entry::long(name, &short);
        new.push(entry::short(&short, attributes, cluster, size, stamp));
        self.add_entries(directory, &new)
    }

    /// Writes contents into clusters, up to the end of their last sector.
    fn write_data(&mut self, clusters: &[u32], bytes: &[u8]) -> Result<(), FatError> {
        let per = self.boot.per_cluster as usize * SECTOR;
        for (cluster, part) in clusters.iter().zip(bytes.chunks(per)) {
            for (sector, part) in (self.boot.sector(*cluster)..).zip(part.chunks(SECTOR)) {
                let mut whole = Box::new([0; SECTOR]);
                whole[..part.len()].copy_from_slice(part);
                self.write(sector, whole)?;
            }
        }
        Ok(())
    }
}

fn file_size(path: &str, size: u64) -> Result<u32, FatError> {
    let limit = u64::from(u32::MAX);
    u32::try_from(size).map_err(|_| FatError::TooLarge { path: path.to_owned(), size, limit })
}
