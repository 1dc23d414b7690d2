//! The levels of a tree: grown from leaves, or believed only from a root hash down.

use super::{BLOCK, DIGEST, VerityError, hash_block, hash_blocks, levels, tree_size};

/// A tree whose levels agree with its root hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    root: [u8; DIGEST],
    data_blocks: u64,
    /// The levels from the top down, whole blocks.
    bytes: Vec<u8>,
}

impl Tree {
    /// Grows a tree over `leaves`, the digests of the data's blocks. `hash` gives the digests of whole blocks, one
    /// after another: [`hash_blocks`] with the salt, or the same on several threads.
    ///
    /// # Errors
    /// When there are no leaves, or half ones.
    pub fn grow(leaves: Vec<u8>, mut hash: impl FnMut(&[u8]) -> Vec<u8>) -> Result<Self, VerityError> {
        if leaves.is_empty() || !leaves.len().is_multiple_of(DIGEST) {
            return Err(VerityError::Leaves { bytes: leaves.len() as u64 });
        }
        let data_blocks = (leaves.len() / DIGEST) as u64;
        let mut below = leaves;
        let mut grown: Vec<Vec<u8>> = Vec::new();
        for _ in levels(data_blocks) {
            below.resize(below.len().next_multiple_of(BLOCK), 0);
            let digests = hash(&below);
            grown.push(std::mem::replace(&mut below, digests));
        }
        let mut root = [0; DIGEST];
        root.copy_from_slice(&below);
        Ok(Self { root, data_blocks, bytes: grown.into_iter().rev().flatten().collect() })
    }

    /// Grows a tree over data that is in memory; a last block that is not whole counts as filled with zeros.
    ///
    /// # Errors
    /// When there is no data.
    pub fn over(salt: &[u8], data: &[u8]) -> Result<Self, VerityError> {
        let whole = data.len() / BLOCK * BLOCK;
        let mut leaves = hash_blocks(salt, &data[..whole]);
        if whole < data.len() {
            let mut last = data[whole..].to_vec();
            last.resize(BLOCK, 0);
            leaves.extend(hash_block(salt, &last));
        }
        Self::grow(leaves, |blocks| hash_blocks(salt, blocks))
    }

    /// Takes the levels of a tree as they were written (from the top down, without the superblock) and checks each
    /// against the one above it, the top against `root`. Zeros after the last digest of a level are checked by that.
    ///
    /// # Errors
    /// When the length is not that of a tree over `data_blocks`, or a block of it is not what the level above says.
    pub fn check(
        data_blocks: u64,
        salt: &[u8],
        bytes: Vec<u8>,
        root: &[u8; DIGEST],
    ) -> Result<Self, VerityError> {
        let expected = tree_size(data_blocks);
        if data_blocks == 0 || bytes.len() as u64 != expected {
            return Err(VerityError::Length { data_blocks, expected, got: bytes.len() as u64 });
        }
        let mut above = 0..0;
        for blocks in levels(data_blocks).into_iter().rev() {
            let level = above.end..above.end + usize::try_from(blocks).map_or(usize::MAX, |it| it * BLOCK);
            for (number, block) in bytes[level.clone()].chunks_exact(BLOCK).enumerate() {
                let got = hash_block(salt, block);
                if above.is_empty() {
                    if got != *root {
                        return Err(VerityError::Root { got: hex::encode(got), expected: hex::encode(root) });
                    }
                } else if got[..] != bytes[above.clone()][number * DIGEST..][..DIGEST] {
                    return Err(VerityError::HashBlock { block: (1 + level.start / BLOCK + number) as u64 });
                }
            }
            above = level;
        }
        Ok(Self { root: *root, data_blocks, bytes })
    }

    /// The root hash.
    #[must_use]
    pub const fn root(&self) -> &[u8; DIGEST] {
        &self.root
    }

    /// Blocks of data that it covers.
    #[must_use]
    pub const fn data_blocks(&self) -> u64 {
        self.data_blocks
    }

    /// The levels from the top down: what follows the superblock in a hash partition.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The digests of the data's blocks, one after another.
    #[must_use]
    pub fn leaves(&self) -> &[u8] {
        let Some(blocks) = levels(self.data_blocks).first().copied() else { return &self.root };
        let start = self.bytes.len() - usize::try_from(blocks).unwrap_or(0) * BLOCK;
        let len = usize::try_from(self.data_blocks).unwrap_or(0) * DIGEST;
        &self.bytes[start..][..len]
    }

    /// Checks one block of the data; a shorter last one counts as filled with zeros.
    ///
    /// # Errors
    /// When it is not what the tree says, or the tree does not cover it.
    pub fn check_block(&self, salt: &[u8], number: u64, block: &[u8]) -> Result<(), VerityError> {
        let at = usize::try_from(number).ok().and_then(|number| number.checked_mul(DIGEST));
        let leaf = at.and_then(|at| self.leaves().get(at..)?.get(..DIGEST)).unwrap_or(&[]);
        let got = if block.len() < BLOCK {
            hash_block(salt, &[block, &vec![0; BLOCK - block.len()]].concat())
        } else {
            hash_block(salt, block)
        };
        if got[..] == *leaf {
            return Ok(());
        }
        let (got, expected) = (hex::encode(got), hex::encode(leaf));
        Err(VerityError::DataBlock {
            block: number,
            byte: number.saturating_mul(BLOCK as u64),
            got,
            expected,
        })
    }
}
