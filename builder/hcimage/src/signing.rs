//! Secret keys in minisign's format, and signing with them. Nothing else in the program sees a secret.

use crate::error::Failure;
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use contract::signature::{PublicKey, canonical, prehash, show_key_id};
use ed25519_dalek::{Signer as _, SigningKey};
use std::{fs, io::Write as _, os::unix::fs::OpenOptionsExt as _, path::Path};

/// Length of the secret part of a key file: algorithms (6), salt and limits (48), key id (8), key (64),
/// checksum (32). See `minisign`'s `SeckeyStruct`.
const SECRET: usize = 158;

/// A secret key.
pub(crate) struct SecretKey {
    id: [u8; 8],
    key: SigningKey,
}

impl SecretKey {
    /// A new key, drawn from the kernel's random source.
    pub(crate) fn draw() -> Result<Self, Failure> {
        Ok(Self { id: random()?, key: SigningKey::from_bytes(&random()?) })
    }

    /// Reads a key file that has no password.
    pub(crate) fn load(file: &Path) -> Result<Self, Failure> {
        let text = fs::read_to_string(file).map_err(Failure::file("read", file))?;
        Self::parse(&text).map_err(|why| Failure::refused(format!("{}: {why}", file.display())))
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        let line = text.lines().nth(1).ok_or("this is not a minisign secret key: it has no second line")?;
        let bytes =
            BASE64.decode(line.trim()).map_err(|_| "this is not a minisign secret key: it is not base64")?;
        let bytes: &[u8; SECRET] = bytes
            .as_slice()
            .try_into()
            .map_err(|_| "this is not a minisign secret key: it has another length")?;
        match (&bytes[..2], &bytes[2..4], &bytes[4..6]) {
            (b"Ed", [0, 0], b"B2") => {}
            (b"Ed", b"Sc", b"B2") => {
                return Err(
                    "this key is protected by a password: sign elsewhere with `minisign -S -m release.json`, or make one without (`hcimage key new DIR`)",
                );
            }
            _ => return Err("this is not a minisign secret key: unknown algorithms"),
        }
        let (id, key) = (&bytes[54..62], &bytes[62..94]);
        let id = id.try_into().map_err(|_| "no key id")?;
        let key = SigningKey::from_bytes(key.try_into().map_err(|_| "no key")?);
        if key.verifying_key().as_bytes()[..] != bytes[94..126] {
            return Err("this key is damaged: its public half does not belong to its secret half");
        }
        Ok(Self { id, key })
    }

    /// The text of the secret key file.
    fn secret_text(&self) -> String {
        let mut bytes = Vec::with_capacity(SECRET);
        bytes.extend(b"Ed\0\0B2");
        bytes.extend([0; 48]);
        bytes.extend(self.id);
        bytes.extend(self.key.to_bytes());
        bytes.extend(self.key.verifying_key().as_bytes());
        // Without a password minisign leaves the checksum zero.
        bytes.resize(SECRET, 0);
        format!("untrusted comment: hcimage secret key {}\n{}\n", show_key_id(self.id), BASE64.encode(bytes))
    }

    /// The text of the public key file.
    pub(crate) fn public_text(&self) -> String {
        let bytes = [&b"Ed"[..], &self.id, self.key.verifying_key().as_bytes()].concat();
        format!("untrusted comment: hcimage public key {}\n{}\n", show_key_id(self.id), BASE64.encode(bytes))
    }

    /// The text of a `.minisig` file over `message`.
    pub(crate) fn sign(&self, message: &[u8], comment: &str) -> String {
        let signature = self.key.sign(&prehash(message)).to_bytes();
        let body = [&b"ED"[..], &self.id, &signature].concat();
        let global = self.key.sign(&[&signature[..], comment.as_bytes()].concat()).to_bytes();
        format!(
            "untrusted comment: signature from hcimage key {}\n{}\ntrusted comment: {comment}\n{}\n",
            show_key_id(self.id),
            BASE64.encode(body),
            BASE64.encode(global)
        )
    }

    /// The same in the one form that bundles, trusts and permits have.
    pub(crate) fn sign_in_form(&self, message: &[u8], comment: &str) -> Result<String, Failure> {
        canonical(&self.sign(message, comment)).map_err(|error| Failure::refused(error.to_string()))
    }

    /// The public half.
    pub(crate) fn public(&self) -> Result<PublicKey, Failure> {
        PublicKey::parse(&self.public_text()).map_err(|error| Failure::refused(error.to_string()))
    }

    /// Writes the pair into `folder`; never over another key.
    pub(crate) fn save(&self, folder: &Path) -> Result<(), Failure> {
        fs::create_dir_all(folder).map_err(Failure::file("create", folder))?;
        let secret = folder.join("hcimage.key");
        let open = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&secret);
        let mut file = open.map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => Failure::with_hint(
                format!("{} is there already", secret.display()),
                "a key is never overwritten: choose another folder",
            ),
            _ => Failure::file("write", &secret)(error),
        })?;
        let written = file.write_all(self.secret_text().as_bytes()).and_then(|()| file.sync_all());
        written.map_err(Failure::file("write", &secret))?;
        let public = folder.join("hcimage.pub");
        fs::write(&public, self.public_text()).map_err(Failure::file("write", public))
    }
}

/// Bytes from the kernel's random source.
fn random<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    let mut filled = 0;
    while filled < N {
        let count = rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty());
        filled += count.map_err(|error| Failure::refused(format!("no random numbers: {error}")))?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SecretKey {
        SecretKey { id: *b"\x01\x02\x03\x04\x05\x06\x07\x08", key: SigningKey::from_bytes(&[7; 32]) }
    }

    #[test]
    fn what_is_signed_verifies_here_and_with_another_implementation() {
        let key = key();
        let signature = key.sign(b"release", "profile nas");
        let public = PublicKey::parse(&key.public_text()).unwrap();
        assert_eq!(public.verify(b"release", &signature).unwrap(), "profile nas");
        let other = minisign_verify::PublicKey::decode(&key.public_text()).unwrap();
        other.verify(b"release", &minisign_verify::Signature::decode(&signature).unwrap(), false).unwrap();
    }

    #[test]
    fn a_key_survives_its_file_and_is_never_overwritten() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        key().save(folder.path()).unwrap();
        let file = folder.path().join("hcimage.key");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(SecretKey::load(&file).unwrap().public_text(), key().public_text());
        let error = key().save(folder.path()).unwrap_err();
        assert!(error.to_string().ends_with("hcimage.key is there already"), "{error}");
        fs::write(&file, "untrusted comment: x\nRWRTY0IyAAAA\n").unwrap();
        let error = SecretKey::load(&file).err().unwrap().to_string();
        assert!(error.ends_with("this is not a minisign secret key: it has another length"), "{error}");
    }
}
