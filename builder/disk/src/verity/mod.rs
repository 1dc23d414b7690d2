//! dm-verity: a tree of hashes over an image, byte-identical to what `veritysetup format` writes.
//! The tree itself is `contract::verity`; here it is made and checked on several threads, while data streams by.
//!
//! Format 1: sha256 over salt and block, 4096-byte data and hash blocks, a superblock in the first hash block, then
//! the levels of the tree from the top down. `docs/formats/verity.md` has the bytes.

mod hasher;
mod verify;

use std::io;

pub use contract::verity::{BLOCK, Superblock, VerityError};
pub use hasher::{Hasher, Tree};
pub use verify::verify;

use contract::verity::{DIGEST, hash_block};

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
    /// The superblock or the tree.
    #[error(transparent)]
    Tree(#[from] VerityError),
    /// Data that is shorter than the superblock says.
    #[error("the data ends after {got} blocks, the superblock says {expected}")]
    DataShort {
        /// Blocks that the superblock counts.
        expected: u64,
        /// Whole blocks there are.
        got: u64,
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
