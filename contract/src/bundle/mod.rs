//! An update for a slot, `.hcb`: one file that is the whole update, the source of a delta and the index by which both
//! are verified. `docs/formats/bundle.md` has the bytes.
//!
//! It is read from the front, and nothing is believed before what vouches for it was checked: [`Prefix`] (16 bytes,
//! bounded lengths), [`Head`] (trust chain, signatures, header), [`Index`] (both hash trees against their root
//! hashes, the frame table against its digest), then frames, in any order, each against its digest before it is
//! unpacked and its blocks against their leaves before they are written. [`plan()`] says which frames are needed.

mod error;
mod frames;
mod head;
mod header;
mod index;
mod plan;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
pub mod write;

pub use error::BundleError;
pub use frames::{ENTRY, FRAME_BLOCKS_MAX, Frame, Frames, Stored};
pub use head::{Head, PREFIX, Prefix};
pub use header::{FrameTable, HEADER_MAX, Header, LAYOUT, Part, SCHEMA, Uki};
pub use index::{Index, Kind};
pub use plan::{Copied, Fetch, Local, Piece, Plan, plan};
