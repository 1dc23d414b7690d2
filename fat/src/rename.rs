//! New names in the same directory: one sector, if the one that holds the old name has room for the new one.

use crate::{
    FatError, ReadAt, Volume,
    entry::{self, DELETED, ENTRY, PER_SECTOR, Raw},
    name::{self, ShortName},
    place::Place,
    volume::{Directory, split},
};

impl<S: ReadAt> Volume<S> {
    /// Renames a file or directory, within its directory. The plan's first write is the change: before it only the old
    /// name is there, after it only the new one. Where the old name's sector has no room, both are there for one
    /// moment, and never neither.
    ///
    /// # Errors
    /// When it is not there, or the new name is taken or no name.
    pub fn rename(&mut self, path: &str, to: &str) -> Result<(), FatError> {
        name::check(to)?;
        let old = self.find(path)?;
        let mut directory = self.directory(split(path)?.0)?;
        let listing = entry::list(&directory.raw);
        let others = || listing.entries.iter().filter(|entry| entry.index != old.index);
        if others().any(|entry| entry.is_named(to)) {
            return Err(FatError::Exists(to.to_owned()));
        }
        let taken: Vec<ShortName> =
            listing.taken.iter().copied().filter(|short| *short != old.short).collect();
        let full = || FatError::Full { path: path.to_owned(), needed: ENTRY as u64, available: 0 };
        // An alias that is no name of its own stays: so the checksum stays, and fewer entries change.
        let short = match name::exact(to) {
            None if old.short.contains(&b'~') => old.short,
            _ => name::alias(to, &taken).ok_or_else(full)?,
        };
        let mut new = entry::long(to, &short);
        let mut last = directory.raw[old.index];
        last[..11].copy_from_slice(&short);
        last[12] = 0;
        new.push(last);
        match self.beside(&directory, old.first, old.index, listing.end, new.len()) {
            Some(start) => self.exchange(&mut directory, old.first, old.index, start, &new)?,
            None => {
                self.add_entries(&mut directory, &new)?;
                self.forget(&mut directory, old.first, old.index)?;
            }
        }
        self.finish()
    }

    /// Where in the sector of the old short entry the new ones fit: so that they end where the old ones do, or else
    /// anywhere.
    fn beside(
        &self,
        directory: &Directory,
        first: usize,
        index: usize,
        end: usize,
        count: usize,
    ) -> Option<usize> {
        let sector = index / PER_SECTOR;
        let (low, high) = (sector * PER_SECTOR, (sector + 1) * PER_SECTOR);
        let usable =
            |at: usize| (first..=index).contains(&at) || at >= end || directory.raw[at][0] == DELETED;
        let fits = |start: &usize| {
            let place = Place { start: *start, count };
            *start >= low
                && start + count <= high
                && *start <= end
                && (place.start..place.start + count).all(usable)
                && (start + count <= end
                    || start + count < high
                    || high >= directory.raw.len()
                    || directory.raw[high][0] == 0)
        };
        let same_end = (index + 1).checked_sub(count);
        same_end.filter(fits).or_else(|| (low..high).find(fits))
    }

    /// Replaces entries by others in one sector, and then what the old ones had in the sector before.
    fn exchange(
        &mut self,
        directory: &mut Directory,
        first: usize,
        index: usize,
        start: usize,
        new: &[Raw],
    ) -> Result<(), FatError> {
        let low = index / PER_SECTOR * PER_SECTOR;
        let end = entry::list(&directory.raw).end;
        self.close_behind(directory, Place { start, count: new.len() }, end)?;
        for entry in &mut directory.raw[first.max(low)..=index] {
            entry[0] = DELETED;
        }
        directory.raw[start..start + new.len()].copy_from_slice(new);
        self.write_entries(directory, &[index])?;
        self.barrier();
        let rest: Vec<usize> = (first..low).collect();
        for at in &rest {
            directory.raw[*at][0] = DELETED;
        }
        self.write_entries(directory, &rest)?;
        self.barrier();
        Ok(())
    }
}
