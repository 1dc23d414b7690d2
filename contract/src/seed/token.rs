//! Join tokens of k3s. Source: k3s `pkg/clientaccess/token.go`.
//!
//! We read them more strictly than k3s does: what k3s would take for something else than it looks like is refused.

use super::Secret;
use crate::Digest;

/// A join token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// The hash of the cluster's CA, from `K10<64 hex>::`; none in a short token.
    pub ca: Option<Digest>,
    /// Who the holder is.
    pub credentials: Credentials,
}

/// Who the holder of a token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// A password: the server's token or the agents'. k3s ignores the user that a token names: an agent is always
    /// `node`, a joining server `server`.
    Password(Secret),
    /// A kubeadm bootstrap token, `id.secret`, which lives for a while and lets agents in only.
    Bootstrap(Secret),
}

/// Why a text is no token. The text itself is never repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// Nothing.
    #[error("token is empty")]
    Empty,
    /// Spaces, line ends, characters that no token has.
    #[error(
        "token has a space, a line end or a character that no token has. Copy the whole line, and nothing else"
    )]
    Character,
    /// The hash is shorter.
    #[error(
        "token is cut off (CA hash has {found} of 64 characters). Copy the whole line from \"hcnode token\" on a server"
    )]
    HashLength {
        /// Characters before the `::`, or up to the end.
        found: usize,
    },
    /// The hash is longer, or not hexadecimal.
    #[error("token is damaged (its CA hash is not 64 characters of 0-9 and a-f). Copy the whole line again")]
    Hash,
    /// The hash is there, what follows is not.
    #[error("token is cut off after its CA hash. Copy the whole line from \"hcnode token\" on a server")]
    Credentials,
}

impl Token {
    /// Reads a token.
    ///
    /// # Errors
    /// When it is cut off, damaged, or something that k3s would misread: a password that begins with `K10`.
    pub fn parse(text: &Secret) -> Result<Self, TokenError> {
        let text = text.reveal();
        if text.is_empty() {
            return Err(TokenError::Empty);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TokenError::Character);
        }
        let Some(rest) = text.strip_prefix("K10") else {
            return Ok(Self { ca: None, credentials: Credentials::of(text) });
        };
        let (hash, credentials) = rest.split_once("::").unwrap_or((rest, ""));
        if hash.len() < 64 {
            return Err(TokenError::HashLength { found: hash.len() });
        }
        let lower = hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let ca = hash.parse().ok().filter(|_| lower).ok_or(TokenError::Hash)?;
        // `user:password` (whoever the user is, an agent is `node`), or a bootstrap token. k3s takes nothing else.
        let credentials = match (credentials.split_once(':'), Credentials::of(credentials)) {
            (Some((_, password)), _) if !password.is_empty() => Credentials::Password(Secret::new(password)),
            (None, bootstrap @ Credentials::Bootstrap(_)) => bootstrap,
            _ => return Err(TokenError::Credentials),
        };
        Ok(Self { ca: Some(ca), credentials })
    }
}

impl Credentials {
    fn of(text: &str) -> Self {
        let part = |text: &str, length| {
            text.len() == length
                && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        match text.split_once('.') {
            Some((id, secret)) if part(id, 6) && part(secret, 16) => Self::Bootstrap(Secret::new(text)),
            _ => Self::Password(Secret::new(text)),
        }
    }
}
