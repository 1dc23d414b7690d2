//! Tokens as k3s reads them (`pkg/clientaccess/token.go`); written apart from `contract`, so that one can judge the
//! other.

use crate::{Error, Result, pki};
use sha2::{Digest as _, Sha256};

/// A parsed token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Token {
    /// The hash of the CA, if any.
    pub ca: Option<String>,
    /// The `Authorization` header's kind and content.
    pub who: Who,
}

/// What is sent as `Authorization`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Who {
    /// A password; the user is the caller's role.
    Password(String),
    /// A bootstrap token.
    Bearer(String),
}

impl Token {
    /// Reads a token, with k3s's complaints.
    pub fn parse(text: &str) -> Result<Self> {
        if text.is_empty() {
            return Err(Error::Token("token must not be empty"));
        }
        let Some(rest) = text.strip_prefix("K10") else {
            return Ok(Self { ca: None, who: Who::of(text) });
        };
        let (ca, credentials) = match rest.split_once("::") {
            Some((hash, _)) if hash.len() != 64 => return Err(Error::Token("invalid token CA hash length")),
            Some((hash, credentials)) => (Some(hash.to_owned()), credentials),
            None => (None, rest),
        };
        match (Who::of(credentials), credentials.split_once(':')) {
            (bearer @ Who::Bearer(_), _) => Ok(Self { ca, who: bearer }),
            (_, Some((_, password))) => Ok(Self { ca, who: Who::Password(password.to_owned()) }),
            _ => Err(Error::Token("invalid token format")),
        }
    }
}

impl Who {
    fn of(text: &str) -> Self {
        let part = |text: &str, length: usize| {
            text.len() == length
                && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        match text.split_once('.') {
            Some((id, secret)) if part(id, 6) && part(secret, 16) => Self::Bearer(text.to_owned()),
            _ => Self::Password(text.to_owned()),
        }
    }
}

/// The hash by which a token names a CA: of the text if it is one certificate, else of the root's DER.
pub fn hash_ca(bundle: &str) -> Result<String> {
    let certificates = pki::certificates(bundle)?;
    let root = certificates.iter().find(|der| pki::is_self_issued(der)).filter(|_| certificates.len() > 1);
    Ok(hex::encode(match root {
        Some(root) => Sha256::digest(root),
        None => Sha256::digest(bundle.as_bytes()),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grammar() {
        let hash = "a".repeat(64);
        let ok = |text: &str| Token::parse(text).unwrap();
        assert_eq!(ok("word").who, Who::Password("word".into()));
        assert_eq!(ok("abcdef.0123456789abcdef").who, Who::Bearer("abcdef.0123456789abcdef".into()));
        let full = ok(&format!("K10{hash}::server:p:w"));
        assert_eq!((full.ca, full.who), (Some(hash.clone()), Who::Password("p:w".into())));
        assert_eq!(ok("K10user:pw").ca, None);
        for (text, why) in [
            (String::new(), "token must not be empty"),
            (format!("K10{}::server:pw", &hash[1..]), "invalid token CA hash length"),
            (format!("K10{hash}::pw"), "invalid token format"),
            ("K10word".into(), "invalid token format"),
        ] {
            assert_eq!(Token::parse(&text).unwrap_err().to_string(), why);
        }
    }

    #[test]
    fn one_certificate_is_hashed_as_text_and_a_chain_by_its_root() {
        let root = pki::Authority::root("root").unwrap();
        let middle = root.under("middle").unwrap();
        let one = root.pem().unwrap();
        assert_eq!(hash_ca(&one).unwrap(), hex::encode(Sha256::digest(&one)));
        let chain = middle.pem().unwrap() + &one;
        let der = pki::certificates(&one).unwrap().remove(0);
        assert_eq!(hash_ca(&chain).unwrap(), hex::encode(Sha256::digest(der)));
    }
}
