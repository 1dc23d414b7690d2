//! Where the parts of a volume lie.

use super::{FatError, SECTOR};

/// The file systems' border: a volume with fewer clusters is FAT16 to its readers. The specification advises to
/// keep 16 clusters away from it.
const MIN_CLUSTERS: u64 = 65_525 + 16;
/// The sectors in front of the first table: boot sector, counts, their copies, and room.
const RESERVED: u64 = 32;
/// 2^32 - 1 sectors.
const MAX_SIZE: u64 = u32::MAX as u64 * SECTOR;
/// The first table, and so the clusters, begin at a multiple of this (8 sectors, a flash page).
const ALIGNMENT: u64 = 8;

/// The layout of a volume; everything in sectors of 512 bytes unless it says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Geometry {
    /// All sectors of the volume.
    pub(super) sectors: u32,
    /// Sectors in one cluster: a power of two up to 64.
    pub(super) per_cluster: u8,
    /// Sectors in front of the first table.
    pub(super) reserved: u16,
    /// Sectors in one of the two tables.
    pub(super) per_table: u32,
    /// Clusters in the data area.
    pub(super) clusters: u32,
}

impl Geometry {
    /// The layout of a volume of `size` bytes: 4 KiB clusters (larger ones above 8 GiB), or the largest smaller
    /// ones that make enough of them for FAT32.
    pub(super) fn new(size: u64) -> Result<Self, FatError> {
        let largest = match size >> 30 {
            0..8 => 8,
            8..16 => 16,
            16..32 => 32,
            _ => 64,
        };
        let fits = size.is_multiple_of(SECTOR) && size <= MAX_SIZE;
        let choices = [64, 32, 16, 8, 4, 2, 1].into_iter().filter(|choice| fits && *choice <= largest);
        let layouts = choices.filter_map(|choice| Self::with_clusters(size / SECTOR, choice));
        layouts.into_iter().find(|layout| u64::from(layout.clusters) >= MIN_CLUSTERS).ok_or(FatError::Size {
            size,
            min: min_size(),
            max: MAX_SIZE,
        })
    }

    /// The layout with the given sectors a cluster. The tables are sized for the clusters that there would be
    /// without them, so they may be a few sectors longer than needed, never shorter.
    fn with_clusters(sectors: u64, per_cluster: u8) -> Option<Self> {
        let unit = u64::from(per_cluster).max(ALIGNMENT);
        let per_table = ((sectors.checked_sub(RESERVED)? / u64::from(per_cluster) + 2) * 4).div_ceil(SECTOR);
        let data = (RESERVED + 2 * per_table).next_multiple_of(unit);
        let clusters = sectors.checked_sub(data)? / u64::from(per_cluster);
        Some(Self {
            sectors: u32::try_from(sectors).ok()?,
            per_cluster,
            reserved: u16::try_from(data - 2 * per_table).ok()?,
            per_table: u32::try_from(per_table).ok()?,
            clusters: u32::try_from(clusters).ok()?,
        })
    }

    /// Bytes in a cluster.
    pub(super) fn cluster(&self) -> u64 {
        u64::from(self.per_cluster) * SECTOR
    }

    /// The offset in bytes of table 0 or 1.
    pub(super) fn table(&self, index: u64) -> u64 {
        (u64::from(self.reserved) + index * u64::from(self.per_table)) * SECTOR
    }

    /// The offset in bytes of a cluster; the first one is number 2.
    pub(super) fn offset(&self, cluster: u32) -> u64 {
        self.table(2) + u64::from(cluster - 2) * self.cluster()
    }
}

/// The smallest volume in bytes: 512-byte clusters, just enough of them, and their tables.
fn min_size() -> u64 {
    let enough = |sectors: &u64| {
        Geometry::with_clusters(*sectors, 1).is_some_and(|g| u64::from(g.clusters) >= MIN_CLUSTERS)
    };
    (MIN_CLUSTERS..).find(enough).unwrap_or(u64::MAX / SECTOR) * SECTOR
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_are_as_large_as_fat32_allows() {
        const MIB: u64 = 1 << 20;
        let table =
            [(34 * MIB, 1), (64 * MIB, 1), (128 * MIB, 2), (256 * MIB, 4), (257 * MIB, 8), (512 * MIB, 8)];
        for (size, per_cluster) in
            [&table[..], &[(7 << 30, 8), (9 << 30, 16), (20 << 30, 32), (1 << 40, 64)]].concat()
        {
            let geometry = Geometry::new(size).unwrap();
            assert_eq!(geometry.per_cluster, per_cluster, "{size}");
            assert!(u64::from(geometry.clusters) >= MIN_CLUSTERS);
            assert!(u64::from(geometry.per_table) * SECTOR >= (u64::from(geometry.clusters) + 2) * 4);
            assert!(geometry.table(2).is_multiple_of(geometry.cluster().max(4096)), "{size}");
            assert!(geometry.offset(geometry.clusters + 2) <= size);
        }
    }

    #[test]
    fn sizes_that_are_not_fat32_are_refused_with_the_smallest_that_is() {
        let Err(FatError::Size { min, .. }) = Geometry::new(32 << 20) else { panic!("32 MiB was accepted") };
        assert_eq!(Geometry::new(min).map(|g| g.per_cluster).unwrap(), 1);
        for size in [min - SECTOR, min + 1, MAX_SIZE + SECTOR, 0] {
            assert!(matches!(Geometry::new(size), Err(FatError::Size { .. })), "{size}");
        }
    }
}
