//! The control file format, deb822(5): paragraphs of `Name: value` fields, borrowed from the text.
//!
//! Strict: an unknown shape is an error with its line, never a skipped line. `#` lines are comments in apt's
//! `.sources` files only, so the caller says whether they are allowed.

use std::fmt;

/// One field of a paragraph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name as written; names compare without regard to case.
    pub name: &'a str,
    /// The value without surrounding white space. Continuation lines are still in it, with their newline and
    /// leading space; see [`Field::lines`].
    pub value: &'a str,
    /// The line, from 1, on which the field begins.
    pub line: usize,
}

impl<'a> Field<'a> {
    /// The value line by line, each trimmed; comment lines inside the value are left out. A value that begins
    /// on the line after the colon begins with that line.
    pub fn lines(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.value.split('\n').filter(|line| !line.starts_with('#')).map(str::trim)
    }
}

/// The fields between two blank lines, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paragraph<'a> {
    /// The fields as they follow each other; no name occurs twice.
    pub fields: Vec<Field<'a>>,
    /// The line, from 1, on which the paragraph begins.
    pub line: usize,
}

impl<'a> Paragraph<'a> {
    /// The field called `name`, in any case.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<Field<'a>> {
        self.fields.iter().copied().find(|field| field.name.eq_ignore_ascii_case(name))
    }

    /// The value of the field called `name`, in any case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.field(name).map(|field| field.value)
    }

    /// The value of a field that must be there and not be empty.
    ///
    /// # Errors
    /// [`Fault::MissingField`] with the paragraph's first line.
    pub fn required(&self, name: &'static str) -> Result<&'a str, SyntaxError> {
        let missing = SyntaxError { line: self.line, fault: Fault::MissingField(name) };
        self.get(name).filter(|value| !value.is_empty()).ok_or(missing)
    }
}

/// A line that is not deb822.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {fault}")]
pub struct SyntaxError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What can be wrong with a control file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// A line that is neither `Name: value`, nor a continuation, nor blank.
    NoColon(String),
    /// A field name that is empty, begins with `-` or `#`, or holds a space or control character.
    BadName(String),
    /// A continuation line before any field.
    StrayContinuation,
    /// A field name for the second time in one paragraph.
    Duplicate(String),
    /// A field that this kind of paragraph must have.
    MissingField(&'static str),
    /// A paragraph too many or none at all where exactly one is expected; holds the number found.
    NotOneParagraph(usize),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoColon(line) => write!(f, "`{line}` is not `Name: value`"),
            Self::BadName(name) => write!(f, "`{name}` is not a field name"),
            Self::StrayContinuation => {
                f.write_str("a line begins with a space, but there is no field to continue")
            }
            Self::Duplicate(name) => write!(f, "field `{name}` occurs twice in one paragraph"),
            Self::MissingField(name) => write!(f, "the paragraph has no `{name}` field, or an empty one"),
            Self::NotOneParagraph(found) => write!(f, "expected one paragraph, found {found}"),
        }
    }
}

/// The paragraphs of `text`, in which a line that begins with `#` is an error.
#[must_use]
pub const fn paragraphs(text: &str) -> Paragraphs<'_> {
    Paragraphs { text, offset: 0, line: 1, comments: false }
}

/// The paragraphs of `text`, in which lines that begin with `#` are comments (apt's `.sources` files).
#[must_use]
pub const fn paragraphs_with_comments(text: &str) -> Paragraphs<'_> {
    Paragraphs { text, offset: 0, line: 1, comments: true }
}

/// The one paragraph of `text`.
///
/// # Errors
/// [`SyntaxError`], also when there is no paragraph or more than one.
pub fn paragraph(text: &str) -> Result<Paragraph<'_>, SyntaxError> {
    let mut all = paragraphs(text).collect::<Result<Vec<_>, _>>()?;
    match (all.pop(), all.len()) {
        (Some(only), 0) => Ok(only),
        (last, before) => {
            let found = before + usize::from(last.is_some());
            Err(SyntaxError { line: last.map_or(1, |p| p.line), fault: Fault::NotOneParagraph(found) })
        }
    }
}

/// An iterator over paragraphs; it ends after the first error.
#[derive(Clone, Debug)]
pub struct Paragraphs<'a> {
    text: &'a str,
    offset: usize,
    line: usize,
    comments: bool,
}

