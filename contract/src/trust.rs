//! Whose signatures a node believes: a set of keys and a threshold, with a version. The next version is signed by a
//! threshold of the one before it, so that keys can be replaced without touching a node. Nothing here expires: a
//! board without a clock must come to the same verdict as one with.
//!
//! `docs/formats/bundle.md` has the formats.

use crate::signature::{self, PublicKey, SignatureError, show_key_id};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What every trust statement begins with: a signature over anything else is none over a trust.
pub const SCHEMA: &str = "hcimage-trust-1";
/// The most keys of a trust.
pub const KEYS_MAX: usize = 16;
/// The most signatures on anything.
pub const SIGNATURES_MAX: usize = 32;
/// The largest chain that is read, bytes.
pub const CHAIN_MAX: usize = 64 << 10;

/// Some keys, of which `threshold` must sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trust {
    /// [`SCHEMA`].
    pub schema: String,
    /// 1 for the first; each next one adds 1.
    pub version: u32,
    /// How many different keys must sign.
    pub threshold: u32,
    /// Minisign public keys, each as its one line of base64.
    pub keys: Vec<String>,
}

/// A trust with the signatures of the version before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedTrust {
    /// The statement; its rendered bytes are signed.
    pub trust: Trust,
    /// Texts of minisign signatures; the first version of all needs none.
    pub signatures: Vec<String>,
}

/// All versions that its file still knows, oldest first: what `trust.json` and a bundle carry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Chain(pub Vec<SignedTrust>);

/// Why keys, signatures or a chain are not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// Not the JSON that is expected, or too much of it.
    #[error("the trust is not readable: {0}")]
    Malformed(String),
    /// A set of keys that cannot be.
    #[error("trust version {version}: {wrong}")]
    Keys {
        /// The version that says so.
        version: u32,
        /// What is wrong with it.
        wrong: String,
    },
    /// Versions that do not follow each other.
    #[error(
        "trust version {found} comes after version {known}, expected version {expected}: a version cannot be skipped, give the chain with all of them"
    )]
    Skipped {
        /// The last version that is believed.
        known: u32,
        /// What comes next.
        found: u32,
        /// What must come next.
        expected: u32,
    },
    /// A version that is known says other keys than it did.
    #[error(
        "trust version {version} of the chain is not the version {version} that is believed here: two chains share its number"
    )]
    Forked {
        /// The version.
        version: u32,
    },
    /// A signature that names a believed key, and does not match.
    #[error("{what}: {error}")]
    Signature {
        /// What was signed.
        what: String,
        /// Why it does not hold.
        error: SignatureError,
    },
    /// A signature in another form than the one that is written.
    #[error("{what}: signature {number} is not in its one form: {wrong}")]
    Form {
        /// What was signed.
        what: String,
        /// Which one, from 1.
        number: usize,
        /// What is wrong.
        wrong: String,
    },
    /// Not enough of the keys have signed.
    #[error(
        "{what}: {count} of the {threshold} signatures that trust version {version} asks for (signed by {signed}; its keys are {keys})"
    )]
    TooFew {
        /// What was signed.
        what: String,
        /// Different believed keys that have signed.
        count: usize,
        /// How many it takes.
        threshold: u32,
        /// Of which trust.
        version: u32,
        /// The ids of all keys that have signed, believed or not; `nobody` when there are none.
        signed: String,
        /// The ids of the keys that count.
        keys: String,
    },
}

impl Trust {
    /// A trust that its own rules allow.
    ///
    /// # Errors
    /// When there are no keys or too many, a key twice, or a threshold that cannot be met.
    pub fn new(version: u32, threshold: u32, keys: &[PublicKey]) -> Result<Self, TrustError> {
        let keys = keys.iter().map(ToString::to_string).collect();
        let trust = Self { schema: SCHEMA.to_owned(), version, threshold, keys };
        trust.public_keys()?;
        Ok(trust)
    }

    /// The bytes that are signed: JSON without spaces, keys in their order, and a final newline.
    ///
    /// # Panics
    /// Never: a trust is plain data.
    #[must_use]
    pub fn render(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec(self).expect("a trust is plain data");
        json.push(b'\n');
        json
    }

    /// Checks its rules and gives its keys.
    ///
    /// # Errors
    /// When the schema is another one, there are no keys or too many, a key twice, or a threshold that cannot be met.
    pub fn public_keys(&self) -> Result<Vec<PublicKey>, TrustError> {
        let Self { schema, version, threshold, keys } = self;
        let wrong = |wrong: String| TrustError::Keys { version: *version, wrong };
        if schema != SCHEMA {
            return Err(wrong(format!("schema is `{schema}`, expected `{SCHEMA}`")));
        }
        if *version == 0 {
            return Err(wrong("versions begin at 1".to_owned()));
        }
        if keys.is_empty() || keys.len() > KEYS_MAX {
            return Err(wrong(format!("{} keys, expected 1 to {KEYS_MAX}", keys.len())));
        }
        let (mut found, mut ids, mut bytes) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
        for text in keys {
            let key = PublicKey::parse(text).map_err(|error| wrong(format!("key `{text}`: {error}")))?;
            if key.to_string() != *text {
                return Err(wrong(format!("key `{text}` is not one line of base64")));
            }
            if !ids.insert(key.id) || !bytes.insert(*key.key_bytes()) {
                return Err(wrong(format!("key {} is there twice", show_key_id(key.id))));
            }
            found.push(key);
        }
        if *threshold == 0 || *threshold as usize > found.len() {
            return Err(wrong(format!("a threshold of {threshold} with {} keys", found.len())));
        }
        Ok(found)
    }

