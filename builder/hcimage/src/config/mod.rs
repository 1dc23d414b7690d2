//! What the user wrote: profiles, overlays and locks, read strictly.

pub(crate) mod artifact;
pub(crate) mod lock;
pub(crate) mod overlay;
pub(crate) mod parse;
pub(crate) mod profile;
pub(crate) mod project;
pub(crate) mod size;

pub(crate) use artifact::Artifact;
pub(crate) use lock::{Lock, Locked, LockedArtifact};
pub(crate) use overlay::Overlay;
pub(crate) use parse::Problem;
pub(crate) use profile::Profile;
pub(crate) use project::{Described, Project};
