//! The numbers of the on-disk format, from the kernel's `fs/erofs/erofs_fs.h` and
//! <https://erofs.docs.kernel.org>. All integers are little endian.

/// Bytes of a block: of data, of directories and of metadata.
pub const BLOCK: usize = 4096;
pub(super) const BLOCK_BITS: u8 = 12;
/// Inodes are numbered by where they stand, in units of this.
pub(super) const SLOT: usize = 32;
pub(super) const SUPER_OFFSET: usize = 1024;
pub(super) const SUPER_LEN: usize = 128;
pub(super) const MAGIC: u32 = 0xE0F5_E1E2;
pub(super) const NAME_MAX: usize = 255;

pub(super) const COMPAT_SB_CHKSUM: u32 = 0x1;
pub(super) const COMPAT_MTIME: u32 = 0x2;
/// Compressed data ends where its blocks end; what is before it is zero.
pub(super) const INCOMPAT_ZERO_PADDING: u32 = 0x1;
/// Compression records follow the superblock, and a compressed extent may have several blocks.
pub(super) const INCOMPAT_COMPR_CFGS: u32 = 0x2;
pub(super) const INCOMPAT_ZTAILPACKING: u32 = 0x10;

pub(super) const ALGORITHM_ZSTD: u8 = 3;
/// A zstd window is counted from this power of two in the compression record.
pub(super) const ZSTD_WINDOW_MIN: u8 = 10;
/// What a kernel gives zstd for a window at most.
pub(super) const ZSTD_WINDOW_MAX: u8 = 20;

pub(super) const LAYOUT_PLAIN: u16 = 0;
pub(super) const LAYOUT_INLINE: u16 = 2;
pub(super) const LAYOUT_COMPACT: u16 = 3;
pub(super) const INODE_COMPACT: usize = 32;
pub(super) const INODE_EXTENDED: usize = 64;

pub(super) const ADVISE_COMPACTED_2B: u16 = 0x1;
pub(super) const ADVISE_BIG_PCLUSTER: u16 = 0x2 | 0x4;
pub(super) const ADVISE_INLINE_PCLUSTER: u16 = 0x8;
pub(super) const MAP_HEADER: usize = 8;

pub(super) const CLUSTER_PLAIN: u16 = 0;
pub(super) const CLUSTER_HEAD: u16 = 1;
pub(super) const CLUSTER_NEXT: u16 = 2;
/// Set in the first cluster after a head: the other bits are the extent's blocks.
pub(super) const BLOCK_COUNT_FLAG: u16 = 1 << 11;

pub(super) const DIRENT: usize = 12;
pub(super) const XATTR_HEADER: usize = 12;
pub(super) const XATTR_ENTRY: usize = 4;

pub(super) const S_IFIFO: u16 = 0o010_000;
pub(super) const S_IFCHR: u16 = 0o020_000;
pub(super) const S_IFDIR: u16 = 0o040_000;
pub(super) const S_IFBLK: u16 = 0o060_000;
pub(super) const S_IFREG: u16 = 0o100_000;
pub(super) const S_IFLNK: u16 = 0o120_000;
pub(super) const S_IFSOCK: u16 = 0o140_000;
pub(super) const S_IFMT: u16 = 0o170_000;

/// The prefixes of attribute names that have a number, longest first where one begins another.
pub(super) const XATTR_PREFIXES: [(u8, &[u8]); 5] = [
    (2, b"system.posix_acl_access"),
    (3, b"system.posix_acl_default"),
    (1, b"user."),
    (4, b"trusted."),
    (6, b"security."),
];

/// CRC-32C without the last inversion, as the superblock wants it.
pub(super) fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = !0_u32;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x82F6_3B78 & 0_u32.wrapping_sub(crc & 1));
        }
    }
    crc
}

/// Rounds up to a multiple of `unit`, which is a power of two.
pub(super) fn round_up(value: u64, unit: u64) -> u64 {
    (value + unit - 1) & !(unit - 1)
}

/// How many blocks hold this many bytes.
pub(super) fn blocks(bytes: u64) -> u64 {
    bytes.div_ceil(BLOCK as u64)
}

/// A device number as Linux stores it in 32 bits.
pub(super) fn device_number(major: u32, minor: u32) -> u32 {
    (minor & 0xFF) | (major << 8) | ((minor & !0xFF) << 12)
}

pub(super) fn device_parts(number: u32) -> (u32, u32) {
    ((number >> 8) & 0xFFF, (number & 0xFF) | ((number >> 12) & 0xFFF00))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc_of_the_check_string() {
        // The check value of CRC-32C over "123456789" is E3069283, after the last inversion.
        assert_eq!(!crc32c(b"123456789"), 0xE306_9283);
    }

    #[test]
    fn device_numbers_come_back() {
        for (major, minor) in [(1, 3), (8, 0), (259, 1), (4095, 1_048_575), (0, 256)] {
            assert_eq!(device_parts(device_number(major, minor)), (major, minor));
        }
    }
}
