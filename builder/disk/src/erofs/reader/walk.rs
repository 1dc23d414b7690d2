use std::collections::BTreeSet;
use std::io::{Read, Seek};

use super::super::format::{BLOCK, DIRENT};
use super::super::{Error, dir};
use super::{Found, Reader, What, damaged};

/// The longest path that Linux opens.
const PATH_MAX: usize = 4096;
/// All paths of an image together, bytes: far more than any root file system has.
const PATHS_MAX: usize = 1 << 28;

/// A name in an image, and what it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Path without a leading slash; the root is the empty string.
    pub path: String,
    /// The inode.
    pub inode: Found,
}

impl<R: Read + Seek> Reader<R> {
    /// Everything in the image, sorted by path.
    pub fn entries(&mut self) -> Result<Vec<Named>, Error> {
        let root = self.inode(self.root)?;
        let mut found = vec![Named { path: String::new(), inode: root }];
        let mut directories = BTreeSet::new();
        let (mut next, mut paths) = (0, 0);
        // No two directories of ours share a block, so there are no more entries than fit into the image.
        let most = self.size / DIRENT as u64;
        while next < found.len() {
            let Named { path, inode } = found[next].clone();
            next += 1;
            if inode.what != What::Directory {
                continue;
            }
            if !directories.insert(inode.nid) {
                return damaged(inode.end, format!("`{path}` is a directory with two names"));
            }
            for (name, nid) in self.list(&inode)? {
                let path = if path.is_empty() { name } else { format!("{path}/{name}") };
                paths += path.len();
                if path.len() >= PATH_MAX || paths > PATHS_MAX || found.len() as u64 > most {
                    return damaged(inode.end, "more or longer names than an image of this size can have");
                }
                let inode = self.inode(nid)?;
                found.push(Named { path, inode });
            }
        }
        found.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }

    /// The inode of a path, which may have a leading slash. Symbolic links are not followed.
    pub fn find(&mut self, path: &str) -> Result<Found, Error> {
        let mut inode = self.inode(self.root)?;
        for part in path.split('/').filter(|part| !part.is_empty()) {
            let missing = || Error::NotFound { path: path.to_owned() };
            if inode.what != What::Directory {
                return Err(missing());
            }
            let names = self.list(&inode)?;
            let (_, nid) = names.into_iter().find(|(name, _)| name == part).ok_or_else(missing)?;
            inode = self.inode(nid)?;
        }
        Ok(inode)
    }

    /// Names and inode numbers in a directory, `.` and `..` left out. Unsorted names, which the kernel
    /// could not find, are an error.
    fn list(&mut self, directory: &Found) -> Result<Vec<(String, u64)>, Error> {
        let mut found: Vec<(String, u64)> = Vec::new();
        let mut last: Vec<u8> = Vec::new();
        let mut from = 0;
        while from < directory.size {
            let len = (BLOCK as u64).min(directory.size - from);
            let block = self.flat(directory, from, len)?;
            let entries = dir::decode(&block);
            for (name, nid, _) in
                entries.or_else(|why| damaged(directory.end, format!("directory: {why}")))?
            {
                if name <= &last[..] {
                    return damaged(directory.end, "directory: names are not sorted");
                }
                last = name.to_vec();
                match std::str::from_utf8(name) {
                    Ok("." | "..") => {}
                    Ok(name) => found.push((name.to_owned(), nid)),
                    Err(_) => return damaged(directory.end, "directory: a name that is not UTF-8"),
                }
            }
            from += len;
        }
        Ok(found)
    }
}
