//! A package as the build gives it to the tree: its files, scripts and declarations, already parsed.

use crate::{ImagePath, Node};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// One package of the lock, unpacked into values.
#[derive(Clone, Debug)]
pub struct Package {
    /// Its name, such as `libc6`.
    pub name: String,
    /// Its version as Debian writes it.
    pub version: String,
    /// Its architecture as Debian writes it (`amd64`, `arm64`, `all`).
    pub arch: String,
    /// Whether it says `Multi-Arch: same`.
    pub multi_arch_same: bool,
    /// The names of those packages of this build from which it may take files: its `Replaces`, with the
    /// versions already judged.
    pub replaces: BTreeSet<String>,
    /// Its files in the order of its archive.
    pub entries: Vec<Entry>,
    /// Its maintainer scripts.
    pub scripts: BTreeMap<ScriptKind, Vec<u8>>,
    /// Its `triggers` member, empty when there is none.
    pub triggers: String,
    /// Its control paragraph, for the status file that scanners read.
    pub control: String,
}

/// One member of a package's archive.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where it goes.
    pub path: ImagePath,
    /// What it is. For a hard link, what the archive says besides is not used.
    pub node: Node,
    /// For a hard link, the path whose node it shares.
    pub link: Option<ImagePath>,
}

/// Which maintainer script.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScriptKind {
    /// Before unpacking.
    Preinst,
    /// After unpacking.
    Postinst,
    /// Before removal: never run at an installation.
    Prerm,
    /// After removal: never run at an installation.
    Postrm,
    /// Debconf's questions: never asked.
    Config,
}

impl ScriptKind {
    /// Whether dpkg runs it at a fresh installation.
    #[must_use]
    pub const fn runs_at_installation(self) -> bool {
        matches!(self, Self::Preinst | Self::Postinst)
    }

    /// The name of its member in the package.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Preinst => "preinst",
            Self::Postinst => "postinst",
            Self::Prerm => "prerm",
            Self::Postrm => "postrm",
            Self::Config => "config",
        }
    }
}

impl fmt::Display for ScriptKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
