//! Trusted keys: which keys of a certificate may sign, and when. rpgp gives the mathematics; the policy is ours.

use super::signature::is_strong;
use contract::Epoch;
use pgp::{
    composed::{Deserializable, SignedPublicKey, SignedPublicSubKey},
    packet::{PublicKey, PublicSubkey, Signature, SignatureType},
    types::{KeyDetails, Tag},
};
use std::fmt;

/// The keys that sign Debian 13 and its security updates, from the package debian-archive-keyring:
/// - `04B54C3CDCA79751B16BC6B5225629DF75B188BD` Debian Archive Automatic Signing Key (13/trixie)
/// - `5E04A1E3223A19A20706E20F9904613D4CCE68C6` Debian Security Archive Automatic Signing Key (13/trixie)
/// - `41587F7DB8C774BCCF131416762F67A0B2C39DE4` Debian Stable Release Key (13/trixie)
pub const DEBIAN_TRIXIE: &[&[u8]] = &[
    include_bytes!("../../keyrings/debian-archive-trixie-automatic.gpg"),
    include_bytes!("../../keyrings/debian-archive-trixie-security-automatic.gpg"),
    include_bytes!("../../keyrings/debian-archive-trixie-stable.gpg"),
];

/// Keys that are trusted to sign Release files.
#[derive(Clone, Debug, Default)]
pub struct Keyring {
    pub(super) keys: Vec<TrustedKey>,
}

/// A primary key or subkey that may make signatures.
#[derive(Clone, Debug)]
pub(super) struct TrustedKey {
    /// The fingerprint in upper-case hexadecimal digits.
    pub(super) fingerprint: String,
    /// The last 16 digits of it.
    pub(super) id: String,
    pub(super) created: Epoch,
    pub(super) expires: Option<Epoch>,
    pub(super) revoked: bool,
    pub(super) material: Material,
}

#[derive(Clone, Debug)]
pub(super) enum Material {
    Primary(PublicKey),
    Subkey(PublicSubkey),
}

/// Why a file is no keyring.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyringError {
    /// A file cannot be read as OpenPGP certificates.
    #[error("keyring file {number} is not a set of OpenPGP certificates")]
    Malformed {
        /// Which of the files, from 1.
        number: usize,
        /// rpgp's error.
        source: Box<pgp::errors::Error>,
    },
    /// No key in the files may sign.
    #[error("no key in the keyring may make signatures")]
    NoSigningKey,
}

impl Keyring {
    /// Reads certificates, binary or armoured, several to a file. Keys that are not bound to their certificate
    /// by a good signature of their own, or that may not sign, are left out; revoked and expired ones are kept,
    /// so that an error can say what they are.
    ///
    /// # Errors
    /// [`KeyringError`].
    pub fn parse(files: &[&[u8]]) -> Result<Self, KeyringError> {
        let mut keys = Vec::new();
        for (index, file) in files.iter().enumerate() {
            let malformed = |source| KeyringError::Malformed { number: index + 1, source: Box::new(source) };
            let (certificates, _) = SignedPublicKey::from_reader_many(*file).map_err(malformed)?;
            for certificate in certificates {
                keys.extend(signing_keys(&certificate.map_err(malformed)?));
            }
        }
        if keys.is_empty() { Err(KeyringError::NoSigningKey) } else { Ok(Self { keys }) }
    }

    /// The ids of all keys, 16 upper-case hexadecimal digits each.
    #[must_use]
    pub fn key_ids(&self) -> Vec<String> {
        self.keys.iter().map(|key| key.id.clone()).collect()
    }
}

fn signing_keys(certificate: &SignedPublicKey) -> Vec<TrustedKey> {
    let primary = &certificate.primary_key;
    // What a key says about itself counts in its newest version. Certifications by others are no business of
    // ours: most of Debian's keys carry some by keys that we do not have.
    let details = &certificate.details;
    let by_users = details.users.iter().flat_map(|user| user.signatures.iter().map(move |s| (s, &user.id)));
    let certifications = by_users
        .filter(|(s, id)| s.is_certification() && s.verify_certification(primary, Tag::UserId, id).is_ok())
        .map(|(signature, _)| signature);
    // A direct signature is often about something else, such as who else may revoke the key: it counts for what
    // the key may do only where no user id says it.
    let direct = newest(details.direct_signatures.iter().filter(|s| s.verify_key(primary).is_ok()));
    let Some(own) = newest(certifications).or(direct) else { return Vec::new() };

    let revoked = details.revocation_signatures.iter().any(|s| s.verify_key(primary).is_ok());
    let created = Epoch(primary.created_at().as_secs().into());
    let expires = [Some(own), direct].into_iter().flatten().filter_map(|s| expiry(s, created)).min();
    let mut keys = Vec::new();
    if own.key_flags().sign() {
        keys.push(trusted(primary, Material::Primary(primary.clone()), expires, revoked));
    }
    for subkey in &certificate.public_subkeys {
        let Some((binding, subkey_revoked)) = binding(subkey, primary) else { continue };
        let own_expiry = expiry(binding, Epoch(subkey.key.created_at().as_secs().into()));
        // A subkey does not outlive its certificate.
        let expires = [expires, own_expiry].into_iter().flatten().min();
        keys.push(trusted(
            &subkey.key,
            Material::Subkey(subkey.key.clone()),
            expires,
            revoked || subkey_revoked,
        ));
    }
    keys
}

/// The newest good binding of a subkey that lets it sign, and whether the subkey is revoked.
fn binding<'k>(subkey: &'k SignedPublicSubKey, primary: &PublicKey) -> Option<(&'k Signature, bool)> {
    let good = || subkey.signatures.iter().filter(|s| s.verify_subkey_binding(primary, &subkey.key).is_ok());
    let binding = newest(good().filter(|s| s.typ() == Some(SignatureType::SubkeyBinding)))?;
    // The subkey must say, too, that it belongs to the primary key: else anyone could adopt it.
    let answered = binding.embedded_signature()?.verify_primary_key_binding(&subkey.key, primary).is_ok();
    let revoked = good().any(|s| s.typ() == Some(SignatureType::SubkeyRevocation));
    (binding.key_flags().sign() && answered).then_some((binding, revoked))
}

fn newest<'s>(signatures: impl Iterator<Item = &'s Signature>) -> Option<&'s Signature> {
    signatures.filter(|s| is_strong(s)).max_by_key(|s| s.created().map(|at| at.as_secs()))
}

fn expiry(signature: &Signature, created: Epoch) -> Option<Epoch> {
    let lifetime = signature.key_expiration_time().map(|time| i64::from(time.as_secs()));
    lifetime.filter(|seconds| *seconds > 0).map(|seconds| Epoch(created.0 + seconds))
}

fn trusted(key: &impl KeyDetails, material: Material, expires: Option<Epoch>, revoked: bool) -> TrustedKey {
    let fingerprint = hex(&key.fingerprint());
    let id = hex(&key.legacy_key_id());
    TrustedKey {
        fingerprint,
        id,
        created: Epoch(key.created_at().as_secs().into()),
        expires,
        revoked,
        material,
    }
}

pub(super) fn hex(id: &impl fmt::Display) -> String {
    id.to_string().to_uppercase()
}
