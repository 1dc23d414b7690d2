//! Many packages, one tree: the law of dpkg without its dependence on the order of unpacking.

use crate::{Entry, Glob, ImagePath, Kind, Node, NodeId, Origin, Package, Tree, TreeError};
use std::collections::BTreeMap;

/// The package whose links `/bin`, `/lib`, `/lib64` and `/sbin` are there before everything else.
const FRAME_PACKAGE: &str = "base-files";

/// Highest id that a package may carry in its files: above, ids are given out by each system (Debian Policy,
/// section 9.2.2).
const LAST_STATIC_ID: u32 = 99;

/// A file of all packages but one goes elsewhere: `dpkg-divert`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diversion {
    /// The package for whose file the place is made.
    pub by: String,
    /// The path that others ship.
    pub path: ImagePath,
    /// Where their file goes.
    pub to: ImagePath,
}

/// What of the packages is not wanted in the image.
#[derive(Clone, Debug, Default)]
pub struct DropRules {
    /// Files which these match go.
    pub paths: Vec<Glob>,
    /// Unless one of these matches.
    pub keep: Vec<Glob>,
}

/// What one drop rule took out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// The rule.
    pub rule: String,
    /// How many files and links.
    pub files: u64,
    /// How many bytes they held.
    pub bytes: u64,
}

/// Why packages do not fit together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MergeError {
    /// Two packages ship one path.
    #[error(
        "{path} is shipped by {first} and by {second}, and neither replaces the other: exclude one of them in the profile"
    )]
    Conflict {
        /// The path.
        path: ImagePath,
        /// One package.
        first: String,
        /// The other.
        second: String,
    },
    /// Two packages want one directory with different owners or modes.
    #[error("{path} is {first} and {second}: a recipe's `owner` must say which")]
    Directory {
        /// The directory.
        path: ImagePath,
        /// Mode and owner in one package, and its name.
        first: String,
        /// The same of the other.
        second: String,
    },
    /// A hard link to a path that its package does not ship before it.
    #[error("{package}: {path} is a hard link to {target}, which it does not ship before")]
    Link {
        /// The package.
        package: String,
        /// The link.
        path: ImagePath,
        /// What it should share a node with.
        target: ImagePath,
    },
    /// A file belongs to an id that no package may assume.
    #[error(
        "{package}: {path} belongs to {uid}:{gid}, but only ids up to {LAST_STATIC_ID} are the same everywhere"
    )]
    DynamicOwner {
        /// The package.
        package: String,
        /// The file.
        path: ImagePath,
        /// Its owner.
        uid: u32,
        /// Its group.
        gid: u32,
    },
    /// The tree refuses a package's file.
    #[error("{package}: {source}")]
    Tree {
        /// The package.
        package: String,
        /// Why.
        source: TreeError,
    },
}

/// Unpacks `packages` into one tree and takes out what `drop` names. The order of `packages` does not matter.
///
/// # Errors
/// When two packages claim one path, or one of them is malformed.
pub fn merge(
    packages: &[Package],
    diversions: &[Diversion],
    drop: &DropRules,
) -> Result<(Tree, Vec<Dropped>), MergeError> {
    let mut order: Vec<&Package> = packages.iter().collect();
    order.sort_by_key(|package| (package.name != FRAME_PACKAGE, &package.name, &package.arch));
    let replaces = order.iter().map(|package| (package.name.as_str(), *package)).collect();
    let mut merging = Merging { tree: Tree::new(), owners: BTreeMap::new(), packages: replaces, diversions };
    for package in order {
        merging.unpack(package)?;
    }
    let mut tree = merging.tree;
    let dropped = drop.apply(&mut tree);
    Ok((tree, dropped))
}

struct Merging<'a> {
    tree: Tree,
    /// Which package a path that is no directory belongs to.
    owners: BTreeMap<ImagePath, &'a Package>,
    packages: BTreeMap<&'a str, &'a Package>,
    diversions: &'a [Diversion],
}

impl<'a> Merging<'a> {
    fn unpack(&mut self, package: &'a Package) -> Result<(), MergeError> {
        let refused = |source| MergeError::Tree { package: package.name.clone(), source };
        // Links before the rest: `/lib64/ld.so` of one archive may come before its own `/lib64`.
        let (links, rest): (Vec<&Entry>, Vec<&Entry>) = package
            .entries
            .iter()
            .partition(|entry| package.name == FRAME_PACKAGE && matches!(entry.node.kind, Kind::Symlink(_)));
        // Hard links of a package find each other by the path that the archive gives.
        let mut placed: BTreeMap<&ImagePath, NodeId> = BTreeMap::new();
        for entry in links.into_iter().chain(rest) {
            let shared = match &entry.link {
                Some(target) => Some(*placed.get(target).ok_or_else(|| MergeError::Link {
                    package: package.name.clone(),
                    path: entry.path.clone(),
                    target: target.clone(),
                })?),
                None => None,
            };
            if entry.node.uid.max(entry.node.gid) > LAST_STATIC_ID {
                return Err(MergeError::DynamicOwner {
                    package: package.name.clone(),
                    path: entry.path.clone(),
                    uid: entry.node.uid,
                    gid: entry.node.gid,
                });
            }
            let path = self.tree.resolve(&self.diverted(package, &entry.path), false).map_err(refused)?;
            if entry.node.is_directory() {
                self.directory(package, &path, &entry.node)?;
                continue;
            }
            if let Some(first) = self.owners.get(&path).copied()
                && !self.takes(package, first, &path, &entry.node)?
            {
                // The other one stays; a later hard link of this package needs a node all the same.
                placed.insert(&entry.path, self.tree.id(&path).unwrap_or(NodeId(0)));
                continue;
            }
            let id = match shared {
                Some(id) => self.tree.link(&path, id).map(|()| id),
                None => self.tree.insert(&path, entry.node.clone()),
            };
            placed.insert(&entry.path, id.map_err(refused)?);
            self.owners.insert(path, package);
        }
        Ok(())
    }

