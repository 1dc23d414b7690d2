//! What the builder promises and the node believes: digests, time, architectures, derived ids, the release
//! manifest, signatures. No I/O, no clock, no randomness.
#![forbid(unsafe_code)]

mod arch;
mod digest;
mod epoch;
mod guid;
mod probe;
pub mod release;
pub mod signature;
pub mod slots;

pub use arch::{Arch, UnknownArch};
pub use digest::{Digest, MalformedDigest};
pub use epoch::Epoch;
pub use guid::Guid;
pub use probe::{Check, Probe};
pub use release::Release;
