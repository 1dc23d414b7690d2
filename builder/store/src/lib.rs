//! What the builder keeps between runs, and the only place that speaks HTTP. Everything is named by digest
//! and checked when it is read: the cache can be deleted at any time, and a damaged one is noticed.
#![forbid(unsafe_code)]

mod cache;
mod download;
mod error;
mod mirrors;
mod pack;
mod serve;

pub use cache::Cache;
pub use download::{Download, Progress, Silent, Web};
pub use error::StoreError;
pub use mirrors::{AptSources, Mirrors};
pub use pack::{PackReader, PackWriter};
pub use serve::{Served, Server, Witness};
