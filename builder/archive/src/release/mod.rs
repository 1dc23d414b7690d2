//! Signed Release files (`InRelease`, Debian repository format): who signed, until when it holds, and which
//! index files with which hashes it vouches for.
//!
//! [`verify`] is the only way to a [`Release`] from the network: the text that is parsed is the text that was
//! signed, byte for byte, and nothing outside the signature is looked at.

mod date;
mod keyring;
mod signature;
#[cfg(test)]
mod tests;

use crate::deb822::{self, Paragraph, SyntaxError};
use contract::{Digest, Epoch};
pub use keyring::{DEBIAN_TRIXIE, Keyring, KeyringError};
pub use signature::{SignatureFault, Signed};
use std::collections::BTreeMap;

/// How far the archive's clock may be ahead of ours, in seconds: a day, for boards without a battery.
const SKEW: i64 = 86_400;

/// What a signed Release file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// Who publishes the archive, such as `Debian`; empty if it does not say.
    pub origin: String,
    /// `stable`, `stable-security`, ...
    pub suite: String,
    /// `trixie`, `trixie-security`, ...
    pub codename: String,
    /// When it was made.
    pub date: Epoch,
    /// Until when it may be used, if it says so.
    pub valid_until: Option<Epoch>,
    /// Whether index files can be fetched by their hash.
    pub acquire_by_hash: bool,
    /// Debian's names of the architectures it has indexes for.
    pub architectures: Vec<String>,
    /// Path below the directory of the Release file -> size in bytes and SHA-256.
    pub files: BTreeMap<String, (u64, Digest)>,
    /// The trusted keys whose signatures are good, as fingerprints.
    pub signed_by: Vec<String>,
}

/// An index file that a Release vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexFile {
    /// Path below the directory of the Release file.
    pub path: String,
    /// The path that names the file by its hash: to be preferred, since it cannot change under us.
    pub by_hash: Option<String>,
    /// Size in bytes.
    pub size: u64,
    /// The hash.
    pub sha256: Digest,
}

/// Checks an `InRelease` file and reads it.
///
/// At least one signature must be good and by a key in `keyring` (Debian signs with several, old and new). At
/// `now` it must be neither expired nor from the future. `expected` must be its Codename or Suite, so that a
/// mirror cannot serve another suite's file.
///
/// # Errors
/// [`ReleaseError`].
pub fn verify(
    in_release: &[u8],
    keyring: &Keyring,
    expected: &str,
    now: Epoch,
) -> Result<Release, ReleaseError> {
    let (text, signed_by) = signature::check(in_release, keyring, now)?;
    let mut release = Release::parse(&text)?;
    release.signed_by = signed_by;
    if expected != release.codename && expected != release.suite {
        let Release { suite, codename, .. } = release;
        return Err(ReleaseError::WrongSuite { expected: expected.to_owned(), suite, codename });
    }
    if release.date.0 > now.0 + SKEW {
        return Err(ReleaseError::FromTheFuture { date: release.date, now });
    }
    match release.valid_until {
        Some(until) if until < now => Err(ReleaseError::Expired { until, now, date: release.date }),
        _ => Ok(release),
    }
}

impl Release {
    /// Reads the text of a Release file, without any signature.
    ///
    /// # Errors
    /// [`ReleaseError`] for a missing or malformed field.
    pub fn parse(text: &str) -> Result<Self, ReleaseError> {
        let paragraph = deb822::paragraph(text)?;
        let get = |name| paragraph.get(name).unwrap_or_default().to_owned();
        let date = |name: &'static str, text: &str| {
            date::parse(text).ok_or_else(|| ReleaseError::Value { field: name, value: text.to_owned() })
        };
        Ok(Self {
            origin: get("Origin"),
            suite: get("Suite"),
            codename: get("Codename"),
            date: date("Date", paragraph.required("Date")?)?,
            valid_until: paragraph.get("Valid-Until").map(|text| date("Valid-Until", text)).transpose()?,
            acquire_by_hash: paragraph.get("Acquire-By-Hash") == Some("yes"),
            architectures: get("Architectures").split_ascii_whitespace().map(str::to_owned).collect(),
            files: files(&paragraph)?,
            signed_by: Vec::new(),
        })
    }

    /// The smallest form in which the package index of `component` (such as `main`) for Debian architecture
    /// `arch` can be fetched: xz, else gzip, else plain.
    ///
    /// # Errors
    /// [`ReleaseError::NoIndex`].
    pub fn index(&self, component: &str, arch: &str) -> Result<IndexFile, ReleaseError> {
        let directory = format!("{component}/binary-{arch}");
        for suffix in [".xz", ".gz", ""] {
            let path = format!("{directory}/Packages{suffix}");
            if let Some((size, sha256)) = self.files.get(&path).copied() {
                let by_hash = self.acquire_by_hash.then(|| format!("{directory}/by-hash/SHA256/{sha256}"));
                return Ok(IndexFile { path, by_hash, size, sha256 });
            }
        }
        Err(ReleaseError::NoIndex {
            codename: self.codename.clone(),
            path: format!("{directory}/Packages"),
            architectures: self.architectures.join(" "),
        })
    }
}

