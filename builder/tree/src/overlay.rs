//! An overlay: what a service adds to the packages it needs.

use crate::{
    Content, Contents, ImagePath, Kind, Node, Origin, Tree,
    effects::{EffectError, Hand, accounts::Ids, recipes},
    recipe::{Mode, Owner, User},
};

/// One overlay, as parsed from its `overlay.toml` and `files/`.
#[derive(Clone, Debug, Default)]
pub struct Overlay {
    /// Its name, for origins and messages.
    pub name: String,
    /// Files and links of its `files/`, with the modes and owners that it names.
    pub files: Vec<OverlayFile>,
    /// Directories to make.
    pub directories: Vec<OverlayDirectory>,
    /// Symbolic links to make: path and target.
    pub links: Vec<(ImagePath, String)>,
    /// Other owners or modes for paths that packages ship.
    pub owners: Vec<Owner>,
    /// Files of packages, recipes or earlier overlays which its own files and links replace.
    pub replace: Vec<ImagePath>,
    /// Units to enable.
    pub enable: Vec<String>,
    /// Units not to enable, although a package does.
    pub disable: Vec<String>,
    /// Units that are never to start.
    pub mask: Vec<String>,
    /// System users.
    pub users: Vec<User>,
}

/// A file of an overlay.
#[derive(Clone, Debug)]
pub struct OverlayFile {
    /// Where it goes.
    pub path: ImagePath,
    /// Its bytes.
    pub content: Content,
    /// Its mode.
    pub mode: Mode,
    /// Its owner's name.
    pub owner: String,
    /// Its group's name.
    pub group: String,
}

/// A directory of an overlay.
#[derive(Clone, Debug)]
pub struct OverlayDirectory {
    /// Where.
    pub path: ImagePath,
    /// Its mode.
    pub mode: Mode,
    /// Its owner's name.
    pub owner: String,
    /// Its group's name.
    pub group: String,
}

/// Why an overlay does not fit.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OverlayError {
    /// Its file is somebody else's, too.
    #[error("overlay {overlay}: {path} comes from {origin} already: name it in `replace` if that is meant")]
    Taken {
        /// The overlay.
        overlay: String,
        /// The path.
        path: ImagePath,
        /// Who has it.
        origin: Origin,
    },
    /// It replaces what is not there.
    #[error("overlay {overlay}: `replace` names {path}, which nobody ships")]
    Nothing {
        /// The overlay.
        overlay: String,
        /// The path.
        path: ImagePath,
    },
    /// It declares users in a way that comes too late.
    #[error("overlay {overlay}: {path} would declare users: use `[[user]]` in its overlay.toml")]
    Users {
        /// The overlay.
        overlay: String,
        /// The path.
        path: ImagePath,
    },
    /// An owner is unknown, or the tree refuses.
    #[error("overlay {overlay}: {source}")]
    Effect {
        /// The overlay.
        overlay: String,
        /// Why.
        source: Box<EffectError>,
    },
}

impl Overlay {
    /// Lays the overlay over the tree.
    ///
    /// # Errors
    /// When a path is taken, a replaced one is missing, or an owner is unknown.
    pub fn lay(&self, tree: &mut Tree, contents: &dyn Contents, ids: &Ids) -> Result<(), OverlayError> {
        let overlay = || self.name.clone();
        let by = format!("overlay {}", self.name);
        let origin = Origin::Overlay(self.name.clone());
        let mut hand = Hand::new(tree, contents, "overlays");
        for path in &self.replace {
            let real = hand.tree.resolve(path, false).map_err(|source| self.refused(hand.refused(source)))?;
            if hand.tree.get(&real).is_none() {
                return Err(OverlayError::Nothing { overlay: overlay(), path: path.clone() });
            }
        }
        let ids_of = |owner: &str, group: &str| {
            let uid = ids.user(owner, &by).map_err(|source| self.refused(source))?;
            Ok((uid, ids.group(group, &by).map_err(|source| self.refused(source))?))
        };
        for OverlayDirectory { path, mode, owner, group } in &self.directories {
            let (uid, gid) = ids_of(owner, group)?;
            self.insert(&mut hand, path, Node::directory(mode.0, origin.clone()).owned_by(uid, gid))?;
        }
        for OverlayFile { path, content, mode, owner, group } in &self.files {
            if path.as_str().starts_with("usr/lib/sysusers.d/")
                || path.as_str().starts_with("etc/sysusers.d/")
            {
                return Err(OverlayError::Users { overlay: overlay(), path: path.clone() });
            }
            let (uid, gid) = ids_of(owner, group)?;
            self.insert(
                &mut hand,
                path,
                Node::file(content.clone(), mode.0, origin.clone()).owned_by(uid, gid),
            )?;
        }
        for (path, target) in &self.links {
            self.insert(&mut hand, path, Node::symlink(target, origin.clone()))?;
        }
        for owner in &self.owners {
            recipes::own(&mut hand, owner, ids, &by).map_err(|source| self.refused(source))?;
        }
        Ok(())
    }

    fn insert(&self, hand: &mut Hand<'_>, path: &ImagePath, node: Node) -> Result<(), OverlayError> {
        let real = hand.tree.resolve(path, false).map_err(|source| self.refused(hand.refused(source)))?;
        if let Some(old) = hand.tree.get(&real) {
            let both_directories = old.is_directory() && node.is_directory();
            let own = old.origin == node.origin && !matches!(old.kind, Kind::File(_));
            if !both_directories && !own && !self.replace.contains(path) {
                let origin = old.origin.clone();
                return Err(OverlayError::Taken { overlay: self.name.clone(), path: path.clone(), origin });
            }
        }
        hand.tree.insert(&real, node).map(drop).map_err(|source| self.refused(hand.refused(source)))
    }

    fn refused(&self, source: EffectError) -> OverlayError {
        OverlayError::Effect { overlay: self.name.clone(), source: Box::new(source) }
    }
}
