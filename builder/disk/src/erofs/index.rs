//! Compact indexes: one number for each 4 KiB of a compressed file, 2 bytes of space for most.
//!
//! The index starts 8-aligned behind the map header. Packs of two numbers (16 bits each, in 8 bytes) lead up
//! to a 32-byte boundary; packs of sixteen (14 bits each, in 32 bytes) follow; packs of two end it. The last
//! 4 bytes of a pack are a block address; a reader adds the blocks of the extents that come before in the pack.
//! Each number has 12 low bits and a 2-bit type: a head or a plain cluster says where in the cluster it
//! begins (always 0 here); the one after a head says how many blocks the extent has (bit 11 set); the others
//! say how far back their head is, but the last in a pack says how far ahead the next head is.

use super::format::{BLOCK_COUNT_FLAG, CLUSTER_HEAD, CLUSTER_NEXT, CLUSTER_PLAIN};

const LOW_BITS: u32 = 12;

/// What one 4 KiB of the file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cluster {
    /// Stored as it is, in this block.
    Plain { block: u32 },
    /// The start of a compressed extent, which is stored from this block on.
    Head { block: u32 },
    /// A later part of an extent: clusters back to its head and ahead to the next, and the extent's blocks.
    Next { back: u16, ahead: u16, blocks: u16 },
}

/// Sizes of the three runs of packs, in numbers, for an index that starts at this address.
fn runs(start: u64, clusters: usize) -> (usize, usize, usize) {
    let lead = (32 - (start % 32) as usize) / 4 % 8;
    if lead >= clusters {
        return (clusters, 0, 0);
    }
    let middle = (clusters - lead) & !15;
    (lead, middle, clusters - lead - middle)
}

/// Bytes of the index, where `start` is the address of its first byte.
pub(super) fn len(start: u64, clusters: usize) -> usize {
    let (lead, middle, rest) = runs(start, clusters);
    lead.next_multiple_of(2) * 4 + middle * 2 + rest.next_multiple_of(2) * 4
}

/// The index's bytes, where `start` is the address of its first byte.
pub(super) fn encode(start: u64, clusters: &[Cluster]) -> Vec<u8> {
    let (lead, middle, _) = runs(start, clusters.len());
    let (lead, rest) = clusters.split_at(lead);
    let (middle, tail) = rest.split_at(middle);
    let mut out = Vec::with_capacity(len(start, clusters.len()));
    lead.chunks(2).for_each(|pack| encode_pack(pack, 2, 16, &mut out));
    middle.chunks(16).for_each(|pack| encode_pack(pack, 16, 14, &mut out));
    tail.chunks(2).for_each(|pack| encode_pack(pack, 2, 16, &mut out));
    out
}

fn encode_pack(pack: &[Cluster], capacity: usize, bits: u32, out: &mut Vec<u8>) {
    let mut word = 0_u128;
    let mut high = 0_u128;
    for (at, cluster) in pack.iter().enumerate() {
        let (kind, low) = match *cluster {
            Cluster::Plain { .. } => (CLUSTER_PLAIN, 0),
            Cluster::Head { .. } => (CLUSTER_HEAD, 0),
            Cluster::Next { back: 1, blocks, .. } => (CLUSTER_NEXT, blocks | BLOCK_COUNT_FLAG),
            Cluster::Next { ahead, .. } if at + 1 == capacity => (CLUSTER_NEXT, ahead),
            Cluster::Next { back, .. } => (CLUSTER_NEXT, back),
        };
        let number = u128::from(low | kind << LOW_BITS);
        // Sixteen numbers of 14 bits are 224 bits: two words, the ninth number in both is none.
        let shift = at as u32 * bits;
        if shift < 112 {
            word |= number << shift;
        } else {
            high |= number << (shift - 112);
        }
    }
    let bytes = capacity * bits as usize / 8;
    let mut numbers = [0_u8; 28];
    numbers[..14].copy_from_slice(&word.to_le_bytes()[..14]);
    numbers[14..].copy_from_slice(&high.to_le_bytes()[..14]);
    out.extend_from_slice(&numbers[..bytes]);
    out.extend(pack_base(pack).to_le_bytes());
}

/// The address that gives a reader the right block for each head in the pack.
fn pack_base(pack: &[Cluster]) -> u32 {
    let first = pack.iter().enumerate().find_map(|(at, cluster)| match *cluster {
        Cluster::Plain { block } | Cluster::Head { block } => Some((at, block)),
        Cluster::Next { .. } => None,
    });
    first.map_or(0, |(at, block)| block.wrapping_sub(blocks_before(&pack[..at])))
}

