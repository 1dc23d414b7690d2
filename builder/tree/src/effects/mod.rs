//! What dpkg and the maintainer scripts would have done, as functions on the tree: one file each.

pub mod accounts;
pub mod alternatives;
pub mod certificates;
pub mod frame;
pub mod hwdb;
pub mod identity;
pub mod ldconfig;
pub mod nss;
pub mod pam;
pub mod recipes;
pub mod shells;
pub mod status;
mod sysusers;
pub mod tmpfiles;
pub mod units;
mod x509;

use crate::{Contents, ImagePath, MalformedPath, Origin, Tree, TreeError};

/// Why an effect could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EffectError {
    /// The tree refuses.
    #[error("{effect}: {source}")]
    Tree {
        /// Which effect.
        effect: &'static str,
        /// Why.
        source: TreeError,
    },
    /// A line of a file in the tree is not understood.
    #[error("{path}:{line}: {why}")]
    Line {
        /// The file.
        path: ImagePath,
        /// Its line, from 1.
        line: usize,
        /// What is wrong.
        why: String,
    },
    /// A user or group that nobody declares.
    #[error("{by}: there is no {what} `{name}`{hint}")]
    Unknown {
        /// Who names it.
        by: String,
        /// `user`, `group` or `unit`.
        what: &'static str,
        /// Its name.
        name: String,
        /// A near name.
        hint: String,
    },
    /// Two declarations that contradict each other.
    #[error("{what} `{name}`: {first}, but {second}")]
    Clash {
        /// `user`, `group` or `unit`.
        what: &'static str,
        /// Its name.
        name: String,
        /// One declaration.
        first: String,
        /// The other.
        second: String,
    },
    /// Ids that the lock's ledger does not have.
    #[error(transparent)]
    Accounts(#[from] accounts::MissingIds),
    /// A unit that is to be enabled and says nowhere how.
    #[error("{by}: {unit} has no `[Install]` section, so it cannot be enabled")]
    NotInstallable {
        /// Who enables it.
        by: String,
        /// The unit.
        unit: String,
    },
    /// A file which is no certificate.
    #[error("{path} is no certificate: {why}")]
    Certificate {
        /// The file.
        path: ImagePath,
        /// Why.
        why: String,
    },
}

/// An effect's own hand in the tree: its name goes into origins and errors.
pub(crate) struct Hand<'a> {
    pub(crate) tree: &'a mut Tree,
    pub(crate) contents: &'a dyn Contents,
    pub(crate) effect: &'static str,
}

impl<'a> Hand<'a> {
    pub(crate) fn new(tree: &'a mut Tree, contents: &'a dyn Contents, effect: &'static str) -> Self {
        Self { tree, contents, effect }
    }

    pub(crate) fn origin(&self) -> Origin {
        Origin::Effect(self.effect.to_owned())
    }

    pub(crate) fn path(&self, path: &str) -> Result<ImagePath, EffectError> {
        ImagePath::parse(path).map_err(|source| self.malformed(source))
    }

    pub(crate) fn refused(&self, source: TreeError) -> EffectError {
        EffectError::Tree { effect: self.effect, source }
    }

    fn malformed(&self, source: MalformedPath) -> EffectError {
        self.refused(TreeError::Path(source))
    }

    /// The text of a file; `None` when it is not there.
    pub(crate) fn text(&self, path: &str) -> Result<Option<String>, EffectError> {
        let path = self.path(path)?;
        let there = self.tree.resolve(&path, true).map_err(|source| self.refused(source))?;
        if self.tree.get(&there).is_none() {
            return Ok(None);
        }
        self.tree.read_text(&there, self.contents).map(Some).map_err(|source| self.refused(source))
    }

    /// Writes a file of this effect; a new one has `mode`.
    pub(crate) fn write(
        &mut self,
        path: &str,
        text: impl Into<Vec<u8>>,
        mode: u16,
    ) -> Result<(), EffectError> {
        let path = self.path(path)?;
        let origin = self.origin();
        let written = self.tree.write(&path, text, origin).and_then(|()| self.tree.resolve(&path, true));
        let real = written.map_err(|source| self.refused(source))?;
        if let Some(node) = self.tree.get_mut(&real) {
            node.mode = mode;
        }
        Ok(())
    }

    /// Makes or replaces a symbolic link of this effect.
    pub(crate) fn symlink(&mut self, path: &ImagePath, target: &str) -> Result<(), EffectError> {
        let node = crate::Node::symlink(target, self.origin());
        self.tree.insert(path, node).map(drop).map_err(|source| self.refused(source))
    }

    /// The files directly in `directories` whose names end in `suffix`, by name; of two with one name, the one
    /// in the earlier directory. Links to `/dev/null` hide a name. The way of systemd's `*.d` directories.
    pub(crate) fn drop_ins(
        &self,
        directories: &[&str],
        suffix: &str,
    ) -> Result<Vec<(ImagePath, String)>, EffectError> {
        let mut found = std::collections::BTreeMap::new();
        for directory in directories {
            let directory = self.path(directory)?;
            for (path, _) in self.tree.children(&directory) {
                if path.name().ends_with(suffix) {
                    found.entry(path.name().to_owned()).or_insert_with(|| path.clone());
                }
            }
        }
        let mut texts = Vec::new();
        for path in found.into_values() {
            let real = self.tree.resolve(&path, true).map_err(|source| self.refused(source))?;
            if real.as_str() != "dev/null" {
                let text =
                    self.tree.read_text(&real, self.contents).map_err(|source| self.refused(source))?;
                texts.push((path, text));
            }
        }
        Ok(texts)
    }
}
