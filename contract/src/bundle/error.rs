//! Why a bundle is not taken. Every text says what was found and what belongs there.

use crate::{Digest, trust::TrustError, verity::VerityError};

/// A bundle that is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// Not a bundle at all.
    #[error("this is no bundle: it begins with {found}, expected `HCB1`")]
    Magic {
        /// Its first bytes, in hex.
        found: String,
    },
    /// A part of the head is larger than is read.
    #[error("the bundle's {field} takes {found} bytes, expected {expected}")]
    Bounds {
        /// Which part.
        field: &'static str,
        /// What the prefix says.
        found: u64,
        /// What is allowed.
        expected: String,
    },
    /// Fewer or more bytes than the bundle says it has.
    #[error(
        "the bundle's {what} has {found} bytes, expected {expected}: it was cut off or something was added"
    )]
    Length {
        /// Which part, or `file`.
        what: &'static str,
        /// What there is.
        found: u64,
        /// What there should be.
        expected: u64,
    },
    /// Something other than zeros where only zeros belong.
    #[error("the bundle has bytes between its {after} and what follows, where only zeros belong")]
    Padding {
        /// What it comes after.
        after: &'static str,
    },
    /// A part of the head is no JSON of its kind.
    #[error("the bundle's {what} cannot be read: {wrong}")]
    Malformed {
        /// Which part.
        what: &'static str,
        /// Why not.
        wrong: String,
    },
    /// A field of the header contradicts another one, or a bound.
    #[error("the bundle's header: {field} is {found}, expected {expected}")]
    Header {
        /// Which field.
        field: &'static str,
        /// What it says.
        found: String,
        /// What it may say.
        expected: String,
    },
    /// Keys and signatures.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// One of the two hash trees.
    #[error("the bundle's index of the {part}: {error}")]
    Tree {
        /// Which part.
        part: &'static str,
        /// What is wrong with it.
        error: VerityError,
    },
    /// Bytes that are not those of their digest.
    #[error("the bundle's {what} has sha256 {found}, its header says {expected}")]
    Digest {
        /// Which part.
        what: &'static str,
        /// Of what is there.
        found: Digest,
        /// What the header says.
        expected: Digest,
    },
    /// An entry of the frame table that cannot be.
    #[error("frame {frame} of the bundle: {wrong}")]
    Frame {
        /// Its number.
        frame: u32,
        /// What is wrong with it.
        wrong: String,
    },
    /// A frame's bytes are not those of its entry.
    #[error("frame {frame} of the bundle (byte {byte} of the file) is damaged")]
    FrameBytes {
        /// Its number.
        frame: u32,
        /// Where it begins in the file.
        byte: u64,
    },
    /// A block that came out of a frame, or from anywhere else, is not what the index says.
    #[error("frame {frame} of the bundle: {error}")]
    Block {
        /// The frame.
        frame: u32,
        /// The block.
        error: VerityError,
    },
}
