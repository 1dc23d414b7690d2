//! Debian as values: control files, versions, relations, signed indexes, a resolver, and a reader of `.deb`
//! files. No file system, network, clock or randomness: bytes come in, values go out.
//!
//! The way of a lock: [`release::verify`] an `InRelease`, fetch the index that [`release::Release::index`] names,
//! [`packages::decompress`] it, [`packages::Index::parse`] it, put several indexes into a [`packages::Catalog`]
//! and ask [`resolver::resolve`]. The way of a build: [`deb::read`] each package.
#![forbid(unsafe_code)]

mod compress;
pub mod deb;
pub mod deb822;
pub mod packages;
pub mod relation;
pub mod release;
pub mod resolver;
#[cfg(test)]
mod robust;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod version;
