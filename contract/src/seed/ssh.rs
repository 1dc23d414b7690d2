//! Public SSH keys, as a line of `authorized_keys`. Source: RFC 4253 section 6.6, OpenSSH `PROTOCOL.u2f`.

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// Types that the node's sshd accepts, with how many parts follow the type inside the key.
const TYPES: [(&str, usize); 7] = [
    ("ssh-ed25519", 1),
    ("ecdsa-sha2-nistp256", 2),
    ("ecdsa-sha2-nistp384", 2),
    ("ecdsa-sha2-nistp521", 2),
    ("ssh-rsa", 2),
    ("sk-ssh-ed25519@openssh.com", 2),
    ("sk-ecdsa-sha2-nistp256@openssh.com", 3),
];

/// Why a line is no public key. The line is not repeated: it could be the private one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The other half.
    #[error("is a private key, which must stay where it is: give the public one, whose file ends in .pub")]
    Private,
    /// DSA.
    #[error("is a DSA key, which no sshd accepts any more: make one with `ssh-keygen -t ed25519`")]
    Dsa,
    /// No known type at the beginning.
    #[error(
        "does not begin with a key's type: copy the whole line of the .pub file, which begins with ssh-ed25519, ecdsa-… or ssh-rsa"
    )]
    Type,
    /// What follows the type.
    #[error("is cut off or damaged after `{0}`: copy the whole line of the .pub file again")]
    Damaged(String),
    /// Inside it is another type.
    #[error("says {outside} but is a key of another type: copy the whole line of the .pub file again")]
    Mixed {
        /// What the line begins with.
        outside: String,
    },
}

/// Looks at one line of an `authorized_keys` file: a type, the key in base64, a comment.
///
/// # Errors
/// When it is no public key that the node's sshd would accept. Options in front of the type are not supported.
pub fn public_key(line: &str) -> Result<(), KeyError> {
    if line.contains("PRIVATE KEY") || line.contains("-----BEGIN") {
        return Err(KeyError::Private);
    }
    let mut words = line.split([' ', '\t']).filter(|word| !word.is_empty());
    let outside = words.next().unwrap_or_default();
    if outside == "ssh-dss" {
        return Err(KeyError::Dsa);
    }
    let (name, parts) = *TYPES.iter().find(|(name, _)| *name == outside).ok_or(KeyError::Type)?;
    let damaged = || KeyError::Damaged(name.to_owned());
    let blob = STANDARD.decode(words.next().unwrap_or_default()).map_err(|_| damaged())?;
    let mut rest = blob.as_slice();
    let mut fields = Vec::new();
    while !rest.is_empty() {
        let (length, tail) = rest.split_first_chunk::<4>().ok_or_else(damaged)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| damaged())?;
        let (field, tail) = tail.split_at_checked(length).ok_or_else(damaged)?;
        fields.push(field);
        rest = tail;
    }
    let inside = fields.first().copied().ok_or_else(damaged)?;
    if inside != name.as_bytes() {
        return Err(KeyError::Mixed { outside: name.to_owned() });
    }
    let whole = match name {
        "ssh-ed25519" | "sk-ssh-ed25519@openssh.com" => fields.get(1).is_some_and(|key| key.len() == 32),
        _ => fields.iter().all(|field| !field.is_empty()),
    };
    if fields.len() == parts + 1 && whole { Ok(()) } else { Err(damaged()) }
}
