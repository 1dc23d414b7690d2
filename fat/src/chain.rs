//! Chains of clusters, none of which is believed.

use crate::{Entry, FatError, Fault, ReadAt, Volume};

/// From here on a number ends a chain.
const END: u32 = 0x0fff_fff8;
/// A cluster that the medium does not keep.
pub(crate) const BAD: u32 = 0x0fff_fff7;
/// What we write at the end of a chain.
pub(crate) const LAST: u32 = 0x0fff_ffff;
/// The specification's limit of a directory: 65,536 entries.
pub(crate) const MAX_DIRECTORY: u64 = 65_536 * 32;

impl<S: ReadAt> Volume<S> {
    /// The clusters of a chain that has at most `limit`.
    pub(crate) fn chain(&self, path: &str, first: u32, limit: u64) -> Result<Vec<u32>, FatError> {
        let broken = |problem| FatError::Damaged(Fault::Chain { path: path.to_owned(), problem });
        let mut clusters = Vec::new();
        let mut cluster = first;
        loop {
            if !self.boot.has(cluster) {
                return Err(broken("leave the volume"));
            }
            if clusters.len() as u64 >= limit {
                return Err(broken("are more than it can have, or a loop"));
            }
            clusters.push(cluster);
            match self.table.get(cluster as usize).copied().unwrap_or(0) {
                0 => return Err(broken("end in a free one")),
                BAD => return Err(broken("end in a bad one")),
                next if next >= END => return Ok(clusters),
                next => cluster = next,
            }
        }
    }

    pub(crate) fn directory_chain(&self, path: &str, first: u32) -> Result<Vec<u32>, FatError> {
        self.chain(path, first, MAX_DIRECTORY.div_ceil(self.boot.cluster_bytes()))
    }

    /// The clusters of a file: exactly as many as its size needs.
    pub(crate) fn file_chain(&self, path: &str, file: &Entry) -> Result<Vec<u32>, FatError> {
        let needed = u64::from(file.size).div_ceil(self.boot.cluster_bytes());
        if needed == 0 && file.cluster == 0 {
            return Ok(Vec::new());
        }
        let clusters = self.chain(path, file.cluster, needed.max(1))?;
        if (clusters.len() as u64) < needed {
            let problem = "are fewer than its size needs";
            return Err(FatError::Damaged(Fault::Chain { path: path.to_owned(), problem }));
        }
        Ok(clusters)
    }
}
