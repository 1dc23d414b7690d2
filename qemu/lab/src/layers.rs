//! A medium as layers: an image that is never written, and over it, sector by sector, what was written when.

use crate::Medium;
use std::{fs::File, io, os::unix::fs::FileExt as _, sync::Arc};

/// Bytes of a sector: what a disk writes whole or not at all.
pub(crate) const SECTOR: u64 = 512;

/// Where a sector's bytes are: [`BASE`], [`ZERO`], or the n-th sector of the log, as `FIRST + n`.
pub(crate) type Id = u32;
/// In the image below.
pub(crate) const BASE: Id = 0;
/// It was written with zeros.
pub(crate) const ZERO: Id = 1;
/// The first sector of the log.
pub(crate) const FIRST: Id = 2;

/// The image below and the log's bytes.
#[derive(Clone)]
pub(crate) struct Layers {
    pub(crate) base: Arc<dyn Medium>,
    pub(crate) data: Arc<File>,
}

impl Layers {
    /// Reads what `id_of` says of each sector. Neighbours in the same layer are read at once.
    pub(crate) fn read(&self, id_of: &dyn Fn(u64) -> Id, offset: u64, mut rest: &mut [u8]) -> io::Result<()> {
        let mut at = offset;
        while !rest.is_empty() {
            let (sector, within) = (at / SECTOR, at % SECTOR);
            let last = (at + rest.len() as u64 - 1) / SECTOR;
            let id = id_of(sector);
            let mut count = 1;
            while sector + count <= last && follows(id, count, id_of(sector + count)) {
                count += 1;
            }
            let length = (count * SECTOR - within).min(rest.len() as u64);
            let (piece, behind) = rest.split_at_mut(usize::try_from(length).map_err(io::Error::other)?);
            match id {
                BASE => self.base.read_at(at, piece)?,
                ZERO => piece.fill(0),
                id => self.data.read_exact_at(piece, u64::from(id - FIRST) * SECTOR + within)?,
            }
            at += length;
            rest = behind;
        }
        Ok(())
    }
}

fn follows(first: Id, count: u64, next: Id) -> bool {
    match first {
        BASE | ZERO => next == first,
        first => u64::from(next) == u64::from(first) + count,
    }
}