    fn diverted(&self, package: &Package, path: &ImagePath) -> ImagePath {
        let by_other = |one: &&Diversion| one.path == *path && one.by != package.name;
        self.diversions.iter().find(by_other).map_or_else(|| path.clone(), |one| one.to.clone())
    }

    /// Whether `second`'s file at `path` takes the place of `first`'s.
    fn takes(
        &self,
        second: &Package,
        first: &Package,
        path: &ImagePath,
        node: &Node,
    ) -> Result<bool, MergeError> {
        if second.name == first.name && second.multi_arch_same && first.multi_arch_same {
            let same = self.tree.get(path).is_some_and(|old| same_file(old, node));
            if same {
                return Ok(false);
            }
        } else {
            let forward = second.replaces.contains(&first.name);
            let backward = self
                .packages
                .get(first.name.as_str())
                .is_some_and(|first| first.replaces.contains(&second.name));
            if forward != backward {
                return Ok(forward);
            }
        }
        Err(MergeError::Conflict {
            path: path.clone(),
            first: format!("{} {} ({})", first.name, first.version, first.arch),
            second: format!("{} {} ({})", second.name, second.version, second.arch),
        })
    }

    /// A directory that another package has stays as it is; of two, the one with special rights is right.
    fn directory(&mut self, package: &Package, path: &ImagePath, node: &Node) -> Result<(), MergeError> {
        let refused = |source| MergeError::Tree { package: package.name.clone(), source };
        // A link to a directory (`/lib`, `/var/run`) stands for it.
        let real = self.tree.resolve(path, true).map_err(refused)?;
        let plain = |node: &Node| (node.mode, node.uid, node.gid) == (0o755, 0, 0);
        let implied = !self.tree.get(&real).is_some_and(|old| matches!(old.origin, Origin::Package(_)));
        match self.tree.get(&real) {
            Some(old) if old.is_directory() && !implied && (plain(node) || real != *path) => Ok(()),
            Some(old) if old.is_directory() && !implied && !plain(old) => {
                if (old.mode, old.uid, old.gid) == (node.mode, node.uid, node.gid) {
                    return Ok(());
                }
                let rights =
                    |node: &Node| format!("{:o} {}:{} in {}", node.mode, node.uid, node.gid, node.origin);
                Err(MergeError::Directory { path: real.clone(), first: rights(old), second: rights(node) })
            }
            _ => self.tree.insert(&real, node.clone()).map(drop).map_err(refused),
        }
    }
}

fn same_file(one: &Node, other: &Node) -> bool {
    let same_kind = match (&one.kind, &other.kind) {
        (Kind::File(one), Kind::File(other)) => one.digest() == other.digest(),
        (one, other) => one == other,
    };
    same_kind && (one.mode, one.uid, one.gid) == (other.mode, other.uid, other.gid)
}

impl DropRules {
    /// Takes out of `tree` what the rules name: files first, then directories that a rule names and that are
    /// left empty. A file counts for the first rule that names it.
    pub fn apply(&self, tree: &mut Tree) -> Vec<Dropped> {
        let mut report: Vec<Dropped> =
            self.paths.iter().map(|rule| Dropped { rule: rule.to_string(), files: 0, bytes: 0 }).collect();
        let rule_of = |path: &ImagePath| {
            let rule = self.paths.iter().position(|rule| rule.matches(path))?;
            (!self.keep.iter().any(|keep| keep.matches(path))).then_some(rule)
        };
        let named: Vec<(ImagePath, usize)> =
            tree.iter().filter_map(|(path, _)| Some((path.clone(), rule_of(path)?))).collect();
        // Backwards, what is in a directory comes before the directory.
        for (path, rule) in named.into_iter().rev() {
            let Some(node) = tree.get(&path) else { continue };
            if node.is_directory() {
                if tree.below(&path).next().is_some() {
                    continue;
                }
            } else {
                report[rule].files += 1;
                if let Kind::File(content) = &node.kind {
                    report[rule].bytes += content.size();
                }
            }
            tree.forget(&path);
        }
        report
    }
}