impl<'a> Paragraphs<'a> {
    /// Takes the next line, without its newline.
    fn take_line(&mut self) -> Option<&'a str> {
        let rest = &self.text[self.offset..];
        if rest.is_empty() {
            return None;
        }
        let line = rest.find('\n').map_or(rest, |end| &rest[..end]);
        self.offset = (self.offset + line.len() + 1).min(self.text.len());
        self.line += 1;
        Some(line)
    }

    fn read(&mut self) -> Result<Option<Paragraph<'a>>, SyntaxError> {
        let mut paragraph = Paragraph { fields: Vec::new(), line: self.line };
        let mut value_start = 0;
        loop {
            let (start, number) = (self.offset, self.line);
            let Some(line) = self.take_line() else { break };
            let at = |fault| SyntaxError { line: number, fault };
            let blank = line.bytes().all(|b| b == b' ' || b == b'\t' || b == b'\r');
            match line.as_bytes().first() {
                Some(b'#') if self.comments => {}
                _ if blank && paragraph.fields.is_empty() => paragraph.line = self.line,
                _ if blank => break,
                Some(b' ' | b'\t') => {
                    let field = paragraph.fields.last_mut().ok_or_else(|| at(Fault::StrayContinuation))?;
                    // Comments between the field and this line become part of the slice; `lines` drops them.
                    field.value = self.text[value_start..start + line.len()].trim();
                }
                _ => {
                    let (name, value) =
                        line.split_once(':').ok_or_else(|| at(Fault::NoColon(line.to_owned())))?;
                    value_start = start + name.len() + 1;
                    let field =
                        Field { name: checked_name(name).map_err(at)?, value: value.trim(), line: number };
                    if paragraph.field(name).is_some() {
                        return Err(at(Fault::Duplicate(name.to_owned())));
                    }
                    paragraph.fields.push(field);
                }
            }
        }
        Ok((!paragraph.fields.is_empty()).then_some(paragraph))
    }
}

/// Policy 5.1: printable ASCII but the space and the colon, not beginning with `#` or `-`.
fn checked_name(name: &str) -> Result<&str, Fault> {
    let good =
        name.bytes().all(|b| b.is_ascii_graphic()) && !name.starts_with(['#', '-']) && !name.is_empty();
    if good { Ok(name) } else { Err(Fault::BadName(name.to_owned())) }
}

impl<'a> Iterator for Paragraphs<'a> {
    type Item = Result<Paragraph<'a>, SyntaxError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.read();
        if next.is_err() {
            self.offset = self.text.len();
        }
        next.transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_fields_continuations_and_paragraphs() {
        let text = "\nPackage: a\nDescription: one\n two\n .\n\tthree\nEmpty:\n\n \npackage: b";
        let all: Vec<_> = paragraphs(text).collect::<Result<_, _>>().unwrap();
        assert_eq!(all.len(), 2);
        assert_eq!((all[0].line, all[1].line), (2, 10));
        assert_eq!(all[0].get("description"), Some("one\n two\n .\n\tthree"));
        assert_eq!(
            all[0].field("Description").unwrap().lines().collect::<Vec<_>>(),
            ["one", "two", ".", "three"]
        );
        assert_eq!(all[0].get("Empty"), Some(""));
        assert_eq!(all[1].get("Package"), Some("b"));
        assert!(
            all[1]
                .required("Version")
                .unwrap_err()
                .to_string()
                .contains("line 10: the paragraph has no `Version`")
        );
    }

    #[test]
    fn comments_only_where_they_are_allowed() {
        let text = "# head\nTypes: deb\n# between\nURIs: one\n# inside\n two\n";
        let all: Vec<_> = paragraphs_with_comments(text).collect::<Result<_, _>>().unwrap();
        assert_eq!(all[0].get("Types"), Some("deb"));
        assert_eq!(all[0].field("URIs").unwrap().lines().collect::<Vec<_>>(), ["one", "two"]);
        let error = paragraphs(text).next().unwrap().unwrap_err();
        assert_eq!(error.to_string(), "line 1: `# head` is not `Name: value`");
    }

    #[test]
    fn faults_name_their_line() {
        for (text, line, message) in [
            ("A: 1\nB\n", 2, "`B` is not `Name: value`"),
            (" x\n", 1, "no field to continue"),
            ("A: 1\n\n x: 2\n", 3, "no field to continue"),
            ("A: 1\na: 2\n", 2, "field `a` occurs twice"),
            ("A b: 1\n", 1, "`A b` is not a field name"),
            ("-A: 1\n", 1, "`-A` is not a field name"),
            (": 1\n", 1, "`` is not a field name"),
        ] {
            let error = paragraphs(text).find_map(Result::err).unwrap();
            assert_eq!(error.line, line, "{text:?}");
            assert!(error.to_string().contains(message), "{text:?}: {error}");
        }
        assert!(
            paragraph("A: 1\n\nB: 2\n").unwrap_err().to_string().contains("expected one paragraph, found 2")
        );
        assert!(paragraph("\n").unwrap_err().to_string().contains("expected one paragraph, found 0"));
    }
}
