//! Hash trees: the new one, fetched or found where an earlier attempt left it, and the leaves of what runs.

use super::ApplyError;
use crate::node::update::{
    select::Selector,
    slot::{Disk, Region},
    source::Source,
};
use contract::{
    Digest,
    bundle::{BundleError, Head, Index, Kind},
    slots::Slot,
    verity::{BLOCK, DIGEST, Superblock, Tree, VerityError, hash_block, hash_blocks, levels, tree_size},
};
use std::io;

/// Bytes that are read at once: a whole number of blocks.
pub(super) const PIECE: usize = 1 << 20;

fn medium(act: &'static str, at: u64) -> impl FnOnce(io::Error) -> ApplyError {
    move |source| ApplyError::Medium { act, part: "verity partition", at, source }
}

/// The index of a bundle. The root's tree is taken from the slot when an earlier attempt left it there whole.
///
/// # Errors
/// When it does not come, or is not the one that the head names.
pub(super) fn fetch(
    source: &mut dyn Source,
    head: &Head,
    verity: &mut dyn Region,
) -> Result<Index, ApplyError> {
    let (start, size) = (head.size, head.header.index_size());
    let known = kept(head, verity);
    let mut bytes = known.unwrap_or_default();
    let have = bytes.len();
    // Its bounds were checked with the header: 64 MiB at the very most, and only for a root of 8 GiB.
    bytes.resize(usize::try_from(size).map_err(io::Error::other).map_err(medium("hold", 0))?, 0);
    source.turn_to(start + have as u64..start + size)?;
    source.read(&mut bytes[have..])?;
    Ok(Index::parse(head, bytes)?)
}

fn superblock(head: &Head) -> Result<Vec<u8>, ApplyError> {
    let part = &head.header.root;
    let uuid = head.header.uuid()?;
    Ok(Superblock { uuid, data_blocks: part.data_blocks, salt: part.salt.0.to_vec() }.render())
}

/// The tree that is on the slot's verity partition, if it is the head's. One that cannot be read is as none.
fn kept(head: &Head, verity: &mut dyn Region) -> Option<Vec<u8>> {
    let part = &head.header.root;
    let mut found = vec![0; BLOCK];
    verity.read(0, &mut found).ok()?;
    if found != superblock(head).ok()? {
        return None;
    }
    let mut bytes = vec![0; usize::try_from(tree_size(part.data_blocks)).ok()?];
    verity.read(BLOCK as u64, &mut bytes).ok()?;
    let tree = Tree::check(part.data_blocks, &part.salt.0, bytes, &part.root_hash.0).ok()?;
    Some(tree.bytes().to_vec())
}

/// Writes the root's tree where the slot keeps it: the superblock, by which it is found again, comes last.
///
/// # Errors
/// When the medium does not take it.
pub(super) fn keep(index: &Index, head: &Head, verity: &mut dyn Region) -> Result<(), ApplyError> {
    if kept(head, verity).is_some() {
        return Ok(());
    }
    let mut put = |at: u64, bytes: &[u8]| {
        verity.write(at, bytes).and_then(|()| verity.flush()).map_err(medium("write", at))
    };
    put(0, &[0; BLOCK])?;
    put(BLOCK as u64, index.tree(Kind::Root).bytes())?;
    put(0, &superblock(head)?)
}

/// Checks that the tree is on the medium.
///
/// # Errors
/// When it is not.
pub(super) fn check_kept(index: &Index, head: &Head, verity: &mut dyn Region) -> Result<(), ApplyError> {
    let same = kept(head, verity).is_some_and(|bytes| bytes == index.tree(Kind::Root).bytes());
    if same { Ok(()) } else { Err(ApplyError::TreeLost) }
}

