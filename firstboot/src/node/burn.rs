//! Secrets of a seed as places in its text: what is overwritten on the card after use, how the node knows a burned seed
//! again, and how a burned seed that its owner has edited gets its secrets back.

use contract::seed::{Secret, Seed};
use std::ops::Range;
use toml::de::{DeTable, DeValue};

/// What a burned secret consists of.
const ASH: u8 = b'#';
/// The keys whose values are secrets.
const KEYS: [&str; 4] = ["password", "token", "node-password", "ssh-host-key"];

/// What a secret is needed for: it may go when that is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The settings are stored.
    Settings,
    /// The node is in its cluster.
    Join,
}

/// A secret's place in a seed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    /// Keys and indexes that lead to it.
    path: Vec<String>,
    /// The network's name, where it stands beside one.
    ssid: Option<String>,
    /// Its literal, quotes and all.
    literal: Range<usize>,
    /// What is between the quotes.
    content: Range<usize>,
}

impl Found {
    fn need(&self) -> Need {
        if self.path == ["cluster", "token"] { Need::Join } else { Need::Settings }
    }
}

/// `text` with the secrets overwritten that are no longer needed: of the same length, line by line. A text that is no
/// TOML stays as it is.
#[must_use]
pub fn burned(text: &str, done: &[Need]) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for found in secrets(text) {
        if done.contains(&found.need()) {
            let content = &mut bytes[found.content];
            content.iter_mut().filter(|byte| !matches!(byte, b'\r' | b'\n')).for_each(|byte| *byte = ASH);
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

/// Whether `card` is the file that was read as `original`: as it was, burned, or burned in part when the power went.
#[must_use]
pub fn is_known(card: &[u8], original: &str) -> bool {
    let ashes = burned(original, &[Need::Settings, Need::Join]);
    card.len() == original.len()
        && card
            .iter()
            .zip(original.bytes().zip(ashes.bytes()))
            .all(|(found, (was, ash))| *found == was || *found == ash)
}

/// Whether a seed still holds a secret that is not burned.
#[must_use]
pub fn holds_secrets(text: &str) -> bool {
    secrets(text).iter().any(|found| !is_ash(&text[found.content.clone()]))
}

/// A burned seed that its owner has edited, with the secrets put back that the node has: `stored` is what it has. An
/// identity that was burned is left out; the node has it in its place.
///
/// # Errors
/// One line for each burned secret that the node does not have.
pub fn mended(text: &str, stored: Option<&Seed>) -> Result<String, Vec<String>> {
    let mut mended = text.to_owned();
    let mut problems = Vec::new();
    // From the end, so that the places before stay true.
    for found in secrets(text).into_iter().rev() {
        if !is_ash(&text[found.content.clone()]) {
            continue;
        }
        if found.path.first().is_some_and(|key| key == "identity") {
            let line = text[..found.literal.start].rfind('\n').map_or(0, |end| end + 1);
            let blank: String =
                text[line..found.literal.end].chars().filter(|c| matches!(c, '\r' | '\n')).collect();
            mended.replace_range(line..found.literal.end, &blank);
        } else if let Some(secret) = stored.and_then(|seed| lookup(seed, &found)) {
            mended.replace_range(found.literal, &literal(secret.reveal()));
        } else if found.path.first().is_none_or(|key| key != "user") {
            let line = text[..found.literal.start].matches('\n').count() + 1;
            let key = found.path.last().map_or("secret", String::as_str);
            problems.push(format!(
                "line {line}: this {key} was erased after its first use, and this node has no copy of it: write it again"
            ));
        }
    }
    problems.reverse();
    if problems.is_empty() { Ok(mended) } else { Err(problems) }
}

fn lookup<'s>(seed: &'s Seed, found: &Found) -> Option<&'s Secret> {
    if found.need() == Need::Join {
        return seed.cluster.as_ref().map(|cluster| &cluster.token);
    }
    let wifi = seed.wifi.iter().find(|wifi| Some(&wifi.ssid) == found.ssid.as_ref())?;
    wifi.password.as_ref()
}

/// A text as a TOML basic string.
fn literal(text: &str) -> String {
    let mut literal = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => literal.extend(['\\', character]),
            _ if character.is_control() => literal += &format!("\\u{:04X}", u32::from(character)),
            _ => literal.push(character),
        }
    }
    literal + "\""
}

fn is_ash(content: &str) -> bool {
    !content.is_empty() && content.bytes().all(|byte| matches!(byte, ASH | b'\r' | b'\n'))
}

/// The secrets of a text in the order of their places; none in a text that is no TOML.
fn secrets(text: &str) -> Vec<Found> {
    let bare = text.strip_prefix('\u{feff}').unwrap_or(text);
    let offset = text.len() - bare.len();
    let Ok(table) = DeTable::parse(bare) else { return Vec::new() };
    let mut found = Vec::new();
    walk(table.get_ref(), &mut Vec::new(), bare, &mut found);
    for found in &mut found {
        for range in [&mut found.literal, &mut found.content] {
            *range = range.start + offset..range.end + offset;
        }
    }
    found.sort_by_key(|found| found.literal.start);
    found
}

fn walk(table: &DeTable<'_>, path: &mut Vec<String>, text: &str, found: &mut Vec<Found>) {
    let ssid = table.iter().find(|(key, _)| key.get_ref() == "ssid");
    let ssid = ssid.and_then(|(_, value)| value.get_ref().as_str()).map(str::to_owned);
    for (key, value) in table {
        path.push(key.get_ref().to_string());
        match value.get_ref() {
            DeValue::String(_) if KEYS.contains(&key.get_ref().as_ref()) => {
                let literal = value.span();
                let content = content(text, &literal);
                found.push(Found { path: path.clone(), ssid: ssid.clone(), literal, content });
            }
            DeValue::Table(table) => walk(table, path, text, found),
            DeValue::Array(array) => {
                for (index, value) in array.iter().enumerate() {
                    if let DeValue::Table(table) = value.get_ref() {
                        path.push(index.to_string());
                        walk(table, path, text, found);
                        path.pop();
                    }
                }
            }
            _ => {}
        }
        path.pop();
    }
}

/// What a string literal holds between its quotes.
fn content(text: &str, literal: &Range<usize>) -> Range<usize> {
    let raw = &text[literal.clone()];
    let quotes = if raw.starts_with("\"\"\"") || raw.starts_with("'''") { 3 } else { 1 };
    let start = literal.start + quotes;
    start..(literal.end - quotes).max(start)
}

#[cfg(test)]
#[path = "burn/tests.rs"]
mod tests;
