//! The way into the cluster, J0 to J15, and what a server does beyond it.
//!
//! [`next`] decides from values; [`port`] is what it may see and do; [`drive`] takes the steps. A node that loses its
//! power takes the same way again: every step finds what is done, and what is kept is replaced whole.

mod drive;
pub mod facts;
pub mod k3s;
pub mod next;
pub mod order;
pub mod port;
pub mod progress;
mod reasons;

pub use drive::Way;
pub use order::Order;

