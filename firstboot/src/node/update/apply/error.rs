//! Why an update was not written.

use crate::node::update::{reasons, select::SelectError, slot::SlotError, source::SourceError};
use contract::{
    Reason,
    bundle::{BundleError, Kind},
    slots::Slot,
};
use std::io;

/// Why an update was not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// The bundle does not come.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The bundle is not what it should be.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The disk of this boot is not as it should be.
    #[error(transparent)]
    Slot(#[from] SlotError),
    /// The boot partition.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// The medium.
    #[error("cannot {act} the {part} at byte {at}: {source}")]
    Medium {
        /// What was to be done.
        act: &'static str,
        /// To what.
        part: &'static str,
        /// Where.
        at: u64,
        /// Why not.
        source: io::Error,
    },
    /// The medium does not give back what it was given.
    #[error(
        "{count} blocks of the {kind} are not on the medium as they were written, the first at byte {first}: it loses writes"
    )]
    Lost {
        /// Of what.
        kind: Kind,
        /// How many.
        count: u64,
        /// Where the first one is.
        first: u64,
    },
    /// The hash tree does not come back.
    #[error("the hash tree is not on the medium as it was written: it loses writes")]
    TreeLost,
}

impl ApplyError {
    /// In words for the node's owner: `place` is the bundle's, `slot` was written.
    #[must_use]
    pub fn reason(&self, place: &str, slot: Slot) -> Reason {
        match self {
            Self::Source(source) => reasons::unreachable(place, source),
            Self::Bundle(bundle) => reasons::refused(place, bundle),
            Self::Slot(slot) => reasons::not_ours(slot),
            Self::Select(_) | Self::Medium { .. } | Self::Lost { .. } | Self::TreeLost => {
                reasons::unwritten(slot, self)
            }
        }
    }
}
