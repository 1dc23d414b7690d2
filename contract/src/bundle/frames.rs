//! The frame table: which blocks are where in the file, and in which form.

use super::{BundleError, Header, Kind};
use crate::{Digest, verity::BLOCK};

/// Bytes of an entry of the table.
pub const ENTRY: usize = 22;
/// The most blocks of a frame: what a reader must hold in memory at once.
pub const FRAME_BLOCKS_MAX: u16 = 64;
/// Bytes of the digest in an entry.
pub(super) const CHECK: usize = 16;
const ZSTD: u32 = 1 << 31;

/// How a frame is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// The blocks as they are: any of them can be fetched alone.
    Raw,
    /// One zstd frame, with the first 16 bytes of its SHA-256: it is checked before it is unpacked.
    Zstd([u8; CHECK]),
}

/// A run of blocks of one part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Whose blocks they are.
    pub kind: Kind,
    /// The first block.
    pub first: u64,
    /// How many, 1 to [`FRAME_BLOCKS_MAX`].
    pub blocks: u16,
    /// Where its bytes begin in the file.
    pub offset: u64,
    /// How many bytes.
    pub size: u32,
    /// In which form.
    pub stored: Stored,
}

/// All frames, in the order of the file: the root's blocks from first to last, then the kernel image's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frames(Vec<Frame>);

impl Frames {
    /// Reads the table of a header; the first frame begins at byte `at` of the file.
    ///
    /// # Errors
    /// When it is not the table of the header's digest, or its entries do not cover every block exactly once.
    pub fn parse(header: &Header, at: u64, table: &[u8]) -> Result<Self, BundleError> {
        let expected = u64::from(header.frames.count) * ENTRY as u64;
        if table.len() as u64 != expected {
            let found = table.len() as u64;
            return Err(BundleError::Length { what: "frame table", found, expected });
        }
        let (found, expected) = (Digest::of(table), header.frames.sha256);
        if found != expected {
            return Err(BundleError::Digest { what: "frame table", found, expected });
        }
        Self::entries(header, at, table)
    }

    fn entries(header: &Header, at: u64, table: &[u8]) -> Result<Self, BundleError> {
        let (root, uki) = (header.root.data_blocks, header.uki.data_blocks);
        let (mut frames, mut offset, mut next) = (Vec::with_capacity(table.len() / ENTRY), at, 0);
        for (frame, entry) in (0..).zip(table.chunks_exact(ENTRY)) {
            let wrong = |wrong: String| BundleError::Frame { frame, wrong };
            let (kind, first, end) =
                if next < root { (Kind::Root, next, root) } else { (Kind::Uki, next - root, uki) };
            let (blocks, size, stored) = parse_entry(entry).map_err(wrong)?;
            if first + u64::from(blocks) > end {
                return Err(wrong(format!(
                    "block {first} and {blocks} more leave the {kind}'s {end} blocks"
                )));
            }
            frames.push(Frame { kind, first, blocks, offset, size, stored });
            next += u64::from(blocks);
            offset += u64::from(size);
        }
        if next != root + uki {
            let (found, expected) = (next, root + uki);
            return Err(BundleError::Length { what: "list of blocks", found, expected });
        }
        if offset - at != header.frames.stored {
            let (found, expected) = (offset - at, header.frames.stored);
            return Err(BundleError::Length { what: "data", found, expected });
        }
        Ok(Self(frames))
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> &[Frame] {
        &self.0
    }

    /// The number of the frame that holds a block.
    #[must_use]
    pub fn of_block(&self, kind: Kind, block: u64) -> Option<usize> {
        let after = self.0.partition_point(|frame| (frame.kind, frame.first) <= (kind, block));
        let number = after.checked_sub(1)?;
        let frame = self.0.get(number)?;
        (frame.kind == kind && block - frame.first < u64::from(frame.blocks)).then_some(number)
    }
}

fn parse_entry(entry: &[u8]) -> Result<(u16, u32, Stored), String> {
    let blocks = u16::from_le_bytes([entry[0], entry[1]]);
    let word = u32::from_le_bytes([entry[2], entry[3], entry[4], entry[5]]);
    let mut check = [0; CHECK];
    check.copy_from_slice(&entry[6..]);
    if blocks == 0 || blocks > FRAME_BLOCKS_MAX {
        return Err(format!("{blocks} blocks, expected 1 to {FRAME_BLOCKS_MAX}"));
    }
    let (size, whole) = (word & !ZSTD, u32::from(blocks) * BLOCK as u32);
    if word & ZSTD != 0 {
        if size == 0 || size >= whole {
            return Err(format!(
                "a zstd frame of {size} bytes, expected fewer than the {whole} of its blocks"
            ));
        }
        return Ok((blocks, size, Stored::Zstd(check)));
    }
    if size != whole {
        return Err(format!("{size} bytes as they are, expected the {whole} of its blocks"));
    }
    if check != [0; CHECK] {
        return Err("a digest on blocks that are stored as they are".to_owned());
    }
    Ok((blocks, size, Stored::Raw))
}

/// The entry of a frame: the inverse of reading one.
pub(super) fn render_entry(blocks: u16, size: u32, stored: Stored) -> [u8; ENTRY] {
    let mut entry = [0; ENTRY];
    entry[..2].copy_from_slice(&blocks.to_le_bytes());
    let word = match stored {
        Stored::Raw => size,
        Stored::Zstd(check) => {
            entry[6..].copy_from_slice(&check);
            size | ZSTD
        }
    };
    entry[2..6].copy_from_slice(&word.to_le_bytes());
    entry
}
