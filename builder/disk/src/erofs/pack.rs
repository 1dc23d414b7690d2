//! Compresses one file into the form that any image can copy verbatim.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use rayon::prelude::*;
use zstd::bulk::Compressor;
use zstd::zstd_safe::CParameter;

use super::format::{BLOCK, round_up};
use super::shape::{EXTENT_MAX, INLINE_MAX};
use super::{Error, Extent, Shape};

/// The smallest extent that is worth an index, bytes.
const EXTENT_MIN: u32 = 16 << 10;
/// What the map header and the index cost a file that would not have them if it were plain, bytes.
const INDEX_COST: u64 = 16;

/// From this level on, a quick try first finds what does not compress: kernel modules in xz, fonts, pictures.
const PROBE_FROM: i32 = 10;
const PROBE_LEVEL: i32 = 1;

/// How to pack. Part of the key of any cache of packed files, with the version of zstd.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PackSettings {
    level: i32,
    extent_size: u32,
    plain: bool,
}

impl PackSettings {
    /// `level` is zstd's, 1 to 22; `extent_size` is in bytes, a power of two from 16 KiB to 1 MiB.
    pub fn new(level: i32, extent_size: u32) -> Result<Self, Error> {
        if !(1..=22).contains(&level) {
            return Err(Error::Level { got: level });
        }
        if !extent_size.is_power_of_two() || !(EXTENT_MIN..=EXTENT_MAX).contains(&extent_size) {
            return Err(Error::ExtentSize { got: extent_size, min: EXTENT_MIN, max: EXTENT_MAX });
        }
        Ok(Self { level, extent_size, plain: false })
    }

    /// Everything is stored as it is.
    #[must_use]
    pub fn uncompressed() -> Self {
        Self { level: 1, extent_size: EXTENT_MAX, plain: true }
    }

    /// zstd's level.
    #[must_use]
    pub fn level(self) -> i32 {
        self.level
    }

    /// Bytes of a file in one extent.
    #[must_use]
    pub fn extent_size(self) -> u32 {
        self.extent_size
    }
}

/// A file's bytes as the image will hold them, made independently of every other file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// How the bytes lie.
    pub shape: Shape,
    /// The stored extents one after another, without padding.
    pub bytes: Vec<u8>,
}

/// Packs a file. Extents are compressed in parallel on rayon's current pool; the result does not
/// depend on the number of threads.
pub fn pack(bytes: &[u8], settings: PackSettings) -> Result<Packed, Error> {
    let size = settings.extent_size as usize;
    let count = bytes.len().div_ceil(size);
    let stored = match count {
        0 => Vec::new(),
        1 => vec![store(bytes, true, true, settings)?],
        _ => bytes
            .par_chunks(size)
            .enumerate()
            .map(|(at, chunk)| store(chunk, at + 1 == count, false, settings))
            .collect::<Result<_, Error>>()?,
    };
    let mut out = Vec::with_capacity(bytes.len());
    let mut extents = Vec::with_capacity(count);
    for (chunk, compressed) in bytes.chunks(size).zip(&stored) {
        let body = compressed.as_deref().unwrap_or(chunk);
        out.extend_from_slice(body);
        extents.push(Extent {
            logical_len: chunk.len() as u32,
            stored_len: body.len() as u32,
            plain: compressed.is_none(),
        });
    }
    out.shrink_to_fit();
    Ok(Packed { shape: Shape::new(extents)?, bytes: out })
}

/// The file's bytes back from its body.
pub fn unpack(shape: &Shape, body: &[u8]) -> Result<Vec<u8>, Error> {
    if body.len() as u64 != shape.stored_len() {
        return Err(Error::Shape {
            why: format!("it stores {} bytes, the body has {}", shape.stored_len(), body.len()),
        });
    }
    let mut out = Vec::new();
    let mut rest = body;
    for (at, extent) in shape.extents().iter().enumerate() {
        let (stored, after) = rest.split_at(extent.stored_len as usize);
        rest = after;
        if extent.plain {
            out.extend_from_slice(stored);
        } else {
            out.extend_from_slice(&expand(at, stored, extent.logical_len)?);
        }
    }
    Ok(out)
}

/// Expands one compressed extent, which must fill `logical` bytes exactly.
pub(super) fn expand(extent: usize, stored: &[u8], logical: u32) -> Result<Vec<u8>, Error> {
    let wrong = |why: String| Error::Expand { extent, stored: stored.len(), logical, why };
    let bytes = zstd::bulk::decompress(stored, logical as usize).map_err(|e| wrong(e.to_string()))?;
    if bytes.len() != logical as usize {
        return Err(wrong(format!("got {} bytes", bytes.len())));
    }
    Ok(bytes)
}

/// The compressed form of one extent, or none where storing it as it is costs no more.
fn store(chunk: &[u8], last: bool, only: bool, settings: PackSettings) -> Result<Option<Vec<u8>>, Error> {
    if settings.plain {
        return Ok(None);
    }
    if settings.level >= PROBE_FROM && is_hopeless(chunk)? {
        return Ok(None);
    }
    let compressed = compress(chunk, settings.level)?;
    let index = if only { INDEX_COST } else { 0 };
    let gain = cost(compressed.len(), last) + index < cost(chunk.len(), last);
    Ok(gain.then_some(compressed))
}

/// Whether the fastest level saves less than a 64th.
fn is_hopeless(chunk: &[u8]) -> Result<bool, Error> {
    Ok(compress(chunk, PROBE_LEVEL)?.len() >= chunk.len() - chunk.len() / 64)
}

/// Bytes of the image that a stored extent takes.
fn cost(len: usize, last: bool) -> u64 {
    let whole = round_up(len as u64, BLOCK as u64);
    let inline = last && len <= INLINE_MAX as usize;
    if inline { len as u64 } else { whole }
}

thread_local! {
    /// The thread's contexts by level: two at most are in use, one to probe and one to keep.
    static COMPRESSORS: RefCell<BTreeMap<i32, Compressor<'static>>> = const { RefCell::new(BTreeMap::new()) };
}

/// One frame that names its content's size (fsck.erofs 1.8 wants that; it also keeps the window as
/// small as the extent), without checksum and without dictionary id.
fn compress(chunk: &[u8], level: i32) -> Result<Vec<u8>, Error> {
    let failed = |source| Error::Compress { len: chunk.len(), source };
    COMPRESSORS.with_borrow_mut(|held| {
        let compressor = match held.entry(level) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(compressor(level).map_err(failed)?),
        };
        compressor.compress(chunk).map_err(failed)
    })
}

fn compressor(level: i32) -> std::io::Result<Compressor<'static>> {
    let mut compressor = Compressor::new(level)?;
    compressor.set_parameter(CParameter::ContentSizeFlag(true))?;
    compressor.set_parameter(CParameter::ChecksumFlag(false))?;
    compressor.set_parameter(CParameter::DictIdFlag(false))?;
    compressor.set_parameter(CParameter::WindowLog(EXTENT_MAX.ilog2()))?;
    Ok(compressor)
}
