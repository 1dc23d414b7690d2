//! The root file system's bytes and their hash tree, written once, straight to their place on the disk.

use super::bodies::Bodies;
use crate::error::Failure;
use contract::{Arch, Digest, Epoch, Guid};
use disk::{
    erofs::{FileSystem, Inode, InodeId, Kind, PackSettings, Plan, Volume},
    output::Output,
    verity,
};
use std::{
    collections::BTreeMap,
    io::{self, BufWriter, Write},
};
use store::Cache;
use tree::{NodeId, Tree};

/// The tree as the file system's writer takes it.
pub(crate) fn file_system(
    tree: &Tree,
    bodies: &mut Bodies,
    settings: PackSettings,
    cache: &Cache,
) -> Result<FileSystem, Failure> {
    let mut fs = FileSystem::default();
    let mut known: BTreeMap<NodeId, InodeId> = BTreeMap::new();
    for (path, id) in tree.paths() {
        if let Some(inode) = known.get(&id) {
            fs.link(path.as_str(), *inode);
            continue;
        }
        let node = tree.node(id);
        let kind = match &node.kind {
            tree::Kind::Directory => Kind::Directory,
            tree::Kind::File(content) => {
                let (shape, body) = bodies.place(content, settings, cache)?;
                Kind::File { shape, body }
            }
            tree::Kind::Symlink(target) => Kind::Symlink(target.clone()),
            tree::Kind::CharDevice { major, minor } => Kind::CharDevice { major: *major, minor: *minor },
            tree::Kind::BlockDevice { major, minor } => Kind::BlockDevice { major: *major, minor: *minor },
            tree::Kind::Fifo => Kind::Fifo,
        };
        let xattrs =
            node.xattrs.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.clone())).collect();
        let inode = Inode { mode: node.mode, uid: node.uid, gid: node.gid, mtime: node.mtime, xattrs, kind };
        known.insert(id, fs.add(path.as_str(), inode));
    }
    Ok(fs)
}

/// The root as it lies on the disk.
#[derive(Debug)]
pub(crate) struct Root {
    pub(crate) size: u64,
    pub(crate) sha256: Digest,
    pub(crate) verity: verity::Tree,
}

/// The salt of the hash trees of all releases of a product: equal blocks have equal leaves in all of them, so that
/// a node finds by comparing leaves what it has already (ADR 16).
pub(crate) fn salt(product: &str, arch: Arch) -> Digest {
    Digest::of_fields([product.as_bytes(), arch.name().as_bytes(), b"verity salt"])
}

/// Writes the file system to `output` and gives its hash tree. Ids are derived from `content_id`.
pub(crate) fn write(
    fs: &FileSystem,
    bodies: &Bodies,
    content_id: &Digest,
    salt: &Digest,
    epoch: Epoch,
    limit: u64,
    output: impl Output,
) -> Result<Root, Failure> {
    use sha2::Digest as _;
    let volume = Volume { uuid: Guid::derive(content_id, "root").0, epoch, label: "hcimage-root".to_owned() };
    let plan = Plan::new(fs, &volume)?;
    if plan.size() > limit {
        let (size, limit) = (crate::config::size::show(plan.size()), crate::config::size::show(limit));
        return Err(Failure::with_hint(
            format!("the root file system takes {size}, a slot has {limit}"),
            "make `image.slot` in the profile larger (deployed nodes keep their old slots), or drop more",
        ));
    }
    let settings = verity::Settings { salt: salt.0, uuid: Guid::derive(content_id, "verity").0 };
    let sink = Sequential { output, at: 0 };
    let mut tee = Tee { sink, hasher: verity::Hasher::new(settings), digest: sha2::Sha256::new() };
    let mut buffered = BufWriter::with_capacity(1 << 20, &mut tee);
    plan.write(&mut buffered, bodies)?;
    buffered.flush().map_err(Failure::file("write", "the disk image"))?;
    drop(buffered);
    let sha256 = Digest(tee.digest.finalize().into());
    Ok(Root { size: plan.size(), sha256, verity: tee.hasher.finish()? })
}

/// An [`Output`] that is written from its start to its end.
struct Sequential<O> {
    output: O,
    at: u64,
}

/// Hashes what is written, in both ways that are needed.
struct Tee<O> {
    sink: Sequential<O>,
    hasher: verity::Hasher,
    digest: sha2::Sha256,
}

impl<O: Output> Write for Tee<O> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        use sha2::Digest as _;
        self.sink.output.write_at(self.sink.at, bytes)?;
        self.sink.at += bytes.len() as u64;
        self.hasher.write_all(bytes)?;
        self.digest.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
