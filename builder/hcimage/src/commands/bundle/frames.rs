//! The frames of a bundle: cut by content, packed on all processors, spooled to a file without a name.

use super::source::Parts;
use crate::{error::Failure, printer::Stage};
use contract::{
    bundle::write::{Packed, cut},
    verity::BLOCK,
};
use rayon::prelude::*;
use std::{
    fs::File,
    io::{BufWriter, Write as _},
    os::unix::fs::FileExt as _,
    path::Path,
};

/// What frames are packed with: most of a root is compressed already, so that the rest is small.
const LEVEL: i32 = 19;
/// What tells whether a block shrinks.
const PROBE_LEVEL: i32 = 1;
/// Blocks that are looked at in one go: 16 MiB.
const BATCH: usize = 4096;

/// All frames in one file, and their table.
#[derive(Debug)]
pub(super) struct Spooled {
    pub(super) file: File,
    pub(super) table: Vec<u8>,
    pub(super) count: u32,
    /// Bytes in the file.
    pub(super) stored: u64,
}

/// Packs both parts. The result does not depend on how many processors there are.
pub(super) fn spool(parts: &Parts, folder: &Path, stage: &Stage) -> Result<Spooled, Failure> {
    let unwritable = || Failure::file("write", folder);
    let file = tempfile::tempfile_in(folder).map_err(unwritable())?;
    let (mut table, mut count, mut stored) = (Vec::new(), 0, 0);
    let mut sink = BufWriter::with_capacity(1 << 20, &file);
    let mut uki = parts.uki_bytes.clone();
    uki.resize(uki.len().next_multiple_of(BLOCK), 0);
    let root = |first: usize, into: &mut [u8]| {
        parts.file.read_exact_at(into, parts.root_at + (first * BLOCK) as u64)
    };
    let kernel = |first: usize, into: &mut [u8]| {
        into.copy_from_slice(&uki[first * BLOCK..][..into.len()]);
        Ok(())
    };
    let all: [(&contract::verity::Tree, &Read<'_>, &str); 2] =
        [(&parts.root, &root, "root"), (&parts.uki, &kernel, "kernel image")];
    for (tree, read, name) in all {
        let blocks = usize::try_from(tree.data_blocks()).unwrap_or(usize::MAX);
        let unreadable = || Failure::file("read", &parts.image);
        let shrinking = probe(blocks, read).map_err(unreadable())?;
        let cuts = cut(tree.leaves(), |block| shrinking[block]);
        let mut rest = &cuts[..];
        let mut first = 0;
        while !rest.is_empty() {
            let (batch, taken) = load(rest, first, read).map_err(unreadable())?;
            let packed: Vec<Packed> = batch
                .into_par_iter()
                .zip(shrinking_of(rest, first, &shrinking))
                .map(|(blocks, shrinks)| pack(&blocks, shrinks))
                .collect::<Result<_, _>>()?;
            for frame in packed {
                table.extend(frame.entry());
                stored += frame.bytes.len() as u64;
                count += 1;
                sink.write_all(&frame.bytes).map_err(unwritable())?;
            }
            first += rest[..taken].iter().map(|blocks| usize::from(*blocks)).sum::<usize>();
            rest = &rest[taken..];
            stage.at(first, blocks, name);
        }
    }
    sink.flush().map_err(unwritable())?;
    drop(sink);
    Ok(Spooled { file, table, count, stored })
}

/// Reads blocks from a number on.
type Read<'a> = dyn Fn(usize, &mut [u8]) -> std::io::Result<()> + 'a;

/// Whether each block shrinks by an eighth at least.
fn probe(blocks: usize, read: &Read<'_>) -> std::io::Result<Vec<bool>> {
    let mut shrinking = Vec::with_capacity(blocks);
    let mut buffer = vec![0; BATCH * BLOCK];
    while shrinking.len() < blocks {
        let bytes = &mut buffer[..BATCH.min(blocks - shrinking.len()) * BLOCK];
        read(shrinking.len(), bytes)?;
        let batch: std::io::Result<Vec<bool>> = bytes
            .par_chunks(BLOCK)
            .with_min_len(64)
            .map_init(
                || zstd::bulk::Compressor::new(PROBE_LEVEL),
                |compressor, block| match compressor {
                    Ok(compressor) => Ok(compressor.compress(block)?.len() <= BLOCK / 8 * 7),
                    Err(error) => Err(std::io::Error::other(error.to_string())),
                },
            )
            .collect();
        shrinking.extend(batch?);
    }
    Ok(shrinking)
}

/// The blocks of some frames, each frame's alone, up to a batch.
fn load(cuts: &[u16], mut first: usize, read: &Read<'_>) -> std::io::Result<(Vec<Vec<u8>>, usize)> {
    let (mut frames, mut blocks) = (Vec::new(), 0);
    for count in cuts {
        let count = usize::from(*count);
        if blocks + count > BATCH && !frames.is_empty() {
            break;
        }
        let mut bytes = vec![0; count * BLOCK];
        read(first, &mut bytes)?;
        (first, blocks) = (first + count, blocks + count);
        frames.push(bytes);
    }
    let taken = frames.len();
    Ok((frames, taken))
}

/// Of each frame, whether it is one of blocks that shrink: a frame has one kind of blocks alone.
fn shrinking_of(cuts: &[u16], first: usize, shrinking: &[bool]) -> Vec<bool> {
    let mut at = first;
    cuts.iter()
        .map(|count| {
            let shrinks = shrinking[at];
            at += usize::from(*count);
            shrinks
        })
        .collect()
}

fn pack(blocks: &[u8], shrinks: bool) -> Result<Packed, Failure> {
    if !shrinks {
        return Ok(Packed::smaller(blocks, None));
    }
    let zstd =
        zstd::bulk::compress(blocks, LEVEL).map_err(|error| Failure::refused(format!("zstd: {error}")))?;
    Ok(Packed::smaller(blocks, Some(zstd)))
}