/// The `SHA256` field: lines of digest, size and path.
fn files(paragraph: &Paragraph<'_>) -> Result<BTreeMap<String, (u64, Digest)>, ReleaseError> {
    paragraph.required("SHA256")?;
    let mut files = BTreeMap::new();
    for line in paragraph.field("SHA256").iter().flat_map(deb822::Field::lines) {
        let malformed = || ReleaseError::Value { field: "SHA256", value: line.to_owned() };
        let mut words = line.split_ascii_whitespace();
        let (Some(digest), Some(size), Some(path), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(malformed());
        };
        let size = size.parse().map_err(|_| malformed())?;
        let digest = digest.parse().map_err(|_| malformed())?;
        if path.starts_with('/') || path.split('/').any(|part| part == ".." || part.is_empty()) {
            return Err(malformed());
        }
        if files.insert(path.to_owned(), (size, digest)).is_some_and(|before| before != (size, digest)) {
            return Err(malformed());
        }
    }
    Ok(files)
}

/// Why a Release file is not to be trusted or not usable.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReleaseError {
    /// It is no clear-signed message, or a damaged one.
    #[error("not a clear-signed Release file: {reason}")]
    NotSigned {
        /// What is wrong.
        reason: String,
    },
    /// There is text before or behind the signed message.
    #[error("there is unsigned text {place} the signed message")]
    OutsideSignature {
        /// `before` or `behind`.
        place: &'static str,
    },
    /// No signature is good and by a trusted key.
    #[error("no valid signature by a trusted key: {}; trusted are {}", signature::show(signatures), trusted.join(", "))]
    NoValidSignature {
        /// Each signature and what is wrong with it.
        signatures: Vec<Signed>,
        /// Ids of the keys in the keyring.
        trusted: Vec<String>,
    },
    /// It is older than it may be.
    #[error(
        "the Release file of {date} expired: valid until {until}, now it is {now}; the mirror is stale or this clock is wrong"
    )]
    Expired {
        /// `Valid-Until`.
        until: Epoch,
        /// The moment given by the caller.
        now: Epoch,
        /// `Date`.
        date: Epoch,
    },
    /// It is from the future.
    #[error(
        "the Release file is from the future: dated {date}, now it is {now}; is this machine's clock right?"
    )]
    FromTheFuture {
        /// `Date`.
        date: Epoch,
        /// The moment given by the caller.
        now: Epoch,
    },
    /// It is for another suite.
    #[error("expected the Release file of `{expected}`, found suite `{suite}` (codename `{codename}`)")]
    WrongSuite {
        /// What the caller asked for.
        expected: String,
        /// `Suite`.
        suite: String,
        /// `Codename`.
        codename: String,
    },
    /// It is not deb822, or a field is missing.
    #[error("Release file, {0}")]
    Syntax(#[from] SyntaxError),
    /// A field's value is malformed.
    #[error("Release file: {field} has `{value}`")]
    Value {
        /// The field.
        field: &'static str,
        /// Its value or the offending line of it.
        value: String,
    },
    /// It has no such index.
    #[error("`{codename}` has no `{path}`; its architectures are: {architectures}")]
    NoIndex {
        /// `Codename`.
        codename: String,
        /// The index without the suffix of a compression.
        path: String,
        /// `Architectures`.
        architectures: String,
    },
}
