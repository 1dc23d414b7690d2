//! What can go wrong, in k3s's own words where k3s has some.

use std::{io, path::PathBuf};

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be used.
    #[error("{act} {path}: {source}")]
    File {
        /// What was being done.
        act: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A request was not answered.
    #[error("Get \"{url}\": {why}")]
    Unanswered {
        /// Its address.
        url: String,
        /// Why, as Go says it: `EOF`, or the TLS error.
        why: String,
    },
    /// A request was refused.
    #[error("{url}: {status}")]
    Refused {
        /// Its address.
        url: String,
        /// Such as `401 Unauthorized`.
        status: String,
    },
    /// The insecure request for the CA failed.
    #[error("failed to get CA certs: {0}")]
    CaCerts(Box<Error>),
    /// The server's own certificate does not stand under its CA, or not now.
    #[error("CA cert validation failed: {0}")]
    CaValidation(Box<Error>),
    /// Another cluster.
    #[error("token CA hash does not match the Cluster CA certificate hash: {token} != {found}")]
    CaHash {
        /// The hash in the token.
        token: String,
        /// The hash of what the server showed.
        found: String,
    },
    /// Token grammar.
    #[error("{0}")]
    Token(&'static str),
    /// The node's password is not the one that the cluster knows.
    #[error(
        "Node password rejected, duplicate hostname or contents of '/etc/rancher/node/password' may not match server \
         node-passwd entry, try enabling a unique node name with the --with-node-id flag"
    )]
    NodePassword,
    /// The settings were not given.
    #[error("failed to retrieve configuration from server: {0}")]
    Configuration(Box<Error>),
    /// A certificate or a key could not be made or read.
    #[error("{what}: {why}")]
    Pki {
        /// What was being made or read.
        what: &'static str,
        /// Why not.
        why: String,
    },
    /// TLS could not be set up.
    #[error("tls: {0}")]
    Tls(#[from] rustls::Error),
    /// A stream broke.
    #[error("{0}")]
    Stream(#[from] io::Error),
    /// Not HTTP.
    #[error("malformed HTTP: {0}")]
    Http(&'static str),
    /// Settings that k3s would stop at.
    #[error("{0}")]
    Settings(String),
}

impl Error {
    /// Wraps an I/O error with what was being done to which file.
    pub fn file(act: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { act, path, source }
    }

    pub(crate) fn pki<E: std::fmt::Display>(what: &'static str) -> impl FnOnce(E) -> Self {
        move |why| Self::Pki { what, why: why.to_string() }
    }
}
