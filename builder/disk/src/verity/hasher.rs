use std::io::{self, Write};

use rayon::prelude::*;

use super::{BLOCK, Digest, Error, Settings, Superblock, hash_block};

/// Data that is hashed at once, in parallel.
const CHUNK: usize = 1 << 20;

/// Takes the data as it is written anywhere else, and gives the tree over it. Holds 1 MiB of the data and
/// 32 bytes for each 4096 of it. Hashes on rayon's current pool; the result does not depend on its threads.
#[derive(Debug)]
pub struct Hasher {
    settings: Settings,
    pending: Vec<u8>,
    leaves: Vec<u8>,
    len: u64,
}

/// A finished tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// The root hash.
    pub root: Digest,
    /// Blocks of data covered.
    pub data_blocks: u64,
    /// The hash image: superblock and tree, whole blocks.
    pub bytes: Vec<u8>,
}

impl Hasher {
    /// A hasher that has seen nothing.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings, pending: Vec::with_capacity(CHUNK), leaves: Vec::new(), len: 0 }
    }

    /// The tree over all that was written, which must be whole blocks.
    pub fn finish(mut self) -> Result<Tree, Error> {
        if self.len == 0 || !self.len.is_multiple_of(BLOCK as u64) {
            return Err(Error::Length { len: self.len });
        }
        self.drain();
        let data_blocks = self.len / BLOCK as u64;
        let salt = self.settings.salt;
        let grown = contract::verity::Tree::grow(self.leaves, |blocks| hash_blocks(&salt, blocks))?;
        let superblock = Superblock { uuid: self.settings.uuid, data_blocks, salt: salt.to_vec() };
        let mut bytes = superblock.render();
        bytes.extend_from_slice(grown.bytes());
        Ok(Tree { root: *grown.root(), data_blocks, bytes })
    }

    fn drain(&mut self) {
        let digests = hash_blocks(&self.settings.salt, &self.pending);
        self.leaves.extend(digests);
        self.pending.clear();
    }
}

/// The digests of whole blocks, one after another.
pub(super) fn hash_blocks(salt: &[u8], blocks: &[u8]) -> Vec<u8> {
    let digests: Vec<Digest> =
        blocks.par_chunks(BLOCK).with_min_len(16).map(|block| hash_block(salt, block)).collect();
    digests.concat()
}

impl Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(CHUNK - self.pending.len());
        self.pending.extend_from_slice(&bytes[..taken]);
        self.len += taken as u64;
        if self.pending.len() == CHUNK {
            self.drain();
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
