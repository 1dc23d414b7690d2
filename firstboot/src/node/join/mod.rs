//! The way into the cluster, J0 to J15, and what a server does beyond it.
//!
//! [`next`] decides from values; [`port`] is what it may see and do, [`machine`] the real one; `drive` takes the steps.
//! A node that loses its power takes the same way again: every step finds what is done, and what is kept is replaced
//! whole. J0, the wait for the boot disk, is `hcinit`'s: nothing of this runs before.

mod drive;
pub mod facts;
pub mod k3s;
pub mod machine;
pub mod next;
pub mod order;
pub mod port;
pub mod progress;
mod reasons;
mod restore;
mod service;

pub use drive::Way;
pub use order::Order;
pub use restore::restore;
pub use service::{rehearse, run};

#[cfg(test)]
mod tests;
