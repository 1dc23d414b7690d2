//! Relations between packages (Debian Policy 7.1): `a (>= 1) | b:any, c [amd64]`.

use crate::version::{Version, VersionError};
use std::fmt;

/// How a relation compares a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `<<`
    Earlier,
    /// `<=`
    EarlierOrEqual,
    /// `=`
    Equal,
    /// `>=`
    LaterOrEqual,
    /// `>>`
    Later,
}

impl Operator {
    /// The operator as it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Earlier => "<<",
            Self::EarlierOrEqual => "<=",
            Self::Equal => "=",
            Self::LaterOrEqual => ">=",
            Self::Later => ">>",
        }
    }

    /// Whether `have` stands in this relation to `wanted`.
    #[must_use]
    pub fn holds(self, have: Version<'_>, wanted: Version<'_>) -> bool {
        match self {
            Self::Earlier => have < wanted,
            Self::EarlierOrEqual => have <= wanted,
            Self::Equal => have == wanted,
            Self::LaterOrEqual => have >= wanted,
            Self::Later => have > wanted,
        }
    }
}

/// One package name with its conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation<'a> {
    /// The name of a package, real or provided.
    pub name: &'a str,
    /// The architecture after the colon: `any`, `native` or a name such as `arm64`.
    pub qualifier: Option<&'a str>,
    /// The version condition.
    pub version: Option<(Operator, Version<'a>)>,
    /// The architectures in `[..]` to which the relation is restricted; `!name` excludes one. Empty: all.
    pub restrictions: Vec<&'a str>,
}

/// Relations of which one is enough: `a | b`.
pub type Alternatives<'a> = Vec<Relation<'a>>;

impl<'a> Relation<'a> {
    /// Whether a package of version `have` (`None`: provided without a version) meets the version condition. A
    /// condition is never met without a version (Policy 7.5).
    #[must_use]
    pub fn admits(&self, have: Option<Version<'_>>) -> bool {
        match (self.version, have) {
            (None, _) => true,
            (Some((operator, wanted)), Some(have)) => operator.holds(have, wanted),
            (Some(_), None) => false,
        }
    }

    /// Whether the relation counts on Debian architecture `arch`.
    #[must_use]
    pub fn applies_to(&self, arch: &str) -> bool {
        let excluded = self.restrictions.iter().any(|r| r.strip_prefix('!') == Some(arch));
        let named = self.restrictions.iter().any(|r| *r == arch || *r == "any" || *r == "linux-any");
        let only_exclusions = self.restrictions.iter().all(|r| r.starts_with('!'));
        !excluded && (only_exclusions || named)
    }
}

impl fmt::Display for Relation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        if let Some(qualifier) = self.qualifier {
            write!(f, ":{qualifier}")?;
        }
        if let Some((operator, version)) = self.version {
            write!(f, " ({} {version})", operator.as_str())?;
        }
        if !self.restrictions.is_empty() {
            write!(f, " [{}]", self.restrictions.join(" "))?;
        }
        Ok(())
    }
}

/// Alternatives as they are written in a field.
#[must_use]
pub fn show(alternatives: &[Relation<'_>]) -> String {
    alternatives.iter().map(Relation::to_string).collect::<Vec<_>>().join(" | ")
}

/// A relation field that does not follow the grammar.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("relation `{relation}`: {fault}")]
pub struct RelationError {
    /// The relation as found.
    pub relation: String,
    /// What is wrong with it.
    pub fault: RelationFault,
}

/// What can be wrong with a relation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RelationFault {
    /// The name is empty or holds a byte that no package name has.
    #[error("`{0}` is not a package name")]
    Name(String),
    /// An unknown operator, such as the obsolete `<`.
    #[error("expected `(<<|<=|=|>=|>> VERSION)`, found `({0})`")]
    Operator(String),
    /// The version is malformed.
    #[error(transparent)]
    Version(#[from] VersionError),
    /// A bracket that does not close.
    #[error("`{0}` is not closed")]
    Unclosed(char),
    /// Something after the last part of the relation.
    #[error("unexpected `{0}`")]
    Trailing(String),
    /// `|` in a field such as Provides that has no alternatives, or a condition that is not `=` there.
    #[error("this field takes `NAME` or `NAME (= VERSION)` only")]
    NotPlain,
}

/// Parses a field such as Depends or Breaks. An empty field has no relations.
///
/// # Errors
/// [`RelationError`] with the offending relation.
pub fn parse(field: &str) -> Result<Vec<Alternatives<'_>>, RelationError> {
    // dpkg allows a trailing comma and so does Policy for some fields: empty items carry no meaning.
    let groups = field.split(',').map(str::trim).filter(|group| !group.is_empty());
    groups.map(|group| group.split('|').map(|text| parse_one(text.trim())).collect()).collect()
}

/// Parses a Provides field: names with, perhaps, the version that is provided.
///
/// # Errors
/// [`RelationError`], also for alternatives and for conditions other than `=`.
pub fn parse_provides(field: &str) -> Result<Vec<(&str, Option<Version<'_>>)>, RelationError> {
    let plain =
        |group: Alternatives<'_>| RelationError { relation: show(&group), fault: RelationFault::NotPlain };
    parse(field)?
        .into_iter()
        .map(|group| match (&group[..], group.len()) {
            ([Relation { name, version: None, .. }], 1) => Ok((*name, None)),
            ([Relation { name, version: Some((Operator::Equal, version)), .. }], 1) => {
                Ok((*name, Some(*version)))
            }
            _ => Err(plain(group)),
        })
        .collect()
}

