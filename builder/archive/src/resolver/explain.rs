//! Reasons as values, and the sentences that they make.

use super::Need;
use std::{fmt, sync::Arc};

/// A requirement that nothing can meet, and how each candidate for it fell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadEnd {
    /// What is required, such as `y (>= 2) | z`.
    pub relation: String,
    /// Who requires it, and who requires that, up to a root; empty when it is a root or Essential itself.
    pub needed_by: Vec<String>,
    /// The field in which it is required.
    pub need: Option<Need>,
    /// Every candidate and why it fell.
    pub fallen: Vec<Fallen>,
}

/// Why one candidate, or one alternative without candidates, fell.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fallen {
    /// No package has or provides the name.
    Unknown {
        /// The name.
        name: String,
        /// Names in the catalog that look like it.
        similar: Vec<String>,
    },
    /// There are packages of that name, or that provide it, but not in an admissible version.
    WrongVersion {
        /// What there is, such as `trixie has y 1.9`.
        available: Vec<String>,
    },
    /// The relation asks for another architecture.
    OtherArch {
        /// The relation.
        relation: String,
    },
    /// A root that several packages provide: the request must name one.
    Virtual {
        /// The name.
        name: String,
        /// Who provides it.
        providers: Vec<String>,
    },
    /// The request excludes it.
    Excluded {
        /// The package.
        package: String,
    },
    /// Another version of it is chosen.
    OtherVersion {
        /// The package with its version.
        package: String,
        /// The version that is chosen, and who needs it.
        chosen: String,
    },
    /// It and a chosen package exclude each other.
    Conflict {
        /// The package with its version.
        package: String,
        /// Who says so, such as `a 1.0 breaks b (<< 2)`, and who needs the one that is chosen.
        conflict: String,
    },
    /// With it, something else cannot be met.
    Leads {
        /// The package with its version.
        package: String,
        /// What cannot be met.
        to: Arc<DeadEnd>,
    },
}

/// How deep lists nest in an explanation: below this the reader has lost the thread.
const DEPTH: usize = 4;

impl fmt::Display for DeadEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot install `{}`", self.relation)?;
        if !self.needed_by.is_empty() {
            write!(f, " (needed by {})", self.needed_by.join(" <- "))?;
        }
        f.write_str(": ")?;
        let cause = self.cause();
        if std::ptr::eq(cause, self) { self.show_fallen(f, 1) } else { cause.show(f, 1) }
    }
}

impl DeadEnd {
    /// The dead end that this one comes down to, while each step has one reason only.
    fn cause(&self) -> &Self {
        let mut cause = self;
        while let [Fallen::Leads { to, .. }] = &cause.fallen[..] {
            cause = to;
        }
        cause
    }

    /// The dead end as a sentence: who needs what, and why it is not to be had.
    fn show(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        match (self.need, self.needed_by.split_first()) {
            (Some(need), Some((owner, above))) => {
                f.write_str(owner)?;
                if !above.is_empty() {
                    write!(f, " (needed by {})", above.join(" <- "))?;
                }
                write!(f, " {} `{}`, but ", need.verb(), self.relation)?;
            }
            _ => write!(f, "`{}` cannot be installed with it: ", self.relation)?,
        }
        self.show_fallen(f, depth)
    }

    /// One reason goes on in the sentence; several make a list, one line each.
    fn show_fallen(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        match &self.fallen[..] {
            [] => f.write_str("there is no candidate"),
            [only] => only.show(f, depth),
            _ if depth > DEPTH => f.write_str("each candidate falls in its turn"),
            several => {
                f.write_str("no candidate will do:")?;
                for fallen in several {
                    write!(f, "\n{}- ", "  ".repeat(depth))?;
                    fallen.show(f, depth + 1)?;
                }
                Ok(())
            }
        }
    }
}

impl Fallen {
    fn show(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        match self {
            Self::Unknown { name, similar } if similar.is_empty() => {
                write!(f, "no package is called or provides `{name}`")
            }
            Self::Unknown { name, similar } => {
                write!(f, "no package is called or provides `{name}`; did you mean {}?", similar.join(", "))
            }
            Self::WrongVersion { available } => f.write_str(&available.join(", ")),
            Self::OtherArch { relation } => write!(f, "`{relation}` asks for another architecture"),
            Self::Virtual { name, providers } => {
                write!(
                    f,
                    "`{name}` is provided by several packages, name one of them: {}",
                    providers.join(", ")
                )
            }
            Self::Excluded { package } => write!(f, "`{package}` is excluded"),
            Self::OtherVersion { package, chosen } => {
                write!(f, "{package} is not possible, {chosen} is chosen")
            }
            Self::Conflict { conflict, .. } => f.write_str(conflict),
            Self::Leads { package, to } => {
                let cause = to.cause();
                if cause.needed_by.first() != Some(package) {
                    write!(f, "{package}: ")?;
                }
                cause.show(f, depth)
            }
        }
    }
}

/// Names at most two typing errors away from `name`, the nearest first.
pub(super) fn similar<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> Vec<String> {
    let mut near: Vec<_> = names
        .filter(|other| other.len().abs_diff(name.len()) <= 2)
        .map(|other| (edits(name.as_bytes(), other.as_bytes()), other))
        .filter(|(edits, _)| *edits <= 2.min(name.len() / 3))
        .collect();
    near.sort_unstable();
    near.dedup();
    near.into_iter().take(3).map(|(_, other)| format!("`{other}`")).collect()
}

/// The Levenshtein distance.
fn edits(left: &[u8], right: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in right.iter().enumerate() {
            let replace = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replace.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[right.len()]
}
