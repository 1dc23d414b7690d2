//! What a file holds: bytes at hand, or the name of bytes that the store holds.

use contract::Digest;
use std::{borrow::Cow, sync::Arc};

/// The bytes of a regular file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Bytes which the store holds under their digest: what packages ship.
    Stored {
        /// SHA-256 of the bytes.
        digest: Digest,
        /// Length in bytes.
        size: u64,
    },
    /// Bytes made by an effect or taken from an overlay.
    Bytes(Arc<[u8]>),
}

impl Content {
    /// Content with these bytes.
    #[must_use]
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self::Bytes(bytes.into().into())
    }

    /// Length in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        match self {
            Self::Stored { size, .. } => *size,
            Self::Bytes(bytes) => bytes.len() as u64,
        }
    }

    /// SHA-256 of the bytes.
    #[must_use]
    pub fn digest(&self) -> Digest {
        match self {
            Self::Stored { digest, .. } => *digest,
            Self::Bytes(bytes) => Digest::of(bytes),
        }
    }
}

/// Why stored bytes could not be had.
#[derive(Debug, thiserror::Error)]
#[error("content {digest}: {why}")]
pub struct ReadError {
    /// Which content.
    pub digest: Digest,
    /// What the store said.
    pub why: String,
}

/// Where stored bytes come from. The store implements it; tests use a map.
pub trait Contents: Sync {
    /// The bytes with this digest.
    ///
    /// # Errors
    /// When the store does not hold them, or holds others.
    fn stored(&self, digest: &Digest) -> Result<Vec<u8>, ReadError>;

    /// The bytes of `content`.
    ///
    /// # Errors
    /// As [`Contents::stored`].
    fn read<'a>(&self, content: &'a Content) -> Result<Cow<'a, [u8]>, ReadError> {
        match content {
            Content::Bytes(bytes) => Ok(Cow::Borrowed(bytes)),
            Content::Stored { digest, .. } => self.stored(digest).map(Cow::Owned),
        }
    }
}

impl Contents for std::collections::BTreeMap<Digest, Vec<u8>> {
    fn stored(&self, digest: &Digest) -> Result<Vec<u8>, ReadError> {
        let missing = || ReadError { digest: *digest, why: "not in this map".to_owned() };
        self.get(digest).cloned().ok_or_else(missing)
    }
}
