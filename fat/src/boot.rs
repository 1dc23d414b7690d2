//! The boot sector: where the parts of a volume lie.

use crate::{FatError, SECTOR, Sector};

/// Fewer clusters are FAT16 to every reader.
const MIN_CLUSTERS: u32 = 65_525;
/// The table of a volume with more would need more than 64 MiB of memory.
const MAX_CLUSTERS: u32 = 16 << 20;

/// The layout of a volume, in sectors unless it says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Boot {
    pub(crate) per_cluster: u32,
    pub(crate) reserved: u32,
    pub(crate) tables: u32,
    pub(crate) per_table: u32,
    /// Clusters in the data area; the first one is number 2.
    pub(crate) clusters: u32,
    pub(crate) root: u32,
    /// The sector of the counts, if there is one.
    pub(crate) counts: Option<u32>,
}

fn u16_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

impl Boot {
    /// Reads the boot sector of a volume whose place has `size` bytes.
    pub(crate) fn parse(sector: &Sector, size: u64) -> Result<Self, FatError> {
        let check = |good: bool, problem: &str| {
            good.then_some(()).ok_or_else(|| FatError::Volume { size, problem: problem.to_owned() })
        };
        check(sector[510..] == [0x55, 0xaa], "its first sector does not end in 55 aa")?;
        check(u16_at(sector, 11) == SECTOR as u32, "its sectors are not of 512 bytes")?;
        let per_cluster = u32::from(sector[13]);
        check(per_cluster.is_power_of_two(), "the size of its clusters is no power of two")?;
        let (reserved, tables) = (u16_at(sector, 14), u32::from(sector[16]));
        check(reserved > 0 && matches!(tables, 1 | 2), "it has no or more than two tables")?;
        let older = u16_at(sector, 17) | u16_at(sector, 19) | u16_at(sector, 22);
        check(older == 0, "it is a fat12 or fat16")?;
        check(u16_at(sector, 40) & 0x80 == 0, "its tables are not mirrored")?;
        let (sectors, per_table) = (u32_at(sector, 32), u32_at(sector, 36));
        check(u64::from(sectors) * SECTOR as u64 <= size, "it is larger than its place")?;
        let data = u64::from(reserved) + u64::from(tables) * u64::from(per_table);
        let rest = u64::from(sectors).checked_sub(data);
        let clusters = rest.map_or(0, |rest| rest / u64::from(per_cluster));
        let clusters = u32::try_from(clusters).unwrap_or(u32::MAX);
        check(clusters >= MIN_CLUSTERS, "it has too few clusters for fat32")?;
        check(clusters <= MAX_CLUSTERS, "it has more clusters than are looked at (16 Mi)")?;
        let room = u64::from(per_table) * SECTOR as u64 / 4;
        check(room >= u64::from(clusters) + 2, "its table is too short for its clusters")?;
        let root = u32_at(sector, 44);
        check((2..clusters + 2).contains(&root), "its root directory is nowhere")?;
        let counts = u16_at(sector, 48);
        let counts = (1..reserved).contains(&counts).then_some(counts);
        Ok(Self { per_cluster, reserved, tables, per_table, clusters, root, counts })
    }

    /// Bytes in a cluster.
    pub(crate) fn cluster_bytes(&self) -> u64 {
        u64::from(self.per_cluster) * SECTOR as u64
    }

    /// The first sector of table 0 or 1.
    pub(crate) fn table(&self, index: u32) -> u64 {
        u64::from(self.reserved) + u64::from(index) * u64::from(self.per_table)
    }

    /// The first sector of a cluster from 2 on.
    pub(crate) fn sector(&self, cluster: u32) -> u64 {
        self.table(self.tables) + u64::from(cluster.saturating_sub(2)) * u64::from(self.per_cluster)
    }

    /// Whether it is the number of a cluster.
    pub(crate) fn has(&self, cluster: u32) -> bool {
        (2..self.clusters + 2).contains(&cluster)
    }
}
