//! Mending what an interrupted edit, or a medium, left.

use crate::{
    FatError, ReadAt, SECTOR, Volume,
    chain::BAD,
    entry::{self, DELETED},
};
use std::collections::BTreeMap;

impl<S: ReadAt> Volume<S> {
    /// Makes both tables one again: the one with fewer faults is kept, the first if they are alike. Returns whether
    /// they differed.
    ///
    /// # Errors
    /// When the source cannot be read.
    pub fn mend_tables(&mut self) -> Result<bool, FatError> {
        let Some(second) = self.other_table()? else { return Ok(false) };
        if second == self.table {
            return Ok(false);
        }
        let faults = self.survey()?.faults.len();
        let first = std::mem::replace(&mut self.table, second);
        if faults <= self.survey()?.faults.len() {
            self.table = first;
        }
        for index in 0..self.boot.tables {
            for sector in 0..self.table.len().div_ceil(SECTOR / 4) {
                self.write_table_sector(index, sector)?;
            }
        }
        self.finish()?;
        Ok(true)
    }

    /// Gives back the clusters that no path reaches, and makes the counts true. Does nothing to a damaged volume, where
    /// they may be somebody's. Returns how many there were.
    ///
    /// # Errors
    /// When the source cannot be read.
    pub fn reclaim(&mut self) -> Result<u32, FatError> {
        let survey = self.survey()?;
        if !survey.faults.is_empty() {
            return Ok(0);
        }
        let lost: BTreeMap<u32, u32> = (2..)
            .zip(self.table.iter().zip(&survey.used).skip(2))
            .filter(|(_, (next, used))| !**used && **next != 0 && **next != BAD)
            .map(|(cluster, _)| (cluster, 0))
            .collect();
        self.set_table(&lost)?;
        self.finish()?;
        Ok(u32::try_from(lost.len()).unwrap_or(u32::MAX))
    }

    /// Removes long entries that belong to nothing from a directory. Returns whether there were some.
    ///
    /// # Errors
    /// When it is not there or contradicts itself.
    pub fn tidy(&mut self, path: &str) -> Result<bool, FatError> {
        let mut directory = self.directory(path)?;
        let orphans = entry::list(&directory.raw).orphans;
        for index in &orphans {
            directory.raw[*index][0] = DELETED;
        }
        self.write_entries(&directory, &orphans)?;
        self.barrier();
        Ok(!orphans.is_empty())
    }
}
