//! dm-verity as the kernel wants it: the superblock on the hash partition, read and believed only within bounds, and
//! the table line that opens the device.
//!
//! The superblock is `contract::verity`'s, as the builder writes it; the table is that of
//! `Documentation/admin-guide/device-mapper/verity.rst`.
//! The superblock itself is not signed: a wrong one gives a wrong root hash, which the kernel refuses.

pub use contract::verity::SUPERBLOCK;
use contract::{Digest, verity};

/// The only block size that is used, for data and hashes.
const BLOCK: u64 = verity::BLOCK as u64;

/// What a superblock promises.
#[derive(Debug, PartialEq, Eq)]
pub struct Superblock {
    /// The device's UUID, 32 hexadecimal digits.
    pub uuid: String,
    /// Data blocks of 4096 bytes.
    pub data_blocks: u64,
    /// The salt, in hexadecimal; `-` when there is none.
    pub salt: String,
}

/// A hash partition that does not fit its data partition.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerityError {
    /// No superblock of the kind that is used here.
    #[error("{0}: write the image again")]
    Unexpected(#[from] verity::VerityError),
    /// More data than the data partition has.
    #[error(
        "the verity superblock covers {covered} bytes, but the root partition has {found}: write the image again"
    )]
    TooLarge {
        /// Bytes that the tree covers.
        covered: u64,
        /// Bytes of the data partition.
        found: u64,
    },
}

impl Superblock {
    /// The superblock in `bytes`, for a data partition of `data_bytes` bytes.
    pub fn parse(bytes: &[u8; SUPERBLOCK], data_bytes: u64) -> Result<Self, VerityError> {
        let verity::Superblock { uuid, data_blocks, salt } = verity::Superblock::parse(bytes)?;
        let covered = data_blocks.saturating_mul(BLOCK);
        if covered > data_bytes {
            return Err(VerityError::TooLarge { covered, found: data_bytes });
        }
        let salt = if salt.is_empty() { "-".to_owned() } else { hex::encode(salt) };
        Ok(Self { uuid: hex::encode(uuid), data_blocks, salt })
    }

    /// Length of the device in sectors of 512 bytes.
    #[must_use]
    pub fn sectors(&self) -> u64 {
        self.data_blocks * (BLOCK / 512)
    }

    /// The parameters of the `verity` target for `data` and `hash`, each a `major:minor`. Corruption panics the
    /// machine: a reset lets the boot counter fall back, an I/O error would leave half a system running.
    #[must_use]
    pub fn table(&self, data: &str, hash: &str, root: &Digest) -> String {
        let Self { data_blocks, salt, .. } = self;
        format!("1 {data} {hash} {BLOCK} {BLOCK} {data_blocks} 1 sha256 {root} {salt} 1 panic_on_corruption")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn superblock() -> [u8; SUPERBLOCK] {
        let mut bytes = [0; SUPERBLOCK];
        bytes[..8].copy_from_slice(b"verity\0\0");
        (bytes[8], bytes[12]) = (1, 1);
        bytes[16..32].fill(0xab);
        bytes[32..38].copy_from_slice(b"sha256");
        bytes[65] = 0x10;
        bytes[69] = 0x10;
        bytes[72] = 3;
        bytes[80] = 2;
        bytes[88..90].copy_from_slice(&[0xca, 0xfe]);
        bytes
    }

    #[test]
    fn the_table_line_is_the_kernels() {
        let parsed = Superblock::parse(&superblock(), 3 * 4096).unwrap();
        let root = Digest::of(b"root");
        let expected = format!("1 254:2 254:3 4096 4096 3 1 sha256 {root} cafe 1 panic_on_corruption");
        assert_eq!((parsed.table("254:2", "254:3", &root), parsed.sectors()), (expected, 24));
        assert_eq!(parsed.uuid, "ab".repeat(16));
    }

    #[test]
    fn every_field_is_checked() {
        let message = |at: usize, value: u8| {
            let mut bytes = superblock();
            bytes[at] = value;
            Superblock::parse(&bytes, 3 * 4096).unwrap_err().to_string()
        };
        assert!(message(0, b'V').starts_with("verity superblock: signature is 5665726974790000, must be "));
        assert!(message(8, 2).contains("version is 2, must be 1"));
        assert!(message(33, b'H').contains("algorithm is sHa256, must be sha256"));
        assert!(message(65, 8).contains("data block size is 2048, must be 4096"));
        assert!(message(81, 2).contains("salt length is 514, must be 256 at most"));
        assert!(message(72, 4).contains("covers 16384 bytes, but the root partition has 12288"));
        assert!(message(72, 0).contains("data blocks is 0, must be 1 to 2^40"));
        assert!(message(79, 0xff).ends_with(": write the image again"));
    }

    #[test]
    fn veritysetup_superblocks_are_understood() {
        let dir = tempfile::tempdir().unwrap();
        let (data, hash) = (dir.path().join("data"), dir.path().join("hash"));
        std::fs::write(&data, vec![7; 40960]).unwrap();
        let run =
            Command::new("veritysetup").arg("format").arg("--salt=c0ffee").arg(&data).arg(&hash).output();
        match run {
            Ok(output) => assert!(output.status.success(), "{output:?}"),
            Err(_) if std::env::var_os("HCIMAGE_CI").is_none() => {
                eprintln!("skipped: veritysetup_superblocks_are_understood: veritysetup is not installed");
                return;
            }
            Err(error) => panic!("veritysetup: {error}"),
        }
        let bytes = std::fs::read(&hash).unwrap();
        let parsed = Superblock::parse(bytes[..SUPERBLOCK].try_into().unwrap(), 40960).unwrap();
        assert_eq!((parsed.data_blocks, parsed.salt.as_str()), (10, "c0ffee"));
    }
}
