//! The pure half of writing a bundle: where frames are cut, and the bytes of head and index. Compression and keys are
//! the caller's.

use super::{BundleError, FRAME_BLOCKS_MAX, Frames, Header, Stored, frames, head};
use crate::{
    Digest,
    trust::Chain,
    verity::{DIGEST, Tree},
};

/// The most blocks of a frame whose blocks do not shrink.
const RAW_MAX: u16 = 32;
/// A frame of such blocks ends after a leaf of which this many bits are zero: after 8 blocks on average.
const RAW_BITS: u8 = 0b0000_0111;
/// Of blocks that shrink, 16 on average: more shrink better together, and fewer are fetched for nothing.
const SHRINKING_BITS: u8 = 0b0000_1111;

/// One frame, as it will be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// How many blocks.
    pub blocks: u16,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Their form.
    pub stored: Stored,
}

impl Packed {
    /// A frame of whole blocks and, perhaps, the one zstd frame that they make; the smaller one is stored.
    ///
    /// # Panics
    /// When there are more blocks than a frame may have; [`cut`] does not give such.
    #[must_use]
    pub fn smaller(blocks: &[u8], zstd: Option<Vec<u8>>) -> Self {
        let count = u16::try_from(blocks.len() / crate::verity::BLOCK).ok();
        let count = count.filter(|count| *count <= FRAME_BLOCKS_MAX).expect("a frame is cut small");
        match zstd.filter(|zstd| zstd.len() < blocks.len()) {
            None => Self { blocks: count, bytes: blocks.to_vec(), stored: Stored::Raw },
            Some(bytes) => {
                let mut check = [0; frames::CHECK];
                check.copy_from_slice(&Digest::of(&bytes).0[..frames::CHECK]);
                Self { blocks: count, bytes, stored: Stored::Zstd(check) }
            }
        }
    }

    /// Its entry in the table.
    #[must_use]
    pub fn entry(&self) -> Vec<u8> {
        let size = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        frames::render_entry(self.blocks, size, self.stored).to_vec()
    }
}

/// Cuts a part into frames: the number of blocks of each. Where a cut is depends on the blocks around it alone, so
/// that releases which share blocks share frames. `shrinks` says whether a block compresses.
#[must_use]
pub fn cut(leaves: &[u8], mut shrinks: impl FnMut(usize) -> bool) -> Vec<u16> {
    let (mut cuts, mut run) = (Vec::new(), 0);
    let mut leaves = leaves.chunks_exact(DIGEST).enumerate().peekable();
    let mut shrinking = leaves.peek().is_some_and(|_| shrinks(0));
    while let Some((at, leaf)) = leaves.next() {
        run += 1;
        let next = leaves.peek().map(|_| shrinks(at + 1));
        let (most, bits) = if shrinking { (FRAME_BLOCKS_MAX, SHRINKING_BITS) } else { (RAW_MAX, RAW_BITS) };
        if next != Some(shrinking) || run == most || leaf[0] & bits == 0 {
            cuts.push(run);
            run = 0;
        }
        shrinking = next.unwrap_or(false);
    }
    cuts
}

/// The bytes of the index. `table` is the entries of all frames, one after another.
#[must_use]
pub fn index(root: &Tree, uki: &Tree, table: &[u8]) -> Vec<u8> {
    [root.bytes(), uki.bytes(), table].concat()
}

/// The bytes of the head: prefix, header, signatures, chain, zeros.
///
/// # Errors
/// When a part is larger than is read.
pub fn head(header: &Header, signatures: &[String], chain: &Chain) -> Result<Vec<u8>, BundleError> {
    header.checked()?;
    head::render(header, signatures, chain)
}

/// Checks a table that was just made: what a reader would refuse is not written.
///
/// # Errors
/// As of [`Frames::parse`].
pub fn check_table(header: &Header, table: &[u8]) -> Result<(), BundleError> {
    Frames::parse(header, 0, table).map(|_| ())
}
