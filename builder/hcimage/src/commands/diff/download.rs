//! What a node of the old build has to fetch for the new one.

use super::side::Side;
use crate::error::Failure;
use contract::{
    bundle::{self, Head, Index, Kind, Local, Plan, Prefix},
    slots::{Part, Slot},
    verity::{BLOCK, DIGEST, hash_block},
};
use rayon::prelude::*;
use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, Read as _},
    path::Path,
};

/// Two wanted ranges that are so near become one: a request costs more than these bytes.
const GAP: u64 = 16 << 10;
/// The largest kernel image that is read, bytes.
const KERNEL_MAX: u64 = 512 << 20;

/// What is fetched, in blocks and in bytes.
#[derive(Debug, serde::Serialize)]
pub(super) struct Download {
    pub(super) version: String,
    pub(super) root_changed: u64,
    pub(super) root_blocks: u64,
    pub(super) kernel_changed: u64,
    pub(super) kernel_blocks: u64,
    /// Bytes that are fetched.
    pub(super) bytes: u64,
    /// Bytes of everything.
    pub(super) full: u64,
    /// Planned as the node does it, from a bundle; else whole blocks are counted, which a bundle compresses.
    pub(super) exact: bool,
}

/// Counts the blocks of one build that the other has not.
pub(super) fn of_builds(old: &Side, new: &Side) -> Result<Download, Failure> {
    let leaves = |side: &Side| -> Result<(Vec<u8>, Vec<u8>), Failure> {
        Ok((leaves(&root(side)?, &[]), leaves(&kernel(side)?, &[])))
    };
    let (old, (root, kernel)) = (leaves(old)?, leaves(new)?);
    let version = new.release.version.clone();
    let (root_changed, kernel_changed) = (missing(&root, &old.0), missing(&kernel, &old.1));
    let count = |leaves: &[u8]| (leaves.len() / DIGEST) as u64;
    Ok(Download {
        version,
        root_changed,
        root_blocks: count(&root),
        kernel_changed,
        kernel_blocks: count(&kernel),
        bytes: (root_changed + kernel_changed) * BLOCK as u64,
        full: (count(&root) + count(&kernel)) * BLOCK as u64,
        exact: false,
    })
}

/// Plans what a node that runs `old` fetches of a bundle.
pub(super) fn of_bundle(old: &Side, path: &Path) -> Result<Download, Failure> {
    let wrong = |error: bundle::BundleError| Failure::refused(format!("{}: {error}", path.display()));
    let unreadable = || Failure::file("read", path);
    let mut file = File::open(path).map_err(unreadable())?;
    let mut bytes = vec![0; bundle::PREFIX];
    file.read_exact(&mut bytes).map_err(unreadable())?;
    bytes.resize(Prefix::parse(&bytes).map_err(wrong)?.head_size(), 0);
    file.read_exact(&mut bytes[bundle::PREFIX..]).map_err(unreadable())?;
    let head = Head::unverified(&bytes).map_err(wrong)?;
    let length = file.metadata().map_err(unreadable())?.len();
    head.check_file_size(length).map_err(wrong)?;
    let mut index =
        vec![0; usize::try_from(head.header.index_size()).map_err(io::Error::other).map_err(unreadable())?];
    file.read_exact(&mut index).map_err(unreadable())?;
    let index = Index::parse(&head, index).map_err(wrong)?;
    let salt = head.header.root.salt.0;
    let (root, kernel) = (leaves(&root(old)?, &salt), leaves(&kernel(old)?, &salt));
    let planned = |kind, leaves: &[u8]| bundle::plan(&index, kind, |_| false, &[Local { leaves }], GAP);
    let (of_root, of_kernel) = (planned(Kind::Root, &root), planned(Kind::Uki, &kernel));
    let fetched = |plan: &Plan| plan.fetched();
    Ok(Download {
        version: head.header.version.clone(),
        root_changed: head.header.root.data_blocks - of_root.copied(),
        root_blocks: head.header.root.data_blocks,
        kernel_changed: head.header.uki.data_blocks - of_kernel.copied(),
        kernel_blocks: head.header.uki.data_blocks,
        // The head and the index are always fetched: they say what is the same.
        bytes: head.frames_at() + fetched(&of_root) + fetched(&of_kernel),
        full: length,
        exact: true,
    })
}

fn root(side: &Side) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let mut part = side.part(Part::Root(Slot::A).label())?;
    part.read_to_end(&mut bytes).map_err(Failure::file("read", side.image_path()))?;
    Ok(bytes)
}

/// The kernel image of slot A, from the boot partition: the only one that an image is shipped with.
fn kernel(side: &Side) -> Result<Vec<u8>, Failure> {
    let unreadable = || Failure::file("read", side.image_path());
    let window = side.part(Part::Esp.label())?;
    let volume = fatfs::FileSystem::new(window, fatfs::FsOptions::new()).map_err(unreadable())?;
    let folder = volume.root_dir().open_dir("EFI/Linux").map_err(unreadable())?;
    for entry in folder.iter() {
        let entry = entry.map_err(unreadable())?;
        if entry.is_file() && entry.file_name().to_ascii_lowercase().ends_with(".efi") {
            let mut bytes = Vec::new();
            entry.to_file().take(KERNEL_MAX).read_to_end(&mut bytes).map_err(unreadable())?;
            return Ok(bytes);
        }
    }
    Err(Failure::refused(format!("{}: there is no kernel image in EFI/Linux", side.image_path().display())))
}

/// The digests of all blocks; the last one counts as filled with zeros.
fn leaves(bytes: &[u8], salt: &[u8]) -> Vec<u8> {
    let hash = |block: &[u8]| match block.len() {
        BLOCK => hash_block(salt, block),
        _ => {
            let mut whole = block.to_vec();
            whole.resize(BLOCK, 0);
            hash_block(salt, &whole)
        }
    };
    let all: Vec<[u8; DIGEST]> = bytes.par_chunks(BLOCK).map(hash).collect();
    all.concat()
}

/// How many blocks of `new` are not in `old`, equal ones counted once.
fn missing(new: &[u8], old: &[u8]) -> u64 {
    let old: BTreeSet<&[u8]> = old.chunks_exact(DIGEST).collect();
    let missing: BTreeSet<&[u8]> = new.chunks_exact(DIGEST).filter(|leaf| !old.contains(leaf)).collect();
    missing.len() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_known_wherever_it_lies() {
        let block = |byte: u8| vec![byte; BLOCK];
        let old = leaves(&[block(1), block(2), block(3)].concat(), b"s");
        let new = leaves(&[block(0), block(3), block(9), block(9), block(1), vec![2; 100]].concat(), b"s");
        assert_eq!(missing(&new, &old), 3, "zeros, nines once, and the end");
        assert_eq!(missing(&old, &old), 0);
        let mut end = vec![2; 100];
        end.resize(BLOCK, 0);
        assert_eq!(leaves(&[2; 100], b"s"), leaves(&end, b"s"));
    }
}
