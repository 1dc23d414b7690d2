//! The tree: names to inodes, with every path's directory present.

use crate::{Content, Contents, ImagePath, Kind, Node, NodeId, Origin, ReadError};
use contract::Epoch;
use std::{collections::BTreeMap, ops::Bound};

/// How many symbolic links a path may pass, as in Linux (`MAXSYMLINKS`).
const MAX_LINKS: usize = 40;

/// A root file system. Every path's parent is a directory of the tree; hard links are several names of one
/// node; symbolic links in a given path are followed as the kernel would, within the tree.
#[derive(Clone, Debug)]
pub struct Tree {
    names: BTreeMap<ImagePath, NodeId>,
    nodes: Vec<Node>,
}

/// Why the tree could not be changed or read as asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    /// A path which is needed is not there.
    #[error("{0} is not in the tree")]
    Missing(ImagePath),
    /// A path passes through something that is no directory.
    #[error("{path}: {through} is not a directory ({origin})")]
    NotADirectory {
        /// The path asked for.
        path: ImagePath,
        /// The part of it which is no directory.
        through: ImagePath,
        /// Who put that there.
        origin: Origin,
    },
    /// A directory should be replaced by something else, or removed, while it holds entries.
    #[error("{path} is a directory ({origin}) and would be lost")]
    IsADirectory {
        /// The directory.
        path: ImagePath,
        /// Who put it there.
        origin: Origin,
    },
    /// A file's text was asked for, and it is something else.
    #[error("{path} is not a regular file ({origin})")]
    NotAFile {
        /// The path.
        path: ImagePath,
        /// Who put it there.
        origin: Origin,
    },
    /// Symbolic links lead round in a circle.
    #[error("{0}: more than 40 symbolic links on the way")]
    LinkLoop(ImagePath),
    /// A symbolic link leads to a text that is no path.
    #[error(transparent)]
    Path(#[from] crate::MalformedPath),
    /// A file's bytes could not be had.
    #[error("{path}: {source}")]
    Read {
        /// The file.
        path: ImagePath,
        /// What the store said.
        source: ReadError,
    },
    /// A text file is not UTF-8.
    #[error("{0} is not UTF-8 text")]
    NotText(ImagePath),
}

impl Default for Tree {
    fn default() -> Self {
        Self::new()
    }
}

impl Tree {
    /// A tree with only a root directory (`0755`, root).
    #[must_use]
    pub fn new() -> Self {
        let root = Node::directory(0o755, Origin::Frame);
        Self { names: [(ImagePath::root(), NodeId(0))].into(), nodes: vec![root] }
    }

    /// Every path with its node's id, in bytewise order.
    pub fn paths(&self) -> impl Iterator<Item = (&ImagePath, NodeId)> {
        self.names.iter().map(|(path, id)| (path, *id))
    }

    /// Every path with its node, in bytewise order.
    pub fn iter(&self) -> impl Iterator<Item = (&ImagePath, &Node)> {
        self.names.iter().map(|(path, id)| (path, &self.nodes[id.0]))
    }

    /// The node with this id.
    #[must_use]
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    /// The node at exactly this path; symbolic links are not followed.
    #[must_use]
    pub fn get(&self, path: &ImagePath) -> Option<&Node> {
        self.names.get(path).map(|id| &self.nodes[id.0])
    }

    /// As [`Tree::get`], to change it. All hard links of the node see the change.
    pub fn get_mut(&mut self, path: &ImagePath) -> Option<&mut Node> {
        self.names.get(path).map(|id| &mut self.nodes[id.0])
    }

    /// The id at exactly this path.
    #[must_use]
    pub fn id(&self, path: &ImagePath) -> Option<NodeId> {
        self.names.get(path).copied()
    }

