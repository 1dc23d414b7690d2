use std::io::{self, Read};

use super::hasher::hash_blocks;
use super::{BLOCK, DIGEST, Digest, Error, Superblock, VerityError, hex};
use contract::verity::{Tree, tree_size};

/// Data that is hashed at once, in parallel.
const CHUNK: usize = 1 << 20;

/// Recomputes every hash: the tree against the root hash, then the data against the tree. The error names the
/// first bad block. `data` may be longer than what the superblock counts, as a partition is.
pub fn verify(mut data: impl Read, hash_image: &[u8], root: &Digest) -> Result<Superblock, Error> {
    let superblock = Superblock::parse(hash_image)?;
    let tree = check_tree(&superblock, hash_image, root)?;
    let mut leaves = tree.leaves().chunks_exact(DIGEST);
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

/// The tree behind a superblock; what follows it in the image is not looked at.
fn check_tree(superblock: &Superblock, image: &[u8], root: &Digest) -> Result<Tree, Error> {
    let Superblock { data_blocks, salt, .. } = superblock;
    let expected = BLOCK as u64 + tree_size(*data_blocks);
    let tree = usize::try_from(expected).ok().and_then(|end| image.get(BLOCK..end)).ok_or_else(|| {
        let got = image.len() as u64;
        VerityError::Length { data_blocks: *data_blocks, expected, got }
    })?;
    Ok(Tree::check(*data_blocks, salt, tree.to_vec(), root)?)
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
