//! dm-verity, computed anew (kernel: Documentation/admin-guide/device-mapper/verity.rst; superblock: cryptsetup's).

use super::gpt::{u32_at, u64_at};
use crate::Medium;
use sha2::{Digest as _, Sha256};
use std::{io, ops::Range};

const BLOCK: u64 = 4096;

/// Checks every block of `data` and every block of the tree in `hash` against `root`.
///
/// # Errors
/// With the first block that is not what the root hash says.
pub fn verify(
    medium: &dyn Medium,
    data: &Range<u64>,
    hash: &Range<u64>,
    root: &[u8; 32],
) -> Result<(), String> {
    let io = |error: io::Error| error.to_string();
    let head = medium.bytes(hash.start..hash.start + 512).map_err(io)?;
    let algorithm = head[32..64].split(|byte| *byte == 0).next().unwrap_or_default();
    let known = &head[..8] == b"verity\0\0" && u32_at(&head, 8) == 1 && u32_at(&head, 12) == 1;
    let sizes = u32_at(&head, 64) == 4096 && u32_at(&head, 68) == 4096 && algorithm == b"sha256";
    let salt_length = usize::from(u16::from_le_bytes([head[80], head[81]]));
    let blocks = u64_at(&head, 72);
    if !known || !sizes || salt_length > 256 || blocks == 0 || blocks * BLOCK > data.end - data.start {
        return Err("the verity superblock is not one that this image has".into());
    }
    let salt = &head[88..88 + salt_length];

    let mut level: Vec<[u8; 32]> = Vec::new();
    let mut at = data.start;
    while at < data.start + blocks * BLOCK {
        let end = (at + (1 << 20)).min(data.start + blocks * BLOCK);
        let bytes = medium.bytes(at..end).map_err(io)?;
        level.extend(bytes.chunks_exact(BLOCK as usize).map(|block| digest(salt, block)));
        at = end;
    }
    // From the leaves up; on the medium the levels lie the other way round, the top one first.
    let mut levels: Vec<Vec<u8>> = Vec::new();
    while level.len() > 1 || levels.is_empty() {
        let mut bytes = level.concat();
        bytes.resize(bytes.len().next_multiple_of(BLOCK as usize), 0);
        level = bytes.chunks_exact(BLOCK as usize).map(|block| digest(salt, block)).collect();
        levels.push(bytes);
    }
    if level.first() != Some(root) {
        return Err("the data are not what the root hash says".into());
    }
    let mut at = hash.start + BLOCK;
    for level in levels.iter().rev() {
        let stored = medium.bytes(at..at + level.len() as u64).map_err(io)?;
        if let Some(block) =
            stored.chunks(BLOCK as usize).zip(level.chunks(BLOCK as usize)).position(|(a, b)| a != b)
        {
            return Err(format!("block {block} of a level of the hash tree is damaged"));
        }
        at += level.len() as u64;
    }
    Ok(())
}

fn digest(salt: &[u8], block: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(salt).chain_update(block).finalize().into()
}
