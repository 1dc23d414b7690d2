//! Free clusters, and the two tables that tell of them.

use crate::{
    FatError, ReadAt, SECTOR, Volume,
    boot::u32_at,
    chain::{BAD, LAST},
};
use std::collections::{BTreeMap, BTreeSet};

/// Entries in a sector of a table.
const PER_SECTOR: usize = SECTOR / 4;
/// The closing signature of every sector of the reserved part that has one.
const SIGNATURE: [u8; 4] = [0, 0, 0x55, 0xaa];

impl<S: ReadAt> Volume<S> {
    /// Free clusters for `size` bytes: one run if there is one. What no path reaches is free, whatever the table says,
    /// unless the volume is damaged: then only the table is asked.
    pub(crate) fn free_clusters(&mut self, path: &str, size: u64) -> Result<Vec<u32>, FatError> {
        let needed = size.div_ceil(self.boot.cluster_bytes());
        if needed == 0 {
            return Ok(Vec::new());
        }
        let survey = self.survey()?;
        let leaks = survey.faults.is_empty();
        let is_free = |cluster: &u32| {
            let at = *cluster as usize;
            let next = self.table.get(at).copied().unwrap_or(BAD);
            !self.held.contains(cluster)
                && !survey.used.get(at).copied().unwrap_or(true)
                && (next == 0 || leaks && next != BAD)
        };
        let free: Vec<u32> = (2..self.boot.clusters + 2).filter(is_free).collect();
        let count = usize::try_from(needed).unwrap_or(usize::MAX);
        if free.len() < count {
            let unit = self.boot.cluster_bytes();
            let (needed, available) = (needed * unit, free.len() as u64 * unit);
            return Err(FatError::Full { path: path.to_owned(), needed, available });
        }
        let run = free.windows(count).find(|run| run[count - 1] - run[0] == count as u32 - 1);
        let taken = run.unwrap_or(&free[..count]).to_vec();
        self.held.extend(&taken);
        Ok(taken)
    }

    /// The table's entries that make `clusters` one chain.
    pub(crate) fn linked(clusters: &[u32]) -> BTreeMap<u32, u32> {
        let nexts = clusters.iter().skip(1).copied().chain([LAST]);
        clusters.iter().copied().zip(nexts).collect()
    }

    /// Writes entries of both tables, the first one first.
    pub(crate) fn set_table(&mut self, changes: &BTreeMap<u32, u32>) -> Result<(), FatError> {
        for (cluster, next) in changes {
            if let Some(known) = self.table.get_mut(*cluster as usize) {
                *known = *next;
            }
        }
        let sectors: BTreeSet<usize> = changes.keys().map(|cluster| *cluster as usize / PER_SECTOR).collect();
        for index in 0..self.boot.tables {
            for sector in &sectors {
                self.write_table_sector(index, *sector)?;
            }
        }
        Ok(())
    }

    /// Writes one sector of one table as it is in memory; the four bits above each entry stay.
    pub(crate) fn write_table_sector(&mut self, index: u32, sector: usize) -> Result<(), FatError> {
        let at = self.boot.table(index) + sector as u64;
        let mut bytes = self.sector(at)?;
        let own = self.table.iter().skip(sector * PER_SECTOR);
        for (old, new) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(own) {
            *old = (u32_at(old, 0) & 0xf000_0000 | *new).to_le_bytes();
        }
        self.write(at, bytes)
    }

    /// Ends an edit: the counts are made true.
    pub(crate) fn finish(&mut self) -> Result<(), FatError> {
        self.barrier();
        self.held.clear();
        let Some(counts) = self.boot.counts.map(u64::from) else { return Ok(()) };
        let mut bytes = self.sector(counts)?;
        let good = bytes[..4] == *b"RRaA" && bytes[484..488] == *b"rrAa" && bytes[508..] == SIGNATURE;
        if !good {
            bytes.fill(0);
            bytes[..4].copy_from_slice(b"RRaA");
            bytes[484..488].copy_from_slice(b"rrAa");
            bytes[508..].copy_from_slice(&SIGNATURE);
        }
        let free = (2..).zip(self.table.iter().skip(2)).filter(|(_, next)| **next == 0);
        let (count, first) =
            free.fold((0_u32, None), |(count, first), (cluster, _)| (count + 1, first.or(Some(cluster))));
        bytes[488..492].copy_from_slice(&count.to_le_bytes());
        bytes[492..496].copy_from_slice(&first.unwrap_or(u32::MAX).to_le_bytes());
        self.write(counts, bytes)?;
        self.barrier();
        Ok(())
    }
}
