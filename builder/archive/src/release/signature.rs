//! The signatures of a clear-signed message against a keyring.

use super::{
    ReleaseError, SKEW,
    keyring::{Keyring, Material, TrustedKey, hex},
};
use contract::Epoch;
use pgp::{
    composed::CleartextSignedMessage,
    crypto::hash::HashAlgorithm,
    packet::{Signature, SignatureType},
};
use std::fmt;

const BEGIN: &str = "-----BEGIN PGP SIGNED MESSAGE-----";
const SIGNATURE: &str = "-----BEGIN PGP SIGNATURE-----";
const END: &str = "-----END PGP SIGNATURE-----";

/// A signature that does not count, for the error message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// Id of the key that made it by its own account; `unknown` if it does not say.
    pub key_id: String,
    /// Why it does not count.
    pub fault: SignatureFault,
}

/// Why a signature does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureFault {
    /// The keyring does not have the key.
    #[error("is not a trusted key")]
    UnknownKey,
    /// The text is not the one that was signed.
    #[error("did not sign this text: it was tampered with or damaged")]
    WrongText,
    /// A hash that can be forged, or a kind of signature that is not for texts.
    #[error("used {0}, which is not accepted")]
    Weak(String),
    /// The key was revoked.
    #[error("is revoked")]
    KeyRevoked,
    /// The key expired.
    #[error("expired at {0}")]
    KeyExpired(Epoch),
    /// The signature was made before the key or in the future, or does not say when.
    #[error("signed at an impossible time ({})", .0.map_or_else(|| "none given".to_owned(), |at| at.to_string()))]
    WrongTime(Option<Epoch>),
    /// The signature expired.
    #[error("made a signature that expired at {0}")]
    SignatureExpired(Epoch),
}

impl fmt::Display for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key {} {}", self.key_id, self.fault)
    }
}

pub(super) fn show(signatures: &[Signed]) -> String {
    match signatures {
        [] => "there is no signature".to_owned(),
        _ => signatures.iter().map(Signed::to_string).collect::<Vec<_>>().join("; "),
    }
}

/// The signed text and the fingerprints of the trusted keys that signed it.
pub(super) fn check(
    message: &[u8],
    keyring: &Keyring,
    now: Epoch,
) -> Result<(String, Vec<String>), ReleaseError> {
    let not_signed = |reason: String| ReleaseError::NotSigned { reason };
    let message = std::str::from_utf8(message).map_err(|error| not_signed(error.to_string()))?;
    check_frame(message)?;
    let (message, _) =
        CleartextSignedMessage::from_string(message).map_err(|error| not_signed(error.to_string()))?;
    let text = message.signed_text();
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for signature in message.signatures() {
        match check_one(signature, text.as_bytes(), keyring, now) {
            Ok(key) => good.push(key.fingerprint.clone()),
            Err(fault) => bad.push(Signed { key_id: issuer(signature), fault }),
        }
    }
    if good.is_empty() {
        return Err(ReleaseError::NoValidSignature { signatures: bad, trusted: keyring.key_ids() });
    }
    // The hash is over lines that end with CR LF; the file has LF.
    Ok((text.replace("\r\n", "\n"), good))
}

/// One message, and nothing around it but blank space at the end.
fn check_frame(message: &str) -> Result<(), ReleaseError> {
    let not_signed = |reason: &str| ReleaseError::NotSigned { reason: reason.to_owned() };
    match message.find(BEGIN) {
        Some(0) => {}
        Some(_) => return Err(ReleaseError::OutsideSignature { place: "before" }),
        None => return Err(not_signed("there is no `BEGIN PGP SIGNED MESSAGE` line")),
    }
    let (_, behind) =
        message.split_once(END).ok_or_else(|| not_signed("it is cut off within its signature"))?;
    if !behind.trim().is_empty() {
        return Err(ReleaseError::OutsideSignature { place: "behind" });
    }
    match (message.matches(BEGIN).count(), message.matches(SIGNATURE).count()) {
        (1, 1) => Ok(()),
        _ => Err(not_signed("expected one signed message with one signature block")),
    }
}

fn check_one<'k>(
    signature: &Signature,
    text: &[u8],
    keyring: &'k Keyring,
    now: Epoch,
) -> Result<&'k TrustedKey, SignatureFault> {
    let by_fingerprint: Vec<_> = signature.issuer_fingerprint().into_iter().map(hex).collect();
    let by_id: Vec<_> = signature.issuer_key_id().into_iter().map(hex).collect();
    let made_by = |key: &&TrustedKey| by_fingerprint.contains(&key.fingerprint) || by_id.contains(&key.id);
    let key = keyring.keys.iter().find(made_by).ok_or(SignatureFault::UnknownKey)?;
    if !matches!(signature.typ(), Some(SignatureType::Text | SignatureType::Binary)) {
        return Err(SignatureFault::Weak(format!("a signature of type {:?}", signature.typ())));
    }
    if !is_strong(signature) {
        let hash = signature.hash_alg().map_or_else(|| "an unknown hash".to_owned(), |hash| hash.to_string());
        return Err(SignatureFault::Weak(hash));
    }
    let verified = match &key.material {
        Material::Primary(primary) => signature.verify(primary, text),
        Material::Subkey(subkey) => signature.verify(subkey, text),
    };
    verified.map_err(|_| SignatureFault::WrongText)?;
    if key.revoked {
        return Err(SignatureFault::KeyRevoked);
    }
    if let Some(expired) = key.expires.filter(|at| *at <= now) {
        return Err(SignatureFault::KeyExpired(expired));
    }
    let made = signature.created().map(|at| Epoch(at.as_secs().into()));
    let Some(made_at) = made.filter(|at| *at >= key.created && at.0 <= now.0 + SKEW) else {
        return Err(SignatureFault::WrongTime(made));
    };
    let lifetime = signature.signature_expiration_time().map_or(0, |time| i64::from(time.as_secs()));
    match Epoch(made_at.0 + lifetime) {
        end if lifetime > 0 && end <= now => Err(SignatureFault::SignatureExpired(end)),
        _ => Ok(key),
    }
}

/// SHA-256 or better: MD5 and SHA-1 can be forged, and nobody needs the others.
pub(super) fn is_strong(signature: &Signature) -> bool {
    matches!(
        signature.hash_alg(),
        Some(
            HashAlgorithm::Sha256
                | HashAlgorithm::Sha384
                | HashAlgorithm::Sha512
                | HashAlgorithm::Sha3_256
                | HashAlgorithm::Sha3_512
        )
    )
}

fn issuer(signature: &Signature) -> String {
    let by_id = signature.issuer_key_id().into_iter().map(hex).next();
    let by_fingerprint = || signature.issuer_fingerprint().into_iter().map(hex).next();
    by_id.or_else(by_fingerprint).unwrap_or_else(|| "unknown".to_owned())
}
