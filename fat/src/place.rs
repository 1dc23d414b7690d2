//! Where entries go: into one sector of their directory, so that one write makes them visible.

use crate::{
    FatError, ReadAt, SECTOR, Volume,
    chain::MAX_DIRECTORY,
    entry::{self, DELETED, ENTRY, PER_SECTOR, Raw},
    volume::Directory,
};

/// A place for entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Where the first one goes.
    pub(crate) start: usize,
    /// How many there are.
    pub(crate) count: usize,
}

impl Place {
    fn end(self) -> usize {
        self.start + self.count
    }

    pub(crate) fn sectors(self) -> std::ops::RangeInclusive<usize> {
        self.start / PER_SECTOR..=(self.end() - 1) / PER_SECTOR
    }
}

/// Whether an entry is free; `end` is the first that says that nothing follows.
fn is_free(raw: &[Raw], end: usize, index: usize) -> bool {
    index >= end || raw.get(index).is_some_and(|entry| entry[0] == DELETED)
}

/// The first place for `count` entries in one sector that has one. Behind `end` only the next entry or the start of
/// a sector is taken, so that what is skipped can be marked as deleted.
pub(crate) fn in_one_sector(raw: &[Raw], end: usize, count: usize) -> Option<Place> {
    let starts = (0..raw.len()).filter(|start| {
        let fits = start % PER_SECTOR + count <= PER_SECTOR && start + count <= raw.len();
        fits && (*start <= end || start.is_multiple_of(PER_SECTOR) && start - end < PER_SECTOR)
    });
    starts
        .map(|start| Place { start, count })
        .find(|place| (place.start..place.end()).all(|index| is_free(raw, end, index)))
}

/// The first place for `count` entries that lie together, in as many sectors as it takes.
fn anywhere(raw: &[Raw], end: usize, count: usize) -> Option<Place> {
    let fits = |start: &usize| start + count <= raw.len() && *start <= end;
    let starts = (0..raw.len()).filter(fits).map(|start| Place { start, count });
    starts.into_iter().find(|place| (place.start..place.end()).all(|index| is_free(raw, end, index)))
}

impl<S: ReadAt> Volume<S> {
    /// Puts entries that belong together into a directory, which grows if it must. The last write makes them visible.
    pub(crate) fn add_entries(&mut self, directory: &mut Directory, new: &[Raw]) -> Result<(), FatError> {
        // A name of 255 letters takes 21 entries: no more than two clusters of the smallest size.
        for _ in 0..3 {
            if let Some(place) = self.room_for(directory, new.len()) {
                return self.put_entries(directory, place, new);
            }
            self.grow(directory)?;
        }
        Err(FatError::Full { path: directory.path.clone(), needed: (new.len() * ENTRY) as u64, available: 0 })
    }

    /// A place in one sector, or else, for what does not fit into one or where the directory cannot grow, in several.
    fn room_for(&self, directory: &Directory, count: usize) -> Option<Place> {
        let end = entry::list(&directory.raw).end;
        if count <= PER_SECTOR
            && let Some(place) = in_one_sector(&directory.raw, end, count)
        {
            return Some(place);
        }
        let grows = (directory.raw.len() * ENTRY) as u64 + self.boot.cluster_bytes() <= MAX_DIRECTORY;
        anywhere(&directory.raw, end, count).filter(|_| !grows || count > PER_SECTOR)
    }

    fn put_entries(&mut self, directory: &mut Directory, place: Place, new: &[Raw]) -> Result<(), FatError> {
        let end = entry::list(&directory.raw).end;
        self.close_behind(directory, place, end)?;
        let pads: Vec<usize> = (end..place.start).collect();
        for index in &pads {
            directory.raw[*index] = [0; ENTRY];
            directory.raw[*index][0] = DELETED;
        }
        directory.raw[place.start..place.end()].copy_from_slice(new);
        let sectors: Vec<usize> = place.sectors().collect();
        // What is skipped in an earlier sector opens the way to the entries: it is nothing by itself.
        let before: Vec<usize> =
            pads.into_iter().filter(|index| !sectors.contains(&(index / PER_SECTOR))).collect();
        self.write_entries(directory, &before)?;
        self.barrier();
        for sector in sectors {
            self.write_entries(directory, &[sector * PER_SECTOR])?;
            self.barrier();
        }
        Ok(())
    }

    /// Behind a place that goes beyond the end of a directory, the next entry says that nothing follows.
    pub(crate) fn close_behind(
        &mut self,
        directory: &mut Directory,
        place: Place,
        end: usize,
    ) -> Result<(), FatError> {
        if place.end() <= end || place.end() >= directory.raw.len() {
            return Ok(());
        }
        let sector = place.end() / PER_SECTOR;
        for index in place.end()..(sector + 1) * PER_SECTOR {
            directory.raw[index] = [0; ENTRY];
        }
        if sector != (place.end() - 1) / PER_SECTOR {
            self.write_entries(directory, &[place.end()])?;
            self.barrier();
        }
        Ok(())
    }

    /// Adds an empty cluster to a directory.
    fn grow(&mut self, directory: &mut Directory) -> Result<(), FatError> {
        let path = directory.path.clone();
        if (directory.raw.len() * ENTRY) as u64 + self.boot.cluster_bytes() > MAX_DIRECTORY {
            return Err(FatError::Full { path, needed: ENTRY as u64, available: 0 });
        }
        let new = self.free_clusters(&path, 1)?;
        let (Some(new), Some(last)) = (new.first().copied(), directory.clusters.last().copied()) else {
            return Err(FatError::Full { path, needed: ENTRY as u64, available: 0 });
        };
        let first = self.boot.sector(new);
        for sector in first..first + u64::from(self.boot.per_cluster) {
            self.write(sector, Box::new([0; SECTOR]))?;
        }
        self.set_table(&Self::linked(&[new]))?;
        self.barrier();
        self.set_table(&[(last, new)].into())?;
        self.barrier();
        directory.clusters.push(new);
        directory.raw.resize(directory.raw.len() + self.boot.per_cluster as usize * PER_SECTOR, [0; ENTRY]);
        Ok(())
    }

    /// Writes the sectors in which these entries are, each once, in their order.
    pub(crate) fn write_entries(&mut self, directory: &Directory, indexes: &[usize]) -> Result<(), FatError> {
        let mut sectors: Vec<usize> = indexes.iter().map(|index| index / PER_SECTOR).collect();
        sectors.dedup();
        for sector in sectors {
            let start = sector * PER_SECTOR;
            let mut bytes = Box::new([0; SECTOR]);
            for (to, from) in bytes.as_chunks_mut::<ENTRY>().0.iter_mut().zip(&directory.raw[start..]) {
                *to = *from;
            }
            self.write(self.entry_sector(directory, start), bytes)?;
        }
        Ok(())
    }
}
