//! Patterns on paths of the image: `*` and `?` within one name, `**` for any number of names.

use crate::ImagePath;
use std::fmt;

/// A pattern such as `/usr/share/doc/**`. A `**` at the end stands for at least one name, so that the
/// directory before it is not meant; elsewhere it may stand for none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Glob {
    text: String,
    names: Vec<String>,
}

/// A text that is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{pattern}` is not a pattern on paths: {why}")]
pub struct MalformedGlob {
    /// What was given.
    pub pattern: String,
    /// Which rule it breaks.
    pub why: &'static str,
}

impl Glob {
    /// Parses a pattern, with or without leading `/`.
    ///
    /// # Errors
    /// When it is empty, holds `..`, or `**` beside other letters in one name.
    pub fn parse(text: &str) -> Result<Self, MalformedGlob> {
        let malformed = |why| MalformedGlob { pattern: text.to_owned(), why };
        let names: Vec<String> = text.split('/').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        if names.is_empty() {
            return Err(malformed("it names nothing"));
        }
        for name in &names {
            if name == ".." || name == "." {
                return Err(malformed("`.` and `..` never match"));
            }
            if name != "**" && name.contains("**") {
                return Err(malformed("`**` must be a whole name"));
            }
        }
        Ok(Self { text: text.to_owned(), names })
    }

    /// Whether the pattern is about `path`.
    #[must_use]
    pub fn matches(&self, path: &ImagePath) -> bool {
        let names: Vec<&str> = path.names().collect();
        matches_names(&self.names, &names)
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn matches_names(pattern: &[String], names: &[&str]) -> bool {
    match (pattern, names) {
        ([], []) => true,
        ([last], [_, ..]) if last == "**" => true,
        ([any, rest @ ..], names) if any == "**" && !rest.is_empty() => {
            (0..=names.len()).any(|skipped| matches_names(rest, &names[skipped..]))
        }
        ([first, pattern @ ..], [name, names @ ..]) => {
            matches_name(first.as_bytes(), name.as_bytes()) && matches_names(pattern, names)
        }
        _ => false,
    }
}

/// Whether one name fits a pattern with `*` and `?`, by going back to the last `*` on a mismatch.
pub(crate) fn matches_name(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(b'?') => (p, n) = (p + 1, n + 1),
            Some(letter) if *letter == name[n] => (p, n) = (p + 1, n + 1),
            _ => match star {
                Some((at, taken)) => {
                    (p, n) = (at + 1, taken + 1);
                    star = Some((at, taken + 1));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|letter| *letter == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_names_and_depths() {
        let cases = [
            ("/usr/share/doc/**", "usr/share/doc/a/b", true),
            ("/usr/share/doc/**", "usr/share/doc", false),
            ("/usr/share/doc/*/copyright", "usr/share/doc/a/copyright", true),
            ("/usr/share/doc/*/copyright", "usr/share/doc/a/b/copyright", false),
            ("/usr/**/*.mo", "usr/x.mo", true),
            ("/usr/**/*.mo", "usr/share/locale/de/x.mo", true),
            ("/usr/**/*.mo", "usr/share/locale/de/x.mop", false),
            ("/a?c*e", "abcdde", true),
            ("/a?c*e", "ace", false),
            ("/*a*b", "xaxbxb", true),
        ];
        for (pattern, path, expected) in cases {
            let path = ImagePath::parse(path).unwrap();
            assert_eq!(Glob::parse(pattern).unwrap().matches(&path), expected, "{pattern} {path}");
        }
        let error = Glob::parse("/usr/a**").unwrap_err().to_string();
        assert_eq!(error, "`/usr/a**` is not a pattern on paths: `**` must be a whole name");
    }
}
