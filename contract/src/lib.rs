//! What the builder promises and the node believes: digests, time, architectures, derived ids, the release
//! manifest, signatures, bundles for updates, the seed, a node's state and its words for it. No I/O, no clock, no randomness.
#![forbid(unsafe_code)]

mod arch;
pub mod bundle;
mod deferred;
mod digest;
mod epoch;
#[cfg(any(test, feature = "testing"))]
pub mod fuzzing;
mod guid;
mod probe;
mod reason;
pub mod release;
pub mod seed;
pub mod selector;
pub mod signature;
pub mod slots;
mod status;
pub mod suggest;
pub mod trust;
pub mod update;
pub mod verity;

pub use arch::{Arch, UnknownArch};
pub use deferred::Deferred;
pub use digest::{Digest, MalformedDigest};
pub use epoch::Epoch;
pub use guid::Guid;
pub use probe::{Check, Probe};
pub use reason::{Blame, Code, Reason};
pub use release::Release;
pub use seed::Seed;
pub use status::{Outcome, Stage, Status};
