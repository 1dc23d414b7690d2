//! dm-verity: a tree of hashes over an image, byte-identical to what `veritysetup format` writes.
//!
//! Format 1: sha256 over salt and block, 4096-byte data and hash blocks, a superblock in the first hash block, then
//! the levels of the tree from the top down. `docs/formats/verity.md` has the bytes.

mod hasher;
mod superblock;
mod verify;

use std::io;

pub use hasher::{Hasher, Tree};
pub use superblock::Superblock;
pub use verify::verify;

/// Bytes of a data block and of a hash block.
pub const BLOCK: usize = 4096;
/// Bytes of a digest.
const DIGEST: usize = 32;

/// A sha256 digest.
pub type Digest = [u8; DIGEST];

/// What the tree depends on besides the data. Both are derived by the caller, never drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Hashed in front of every block.
    pub salt: [u8; 32],
    /// The superblock's UUID, in the order in which it is printed.
    pub uuid: [u8; 16],
}

/// What can be wrong with data, a tree, or a superblock.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Data that is not whole blocks.
    #[error("the data has {len} bytes, must be a multiple of 4096 and not empty")]
    Length {
        /// The data's length, bytes.
        len: u64,
    },
    /// A superblock that cannot be read here.
    #[error("verity superblock: {field} is {got}, must be {expected}")]
    Superblock {
        /// Which field.
        field: &'static str,
        /// What it has.
        got: String,
        /// What is understood.
        expected: String,
    },
    /// A hash image that is shorter or longer than its tree.
    #[error("the hash image has {got} bytes, its tree over {data_blocks} data blocks takes {expected}")]
    HashLength {
        /// Blocks of data that the superblock counts.
        data_blocks: u64,
        /// Bytes that superblock and tree take.
        expected: u64,
        /// Bytes there are.
        got: u64,
    },
    /// Data that is shorter than the superblock says.
    #[error("the data ends after {got} blocks, the superblock says {expected}")]
    DataShort {
        /// Blocks that the superblock counts.
        expected: u64,
        /// Whole blocks there are.
        got: u64,
    },
    /// The tree does not lead to the root hash.
    #[error("root hash is {got}, expected {expected}")]
    Root {
        /// The hash of the tree's top, in hex.
        got: String,
        /// The hash that was asked for, in hex.
        expected: String,
    },
    /// A block of the tree is not what the level above says.
    #[error("hash block {block} of the hash image is damaged")]
    HashBlock {
        /// Its number, from the start of the hash image.
        block: u64,
    },
    /// A block of the data is not what the tree says.
    #[error("data block {block} (byte {byte}) is damaged: its hash is {got}, the tree says {expected}")]
    DataBlock {
        /// Its number.
        block: u64,
        /// Its place in the data, bytes.
        byte: u64,
        /// The hash of what is there, in hex.
        got: String,
        /// The hash in the tree, in hex.
        expected: String,
    },
    /// The data could not be read.
    #[error("reading the data at byte {at}")]
    Read {
        /// Where, bytes.
        at: u64,
        /// Why not.
        source: io::Error,
    },
}

/// Lower-case hex, as tools print a digest.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hash(salt: &[u8], block: &[u8]) -> Digest {
    use sha2::{Digest as _, Sha256};
    Sha256::new().chain_update(salt).chain_update(block).finalize().into()
}

/// Blocks of each level of the tree, from the leaves up. None for a single data block: its hash is the root.
fn levels(data_blocks: u64) -> Vec<u64> {
    let mut found = Vec::new();
    let mut digests = data_blocks;
    while digests > 1 {
        digests = digests.div_ceil((BLOCK / DIGEST) as u64);
        found.push(digests);
    }
    found
}