/// Reads the whole other slot and checks it against the root hash that the partition table gives it.
///
/// # Errors
/// At the first block that is not what its tree says, or when the tree is not that of the root hash.
pub fn check_slot(disk: &dyn Disk, root: &Digest) -> Result<(), ApplyError> {
    let mut pair = disk.target()?;
    let mut block = vec![0; BLOCK];
    pair.verity.read(0, &mut block).map_err(medium("read", 0))?;
    let tree = |error| ApplyError::Bundle(BundleError::Tree { part: "root", error });
    let Superblock { data_blocks, salt, .. } = Superblock::parse(&block).map_err(tree)?;
    let (size, room) = (tree_size(data_blocks), pair.verity.size());
    if size.saturating_add(BLOCK as u64) > room || data_blocks.saturating_mul(BLOCK as u64) > pair.root.size()
    {
        let (expected, got) = (size, room);
        return Err(tree(VerityError::Length { data_blocks, expected, got }));
    }
    let mut bytes = vec![0; usize::try_from(size).map_err(io::Error::other).map_err(medium("hold", 0))?];
    pair.verity.read(BLOCK as u64, &mut bytes).map_err(medium("read", BLOCK as u64))?;
    let checked = Tree::check(data_blocks, &salt, bytes, &root.0).map_err(tree)?;
    let mut piece = vec![0; PIECE];
    for first in (0..data_blocks).step_by(PIECE / BLOCK) {
        let count = (data_blocks - first).min((PIECE / BLOCK) as u64) as usize;
        let at = first * BLOCK as u64;
        let read = pair.root.read(at, &mut piece[..count * BLOCK]);
        read.map_err(|source| ApplyError::Medium { act: "read", part: "root partition", at, source })?;
        for (number, block) in (first..).zip(piece[..count * BLOCK].chunks_exact(BLOCK)) {
            checked.check_block(&salt, number, block).map_err(tree)?;
        }
    }
    Ok(())
}

/// Leaves of a place to copy from. They are claims: every block is hashed when it is copied.
#[derive(Clone, Debug, Default)]
pub(super) struct Leaves(Vec<u8>);

impl Leaves {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The leaves of the running root, from its own tree; none when it has another salt.
    ///
    /// # Errors
    /// When its superblock cannot be read. A damaged tree is no reason to stop: what it says is checked.
    pub(super) fn of_root(verity: &mut dyn Region, index: &Index) -> Result<Self, ApplyError> {
        let mut block = vec![0; BLOCK];
        verity.read(0, &mut block).map_err(medium("read", 0))?;
        let Ok(Superblock { data_blocks, salt, .. }) = Superblock::parse(&block) else {
            return Ok(Self::default());
        };
        let above: u64 = levels(data_blocks).iter().skip(1).sum();
        let leaves = levels(data_blocks).first().copied().unwrap_or(0);
        let (at, size) = ((1 + above) * BLOCK as u64, leaves.saturating_mul(BLOCK as u64));
        if salt != index.salt() || at.checked_add(size).is_none_or(|end| end > verity.size()) {
            return Ok(Self::default());
        }
        let mut bytes = vec![0; usize::try_from(size).map_err(io::Error::other).map_err(medium("hold", at))?];
        verity.read(at, &mut bytes).map_err(medium("read", at))?;
        bytes.truncate(usize::try_from(data_blocks).map_or(0, |blocks| blocks.saturating_mul(DIGEST)));
        Ok(Self(bytes))
    }

    /// The leaves of a slot's kernel, by reading it; none when it has none.
    ///
    /// # Errors
    /// When the boot partition cannot be read.
    pub(super) fn of_kernel(
        selector: &mut dyn Selector,
        slot: Slot,
        index: &Index,
    ) -> Result<Self, ApplyError> {
        let Some(size) = selector.kernel_size(slot)? else { return Ok(Self::default()) };
        let (mut leaves, mut at, mut piece) = (Vec::new(), 0, vec![0; PIECE]);
        while at < size {
            let part = usize::try_from(size - at).unwrap_or(PIECE).min(PIECE);
            selector.read_installed(slot, at, &mut piece[..part])?;
            leaves.extend(hashed(index.salt(), &mut piece, part));
            at += part as u64;
        }
        Ok(Self(leaves))
    }
}

/// The leaves of the first `length` bytes of `piece`; the last block counts as filled with zeros.
fn hashed(salt: &[u8], piece: &mut [u8], length: usize) -> Vec<u8> {
    let whole = length.next_multiple_of(BLOCK);
    piece[length..whole].fill(0);
    if whole == BLOCK {
        hash_block(salt, &piece[..whole]).to_vec()
    } else {
        hash_blocks(salt, &piece[..whole])
    }
}