    /// Paths strictly below `directory`, with their nodes, in bytewise order of whole paths.
    pub fn below<'a>(
        &'a self,
        directory: &ImagePath,
    ) -> impl Iterator<Item = (&'a ImagePath, &'a Node)> + use<'a> {
        let nodes = &self.nodes;
        self.names
            .range::<str, _>(range_below(&bounds_below(directory)))
            .map(|(path, id)| (path, &nodes[id.0]))
    }

    /// The entries of `directory`, by name.
    pub fn children<'a>(
        &'a self,
        directory: &ImagePath,
    ) -> impl Iterator<Item = (&'a ImagePath, &'a Node)> + use<'a> {
        let depth = directory.names().count() + 1;
        self.below(directory).filter(move |(path, _)| path.names().count() == depth)
    }

    /// The path with every symbolic link on the way to its last name followed, and the last one too when
    /// `follow_last`. Names which do not exist are kept as they are.
    ///
    /// # Errors
    /// When links lead round in a circle.
    pub fn resolve(&self, path: &ImagePath, follow_last: bool) -> Result<ImagePath, TreeError> {
        // Names of the tree pass through directories only, so most paths are resolved as they are.
        if self.get(path).is_some_and(|node| !follow_last || !matches!(node.kind, Kind::Symlink(_)))
            || path.parent().is_some_and(|parent| {
                self.get(&parent).is_some_and(Node::is_directory) && self.get(path).is_none()
            })
        {
            return Ok(path.clone());
        }
        let mut pending: Vec<String> = path.names().map(str::to_owned).collect();
        pending.reverse();
        let mut at = ImagePath::root();
        let mut links = 0;
        while let Some(name) = pending.pop() {
            if name == ".." {
                at = at.parent().unwrap_or_else(ImagePath::root);
                continue;
            }
            let next = at.join(&name)?;
            match self.get(&next).map(|node| &node.kind) {
                Some(Kind::Symlink(target)) if follow_last || !pending.is_empty() => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(TreeError::LinkLoop(path.clone()));
                    }
                    if target.starts_with('/') {
                        at = ImagePath::root();
                    }
                    let names = target.split('/').filter(|name| !name.is_empty() && *name != ".");
                    pending.extend(names.rev().map(str::to_owned));
                }
                _ => at = next,
            }
        }
        Ok(at)
    }

    /// Puts `node` at `path`, making missing directories (`0755`, root, of the node's origin) on the way.
    /// What was there is replaced, unless it is a directory: a directory over a directory only changes its
    /// owner, mode, times and origin. Symbolic links on the way (such as `/bin`) are followed.
    ///
    /// # Errors
    /// When a part of the path is no directory, or a directory would be lost.
    pub fn insert(&mut self, path: &ImagePath, node: Node) -> Result<NodeId, TreeError> {
        let path = self.resolve(path, false)?;
        self.make_parents(&path, &node.origin)?;
        if let Some(old) = self.get_mut(&path) {
            match (old.is_directory(), node.is_directory()) {
                (true, true) => *old = node,
                (true, false) => return Err(TreeError::IsADirectory { path, origin: old.origin.clone() }),
                (false, _) => return Ok(self.attach(path, node)),
            }
            return Ok(self.names[&path]);
        }
        Ok(self.attach(path, node))
    }

    /// Gives the node `id` one more name.
    ///
    /// # Errors
    /// As [`Tree::insert`].
    pub fn link(&mut self, path: &ImagePath, id: NodeId) -> Result<(), TreeError> {
        let path = self.resolve(path, false)?;
        let origin = self.nodes[id.0].origin.clone();
        self.make_parents(&path, &origin)?;
        match self.get(&path) {
            Some(old) if old.is_directory() => {
                Err(TreeError::IsADirectory { origin: old.origin.clone(), path })
            }
            _ => {
                self.names.insert(path, id);
                Ok(())
            }
        }
    }

    /// Takes away the name `path` and everything below it. The root stays.
    ///
    /// # Errors
    /// When there is no such path.
    pub fn remove(&mut self, path: &ImagePath) -> Result<(), TreeError> {
        if self.get(path).is_none() {
            return Err(TreeError::Missing(path.clone()));
        }
        let below: Vec<ImagePath> = self.below(path).map(|(name, _)| name.clone()).collect();
        for name in &below {
            self.names.remove(name);
        }
        if !path.is_root() {
            self.names.remove(path);
        }
        Ok(())
    }

    /// Takes away one name, which is no directory with entries.
    pub(crate) fn forget(&mut self, path: &ImagePath) {
        self.names.remove(path);
    }

    /// Moves `from` and everything below it to `to`, which must not exist.
    ///
    /// # Errors
    /// When `from` is missing, `to` is a directory with entries, or a part of `to` is no directory.
    pub fn rename(&mut self, from: &ImagePath, to: &ImagePath) -> Result<(), TreeError> {
        let node = self.get(from).ok_or_else(|| TreeError::Missing(from.clone()))?;
        let origin = node.origin.clone();
        if let Some(old) = self.get(to).filter(|old| old.is_directory()) {
            return Err(TreeError::IsADirectory { path: to.clone(), origin: old.origin.clone() });
        }
        self.make_parents(to, &origin)?;
        let moved: Vec<ImagePath> =
            std::iter::once(from).chain(self.below(from).map(|(name, _)| name)).cloned().collect();
        for name in moved {
            if let Some(id) = self.names.remove(&name) {
                self.names.insert(to.join(&name.as_str()[from.as_str().len()..])?, id);
            }
        }
        Ok(())
    }

    /// The bytes of the regular file that `path` leads to, symbolic links followed.
    ///
    /// # Errors
    /// When it is missing, no regular file, or its bytes cannot be had.
    pub fn read(&self, path: &ImagePath, contents: &dyn Contents) -> Result<Vec<u8>, TreeError> {
        let path = self.resolve(path, true)?;
        let node = self.get(&path).ok_or_else(|| TreeError::Missing(path.clone()))?;
        match &node.kind {
            Kind::File(content) => match contents.read(content) {
                Ok(bytes) => Ok(bytes.into_owned()),
                Err(source) => Err(TreeError::Read { path, source }),
            },
            _ => Err(TreeError::NotAFile { path, origin: node.origin.clone() }),
        }
    }

    /// As [`Tree::read`], as text.
    ///
    /// # Errors
    /// As [`Tree::read`], and when it is not UTF-8.
    pub fn read_text(&self, path: &ImagePath, contents: &dyn Contents) -> Result<String, TreeError> {
        String::from_utf8(self.read(path, contents)?).map_err(|_| TreeError::NotText(path.clone()))
    }

    /// Puts a file with these bytes at the place that `path` leads to; an existing file keeps its owner and
    /// mode, a new one is root's with `0644`.
    ///
    /// # Errors
    /// As [`Tree::insert`].
    pub fn write(
        &mut self,
        path: &ImagePath,
        bytes: impl Into<Vec<u8>>,
        origin: Origin,
    ) -> Result<(), TreeError> {
        let path = self.resolve(path, true)?;
        let content = Content::bytes(bytes);
        match self.get_mut(&path) {
            Some(Node { kind: Kind::File(old), mtime, origin: old_origin, .. }) => {
                (*old, *mtime, *old_origin) = (content, 0, origin);
            }
            _ => {
                self.insert(&path, Node::file(content, 0o644, origin))?;
            }
        }
        Ok(())
    }

    /// Gives every node without a time the build's epoch, and no node a later one, so that the image's bytes
    /// do not depend on when an effect ran.
    #[must_use]
    pub fn freeze(mut self, epoch: Epoch) -> Self {
        for node in &mut self.nodes {
            if node.mtime == 0 || node.mtime > epoch.0 {
                node.mtime = epoch.0;
            }
        }
        self
    }

    fn attach(&mut self, path: ImagePath, node: Node) -> NodeId {
        let id = NodeId(self.nodes.len());
        self.nodes.push(node);
        self.names.insert(path, id);
        id
    }

    fn make_parents(&mut self, path: &ImagePath, origin: &Origin) -> Result<(), TreeError> {
        let Some(parent) = path.parent() else { return Ok(()) };
        match self.get(&parent) {
            Some(node) if node.is_directory() => Ok(()),
            Some(node) => Err(TreeError::NotADirectory {
                path: path.clone(),
                origin: node.origin.clone(),
                through: parent,
            }),
            None => {
                self.make_parents(&parent, origin)?;
                self.attach(parent, Node::directory(0o755, origin.clone()));
                Ok(())
            }
        }
    }
}

/// The first and the last text between which lie all paths strictly below `directory`: `/` is followed by `0`.
fn bounds_below(directory: &ImagePath) -> (String, Option<String>) {
    let name = directory.as_str();
    if directory.is_root() { (String::new(), None) } else { (format!("{name}/"), Some(format!("{name}0"))) }
}

fn range_below((first, last): &(String, Option<String>)) -> (Bound<&str>, Bound<&str>) {
    (Bound::Excluded(first), last.as_deref().map_or(Bound::Unbounded, Bound::Excluded))
}