/// What a reader counts for the clusters in front of the first head of a pack: the blocks of an extent
/// whose head was the last cluster of the pack before.
fn blocks_before(front: &[Cluster]) -> u32 {
    match front.first() {
        Some(Cluster::Next { back: 1, blocks, .. }) => u32::from(*blocks),
        _ => 0,
    }
}

/// One number of an index, as stored.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stored {
    pub(super) kind: u16,
    pub(super) low: u16,
    /// Block address, for heads and plain clusters.
    pub(super) block: u32,
}

/// All numbers of an index of `len(start, clusters)` bytes. Without the 14-bit packs where `wide` is set.
pub(super) fn decode(start: u64, clusters: usize, bytes: &[u8]) -> Option<Vec<Stored>> {
    let (lead, middle, tail) = runs(start, clusters);
    let mut found = Vec::with_capacity(clusters);
    let mut rest = bytes;
    for (count, capacity, bits) in [(lead, 2, 16), (middle, 16, 14), (tail, 2, 16)] {
        let mut left = count;
        while left > 0 {
            let (pack, after) = rest.split_at_checked(capacity * bits / 8 + 4)?;
            rest = after;
            decode_pack(pack, left.min(capacity), bits, &mut found);
            left = left.saturating_sub(capacity);
        }
    }
    Some(found)
}

fn decode_pack(pack: &[u8], count: usize, bits: usize, out: &mut Vec<Stored>) {
    let (numbers, base) = pack.split_at(pack.len() - 4);
    let base = u32::from_le_bytes([base[0], base[1], base[2], base[3]]);
    let number = |at: usize| {
        let bit = at * bits;
        let byte = |i: usize| u32::from(numbers.get(bit / 8 + i).copied().unwrap_or(0));
        (((byte(0) | byte(1) << 8 | byte(2) << 16) >> (bit % 8)) & ((1 << bits) - 1)) as u16
    };
    // Blocks of the extents in front, counted as a head's block count becomes known.
    let mut before = 0_u32;
    let mut open = false;
    for at in 0..count {
        let (kind, low) = ((number(at) >> LOW_BITS) & 3, number(at) & ((1 << LOW_BITS) - 1));
        if kind == CLUSTER_NEXT {
            if low & BLOCK_COUNT_FLAG != 0 {
                before = before.wrapping_add(u32::from(low & !BLOCK_COUNT_FLAG));
                open = false;
            }
        } else {
            before = before.wrapping_add(u32::from(open));
            open = true;
        }
        out.push(Stored { kind, low, block: base.wrapping_add(before) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Extents of so many clusters in so many blocks; (1, 1) is plain.
    fn clusters(extents: &[(u16, u16)]) -> Vec<Cluster> {
        let mut block = 100;
        let mut found = Vec::new();
        for &(clusters, blocks) in extents {
            found.push(if clusters == 1 { Cluster::Plain { block } } else { Cluster::Head { block } });
            found.extend((1..clusters).map(|back| Cluster::Next { back, ahead: clusters - back, blocks }));
            block += u32::from(blocks);
        }
        found
    }

    #[test]
    fn heads_get_their_blocks_back() {
        let long =
            [(32, 9), (32, 31), (1, 1), (1, 1), (2, 1), (15, 3), (16, 4), (17, 5), (3, 2), (128, 1), (9, 1)];
        for skip in 0..long.len() {
            let clusters = clusters(&long[skip..]);
            for start in [8, 16, 24, 32] {
                let bytes = encode(start, &clusters);
                assert_eq!(bytes.len(), len(start, clusters.len()));
                let back = decode(start, clusters.len(), &bytes).unwrap();
                assert_eq!(back.len(), clusters.len());
                for (at, (stored, cluster)) in back.iter().zip(&clusters).enumerate() {
                    match *cluster {
                        Cluster::Plain { block } => {
                            assert_eq!((stored.kind, stored.block), (0, block), "{at}")
                        }
                        Cluster::Head { block } => {
                            assert_eq!((stored.kind, stored.block), (1, block), "{at}")
                        }
                        Cluster::Next { .. } => assert_eq!(stored.kind, 2, "{at}"),
                    }
                }
            }
        }
    }

    #[test]
    fn a_short_index_is_refused() {
        let clusters = clusters(&[(32, 9), (32, 31)]);
        let bytes = encode(8, &clusters);
        assert!(decode(8, clusters.len(), &bytes[..bytes.len() - 1]).is_none());
    }
}
