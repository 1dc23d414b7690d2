//! The kernel's modules: what is in them, which of them an image keeps, the indexes that depmod would make, and
//! the few that the initrd carries.

mod apply;
pub mod depmod;
mod error;
mod glob;
mod index;
pub mod initrd;
pub mod modules;
pub mod select;

pub use apply::{FactsCache, Installed, NoCache, apply};
pub use depmod::{ModuleSet, Shipped};
pub use error::KernelError;
pub use initrd::{Loaded, initrd_modules};
pub use modules::{Facts, Module, decompress};
pub use select::{Pulled, Rules, Selection, select};
