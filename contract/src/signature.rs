//! Signatures in minisign's file formats (<https://jedisct1.github.io/minisign/>), so that `minisign -V`
//! agrees. Only verification lives here: a node never holds a private key.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use blake2::{Blake2b512, Digest as _};
use ed25519_dalek::{Signature, VerifyingKey};
use std::fmt;

/// The longest text of a signature that is read: a trusted comment has 1024 bytes at most.
const TEXT_MAX: usize = 2048;

/// A minisign public key: `Ed`, 8 bytes of key id, 32 bytes of Ed25519 key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    /// The key's id, chosen at random when it was made.
    pub id: [u8; 8],
    key: VerifyingKey,
}

/// Why a signature does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// Not a minisign public key.
    #[error("this is not a minisign public key: {0}")]
    PublicKey(&'static str),
    /// Not a minisign signature.
    #[error("this is not a minisign signature: {0}")]
    Malformed(&'static str),
    /// Signed with another key.
    #[error("signed with key {found}, not with the given key {expected}")]
    OtherKey {
        /// The key id in the signature.
        found: String,
        /// The id of the key that was given.
        expected: String,
    },
    /// The text was changed after it was signed.
    #[error("the signature does not match: the file was changed after it was signed with key {0}")]
    Mismatch(String),
    /// The trusted comment was changed after it was signed.
    #[error("the signature's trusted comment was changed after it was signed with key {0}")]
    Comment(String),
}

/// A key id as minisign shows it: the bytes as one little-endian number, in hexadecimal capitals.
#[must_use]
pub fn show_key_id(id: [u8; 8]) -> String {
    format!("{:016X}", u64::from_le_bytes(id))
}

/// What minisign signs in its default, prehashed mode: BLAKE2b-512 of the message.
#[must_use]
pub fn prehash(message: &[u8]) -> [u8; 64] {
    Blake2b512::digest(message).into()
}

impl PublicKey {
    /// Parses a public key file, or just its base64 line.
    ///
    /// # Errors
    /// When it is no minisign key, or no point of the curve.
    pub fn parse(text: &str) -> Result<Self, SignatureError> {
        let line = text.lines().map(str::trim).rfind(|line| !line.is_empty());
        let line = line.ok_or(SignatureError::PublicKey("it is empty"))?;
        let bytes =
            BASE64.decode(line).map_err(|_| SignatureError::PublicKey("its last line is not base64"))?;
        let Some((b"Ed", rest)) = bytes.split_first_chunk::<2>() else {
            return Err(SignatureError::PublicKey("it does not begin with `Ed`"));
        };
        let Some((id, key)) = rest.split_first_chunk::<8>() else {
            return Err(SignatureError::PublicKey("it is too short"));
        };
        let key = key.try_into().map_err(|_| SignatureError::PublicKey("it is not 42 bytes long"))?;
        let key = VerifyingKey::from_bytes(key)
            .map_err(|_| SignatureError::PublicKey("its key is no point of the curve"))?;
        Ok(Self { id: *id, key })
    }

    /// The 32 bytes of the Ed25519 key: two keys that share them are one key, whatever their ids say.
    #[must_use]
    pub fn key_bytes(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// Checks that `signature` (the text of a `.minisig` file) is this key's over `message`; gives back the
    /// trusted comment, which is signed too.
    ///
    /// # Errors
    /// When it is malformed, another key's, or does not match.
    pub fn verify(&self, message: &[u8], signature: &str) -> Result<String, SignatureError> {
        let lines: Vec<&str> = signature.lines().collect();
        let [untrusted, body, trusted, global] = lines[..] else {
            return Err(SignatureError::Malformed("it does not have four lines"));
        };
        if !untrusted.starts_with("untrusted comment: ") {
            return Err(SignatureError::Malformed("it does not begin with `untrusted comment: `"));
        }
        let comment = trusted.strip_prefix("trusted comment: ");
        let comment = comment.ok_or(SignatureError::Malformed("its third line is no trusted comment"))?;
        let (id, body) = parse_body(body)?;
        if id != self.id {
            return Err(SignatureError::OtherKey { found: show_key_id(id), expected: show_key_id(self.id) });
        }
        let global = BASE64.decode(global).ok().and_then(|bytes| <[u8; 64]>::try_from(bytes).ok());
        let global = global.ok_or(SignatureError::Malformed("its fourth line is not 64 bytes in base64"))?;

        let holds = |text: &[u8], signature: &[u8; 64]| {
            self.key.verify_strict(text, &Signature::from_bytes(signature)).is_ok()
        };
        if !holds(&prehash(message), &body) {
            return Err(SignatureError::Mismatch(show_key_id(id)));
        }
        if !holds(&[&body[..], comment.as_bytes()].concat(), &global) {
            return Err(SignatureError::Comment(show_key_id(id)));
        }
        Ok(comment.to_owned())
    }
}

impl fmt::Display for PublicKey {
    /// The base64 line of the key file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&b"Ed"[..], &self.id, self.key.as_bytes()].concat();
        f.write_str(&BASE64.encode(bytes))
    }
}

/// The id of the key that a signature says it was made with; whether it was is for [`PublicKey::verify`].
///
/// # Errors
/// When the text is no minisign signature.
pub fn key_id_of(signature: &str) -> Result<[u8; 8], SignatureError> {
    let body = signature.lines().nth(1).filter(|_| signature.len() <= TEXT_MAX);
    let body = body.ok_or(SignatureError::Malformed("it does not have four lines"))?;
    Ok(parse_body(body)?.0)
}

/// The one form of a signature's text: its first line, which nobody signs, says the key's id and nothing else.
///
/// # Errors
/// When the text is no minisign signature.
pub fn canonical(signature: &str) -> Result<String, SignatureError> {
    let id = show_key_id(key_id_of(signature)?);
    let lines: Vec<&str> = signature.lines().skip(1).collect();
    let [body, trusted, global] = lines[..] else {
        return Err(SignatureError::Malformed("it does not have four lines"));
    };
    Ok(format!("untrusted comment: signed with key {id}\n{body}\n{trusted}\n{global}\n"))
}

/// The signature line: `ED`, key id, Ed25519 signature of the prehash.
fn parse_body(line: &str) -> Result<([u8; 8], [u8; 64]), SignatureError> {
    let bytes =
        BASE64.decode(line).map_err(|_| SignatureError::Malformed("its second line is not base64"))?;
    let (algorithm, rest) =
        bytes.split_first_chunk::<2>().ok_or(SignatureError::Malformed("its second line is too short"))?;
    match algorithm {
        b"ED" => {}
        b"Ed" => {
            return Err(SignatureError::Malformed("it is not prehashed (an old `minisign -l` signature)"));
        }
        _ => return Err(SignatureError::Malformed("its algorithm is not `ED`")),
    }
    let (id, body) =
        rest.split_first_chunk::<8>().ok_or(SignatureError::Malformed("its second line is too short"))?;
    let body =
        body.try_into().map_err(|_| SignatureError::Malformed("its second line is not 74 bytes long"))?;
    Ok((*id, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with `minisign -G -W` and `minisign -S -t 'a comment'` 0.11 over the bytes `hello\n`.
    const KEY: &str = include_str!("../tests/data/minisign.pub");
    const SIGNATURE: &str = include_str!("../tests/data/hello.minisig");

    #[test]
    fn a_signature_of_the_reference_tool_holds() {
        let key = PublicKey::parse(KEY).unwrap();
        assert_eq!(key.verify(b"hello\n", SIGNATURE).unwrap(), "a comment");
        assert_eq!(PublicKey::parse(&key.to_string()).unwrap(), key);
    }

    #[test]
    fn every_change_is_noticed_and_named() {
        let key = PublicKey::parse(KEY).unwrap();
        let id = show_key_id(key.id);
        assert_eq!(key.verify(b"hellO\n", SIGNATURE), Err(SignatureError::Mismatch(id.clone())));
        let other = SIGNATURE.replace("a comment", "b comment");
        assert_eq!(key.verify(b"hello\n", &other), Err(SignatureError::Comment(id)));
        let short: String = SIGNATURE.lines().take(2).collect();
        assert!(key.verify(b"hello\n", &short).unwrap_err().to_string().contains("four lines"));
        let mut stranger = key;
        stranger.id[0] ^= 1;
        let error = stranger.verify(b"hello\n", SIGNATURE).unwrap_err().to_string();
        assert!(error.starts_with("signed with key "), "{error}");
    }
}
