//! From paths to directories: who is whose child, how many names an inode has, in which order inodes lie.

use std::collections::{BTreeMap, BTreeSet};

use super::dir::Entry;
use super::format::NAME_MAX;
use super::{Error, FileSystem, Inode, Kind};

/// What the names of a tree say.
#[derive(Debug)]
pub(super) struct Names<'a> {
    /// Inodes by the order of their first name.
    pub(super) order: Vec<usize>,
    /// The first name of each inode.
    pub(super) first: Vec<&'a str>,
    pub(super) nlink: Vec<u32>,
    /// The sorted entries of each directory.
    pub(super) entries: BTreeMap<usize, Vec<Entry>>,
}

impl<'a> Names<'a> {
    pub(super) fn of(fs: &'a FileSystem) -> Result<Self, Error> {
        let mut names = Self {
            order: Vec::with_capacity(fs.inodes.len()),
            first: vec![""; fs.inodes.len()],
            nlink: vec![0; fs.inodes.len()],
            entries: BTreeMap::new(),
        };
        let mut seen = BTreeSet::new();
        if !fs.names.contains_key("") {
            return Err(Error::Name { path: String::new(), why: "the tree has no root" });
        }
        for (path, id) in &fs.names {
            let inode = fs.inodes.get(id.0).ok_or_else(|| Error::Inode {
                path: path.clone(),
                id: id.0,
                count: fs.inodes.len(),
            })?;
            if seen.insert(*id) {
                names.order.push(id.0);
                names.first[id.0] = path;
            } else if inode.kind == Kind::Directory {
                return Err(Error::Name { path: path.clone(), why: "a directory can have one name only" });
            }
            names.place(fs, path, id.0, inode)?;
        }
        if let Some(id) = (0..fs.inodes.len()).find(|id| names.nlink[*id] == 0) {
            return Err(Error::Unnamed { id });
        }
        for entries in names.entries.values_mut() {
            entries.sort_by(|a, b| a.name.cmp(&b.name));
        }
        Ok(names)
    }

    fn place(&mut self, fs: &FileSystem, path: &str, id: usize, inode: &Inode) -> Result<(), Error> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let is_directory = inode.kind == Kind::Directory;
        let parent_id = fs.names.get(parent).map(|id| id.0);
        let parent_id = parent_id.filter(|id| fs.inodes.get(*id).is_some_and(|i| i.kind == Kind::Directory));
        let parent_id = match parent_id {
            Some(id) => id,
            None if path.is_empty() => {
                return Err(Error::Name { path: String::new(), why: "the root must be a directory" });
            }
            None => return Err(Error::Parent { path: path.to_owned(), parent: parent.to_owned() }),
        };
        self.nlink[id] += 1;
        if is_directory {
            self.nlink[id] += 1;
            let dots = [(".", id), ("..", parent_id)];
            let own = dots.map(|(name, inode)| Entry { name: name.into(), inode, file_type: 2 });
            self.entries.entry(id).or_default().extend(own);
        }
        if path.is_empty() {
            return Ok(());
        }
        if let Some(why) = fault(name) {
            return Err(Error::Name { path: path.to_owned(), why });
        }
        if is_directory {
            self.nlink[parent_id] += 1;
        }
        let entry = Entry { name: name.into(), inode: id, file_type: file_type(&inode.kind) };
        self.entries.entry(parent_id).or_default().push(entry);
        Ok(())
    }
}

fn fault(name: &str) -> Option<&'static str> {
    match name {
        "" => Some("a part of the path is empty"),
        "." | ".." => Some("`.` and `..` are not names"),
        _ if name.len() > NAME_MAX => Some("the name is longer than 255 bytes"),
        _ if name.contains('\0') => Some("the name has a zero byte"),
        _ => None,
    }
}

/// The type in a directory entry, as in `include/linux/fs_types.h`.
fn file_type(kind: &Kind) -> u8 {
    match kind {
        Kind::File { .. } => 1,
        Kind::Directory => 2,
        Kind::CharDevice { .. } => 3,
        Kind::BlockDevice { .. } => 4,
        Kind::Fifo => 5,
        Kind::Socket => 6,
        Kind::Symlink(_) => 7,
    }
}
