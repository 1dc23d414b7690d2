//! dm-verity's tree as a value: hashes of blocks, its levels, its superblock. Byte-identical to what `veritysetup
//! format` writes. `docs/formats/verity.md` has the bytes.
//!
//! The leaves are also the index of an update: blocks with equal leaves are equal (under one salt), so that a node
//! finds what it has, and what it has fetched, by comparing them.

mod superblock;
mod tree;

pub use superblock::{SUPERBLOCK, Superblock};
pub use tree::Tree;

use sha2::{Digest as _, Sha256};

/// Bytes of a data block and of a hash block.
pub const BLOCK: usize = 4096;
/// Bytes of a digest.
pub const DIGEST: usize = 32;
/// Digests in a hash block.
const FAN_OUT: u64 = (BLOCK / DIGEST) as u64;

/// What can be wrong with a tree or a superblock.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerityError {
    /// No data at all, or digests that are not whole.
    #[error("a hash tree over {bytes} bytes of digests cannot be: expected a multiple of 32, and not none")]
    Leaves {
        /// Bytes of digests that were given.
        bytes: u64,
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
    #[error("the hash tree has {got} bytes, over {data_blocks} data blocks it takes {expected}")]
    Length {
        /// Blocks of data that it covers.
        data_blocks: u64,
        /// Bytes that it takes.
        expected: u64,
        /// Bytes there are.
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
        /// Its number, from the start of the hash image; the superblock is number 0.
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
}

/// The digest of one block: SHA-256 of the salt, then the block. A shorter block is taken as it is; pad it first.
#[must_use]
pub fn hash_block(salt: &[u8], block: &[u8]) -> [u8; DIGEST] {
    Sha256::new().chain_update(salt).chain_update(block).finalize().into()
}

/// The digests of whole blocks, one after another.
#[must_use]
pub fn hash_blocks(salt: &[u8], blocks: &[u8]) -> Vec<u8> {
    blocks.chunks(BLOCK).flat_map(|block| hash_block(salt, block)).collect()
}

/// Blocks of each level of the tree, from the leaves up. None for a single data block: its hash is the root.
#[must_use]
pub fn levels(data_blocks: u64) -> Vec<u64> {
    let mut found = Vec::new();
    let mut digests = data_blocks;
    while digests > 1 {
        digests = digests.div_ceil(FAN_OUT);
        found.push(digests);
    }
    found
}

/// Bytes of the tree over so many data blocks, without the superblock.
#[must_use]
pub fn tree_size(data_blocks: u64) -> u64 {
    levels(data_blocks).iter().sum::<u64>().saturating_mul(BLOCK as u64)
}
