//! Chooses packages as apt would, and says why it cannot.
//!
//! Greedy like apt: roots first, then what has only one way to be met, then alternatives in the order in which
//! a package lists them, taking what is already chosen before anything new and the highest version before
//! others. Unlike apt it goes back when a choice leads into a conflict: to the latest choice that has to do with
//! the conflict (conflict-directed backjumping), and it never again tries packages together that it found impossible.
//! The same catalog and request always give the same answer: every order is that of the packages' own fields.

mod explain;
mod search;
#[cfg(test)]
mod tests;

use crate::{
    packages::{Catalog, Package},
    relation::RelationError,
    version::VersionError,
};
pub use explain::{DeadEnd, Fallen};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// What is wanted.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Packages that must be there: `name` or `name=version`. The catalog's Essential packages are added.
    pub roots: Vec<String>,
    /// Names that are never chosen, not even as Essential.
    pub exclude: BTreeSet<String>,
    /// Whose Recommends count.
    pub recommends: Recommends,
    /// Versions to prefer, by name, where the catalog still has them and nothing asks for another: the old lock.
    pub keep: BTreeMap<String, String>,
}

/// Whose Recommends are followed. One that cannot be met is left out without an error, as in apt.
#[derive(Clone, Debug, Default)]
pub enum Recommends {
    /// Nobody's.
    #[default]
    None,
    /// Those of the packages named.
    Of(BTreeSet<String>),
    /// Everybody's.
    All,
}

impl Recommends {
    fn counts_for(&self, package: &str) -> bool {
        match self {
            Self::None => false,
            Self::Of(names) => names.contains(package),
            Self::All => true,
        }
    }
}

/// The packages that were chosen, by name: closed under Pre-Depends and Depends, free of conflicts.
#[derive(Clone, Debug, Default)]
pub struct Selection<'a> {
    /// The packages by name.
    pub packages: BTreeMap<&'a str, Chosen<'a>>,
}

/// A chosen package.
#[derive(Clone, Debug)]
pub struct Chosen<'a> {
    /// The package.
    pub package: Package<'a>,
    /// The first requirement that brought it in.
    pub why: Why,
}

/// Why a package was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// The request names it.
    Root,
    /// It is Essential.
    Essential,
    /// Another chosen package needs it.
    Needed {
        /// The name of that package.
        by: String,
        /// The field in which it says so.
        kind: Need,
        /// What it says, such as `default-mta | mail-transport-agent`.
        relation: String,
    },
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("asked for"),
            Self::Essential => f.write_str("essential"),
            Self::Needed { by, kind, relation } => write!(f, "{by} {} `{relation}`", kind.verb()),
        }
    }
}

/// The fields that bring packages in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// Pre-Depends
    PreDepends,
    /// Depends
    Depends,
    /// Recommends
    Recommends,
}

impl Need {
    /// The field as the verb of a sentence.
    #[must_use]
    pub const fn verb(self) -> &'static str {
        match self {
            Self::PreDepends => "pre-depends on",
            Self::Depends => "depends on",
            Self::Recommends => "recommends",
        }
    }
}

/// Why there is no selection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// No choice of packages meets the request.
    #[error("{0}")]
    Unsatisfiable(Box<DeadEnd>),
    /// The search was given up: it may or may not have had an end.
    #[error("gave up after {steps} steps; the last obstacle was: {obstacle}")]
    GaveUp {
        /// How many packages were tried.
        steps: usize,
        /// The last dead end.
        obstacle: Box<DeadEnd>,
    },
    /// A root that is neither `name` nor `name=version`.
    #[error("`{root}` is not `name` or `name=version`: {fault}")]
    Root {
        /// The root.
        root: String,
        /// What is wrong with it.
        fault: VersionError,
    },
    /// A package's relation field is malformed.
    #[error("{field} of `{package}`: {source}")]
    Relation {
        /// The package.
        package: String,
        /// The field.
        field: &'static str,
        /// The relation and what is wrong with it.
        source: RelationError,
    },
}

/// Chooses packages that meet `request`.
///
/// # Errors
/// [`ResolveError::Unsatisfiable`] with the reason why each candidate fell, or one of the others.
pub fn resolve<'a>(catalog: &Catalog<'a>, request: &Request) -> Result<Selection<'a>, ResolveError> {
    let chosen = search::search(catalog, request)?;
    let package = |(place, why): (usize, Why)| {
        let package = catalog.packages()[place].clone();
        (package.name, Chosen { package, why })
    };
    Ok(Selection { packages: chosen.into_iter().map(package).collect() })
}
