//! A TOML file as tables whose values know their place. Reading goes on after a problem: all are found in one go.

use super::{
    LIMIT, SeedError, burn,
    problem::{Findings, shown},
};
use crate::suggest::did_you_mean;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// No single text of a seed is longer, in bytes, but for keys.
const LONGEST: usize = 1024;
/// An SSH key of RSA with 16384 bits has some 2800 characters, its private half 13000.
const LONGEST_KEY: usize = 16 << 10;
/// No list is longer.
const MOST: usize = 64;

/// The text of a file: UTF-8, with or without a byte order mark, within bounds.
pub(super) fn text<'b>(file: &str, bytes: &'b [u8]) -> Result<&'b str, SeedError> {
    let refuse = |read: &str, message: String| {
        let mut findings = Findings::new(read);
        findings.add(read.len(), message);
        findings.done(file, "")
    };
    if bytes.len() > LIMIT {
        return refuse("", format!("the file has {} bytes, and no seed has more than {LIMIT}", bytes.len()));
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return refuse("", "the file is saved as UTF-16 (\"Unicode\"): save it as UTF-8".to_owned());
    }
    let body = bytes.strip_prefix(&[0xef, 0xbb, 0xbf]).unwrap_or(bytes);
    std::str::from_utf8(body).or_else(|error| {
        let valid = error.valid_up_to();
        let read = body.get(..valid).and_then(|read| std::str::from_utf8(read).ok()).unwrap_or("");
        let column = read.rsplit('\n').next().map_or(0, str::len) + 1;
        let byte = body.get(valid).copied().unwrap_or(0);
        refuse(read, format!("byte {column} of the line (0x{byte:02X}) is not UTF-8: save the file as UTF-8"))
    })
}

/// The file's top table, or its syntax errors.
pub(super) fn parse<'t>(text: &'t str, findings: &mut Findings<'_>) -> Spanned<DeTable<'t>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let at = error.span().map_or(0, |span| span.start);
        findings.add(at, format!("not TOML: {}", error.message().trim()));
    }
    table
}

/// A table of the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Section<'t> {
    /// What messages call it; empty at the top.
    pub(super) name: &'static str,
    /// Where it begins, in bytes.
    pub(super) at: usize,
    table: &'t DeTable<'t>,
}

/// A text of the file, and where it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field<'t> {
    pub(super) text: &'t str,
    pub(super) at: usize,
}

impl<'t> Section<'t> {
    pub(super) fn top(table: &'t Spanned<DeTable<'t>>) -> Self {
        Self { name: "", at: 0, table: table.get_ref() }
    }

    /// Refuses keys that are none of `keys`.
    pub(super) fn only(&self, findings: &mut Findings<'_>, keys: &[&str]) {
        for (at, key) in self.others(keys) {
            let hint = did_you_mean(key, keys.iter().copied());
            let place = if self.name.is_empty() { String::new() } else { format!(" in [{}]", self.name) };
            findings.add(at, format!("unknown key {}{place}{hint}", shown(key)));
        }
    }

    /// Keys that are none of `keys`, and where they are.
    pub(super) fn others(&self, keys: &[&str]) -> Vec<(usize, &'t str)> {
        let all = self.table.iter().map(|(key, _)| (key.span().start, key.get_ref().as_ref()));
        all.filter(|(_, key)| !keys.contains(key)).collect()
    }

    /// Every key with its value, where that is a text.
    pub(super) fn pairs(&self, findings: &mut Findings<'_>, advice: &str) -> Vec<(Field<'t>, Field<'t>)> {
        let mut pairs = Vec::new();
        if self.table.len() > MOST {
            findings.add(self.at, format!("[{}] has {} lines, at most {MOST}", self.name, self.table.len()));
            return pairs;
        }
        for (key, value) in self.table {
            let key = Field { text: key.get_ref(), at: key.span().start };
            match value.get_ref() {
                DeValue::String(text) => pairs.push((key, Field { text, at: value.span().start })),
                other => {
                    findings
                        .add(key.at, format!("{} is {}, not a text: {advice}", shown(key.text), kind(other)));
                }
            }
        }
        pairs
    }

    /// Whether there is something under this key.
    pub(super) fn at_key(&self, key: &str) -> Option<usize> {
        self.table.iter().find(|(name, _)| name.get_ref() == key).map(|(name, _)| name.span().start)
    }

