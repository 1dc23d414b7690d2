//! A signing key that everybody knows.

use contract::Epoch;
use pgp::{
    composed::{ArmorOptions, CleartextSignedMessage, Deserializable, SignedSecretKey},
    crypto::hash::HashAlgorithm,
    packet::{SignatureConfig, SignatureType, Subpacket, SubpacketData},
    types::{Password, SigningKey, Timestamp},
};

/// The certificate of the test key, armoured: give it to [`crate::release::Keyring::parse`].
pub const PUBLIC_KEY: &[u8] = include_bytes!("public.asc");

/// The secret key behind [`PUBLIC_KEY`]: Ed25519, valid from 2024-01-01, without a passphrase.
const SECRET_KEY: &[u8] = include_bytes!("key.asc");

/// `text` as a clear-signed message of the test key, made at `at`.
///
/// # Panics
/// When the key does not sign; it does.
#[must_use]
pub fn sign(text: &str, at: Epoch) -> Vec<u8> {
    sign_with(SECRET_KEY, text, at)
}

/// `text` as a clear-signed message of the armoured secret key `key`: by its subkey if it has one.
///
/// # Panics
/// When `key` is no unprotected secret key that can sign.
#[must_use]
#[allow(clippy::unwrap_used, reason = "for tests")]
pub fn sign_with(key: &[u8], text: &str, at: Epoch) -> Vec<u8> {
    let (key, _) = SignedSecretKey::from_armor_single(key).unwrap();
    let message = match key.secret_subkeys.first() {
        Some(subkey) => message(&subkey.key, text, at),
        None => message(&key.primary_key, text, at),
    };
    message.to_armored_bytes(ArmorOptions::default()).unwrap()
}

#[allow(clippy::unwrap_used, reason = "for tests")]
fn message(key: &impl SigningKey, text: &str, at: Epoch) -> CleartextSignedMessage {
    let at = Timestamp::from_secs(at.0.try_into().unwrap());
    let mut config = SignatureConfig::v4(SignatureType::Text, key.algorithm(), HashAlgorithm::Sha256);
    config.hashed_subpackets = vec![
        Subpacket::regular(SubpacketData::SignatureCreationTime(at)).unwrap(),
        Subpacket::regular(SubpacketData::IssuerFingerprint(key.fingerprint())).unwrap(),
    ];
    config.unhashed_subpackets =
        vec![Subpacket::regular(SubpacketData::IssuerKeyId(key.legacy_key_id())).unwrap()];
    CleartextSignedMessage::new(text, config, key, &Password::empty()).unwrap()
}
