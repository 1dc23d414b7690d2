//! Where a bundle comes from: any web server that knows ranges, or a file on a disk or USB stick. It is read front to
//! back in a few runs; what breaks off is taken up again where it broke.

mod file;
mod ranges;
#[cfg(test)]
mod tests;
mod web;

pub use file::Stick;
pub use ranges::{Answer, Get, GetError, Pause, Ranges, Sleep};
pub use web::Web;

use std::{io, ops::Range};

/// A bundle somewhere.
pub trait Source {
    /// Where it is, for people.
    fn name(&self) -> &str;

    /// Its size in bytes, once it is known.
    fn size(&self) -> Option<u64>;

    /// What is read next: these bytes, in order, or a part of them.
    ///
    /// # Errors
    /// When it has no such bytes.
    fn turn_to(&mut self, range: Range<u64>) -> Result<(), SourceError>;

    /// Fills `bytes` with what comes next.
    ///
    /// # Errors
    /// When it cannot be had, after several attempts.
    fn read(&mut self, bytes: &mut [u8]) -> Result<(), SourceError>;

    /// Passes over what comes next.
    ///
    /// # Errors
    /// As [`Self::read`].
    fn skip(&mut self, length: u64) -> Result<(), SourceError> {
        let mut piece = [0; 16 << 10];
        let mut left = length;
        while left > 0 {
            let part = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
            self.read(&mut piece[..part])?;
            left -= part as u64;
        }
        Ok(())
    }

    /// Bytes that came over the line (or from the disk) so far.
    fn received(&self) -> u64;
}

/// Why a bundle cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// Nobody answers, or the answer breaks off again and again.
    #[error("{why} (tried {attempts} times, {received} bytes came)")]
    Away {
        /// The last answer.
        why: String,
        /// How often it was asked in a row.
        attempts: u32,
        /// Bytes so far.
        received: u64,
    },
    /// It says no.
    #[error("{0}")]
    Refused(String),
    /// It is another file than before.
    #[error("the file changed while it was read ({what} was {before}, is {now})")]
    Changed {
        /// What differs.
        what: &'static str,
        /// At the first answer.
        before: String,
        /// Now.
        now: String,
    },
    /// It ends too early.
    #[error("it ends at byte {size}, but bytes {from} to {to} were expected")]
    Short {
        /// Its size.
        size: u64,
        /// What was asked for.
        from: u64,
        /// Up to where.
        to: u64,
    },
    /// More bytes than the owner allows.
    #[error(
        "{needed} bytes would have to be fetched and {allowed} are allowed: raise --max-bytes, or bring the bundle as a file"
    )]
    Budget {
        /// How many it takes.
        needed: u64,
        /// How many are allowed.
        allowed: u64,
    },
    /// A file cannot be read.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: String,
        /// Why not.
        source: io::Error,
    },
}
