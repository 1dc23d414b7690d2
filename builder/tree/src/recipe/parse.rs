//! Recipes as files: `recipes/<package>.toml`.

use super::{Alternative, residue::Residue};
use crate::{ImagePath, ScriptKind, glob, suggest};
use contract::Digest;

/// What is known of one package's scripts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipe {
    /// The package: the file's name, or the key `package`, which may hold `*`.
    pub package: String,
    /// Where it was read from, as given.
    pub file: String,
    /// One for every script, or variant of one.
    pub scripts: Vec<Script>,
}

/// A reviewed script.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// Which script.
    pub kind: ScriptKind,
    /// The digests of the residues that were reviewed.
    pub residue: Vec<Digest>,
    /// What the script does, or why nothing is to be done.
    pub why: String,
    /// What to do, in order.
    #[serde(default, rename = "do")]
    pub actions: Vec<Action>,
}

/// One step of a recipe.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
#[non_exhaustive]
pub enum Action {
    /// Copies a file; without a mode it keeps its own.
    Copy(Copy),
    /// Writes a file.
    File(File),
    /// Makes a directory.
    Directory(Directory),
    /// Makes a symbolic link.
    Symlink(Symlink),
    /// Takes a file or a directory with all that is in it away, if it is there.
    Remove(ImagePath),
    /// Makes a system user, and its group when there is none of that name.
    User(User),
    /// Makes a system group.
    Group(Group),
    /// Puts a user into a group.
    Member(Member),
    /// Changes owner, group or mode.
    Owner(Owner),
    /// Offers an alternative.
    Alternative(Alternative),
    /// Moves what other packages ship at a path.
    Divert(Divert),
    /// Adds a login shell.
    Shell(ImagePath),
    /// Enables a unit, unless a preset says no.
    Enable(String),
}

/// See [`Action::Copy`].
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Copy {
    /// What to copy.
    pub from: ImagePath,
    /// Where to.
    pub to: ImagePath,
    /// Mode of the copy.
    pub mode: Option<Mode>,
}

/// See [`Action::File`].
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Where.
    pub path: ImagePath,
    /// Its bytes.
    pub text: String,
    /// Its mode.
    #[serde(default = "Mode::file")]
    pub mode: Mode,
    /// Its owner's name.
    #[serde(default = "root")]
    pub owner: String,
    /// Its group's name.
    #[serde(default = "root")]
    pub group: String,
}

/// See [`Action::Directory`].
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Directory {
    /// Where.
    pub path: ImagePath,
    /// Its mode.
    #[serde(default = "Mode::directory")]
    pub mode: Mode,
    /// Its owner's name.
    #[serde(default = "root")]
    pub owner: String,
    /// Its group's name.
    #[serde(default = "root")]
    pub group: String,
}

/// See [`Action::Symlink`].
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Symlink {
    /// Where.
    pub path: ImagePath,
    /// What it leads to, as written.
    pub target: String,
}

/// See [`Action::User`]. The id comes from the lock's ledger.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// Its name.
    pub name: String,
    /// Its primary group; its own name when absent.
    pub group: Option<String>,
    /// Its home directory, which is not made.
    #[serde(default = "nowhere")]
    pub home: String,
    /// Its shell.
    #[serde(default = "nologin")]
    pub shell: String,
    /// Its description.
    #[serde(default)]
    pub gecos: String,
    /// Groups that it is a member of.
    #[serde(default)]
    pub groups: Vec<String>,
}

/// See [`Action::Group`].
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Its name.
    pub name: String,
}

/// See [`Action::Member`].
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// The user.
    pub user: String,
    /// The group.
    pub group: String,
}

/// See [`Action::Owner`]. What is absent stays.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Owner {
    /// What.
    pub path: ImagePath,
    /// Its new owner's name.
    pub owner: Option<String>,
    /// Its new group's name.
    pub group: Option<String>,
    /// Its new mode.
    pub mode: Option<Mode>,
}

/// See [`Action::Divert`].
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Divert {
    /// The path which this package takes for itself.
    pub path: ImagePath,
    /// Where other packages' file goes.
    pub to: ImagePath,
}

/// A mode, written as an octal text such as `"0755"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mode(pub u16);

impl Mode {
    const fn file() -> Self {
        Self(0o644)
    }

    const fn directory() -> Self {
        Self(0o755)
    }
}

impl std::str::FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mode = u16::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777 && text.len() >= 3);
        mode.map(Self).ok_or_else(|| format!("`{text}` is no mode: expected octal digits such as \"0755\""))
    }
}

impl<'de> serde::Deserialize<'de> for Mode {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

fn root() -> String {
    "root".to_owned()
}

fn nowhere() -> String {
    "/nonexistent".to_owned()
}

fn nologin() -> String {
    "/usr/sbin/nologin".to_owned()
}

/// A recipe file that is malformed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {why}")]
pub struct RecipeError {
    /// The file, as given.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub why: String,
}

impl Recipe {
    /// Parses the recipe of `package`; `file` is for messages and reports.
    ///
    /// # Errors
    /// When it is not TOML, has an unknown key or a malformed value, or covers nothing.
    pub fn parse(package: &str, file: &str, text: &str) -> Result<Self, RecipeError> {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Raw {
            package: Option<String>,
            script: Vec<Script>,
        }
        let refused = |line, why| RecipeError { file: file.to_owned(), line, why };
        let raw: Raw = toml::from_str(text).map_err(|error| {
            let (line, _, why) = suggest::explain(text, &error);
            refused(line, why)
        })?;
        for script in &raw.script {
            if !script.kind.runs_at_installation() {
                return Err(refused(1, format!("a {} never runs at an installation", script.kind)));
            }
            if script.residue.is_empty() || script.why.trim().is_empty() {
                let why = format!("the {} needs the digest of a reviewed residue, and a `why`", script.kind);
                return Err(refused(1, why));
            }
        }
        let package = raw.package.unwrap_or_else(|| package.to_owned());
        Ok(Self { package, file: file.to_owned(), scripts: raw.script })
    }

    /// Whether this is about the package `name`.
    #[must_use]
    pub fn is_for(&self, name: &str) -> bool {
        glob::matches_name(self.package.as_bytes(), name.as_bytes())
    }

    /// The recipe of the script `kind` whose residue is `residue`.
    #[must_use]
    pub fn script(&self, kind: ScriptKind, residue: &Residue) -> Option<&Script> {
        self.scripts.iter().find(|script| script.kind == kind && script.residue.contains(&residue.digest))
    }
}
