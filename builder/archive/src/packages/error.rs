//! What can be wrong with an index.

use crate::{deb822::SyntaxError, relation::RelationError, version::VersionError};
use std::io;

/// What is wrong with an index.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackagesError {
    /// It does not decompress.
    #[error("cannot decompress the package index")]
    Decompress {
        /// The decoder's error.
        source: io::Error,
    },
    /// It unpacks to more than the caller allows.
    #[error("the package index unpacks to more than the {limit} bytes that are allowed")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// It is not UTF-8.
    #[error("the package index is not UTF-8 at byte {offset}")]
    NotUtf8 {
        /// The first bad byte.
        offset: usize,
    },
    /// It is not deb822, or a field is missing.
    #[error("package index of {suite}, {source}")]
    Syntax {
        /// The label of the index.
        suite: String,
        /// The line and what is wrong with it.
        source: SyntaxError,
    },
    /// A field's value is not what the field can hold.
    #[error("package index of {suite}, line {line}: `{package}` has {field} `{value}`")]
    Value {
        /// The label of the index.
        suite: String,
        /// The line, from 1.
        line: usize,
        /// The package.
        package: String,
        /// The field.
        field: &'static str,
        /// Its value.
        value: String,
    },
    /// A malformed version.
    #[error("package index of {suite}: `{package}`: {source}")]
    Version {
        /// The label of the index.
        suite: String,
        /// The package.
        package: String,
        /// The version and what is wrong with it.
        source: VersionError,
    },
    /// A malformed Provides field.
    #[error("package index of {suite}: Provides of `{package}`: {source}")]
    Provides {
        /// The label of the index.
        suite: String,
        /// The package.
        package: String,
        /// The relation and what is wrong with it.
        source: RelationError,
    },
    /// A package of another architecture.
    #[error("package index of {suite}: `{package}` is for {found}, expected {expected} or all")]
    OtherArch {
        /// The label of the index.
        suite: String,
        /// The package.
        package: String,
        /// Its architecture.
        found: String,
        /// The catalog's architecture.
        expected: String,
    },
}
