//! What fuzzers call, and the ordinary tests with the same inputs: whatever the bytes, reading them ends well, and
//! what was read is written and read again as the same.

use crate::{
    Digest, Seed,
    bundle::{ENTRY, Frames, Head, Index, Kind, Local, Prefix, plan, testing::Recipe, write},
    trust::Chain,
    update::{Channel, Installed, SignedPermit},
    verity::{Superblock, Tree},
};
use std::sync::OnceLock;

/// Reads any bytes.
pub type Target = fn(&[u8]);

/// The targets, by the names of their folders in `fuzz/corpus`.
pub const TARGETS: [(&str, Target); 4] = [("head", head), ("index", index), ("trust", trust), ("seed", seed)];

/// The front of a bundle: prefix, header, signatures, chain.
///
/// # Panics
/// When something is read that cannot be written, which is what is looked for.
pub fn head(bytes: &[u8]) {
    if let Ok(prefix) = Prefix::parse(bytes) {
        assert!(prefix.head_size() <= 148 << 10);
    }
    if let Ok(head) = Head::unverified(bytes) {
        assert!(head.file_size() >= head.size);
        let again =
            write::head(&head.header, &head.signatures, &head.chain).expect("what is read is written");
        let again = Head::unverified(&again).expect("what is written is read");
        assert_eq!((again.header, again.signatures), (head.header, head.signatures));
    }
    let node = crate::bundle::testing::trust(1, 1, &[1, 2]);
    if let Ok(head) = Head::read(bytes, &node) {
        assert!(head.trust.is_some() && !head.signers.is_empty());
    }
}

/// Hash trees, the frame table, and plans over whatever table there is.
///
/// # Panics
/// When a plan misses a block, which is what is looked for.
pub fn index(bytes: &[u8]) {
    static HEAD: OnceLock<Head> = OnceLock::new();
    let known = HEAD.get_or_init(|| Head::unverified(&Recipe::default().make().bytes).expect("a bundle"));
    let accepted = Index::parse(known, bytes.to_vec());
    if let Ok(index) = &accepted {
        let place = Local { leaves: &bytes[..bytes.len().min(4096)] };
        for kind in [Kind::Root, Kind::Uki] {
            let plan = plan(index, kind, |block| block % 7 == 0, &[place], 5000);
            let all = plan.present + plan.copied() + plan.unpacked();
            assert!(all == index.tree(kind).data_blocks(), "each block comes from one place");
        }
    }
    // A table that its own header vouches for: what only a signer could do wrong.
    let table = &bytes[..bytes.len() / ENTRY * ENTRY];
    let mut header = known.header.clone();
    header.frames.count = u32::try_from(table.len() / ENTRY).unwrap_or(u32::MAX);
    header.frames.sha256 = Digest::of(table);
    if let Ok(frames) = Frames::parse(&header, known.frames_at(), table) {
        assert!(frames.all().iter().all(|frame| frame.blocks > 0 && frame.size > 0));
    }
    for blocks in [0, 2, 129, 1 << 40] {
        assert!(Tree::check(blocks, b"salt", bytes.to_vec(), &[0; 32]).is_err());
    }
    if let Ok(superblock) = Superblock::parse(bytes) {
        assert_eq!(Superblock::parse(&superblock.render()).as_ref(), Ok(&superblock));
    }
}

/// Chains of trust, and the small files about updates.
///
/// # Panics
/// When something is read that is written as something else, which is what is looked for.
pub fn trust(bytes: &[u8]) {
    if let Ok(chain) = Chain::parse(bytes) {
        assert_eq!(Chain::parse(&chain.render()).as_ref(), Ok(&chain));
        let node = crate::bundle::testing::trust(1, 1, &[1, 2]);
        if let Ok(newest) = node.follow(&chain) {
            assert!(newest.version >= node.version && newest.public_keys().is_ok());
        }
        assert!(chain.newest().is_err() || chain.0.is_empty() || chain.0[0].trust.public_keys().is_ok());
    }
    if let Ok(installed) = Installed::parse(bytes) {
        assert_eq!(Installed::parse(&installed.render()), Ok(installed));
    }
    if let Ok(channel) = Channel::parse(bytes) {
        assert!(!channel.bundle.starts_with('/') && !channel.bundle.contains(".."), "{}", channel.bundle);
        assert_eq!(Channel::parse(&channel.render()), Ok(channel));
    }
    if let Ok(permit) = SignedPermit::parse(bytes) {
        assert_eq!(SignedPermit::parse(&permit.render()), Ok(permit));
    }
}

/// A node's settings.
///
/// # Panics
/// When something is read that is written as something else, which is what is looked for.
pub fn seed(bytes: &[u8]) {
    if let Ok(seed) = Seed::parse(bytes) {
        assert_eq!(Seed::parse(seed.render().as_bytes()), Ok(seed));
    }
    if let Ok(burned) = Seed::burned(bytes) {
        assert_eq!(burned.len(), bytes.len());
        assert!(Seed::burned(&burned).is_ok(), "a burned file is read again");
    }
}

#[cfg(test)]
mod tests;
