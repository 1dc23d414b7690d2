use std::io::{Read, Seek, Write};

use super::super::Error;
use super::super::format::{
    ADVISE_BIG_PCLUSTER, ADVISE_COMPACTED_2B, ADVISE_INLINE_PCLUSTER, ALGORITHM_ZSTD, BLOCK,
    BLOCK_COUNT_FLAG, CLUSTER_HEAD, CLUSTER_NEXT, CLUSTER_PLAIN, LAYOUT_COMPACT, LAYOUT_INLINE, MAP_HEADER,
};
use super::super::index::{self, Stored};
use super::super::pack::expand;
use super::super::shape::EXTENT_MAX;
use super::{Found, Reader, What, damaged, le};

/// Bytes read at once from a file that is stored as it is.
const CHUNK: u64 = 1 << 20;

impl<R: Read + Seek> Reader<R> {
    /// A file's bytes, unless it is larger than the limit.
    pub fn read(&mut self, file: &Found, limit: u64) -> Result<Vec<u8>, Error> {
        if file.size > limit {
            return Err(Error::Limit { size: file.size, limit });
        }
        let mut bytes = Vec::new();
        self.copy(file, &mut bytes)?;
        Ok(bytes)
    }

    /// Writes a file's bytes, one extent at a time.
    pub fn copy(&mut self, file: &Found, out: &mut impl Write) -> Result<(), Error> {
        if file.what != What::File {
            return damaged(file.end, "not a regular file");
        }
        if file.layout == LAYOUT_COMPACT {
            return self.copy_compressed(file, out);
        }
        let mut from = 0;
        while from < file.size {
            let len = CHUNK.min(file.size - from);
            out.write_all(&self.flat(file, from, len)?).map_err(Error::Write)?;
            from += len;
        }
        Ok(())
    }

    /// Bytes of what is stored as it is; `from` is a multiple of the block's size.
    pub(super) fn flat(&mut self, file: &Found, from: u64, len: u64) -> Result<Vec<u8>, Error> {
        if file.layout == LAYOUT_COMPACT {
            return damaged(file.end, "compressed, but not a regular file");
        }
        let outside =
            if file.layout == LAYOUT_INLINE { file.size / BLOCK as u64 * BLOCK as u64 } else { file.size };
        let near = len.min(outside.saturating_sub(from));
        let mut bytes = match (u64::from(file.block) * BLOCK as u64).checked_add(from) {
            Some(at) if near > 0 => self.bytes(at, near)?,
            Some(_) => Vec::new(),
            None => return damaged(file.end, format!("byte {from} of a file is out of range")),
        };
        if near < len {
            self.check_inline(file.end, len - near)?;
            bytes.extend(self.bytes(file.end, len - near)?);
        }
        Ok(bytes)
    }

    fn check_inline(&self, at: u64, len: u64) -> Result<(), Error> {
        let room = BLOCK as u64 - at % BLOCK as u64;
        if len > room {
            damaged(at, format!("an inline tail of {len} bytes crosses its block's end"))
        } else {
            Ok(())
        }
    }

    fn copy_compressed(&mut self, file: &Found, out: &mut impl Write) -> Result<(), Error> {
        let header_at = file.end.next_multiple_of(8);
        let header = self.bytes(header_at, MAP_HEADER as u64)?;
        let advise = le(&header, 4, 2) as u16;
        let expected = ADVISE_COMPACTED_2B | ADVISE_BIG_PCLUSTER;
        if advise & !ADVISE_INLINE_PCLUSTER != expected || header[6..8] != [ALGORITHM_ZSTD, 0] {
            return damaged(header_at, format!("map header {header:02x?} is not read here"));
        }
        let inline = (advise & ADVISE_INLINE_PCLUSTER != 0).then(|| le(&header, 2, 2));
        let count = file.size.div_ceil(BLOCK as u64);
        if count > self.size {
            return damaged(file.end, format!("{} bytes cannot have an index in this image", file.size));
        }
        let start = header_at + MAP_HEADER as u64;
        let len = index::len(start, count as usize) as u64;
        let bytes = self.bytes(start, len)?;
        let Some(clusters) = index::decode(start, count as usize, &bytes) else {
            return damaged(start, "the index ends early");
        };
        let mut from = 0;
        while from < clusters.len() {
            let next = clusters[from + 1..].iter().position(|cluster| cluster.kind != CLUSTER_NEXT);
            let to = next.map_or(clusters.len(), |more| from + 1 + more);
            let logical = (file.size - (from * BLOCK) as u64).min(((to - from) * BLOCK) as u64);
            let tail = inline.filter(|_| to == clusters.len()).map(|tail| (start + len, tail));
            let bytes = self.extent(start, &clusters[from..to], from, logical, tail)?;
            out.write_all(&bytes).map_err(Error::Write)?;
            from = to;
        }
        Ok(())
    }

    /// The bytes of one extent; `tail` is where it is and how long, if it is inline.
    fn extent(
        &mut self,
        index_at: u64,
        clusters: &[Stored],
        number: usize,
        logical: u64,
        tail: Option<(u64, u64)>,
    ) -> Result<Vec<u8>, Error> {
        let head = clusters[0];
        let fault = |why: &str| damaged(index_at, format!("cluster {number}: {why}"));
        if logical > EXTENT_MAX.into()
            || head.low != 0
            || clusters[1..].iter().any(|c| c.kind != CLUSTER_NEXT)
        {
            return fault("an extent that is too long or does not start with its cluster");
        }
        let (at, len) = match (tail, clusters.get(1)) {
            (Some((at, len)), _) => {
                self.check_inline(at, len)?;
                (at, len)
            }
            (None, Some(next)) if next.low & BLOCK_COUNT_FLAG != 0 => {
                let blocks = u64::from(next.low & !BLOCK_COUNT_FLAG);
                (u64::from(head.block) * BLOCK as u64, blocks * BLOCK as u64)
            }
            (None, Some(_)) => return fault("the count of its blocks is missing"),
            (None, None) => (u64::from(head.block) * BLOCK as u64, BLOCK as u64),
        };
        let stored = self.bytes(at, len)?;
        match head.kind {
            CLUSTER_PLAIN if clusters.len() == 1 => match stored.get(..logical as usize) {
                Some(bytes) => Ok(bytes.to_vec()),
                None => fault("a plain cluster that is shorter than the file"),
            },
            CLUSTER_HEAD => {
                let padding = stored.iter().take(BLOCK).take_while(|byte| **byte == 0).count();
                expand(number, &stored[padding..], logical as u32)
            }
            _ => fault("an unknown type"),
        }
    }
}