    /// Checks that a threshold of the keys has signed `message`, called `what` in errors. Signatures of keys that
    /// this trust does not know count nothing: they may be those of another version. Gives the ids that count.
    ///
    /// # Errors
    /// When a signature is not in the one form that is written, one of a believed key does not match, or there are
    /// too few.
    pub fn verify(
        &self,
        what: &str,
        message: &[u8],
        signatures: &[String],
    ) -> Result<Vec<[u8; 8]>, TrustError> {
        let keys = self.public_keys()?;
        let form = |number: usize, wrong: String| TrustError::Form { what: what.to_owned(), number, wrong };
        if signatures.len() > SIGNATURES_MAX {
            return Err(form(signatures.len(), format!("there are at most {SIGNATURES_MAX}")));
        }
        let (mut named, mut counted) = (BTreeSet::new(), BTreeSet::new());
        for (index, text) in signatures.iter().enumerate() {
            let canonical = signature::canonical(text).map_err(|error| form(index + 1, error.to_string()))?;
            if canonical != *text {
                return Err(form(index + 1, "another first line or line end".to_owned()));
            }
            let id = signature::key_id_of(text).map_err(|error| form(index + 1, error.to_string()))?;
            named.insert(id);
            let Some(key) = keys.iter().find(|key| key.id == id) else { continue };
            key.verify(message, text)
                .map_err(|error| TrustError::Signature { what: what.to_owned(), error })?;
            counted.insert(id);
        }
        if counted.len() < self.threshold as usize {
            return Err(TrustError::TooFew {
                what: what.to_owned(),
                count: counted.len(),
                threshold: self.threshold,
                version: self.version,
                signed: show_ids(named),
                keys: show_ids(keys.iter().map(|key| key.id)),
            });
        }
        Ok(counted.into_iter().collect())
    }

    /// Follows a chain from this trust to its newest version. What the chain says about older versions is skipped:
    /// this trust is what they led to.
    ///
    /// # Errors
    /// When a version is skipped, is not signed by a threshold of the one before, or this version has other keys.
    pub fn follow(&self, chain: &Chain) -> Result<Self, TrustError> {
        self.public_keys()?;
        let mut known = self.clone();
        for SignedTrust { trust: next, signatures } in &chain.0 {
            next.public_keys()?;
            if next.version < known.version {
                continue;
            }
            if next.version == known.version {
                if *next != known {
                    return Err(TrustError::Forked { version: next.version });
                }
                continue;
            }
            if next.version - known.version != 1 {
                let (known, found) = (known.version, next.version);
                return Err(TrustError::Skipped { known, found, expected: known + 1 });
            }
            known.verify(&format!("trust version {}", next.version), &next.render(), signatures)?;
            known = next.clone();
        }
        Ok(known)
    }
}

impl Chain {
    /// Reads a chain: JSON of at most [`CHAIN_MAX`] bytes. Signatures are not checked; see [`Trust::follow`] and
    /// [`Self::newest`].
    ///
    /// # Errors
    /// When it is too large or not a chain.
    pub fn parse(json: &[u8]) -> Result<Self, TrustError> {
        if json.len() > CHAIN_MAX {
            return Err(TrustError::Malformed(format!("{} bytes, at most {CHAIN_MAX}", json.len())));
        }
        serde_json::from_slice(json).map_err(|error| TrustError::Malformed(error.to_string()))
    }

    /// The one form of a chain's bytes.
    ///
    /// # Panics
    /// Never: a chain is plain data.
    #[must_use]
    pub fn render(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec_pretty(self).expect("a chain is plain data");
        json.push(b'\n');
        json
    }

    /// The newest version, after every step from the first was checked. None for an empty chain.
    ///
    /// # Errors
    /// As of [`Trust::follow`].
    pub fn newest(&self) -> Result<Option<Trust>, TrustError> {
        self.0.first().map(|first| first.trust.follow(self)).transpose()
    }
}

/// Key ids in a sentence.
fn show_ids(ids: impl IntoIterator<Item = [u8; 8]>) -> String {
    let ids: Vec<String> = ids.into_iter().map(show_key_id).collect();
    if ids.is_empty() { "nobody".to_owned() } else { ids.join(", ") }
}

#[cfg(test)]
mod tests;
