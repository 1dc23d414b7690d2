//! The compressions that Debian uses, as streams and with a bound on what comes out.

use std::io::{self, Read};

/// An xz stream may ask for this much memory: `xz -9` asks for 65 MiB.
const XZ_MEMORY: u64 = 128 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Xz,
    Zstd,
}

impl Compression {
    /// By the magic bytes at the head of a file.
    pub(crate) fn of(head: &[u8]) -> Self {
        match head {
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            _ => Self::None,
        }
    }

    /// By the end of a member's name; `None` for one that we do not know.
    pub(crate) fn by_suffix(suffix: &str) -> Option<Self> {
        match suffix {
            "" => Some(Self::None),
            ".gz" => Some(Self::Gzip),
            ".xz" => Some(Self::Xz),
            ".zst" => Some(Self::Zstd),
            _ => None,
        }
    }

    /// The plain bytes of `input`, at most `limit`. Garbage behind the compressed stream is an error.
    pub(crate) fn decoder<'a>(self, input: impl Read + 'a, limit: u64) -> io::Result<Box<dyn Read + 'a>> {
        let decoder: Box<dyn Read + 'a> = match self {
            Self::None => Box::new(input),
            Self::Gzip => Box::new(flate2::read::MultiGzDecoder::new(input)),
            Self::Xz => {
                let stream =
                    liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, liblzma::stream::CONCATENATED)?;
                Box::new(liblzma::read::XzDecoder::new_stream(input, stream))
            }
            Self::Zstd => Box::new(zstd::stream::read::Decoder::new(input)?),
        };
        Ok(Box::new(Bounded { input: decoder, left: limit, limit }))
    }
}

/// More came out of a decoder than the caller allows. The payload of an [`io::Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it unpacks to more than the {limit} bytes that are allowed")]
pub(crate) struct TooLarge {
    pub(crate) limit: u64,
}

struct Bounded<'a> {
    input: Box<dyn Read + 'a>,
    left: u64,
    limit: u64,
}

impl Read for Bounded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.left = self
            .left
            .checked_sub(count as u64)
            .ok_or_else(|| io::Error::other(TooLarge { limit: self.limit }))?;
        Ok(count)
    }
}
