//! The superblock, 512 bytes: from <https://gitlab.com/cryptsetup/cryptsetup/-/wikis/DMVerity>.

use super::{BLOCK, VerityError};

/// Bytes of a superblock; the rest of its block is zero.
pub const SUPERBLOCK: usize = 512;

const MAGIC: &[u8; 8] = b"verity\0\0";
const SALT_AT: usize = 88;
const SALT_MAX: usize = 256;

/// What the first block of a hash image says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Superblock {
    /// UUID, in the order in which it is printed.
    pub uuid: [u8; 16],
    /// Blocks of data that the tree covers.
    pub data_blocks: u64,
    /// Hashed in front of every block; at most 256 bytes.
    pub salt: Vec<u8>,
}

impl Superblock {
    /// Reads and checks one. Only what is written here is accepted: version 1, type 1, sha256, 4096-byte blocks.
    ///
    /// # Errors
    /// When it is too short, no superblock, or of another kind.
    pub fn parse(bytes: &[u8]) -> Result<Self, VerityError> {
        let wrong = |field, got: String, expected: &str| VerityError::Superblock {
            field,
            got,
            expected: expected.to_owned(),
        };
        let Some(block) = bytes.get(..SUPERBLOCK) else {
            return Err(wrong("length", bytes.len().to_string(), "512 at least"));
        };
        if &block[..8] != MAGIC {
            return Err(wrong("signature", hex::encode(&block[..8]), "`verity` and two zeros"));
        }
        let number = |at: usize| u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]]);
        for (field, at, expected) in [
            ("version", 8, 1),
            ("hash type", 12, 1),
            ("data block size", 64, 4096),
            ("hash block size", 68, 4096),
        ] {
            if number(at) != expected {
                return Err(wrong(field, number(at).to_string(), &expected.to_string()));
            }
        }
        let algorithm = &block[32..64];
        if &algorithm[..7] != b"sha256\0" {
            let end = algorithm.iter().position(|byte| *byte == 0).unwrap_or(algorithm.len());
            return Err(wrong("algorithm", algorithm[..end].escape_ascii().to_string(), "sha256"));
        }
        let data_blocks = u64::from(number(72)) | u64::from(number(76)) << 32;
        if data_blocks == 0 || data_blocks > u64::from(u32::MAX) << 8 {
            return Err(wrong("data blocks", data_blocks.to_string(), "1 to 2^40"));
        }
        let salt_len = usize::from(u16::from_le_bytes([block[80], block[81]]));
        if salt_len > SALT_MAX {
            return Err(wrong("salt length", salt_len.to_string(), "256 at most"));
        }
        let mut uuid = [0; 16];
        uuid.copy_from_slice(&block[16..32]);
        Ok(Self { uuid, data_blocks, salt: block[SALT_AT..SALT_AT + salt_len].to_vec() })
    }

    /// One whole block, of 4096 bytes.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "a salt has 256 bytes at most")]
    pub fn render(&self) -> Vec<u8> {
        let mut block = vec![0; BLOCK];
        let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, MAGIC);
        put(8, &1_u32.to_le_bytes());
        put(12, &1_u32.to_le_bytes());
        put(16, &self.uuid);
        put(32, b"sha256");
        put(64, &(BLOCK as u32).to_le_bytes());
        put(68, &(BLOCK as u32).to_le_bytes());
        put(72, &self.data_blocks.to_le_bytes());
        put(80, &(self.salt.len() as u16).to_le_bytes());
        put(SALT_AT, &self.salt);
        block
    }
}
