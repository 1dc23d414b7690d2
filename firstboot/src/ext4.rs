//! The state partition as its first bytes tell it: nothing, an ext4 file system, or something of somebody else's.
//!
//! Source: `Documentation/filesystems/ext4/super.rst` of Linux. The superblock is at byte 1024.

/// Bytes of the partition's start that are looked at.
pub const PROBE: usize = 64 * 1024;

/// What the start of a partition holds.
#[derive(Debug, PartialEq, Eq)]
pub enum Content {
    /// Only zeros: no file system was ever made.
    Empty,
    /// An ext4 file system.
    Ext4 {
        /// Bytes of a block.
        block: u64,
        /// Number of blocks.
        blocks: u64,
        /// Whether it must be checked before it is mounted: errors were recorded, or it lacks its journal's promise.
        check: bool,
    },
    /// Something else; the text says what is known of it.
    Other(String),
}

/// What `start`, the first [`PROBE`] bytes of a partition, holds.
#[must_use]
pub fn probe(start: &[u8]) -> Content {
    if start.iter().all(|byte| *byte == 0) {
        return Content::Empty;
    }
    let Some(superblock) = start.get(1024..2048) else {
        return Content::Other(format!("{} bytes, too few for a file system", start.len()));
    };
    let u16_at = |at: usize| u16::from_le_bytes([superblock[at], superblock[at + 1]]);
    let u32_at = |at: usize| u32::from(u16_at(at)) | u32::from(u16_at(at + 2)) << 16;
    if u16_at(0x38) != 0xef53 {
        return Content::Other(signature(start));
    }
    let log_block = u32_at(0x18);
    if log_block > 6 {
        return Content::Other(format!(
            "a damaged ext4 superblock (block size 2^{})",
            10 + u64::from(log_block)
        ));
    }
    let is_64bit = u32_at(0x60) & 0x80 != 0;
    let high = if is_64bit { u64::from(u32_at(0x150)) } else { 0 };
    let blocks = high << 32 | u64::from(u32_at(0x04));
    let (clean, errors) = (u16_at(0x3a) & 1 != 0, u16_at(0x3a) & 2 != 0);
    Content::Ext4 { block: 1024 << log_block, blocks, check: !clean || errors }
}

/// A name for the commonest strangers, so that the operator knows what is about to be kept.
fn signature(start: &[u8]) -> String {
    let known: [(usize, &[u8], &str); 5] = [
        (0, b"XFSB", "an XFS file system"),
        (0, b"LUKS\xba\xbe", "a LUKS container"),
        (3, b"NTFS    ", "an NTFS file system"),
        (510, &[0x55, 0xaa], "a boot sector (FAT or an old partition table)"),
        (1024, &[0xe2, 0xe1, 0xf5, 0xe0], "an EROFS file system"),
    ];
    let found = known.iter().find(|(at, magic, _)| start.get(*at..*at + magic.len()) == Some(magic));
    found.map_or_else(|| "data of an unknown kind".to_owned(), |(_, _, name)| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn zeros_and_strangers_are_told_apart() {
        let mut start = vec![0; PROBE];
        assert_eq!(probe(&start), Content::Empty);
        start[PROBE - 1] = 1;
        assert_eq!(probe(&start), Content::Other("data of an unknown kind".to_owned()));
        start[..4].copy_from_slice(b"XFSB");
        assert_eq!(probe(&start), Content::Other("an XFS file system".to_owned()));
        assert_eq!(probe(&[1; 100]), Content::Other("100 bytes, too few for a file system".to_owned()));
    }

    #[test]
    fn a_file_system_of_mke2fs_is_recognised_with_its_size_and_health() {
        let dir = tempfile::tempdir().unwrap();
        let image = dir.path().join("fs");
        std::fs::File::create(&image).unwrap().set_len(64 << 20).unwrap();
        let made = Command::new("mkfs.ext4")
            .args(["-q", "-F", "-O", "64bit,metadata_csum", "-b", "4096"])
            .arg(&image)
            .status();
        match made {
            Ok(status) => assert!(status.success()),
            Err(_) if std::env::var_os("HCIMAGE_CI").is_none() => {
                eprintln!(
                    "skipped: a_file_system_of_mke2fs_is_recognised_with_its_size_and_health: mkfs.ext4 is not installed"
                );
                return;
            }
            Err(error) => panic!("mkfs.ext4: {error}"),
        }
        let mut start = std::fs::read(&image).unwrap();
        start.truncate(PROBE);
        assert_eq!(probe(&start), Content::Ext4 { block: 4096, blocks: 16384, check: false });
        start[1024 + 0x3a] = 3;
        assert_eq!(probe(&start), Content::Ext4 { block: 4096, blocks: 16384, check: true });
        start[1024 + 0x18] = 40;
        assert!(matches!(probe(&start), Content::Other(text) if text.contains("damaged ext4")));
    }
}
