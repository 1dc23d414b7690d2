//! The index: both hash trees and the frame table, checked; and the one door through which bytes become blocks.

use super::{BundleError, ENTRY, Frame, Frames, Head, Header, Stored, frames::CHECK, plan::Piece};
use crate::{
    Digest,
    verity::{BLOCK, Tree, VerityError, tree_size},
};
use std::fmt;

/// The two parts of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The root file system.
    Root,
    /// The unified kernel image.
    Uki,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Root => "root",
            Self::Uki => "kernel image",
        })
    }
}

/// Everything by which the blocks of a bundle are found and believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// The tree over the root file system: what goes to the verity partition.
    pub root: Tree,
    /// The tree over the kernel image.
    pub uki: Tree,
    /// Where the blocks are.
    pub frames: Frames,
    salt: Digest,
}

impl Header {
    /// Bytes of the index, which follows the head.
    #[must_use]
    pub fn index_size(&self) -> u64 {
        let trees = tree_size(self.root.data_blocks) + tree_size(self.uki.data_blocks);
        trees + u64::from(self.frames.count) * ENTRY as u64
    }
}

impl Index {
    /// Reads the index of a believed head: exactly [`Header::index_size`] bytes.
    ///
    /// # Errors
    /// When it has another length, a tree does not lead to its root hash, or the table is damaged.
    pub fn parse(head: &Head, mut bytes: Vec<u8>) -> Result<Self, BundleError> {
        let header = &head.header;
        let expected = header.index_size();
        if bytes.len() as u64 != expected {
            let found = bytes.len() as u64;
            return Err(BundleError::Length { what: "index", found, expected });
        }
        // The root's tree is large and stays where it is; what follows it is copied.
        let size = |data_blocks| usize::try_from(tree_size(data_blocks)).unwrap_or(usize::MAX);
        let mut uki = bytes.split_off(size(header.root.data_blocks));
        let table = uki.split_off(size(header.uki.data_blocks));
        let salt = header.root.salt;
        let check = |part, data_blocks, bytes, root: &Digest| {
            Tree::check(data_blocks, &salt.0, bytes, &root.0)
                .map_err(|error| BundleError::Tree { part, error })
        };
        let uki = check("kernel image", header.uki.data_blocks, uki, &header.uki.root_hash)?;
        let root = check("root", header.root.data_blocks, bytes, &header.root.root_hash)?;
        let frames = Frames::parse(header, head.frames_at(), &table)?;
        Ok(Self { root, uki, frames, salt })
    }

    /// The tree of a part.
    #[must_use]
    pub const fn tree(&self, kind: Kind) -> &Tree {
        match kind {
            Kind::Root => &self.root,
            Kind::Uki => &self.uki,
        }
    }

    /// The salt of both trees.
    #[must_use]
    pub const fn salt(&self) -> &[u8] {
        &self.salt.0
    }

    /// Checks one block, wherever it comes from; a shorter last one counts as filled with zeros.
    ///
    /// # Errors
    /// When it is not what the index says.
    pub fn check_block(&self, kind: Kind, number: u64, block: &[u8]) -> Result<(), VerityError> {
        self.tree(kind).check_block(&self.salt.0, number, block)
    }

    /// The blocks of a piece, from the bytes that the file has at its place. A zstd frame is checked before
    /// `inflate` sees it; `inflate` is given the only length that its output may have, and says in words why it
    /// fails. Every block was checked when it comes out.
    ///
    /// # Errors
    /// When the bytes are too few or too many, are not those of the table, do not unpack to exactly their blocks, or
    /// a block is not what the index says.
    pub fn open(
        &self,
        piece: &Piece,
        stored: &[u8],
        inflate: impl FnOnce(&[u8], usize) -> Result<Vec<u8>, String>,
    ) -> Result<Vec<u8>, BundleError> {
        let frame = piece.frame;
        let wrong = |wrong: String| BundleError::Frame { frame, wrong };
        let known = usize::try_from(frame).ok().and_then(|number| self.frames.all().get(number));
        let known: &Frame = known.ok_or_else(|| wrong("there is no such frame".to_owned()))?;
        if stored.len() as u64 != piece.size {
            return Err(wrong(format!("{} bytes, expected {}", stored.len(), piece.size)));
        }
        let blocks = match known.stored {
            Stored::Raw => stored.to_vec(),
            Stored::Zstd(check) => {
                if Digest::of(stored).0[..CHECK] != check {
                    return Err(BundleError::FrameBytes { frame, byte: known.offset });
                }
                inflate(stored, usize::from(known.blocks) * BLOCK).map_err(wrong)?
            }
        };
        let expected = piece.blocks * BLOCK as u64;
        if blocks.len() as u64 != expected {
            return Err(wrong(format!("it unpacks to {} bytes, expected {expected}", blocks.len())));
        }
        for (number, block) in (piece.first..).zip(blocks.chunks_exact(BLOCK)) {
            self.check_block(piece.kind, number, block)
                .map_err(|error| BundleError::Block { frame, error })?;
        }
        Ok(blocks)
    }
}
