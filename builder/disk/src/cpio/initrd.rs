//! An initrd: one archive in one zstd frame, behind an uncompressed one if need be.

use super::{Archive, CpioError};
use contract::Epoch;
use zstd::zstd_safe::CParameter;

/// A zstd level that the kernel can unpack: 1 to 19. Its decompressor takes windows up to 128 MiB
/// (lib/decompress_unzstd.c); these levels stay at 8 MiB, which also a small board can spare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level(i32);

impl Level {
    /// Checks a level.
    ///
    /// # Errors
    /// Levels outside of 1 to 19.
    pub fn new(level: i32) -> Result<Self, CpioError> {
        if (1..=19).contains(&level) { Ok(Self(level)) } else { Err(CpioError::Level(level)) }
    }
}

/// An initrd: `early` uncompressed in front (microcode: the kernel reads it before it can decompress), then `main`
/// in one zstd frame with a checksum, compressed by one thread, so that the bytes depend on nothing but the
/// archives, the level and the pinned version of zstd.
///
/// # Errors
/// A time that cpio cannot say, or a compressor that is out of memory.
pub fn initrd(
    early: Option<&Archive<'_>>,
    main: &Archive<'_>,
    level: Level,
    epoch: Epoch,
) -> Result<Vec<u8>, CpioError> {
    let mut bytes = Vec::new();
    if let Some(early) = early {
        early.write(epoch, &mut bytes)?;
    }
    let mut compressor = zstd::bulk::Compressor::new(level.0).map_err(CpioError::Compress)?;
    compressor.set_parameter(CParameter::ChecksumFlag(true)).map_err(CpioError::Compress)?;
    let frame = compressor.compress(&main.to_bytes(epoch)?).map_err(CpioError::Compress)?;
    bytes.extend(frame);
    Ok(bytes)
}