    fn value(&self, key: &str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.table.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value)
    }

    /// A text in one line.
    pub(super) fn text(&self, findings: &mut Findings<'_>, key: &str) -> Option<Field<'t>> {
        let field = self.string(findings, key)?;
        // A secret that had several lines in the file has them when it is burned.
        (burn::is_burned(field.text) || plain(findings, key, field)).then_some(field)
    }

    /// A text that may have several lines, such as a private key.
    pub(super) fn lines(&self, findings: &mut Findings<'_>, key: &str) -> Option<Field<'t>> {
        let field = self.string(findings, key)?;
        fits(findings, key, field, LONGEST_KEY).then_some(field)
    }

    fn string(&self, findings: &mut Findings<'_>, key: &str) -> Option<Field<'t>> {
        let value = self.value(key)?;
        match value.get_ref() {
            DeValue::String(text) => Some(Field { text, at: value.span().start }),
            other => {
                let message = format!("{key} must be a text in quotes, not {}", kind(other));
                findings.add(value.span().start, message);
                None
            }
        }
    }

    /// A text that must be there.
    pub(super) fn needed(&self, findings: &mut Findings<'_>, key: &str, example: &str) -> Option<Field<'t>> {
        if self.at_key(key).is_none() {
            findings.add(self.at, format!("[{}] needs {key}, such as {key} = {example}", self.name));
        }
        self.text(findings, key)
    }

    /// `true` or `false`; `false` when missing.
    pub(super) fn flag(&self, findings: &mut Findings<'_>, key: &str) -> Option<bool> {
        let value = self.value(key)?;
        let found = match value.get_ref() {
            DeValue::Boolean(flag) => return Some(*flag),
            DeValue::String(_) => "a text: leave out the quotes",
            other => kind(other),
        };
        findings.add(value.span().start, format!("{key} must be true or false, not {found}"));
        None
    }

    /// A list of texts.
    pub(super) fn texts(&self, findings: &mut Findings<'_>, key: &str) -> Vec<Field<'t>> {
        let mut fields = Vec::new();
        for value in self.list(findings, key, "[\"…\", \"…\"]") {
            let at = value.span().start;
            match value.get_ref() {
                DeValue::String(text) => {
                    let field = Field { text, at };
                    if plain(findings, key, field) {
                        fields.push(field);
                    }
                }
                other => findings.add(at, format!("{key} must hold texts in quotes, not {}", kind(other))),
            }
        }
        fields
    }

    fn list(&self, findings: &mut Findings<'_>, key: &str, example: &str) -> Vec<&'t Spanned<DeValue<'t>>> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let at = value.span().start;
        match value.get_ref() {
            DeValue::Array(values) if values.len() <= MOST => values.iter().collect(),
            DeValue::Array(values) => {
                findings.add(at, format!("{key} has {} entries, at most {MOST}", values.len()));
                Vec::new()
            }
            other => {
                findings.add(at, format!("{key} must be a list, {key} = {example}, not {}", kind(other)));
                Vec::new()
            }
        }
    }

    /// The table of this name.
    pub(super) fn section(&self, findings: &mut Findings<'_>, key: &'static str) -> Option<Section<'t>> {
        let (at, value) = (self.at_key(key)?, self.value(key)?);
        match value.get_ref() {
            DeValue::Table(table) => Some(Section { name: key, at, table }),
            DeValue::Array(_) => {
                findings.add(at, format!("{key} must be one table, [{key}] and not [[{key}]]"));
                None
            }
            other => {
                findings.add(
                    at,
                    format!("{key} must be a table, [{key}] on a line of its own, not {}", kind(other)),
                );
                None
            }
        }
    }

    /// The tables of this name, `[[name]]`.
    pub(super) fn sections(&self, findings: &mut Findings<'_>, key: &'static str) -> Vec<Section<'t>> {
        if let Some(DeValue::Table(_)) = self.value(key).map(Spanned::get_ref) {
            let at = self.at_key(key).unwrap_or(self.at);
            findings.add(at, format!("there may be several {key}: write [[{key}]], with two brackets"));
            return Vec::new();
        }
        let mut sections = Vec::new();
        for value in self.list(findings, key, "[{ … }]") {
            match value.get_ref() {
                DeValue::Table(table) => sections.push(Section { name: key, at: value.span().start, table }),
                other => {
                    findings.add(value.span().start, format!("{key} must be tables, not {}", kind(other)))
                }
            }
        }
        sections
    }
}

fn plain(findings: &mut Findings<'_>, key: &str, field: Field<'_>) -> bool {
    if let Some(found) = field.text.chars().find(|c| c.is_control()) {
        let code = u32::from(found);
        findings.add(field.at, format!("{key} holds a control character (U+{code:04X})"));
        return false;
    }
    fits(findings, key, field, if key.ends_with("keys") { LONGEST_KEY } else { LONGEST })
}

fn fits(findings: &mut Findings<'_>, key: &str, field: Field<'_>, most: usize) -> bool {
    let found = field.text.len();
    if found > most {
        findings.add(field.at, format!("{key} has {found} bytes, at most {most}"));
    }
    found <= most
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
