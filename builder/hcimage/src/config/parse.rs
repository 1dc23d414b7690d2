//! TOML with errors that name the place and the word that was probably meant.

use serde::de::DeserializeOwned;
use std::{
    fmt,
    path::{Path, PathBuf},
};

/// Something wrong in a file that the user can edit.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) file: PathBuf,
    /// Line and column, both from 1; `None` when it is the file as a whole.
    pub(crate) at: Option<(usize, usize)>,
    pub(crate) message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some((line, column)) = self.at {
            write!(f, "{line}:{column}:")?;
        }
        write!(f, " {}", self.message)
    }
}

impl std::error::Error for Problem {}

impl Problem {
    pub(crate) fn in_file(file: &Path, message: impl Into<String>) -> Self {
        Self { file: file.to_owned(), at: None, message: message.into() }
    }
}

/// Parses `text`, which `file` holds.
pub(crate) fn toml<T: DeserializeOwned>(file: &Path, text: &str) -> Result<T, Problem> {
    toml::from_str(text).map_err(|error| {
        let at = error.span().map(|span| line_and_column(text, span.start));
        let mut message = error.message().trim().to_owned();
        if let Some(meant) = did_you_mean(&message) {
            message += &format!("; did you mean `{meant}`?");
        }
        Problem { file: file.to_owned(), at, message }
    })
}

fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = &text.as_bytes()[..offset.min(text.len())];
    let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    (before.iter().filter(|byte| **byte == b'\n').count() + 1, before.len() - start + 1)
}

/// From serde's ``unknown field `a`, expected one of `b`, `c` `` the nearest of the expected words.
fn did_you_mean(message: &str) -> Option<String> {
    let (unknown, expected) = message.strip_prefix("unknown ")?.split_once(", expected ")?;
    let quoted = |text: &str| text.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    nearest(quoted(unknown).first()?, quoted(expected).iter().map(String::as_str)).map(str::to_owned)
}

/// The candidate that differs from `word` by the fewest edits, if they are few.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = word.chars().count().div_ceil(3).max(1);
    let scored = candidates.into_iter().map(|candidate| (distance(word, candidate), candidate));
    scored.filter(|(edits, _)| *edits <= limit).min().map(|(_, candidate)| candidate)
}

/// Levenshtein's distance in characters.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.chars().enumerate() {
            let substituted = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.chars().count()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize, Debug)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Sample {
        overlays: Vec<String>,
        packages: Option<Vec<String>>,
    }

    #[test]
    fn an_unknown_key_names_its_place_and_the_likely_word() {
        let text = "overlays = []\n\noverlay = [\"base\"]\n";
        let problem = toml::<Sample>(Path::new("profiles/nas.toml"), text).unwrap_err();
        assert_eq!(
            problem.to_string(),
            "profiles/nas.toml:3:1: unknown field `overlay`, expected `overlays` or `packages`; did you mean `overlays`?"
        );
        let problem = toml::<Sample>(Path::new("p.toml"), "overlays = 3").unwrap_err();
        assert!(problem.to_string().starts_with("p.toml:1:12: invalid type: integer `3`"), "{problem}");
    }

    #[test]
    fn only_near_words_are_offered() {
        assert_eq!(nearest("smaba", ["base", "samba", "nfs"]), Some("samba"));
        assert_eq!(nearest("zfs-on-linux", ["base", "samba"]), None);
    }
}
