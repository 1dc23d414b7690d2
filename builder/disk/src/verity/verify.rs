use std::io::{self, Read};

use super::hasher::hash_blocks;
use super::{BLOCK, DIGEST, Digest, Error, Superblock, hash, hex, levels};

/// Data that is hashed at once, in parallel.
const CHUNK: usize = 1 << 20;

/// Recomputes every hash: the tree against the root hash, then the data against the tree. The error names the
/// first bad block. `data` may be longer than what the superblock counts, as a partition is.
pub fn verify(mut data: impl Read, hash_image: &[u8], root: &Digest) -> Result<Superblock, Error> {
    let superblock = Superblock::parse(hash_image)?;
    let leaves = check_tree(&superblock, hash_image, root)?;
    let mut leaves = leaves.chunks_exact(DIGEST).take(superblock.data_blocks as usize);
    let mut chunk = vec![0; CHUNK];
    let mut block = 0;
    while block < superblock.data_blocks {
        let want = CHUNK.min((superblock.data_blocks - block) as usize * BLOCK);
        let got = fill(&mut data, &mut chunk[..want], block * BLOCK as u64)?;
        if got < want {
            return Err(Error::DataShort {
                expected: superblock.data_blocks,
                got: block + (got / BLOCK) as u64,
            });
        }
        let digests = hash_blocks(&superblock.salt, &chunk[..want]);
        for (digest, leaf) in digests.chunks_exact(DIGEST).zip(&mut leaves) {
            if digest != leaf {
                let byte = block * BLOCK as u64;
                return Err(Error::DataBlock { block, byte, got: hex(digest), expected: hex(leaf) });
            }
            block += 1;
        }
    }
    Ok(superblock)
}

/// Checks the tree from the top down and returns the level that has the data's digests.
fn check_tree(superblock: &Superblock, image: &[u8], root: &Digest) -> Result<Vec<u8>, Error> {
    let levels = levels(superblock.data_blocks);
    let expected = (1 + levels.iter().sum::<u64>()) * BLOCK as u64;
    let Some(image) = usize::try_from(expected).ok().and_then(|len| image.get(..len)) else {
        let got = image.len() as u64;
        return Err(Error::HashLength { data_blocks: superblock.data_blocks, expected, got });
    };
    let mut above = root.to_vec();
    let mut at = BLOCK;
    for (depth, blocks) in levels.iter().rev().enumerate() {
        let level = &image[at..at + *blocks as usize * BLOCK];
        for (number, (block, digest)) in level.chunks_exact(BLOCK).zip(above.chunks_exact(DIGEST)).enumerate()
        {
            let got = hash(&superblock.salt, block);
            if got != *digest && depth == 0 {
                return Err(Error::Root { got: hex(&got), expected: hex(root) });
            } else if got != *digest {
                return Err(Error::HashBlock { block: (at / BLOCK + number) as u64 });
            }
        }
        above = level.to_vec();
        at += level.len();
    }
    Ok(above)
}

fn fill(data: &mut impl Read, into: &mut [u8], start: u64) -> Result<usize, Error> {
    let mut got = 0;
    while got < into.len() {
        match data.read(&mut into[got..]) {
            Ok(0) => break,
            Ok(read) => got += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(Error::Read { at: start + got as u64, source }),
        }
    }
    Ok(got)
}
