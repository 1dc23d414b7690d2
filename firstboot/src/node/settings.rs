//! The settings of this node, as they were taken from its seed: one file on state, read by every service of hcnode.

use super::{file, place};
use contract::Seed;
use serde::{Deserialize, Serialize};
use std::{io, path::Path};

/// What the node was told by its owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Which file of the boot partition they are from.
    pub file: String,
    /// That file's text as it was read, with its secrets: how the node knows the file again, burned or not. Never
    /// shown.
    pub card: contract::seed::Secret,
    /// What it says. The identity is not here: it is put in its own places at once.
    pub seed: Seed,
}

impl Settings {
    /// The node's settings, if it was ever given any.
    ///
    /// # Errors
    /// When the file is there and cannot be read, or is not what was written.
    pub fn load() -> io::Result<Option<Self>> {
        file::read(Path::new(place::SETTINGS))?.as_deref().map(Self::parse).transpose()
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// When it is damaged.
    pub fn parse(bytes: &[u8]) -> io::Result<Self> {
        serde_json::from_slice(bytes).map_err(io::Error::other)
    }

    /// The stored form.
    ///
    /// # Errors
    /// Never for settings that were read from a seed.
    pub fn to_bytes(&self) -> io::Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}
