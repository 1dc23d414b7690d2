//! EROFS, the read-only root file system: a writer with zstd, and a reader to check it.
//!
//! A file is compressed once, by [`pack`], into a form that every image copies verbatim; [`Plan`] gives everything
//! in a [`FileSystem`] its place and writes the image in one pass. `docs/formats/erofs.md` has the layout.
//! Knows nothing of Debian, of paths on the host, or of partitions.

mod dir;
mod dump;
mod error;
mod format;
mod index;
mod names;
mod pack;
mod plan;
mod reader;
mod room;
mod shape;
mod tree;
mod write;
mod xattr;

pub use dump::dump;
pub use error::Error;
pub use format::BLOCK;
pub use pack::{PackSettings, Packed, pack, unpack};
pub use plan::Plan;
pub use reader::{Found, Named, Reader, What};
pub use shape::{EXTENT_MAX, Extent, Shape};
pub use tree::{FileSystem, Inode, InodeId, Kind, Volume};
pub use write::Bodies;
