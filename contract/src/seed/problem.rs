//! What is wrong in a seed: every problem with its place, none with a secret.

use crate::{Blame, Code, Reason};
use std::fmt;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The step of the way into the cluster that it would stop.
    pub code: Code,
    /// What is wrong and what to write instead. Never repeats a secret.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

/// Everything that is wrong in a seed, in the order of its lines; at least one problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeedError {
    /// The file's name, as it is shown.
    pub file: String,
    /// The problems.
    pub problems: Vec<Problem>,
}

impl fmt::Display for SeedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let gap = if index == 0 { "" } else { "\n" };
            write!(f, "{gap}{}:{}: {}", self.file, problem.line, problem.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for SeedError {}

impl SeedError {
    /// The same, of a file with another name.
    #[must_use]
    pub fn in_file(self, file: impl Into<String>) -> Self {
        Self { file: file.into(), ..self }
    }

    /// What the node says: the first problem, and how many there are besides.
    #[must_use]
    pub fn reason(&self) -> Reason {
        let (code, text) = match self.problems.as_slice() {
            [] => (Code::J01, format!("{} cannot be used", self.file)),
            [only] => (only.code, only.to_string()),
            [first, rest @ ..] => {
                let others = if rest.len() == 1 { "problem" } else { "problems" };
                (first.code, format!("{first} (and {} more {others} in {})", rest.len(), self.file))
            }
        };
        let area = match code {
            Code::J02 => "name",
            Code::S01 => "token",
            _ => "config",
        };
        Reason { code, area: area.to_owned(), text, blame: Blame::Settings }
    }
}

/// Collects problems while a file is read.
#[derive(Debug)]
pub(super) struct Findings<'t> {
    text: &'t str,
    problems: Vec<Problem>,
}

impl<'t> Findings<'t> {
    /// No file says more than this: who has made so many mistakes begins with the first ones.
    const MOST: usize = 100;

    pub(super) fn new(text: &'t str) -> Self {
        Self { text, problems: Vec::new() }
    }

    /// The text's line and column at a byte.
    pub(super) fn place(&self, at: usize) -> (usize, usize) {
        // An error at the end may lie behind the last character, and one of bytes inside of one.
        let at = (0..=at.min(self.text.len())).rev().find(|at| self.text.is_char_boundary(*at)).unwrap_or(0);
        let before = &self.text[..at];
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |rest| rest.chars().count()) + 1;
        (line, column)
    }

    pub(super) fn add(&mut self, at: usize, message: impl Into<String>) {
        self.add_as(Code::J01, at, message);
    }

    pub(super) fn add_as(&mut self, code: Code, at: usize, message: impl Into<String>) {
        if self.problems.len() < Self::MOST {
            let (line, column) = self.place(at);
            self.problems.push(Problem { line, column, code, message: message.into() });
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// `value` when nothing is wrong.
    pub(super) fn done<T>(mut self, file: &str, value: T) -> Result<T, SeedError> {
        if self.problems.is_empty() {
            return Ok(value);
        }
        self.problems.sort_by_key(|problem| (problem.line, problem.column));
        Err(SeedError { file: file.to_owned(), problems: self.problems })
    }
}

/// A text of the file as a message may show it: short, printable, and not at all where it looks like a secret that
/// was pasted into the wrong place.
pub(super) fn shown(text: &str) -> String {
    const MOST: usize = 48;
    let hex = |text: &str| text.bytes().filter(u8::is_ascii_hexdigit).count();
    if text.contains("K10") && hex(text) > 16 || text.contains("PRIVATE KEY") || text.contains("BEGIN ") {
        return "(looks like a secret, not shown)".to_owned();
    }
    let short: String = text.chars().take(MOST).flat_map(char::escape_debug).collect();
    let more = if text.chars().count() > MOST { "…" } else { "" };
    format!("`{short}{more}`")
}
