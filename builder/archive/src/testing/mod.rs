//! Fake packages and archives, made in memory, for the tests of this crate and of those that serve an archive.
//!
//! The tar members are written by the `tar` crate, so that our reader is tested against another's writer.

mod archive;
mod deb;
mod signing;

pub use archive::{FakeArchive, FakeSuite};
pub use deb::{FakeDeb, FakeEntry, ar, compress};
pub use signing::{PUBLIC_KEY, sign, sign_with};