/// Parses one relation such as `libc6:any (>= 2.41) [amd64]`.
///
/// # Errors
/// [`RelationError`] saying which part is wrong.
pub fn parse_one(text: &str) -> Result<Relation<'_>, RelationError> {
    parts(text).map_err(|fault| RelationError { relation: text.to_owned(), fault })
}

fn parts(text: &str) -> Result<Relation<'_>, RelationFault> {
    let end = text.find(|c: char| c.is_ascii_whitespace() || c == '(' || c == '[').unwrap_or(text.len());
    let (head, mut rest) = (&text[..end], text[end..].trim_start());
    let (name, qualifier) = head.split_once(':').map_or((head, None), |(name, arch)| (name, Some(arch)));
    for part in [Some(name), qualifier].into_iter().flatten() {
        let good = |b: u8| b.is_ascii_alphanumeric() || b"+-._".contains(&b);
        if part.is_empty() || !part.bytes().all(good) {
            return Err(RelationFault::Name(head.to_owned()));
        }
    }
    let mut relation = Relation { name, qualifier, version: None, restrictions: Vec::new() };
    if let Some(condition) = bracketed(&mut rest, '(', ')')? {
        relation.version = Some(version_condition(condition)?);
    }
    if let Some(arches) = bracketed(&mut rest, '[', ']')? {
        relation.restrictions = arches.split_ascii_whitespace().collect();
    }
    if rest.is_empty() { Ok(relation) } else { Err(RelationFault::Trailing(rest.to_owned())) }
}

/// Takes `open ... close` off the head of `rest`, if it is there.
fn bracketed<'a>(rest: &mut &'a str, open: char, close: char) -> Result<Option<&'a str>, RelationFault> {
    let Some(inside) = rest.strip_prefix(open) else { return Ok(None) };
    let (inside, after) = inside.split_once(close).ok_or(RelationFault::Unclosed(open))?;
    *rest = after.trim_start();
    Ok(Some(inside.trim()))
}

fn version_condition(text: &str) -> Result<(Operator, Version<'_>), RelationFault> {
    let operators = [
        Operator::Earlier,
        Operator::EarlierOrEqual,
        Operator::LaterOrEqual,
        Operator::Later,
        Operator::Equal,
    ];
    let found = operators.into_iter().find_map(|op| Some((op, text.strip_prefix(op.as_str())?)));
    let (operator, version) = found.ok_or_else(|| RelationFault::Operator(text.to_owned()))?;
    Ok((operator, Version::parse(version.trim())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_grammar() {
        let text = "a, b (>= 1:2.0-1) | c:any , d(<<3)[amd64 arm64], e:arm64 (= 1) [!i386],";
        let shown: Vec<_> = parse(text).unwrap().iter().map(|group| show(group)).collect();
        let expected = ["a", "b (>= 1:2.0-1) | c:any", "d (<< 3) [amd64 arm64]", "e:arm64 (= 1) [!i386]"];
        assert_eq!(shown, expected);
        assert_eq!(parse("").unwrap(), Vec::<Alternatives<'_>>::new());
        assert_eq!(parse("a\n , b").unwrap().len(), 2);
    }

    #[test]
    fn conditions() {
        let version = |text| Some(Version::parse(text).unwrap());
        for (condition, have, admits) in [
            ("a (<< 2)", version("2~rc1"), true),
            ("a (<= 2)", version("2"), true),
            ("a (= 2)", version("2-0"), true),
            ("a (>= 2)", version("1"), false),
            ("a (>> 2)", version("2"), false),
            ("a (>> 2)", None, false),
            ("a", None, true),
        ] {
            assert_eq!(parse_one(condition).unwrap().admits(have), admits, "{condition} {have:?}");
        }
        for (relation, arch, applies) in [
            ("a [amd64]", "arm64", false),
            ("a [amd64]", "amd64", true),
            ("a [!amd64]", "arm64", true),
            ("a [!amd64]", "amd64", false),
            ("a [linux-any]", "arm64", true),
            ("a", "arm64", true),
        ] {
            assert_eq!(parse_one(relation).unwrap().applies_to(arch), applies, "{relation} on {arch}");
        }
    }

    #[test]
    fn provides_are_plain() {
        let provides = parse_provides("mta, libx (= 2:1.0)").unwrap();
        assert_eq!(provides[1], ("libx", Some(Version::parse("2:1.0").unwrap())));
        for bad in ["a | b", "a (>= 1)"] {
            assert!(parse_provides(bad).unwrap_err().to_string().contains("takes `NAME` or"), "{bad}");
        }
    }

    #[test]
    fn malformed_relations_are_named() {
        for (text, message) in [
            ("a (< 1)", "relation `a (< 1)`: expected `(<<|<=|=|>=|>> VERSION)`, found `(< 1)`"),
            ("a (>= 1", "relation `a (>= 1`: `(` is not closed"),
            (
                "a (>= )",
                "relation `a (>= )`: `` is not a Debian version: the upstream version must begin with a digit",
            ),
            ("a b", "relation `a b`: unexpected `b`"),
            ("a:", "relation `a:`: `a:` is not a package name"),
            ("a |", "relation ``: `` is not a package name"),
            ("a <!nocheck>", "relation `a <!nocheck>`: unexpected `<!nocheck>`"),
            ("ä", "relation `ä`: `ä` is not a package name"),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), message);
        }
    }
}
