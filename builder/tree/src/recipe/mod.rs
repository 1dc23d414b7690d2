//! Maintainer scripts without running them: what debhelper generated is read by its own grammar, the rest is
//! covered by a reviewed recipe, bound to that rest's digest. A script that neither covers stops the build.

mod coverage;
mod embedded;
mod grammar;
mod parse;
mod residue;
mod triggers;

pub use coverage::{Asked, Line, State, Uncovered, coverage};
pub use embedded::embedded;
pub use grammar::{Declared, NssPosition};
pub use parse::{
    Action, Copy, Directory, Divert, File, Group, Member, Mode, Owner, Recipe, RecipeError, Script, Symlink,
    User,
};
pub use residue::{Block, Residue, ResidueError, residue};
pub use triggers::{UnknownTrigger, becomes};

/// One choice for a generic name, as `update-alternatives --install` takes it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alternative {
    /// The generic name, such as `editor`.
    pub name: String,
    /// The link to make, such as `/usr/bin/editor`.
    pub link: String,
    /// What it is to lead to, such as `/usr/bin/vim.tiny`.
    pub path: String,
    /// The highest one wins.
    pub priority: i32,
    /// Links that follow this choice.
    #[serde(default)]
    pub slaves: Vec<Slave>,
}

/// A link that follows its alternative's choice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slave {
    /// The generic name, such as `editor.1.gz`.
    pub name: String,
    /// The link to make.
    pub link: String,
    /// What it is to lead to.
    pub path: String,
}
