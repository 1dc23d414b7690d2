//! Join tokens, as k3s reads them and more strictly.

use crate::kit::HASH;
use contract::seed::{Credentials, Secret, Token, TokenError};
use proptest::prelude::*;

fn parse(text: &str) -> Result<Token, TokenError> {
    Token::parse(&Secret::new(text))
}

#[test]
fn tokens_are_what_k3s_takes_them_for() {
    let password = |text: &str| Credentials::Password(Secret::new(text));
    let bootstrap = Credentials::Bootstrap(Secret::new("abcdef.0123456789abcdef"));
    let pinned = |rest: &str| parse(&format!("K10{HASH}::{rest}"));
    assert_eq!(pinned("server:secret").unwrap().credentials, password("secret"));
    assert_eq!(pinned("node:a:b::c").unwrap().credentials, password("a:b::c"));
    assert_eq!(pinned("abcdef.0123456789abcdef").unwrap().credentials, bootstrap);
    // With a user before it, it is a password for k3s.
    assert_eq!(
        pinned("node:abcdef.0123456789abcdef").unwrap().credentials,
        password("abcdef.0123456789abcdef")
    );
    assert_eq!(pinned("server:x").unwrap().ca.unwrap().to_string(), HASH);
    assert_eq!(parse("abcdef.0123456789abcdef").unwrap().credentials, bootstrap);
    assert_eq!(parse("abcdef.0123456789ABCDEF").unwrap().credentials, password("abcdef.0123456789ABCDEF"));
    assert_eq!(parse("a:b").unwrap(), Token { ca: None, credentials: password("a:b") });
}

#[test]
fn what_is_cut_off_or_damaged_is_told() {
    let cases = [
        (String::new(), TokenError::Empty),
        ("a b".to_owned(), TokenError::Character),
        (format!("K10{HASH}::server:x\n"), TokenError::Character),
        ("K10".to_owned(), TokenError::HashLength { found: 0 }),
        ("K10abc::server:x".to_owned(), TokenError::HashLength { found: 3 }),
        ("K10user:password".to_owned(), TokenError::HashLength { found: 13 }),
        (format!("K10{HASH}"), TokenError::Credentials),
        (format!("K10{HASH}::"), TokenError::Credentials),
        (format!("K10{HASH}::server"), TokenError::Credentials),
        (format!("K10{HASH}::server:"), TokenError::Credentials),
        (format!("K10{HASH}0::server:x"), TokenError::Hash),
        (format!("K10{HASH}:server:x"), TokenError::Hash),
        (format!("K10{}::server:x", HASH.to_uppercase()), TokenError::Hash),
        (format!("K10{}g::server:x", &HASH[1..]), TokenError::Hash),
    ];
    for (text, expected) in cases {
        assert_eq!(parse(&text), Err(expected), "{text}");
    }
}

proptest! {
    #[test]
    fn any_text_is_a_token_or_none(text in "\\PC*") {
        if let Ok(token) = parse(&text) {
            prop_assert!(text.starts_with("K10") == token.ca.is_some());
        }
    }

    #[test]
    fn a_whole_token_is_read_and_no_shorter_one_is_pinned(hash in "[0-9a-f]{64}", user in "[a-z]{1,8}", password in "[!-~]{1,40}", cut in 3usize..200) {
        let text = format!("K10{hash}::{user}:{password}");
        let token = parse(&text).unwrap();
        prop_assert_eq!(token.ca.unwrap().to_string(), hash);
        prop_assert_eq!(token.credentials, Credentials::Password(Secret::new(password)));
        // Up to the password's first character nothing is taken for a token.
        let least = 3 + 64 + 2 + user.len() + 1;
        prop_assert!(parse(&text[..cut.min(least)]).is_err());
    }

    #[test]
    fn a_secret_is_in_no_message(tail in "hunter[a-z0-9:. ]{4,40}") {
        for text in [tail.clone(), format!("K10{tail}"), format!("K10{HASH}{tail}"), format!("K10{HASH}::{tail}")] {
            let said = match parse(&text) {
                Ok(token) => format!("{token:?}"),
                Err(error) => format!("{error} {error:?}"),
            };
            prop_assert!(!said.contains("hunter"), "{}", said);
        }
    }
}
