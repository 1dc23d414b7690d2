//! Burning: once the node has taken its secrets, they are overwritten on the card, in place.
//!
//! Every secret becomes `burned----…` of the same length in bytes (line ends stay), so that the file keeps its size and
//! its blocks and can be read on. A seed with a burned secret is one that was used; it is not imported again.

use super::{LIMIT, SeedError, sheet};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

const WORD: &str = "burned";

/// Keys whose texts are secrets, in a seed and in a preseed, with the table they are in.
const SECRETS: [(&str, &str); 7] = [
    ("cluster", "token"),
    ("wifi", "password"),
    ("identity", "node-password"),
    ("identity", "ssh-host-key"),
    ("user", "password"),
    ("wlan", "password"),
    ("connect", "token"),
];

/// Whether this text is what burning left of a secret.
pub(super) fn is_burned(text: &str) -> bool {
    let mut rest = text.chars().filter(|c| !matches!(c, '\r' | '\n'));
    WORD.chars().all(|letter| rest.next() == Some(letter)) && rest.all(|c| c == '-')
}

/// The same file without its secrets.
pub(super) fn burned(file: &str, bytes: &[u8]) -> Result<Vec<u8>, SeedError> {
    let text = sheet::text(file, bytes)?;
    let mut findings = super::problem::Findings::new(text);
    let table = sheet::parse(text, &mut findings);
    findings.done(file, ())?;
    let mark = bytes.len() - text.len();
    let mut out = bytes.to_vec();
    for (name, value) in table.get_ref() {
        let secret = |key: &str| SECRETS.contains(&(name.get_ref(), key));
        match value.get_ref() {
            DeValue::Table(table) => table_of_secrets(&mut out, mark, table, &secret),
            DeValue::Array(tables) => {
                for table in tables {
                    if let DeValue::Table(table) = table.get_ref() {
                        table_of_secrets(&mut out, mark, table, &secret);
                    }
                }
            }
            _ => {}
        }
    }
    tokens(&mut out);
    debug_assert!(out.len() == bytes.len() && out.len() <= LIMIT, "burning keeps the length");
    Ok(out)
}

fn table_of_secrets(out: &mut [u8], mark: usize, table: &DeTable<'_>, secret: &dyn Fn(&str) -> bool) {
    for (key, value) in table {
        if secret(key.get_ref()) {
            overwrite(out, mark, value);
        }
    }
}

/// A text's inside is overwritten; what is no text, such as a list of texts, is made one.
fn overwrite(out: &mut [u8], mark: usize, value: &Spanned<DeValue<'_>>) {
    let span = value.span().start + mark..value.span().end + mark;
    let Some(literal) = out.get_mut(span) else { return };
    let quote = literal.first().copied().unwrap_or_default();
    let inside = match value.get_ref() {
        DeValue::String(_) => {
            let three = literal.len() >= 6 && literal.iter().take(3).all(|byte| *byte == quote);
            let marks = if three { 3 } else { 1 };
            marks..literal.len().saturating_sub(marks)
        }
        _ if literal.len() >= 2 => {
            let last = literal.len() - 1;
            literal[0] = b'\'';
            literal[last] = b'\'';
            1..last
        }
        _ => return,
    };
    let Some(inside) = literal.get_mut(inside) else { return };
    fill(inside);
}

fn fill(bytes: &mut [u8]) {
    let mut word = WORD.bytes();
    for byte in bytes.iter_mut().filter(|byte| !matches!(**byte, b'\r' | b'\n')) {
        *byte = word.next().unwrap_or(b'-');
    }
}

/// Whole tokens that stand anywhere else, such as in a comment.
fn tokens(out: &mut [u8]) {
    const PREFIX: &[u8] = b"K10";
    let mut at = 0;
    while let Some(rest) = out.get(at..).filter(|rest| rest.len() >= PREFIX.len()) {
        let length = rest.iter().take_while(|byte| byte.is_ascii_graphic() && !b"\"'".contains(byte)).count();
        let hex = rest.iter().skip(PREFIX.len()).take_while(|byte| byte.is_ascii_hexdigit()).count();
        if rest.starts_with(PREFIX) && hex >= 16 {
            if let Some(token) = out.get_mut(at..at + length) {
                fill(token);
            }
            at += length;
        } else {
            at += 1;
        }
    }
}
