//! What a bundle is made of: a build's folder, believed only as far as its manifest's digests reach.

use super::super::{sign::manifest_file, verify::Window};
use crate::{error::Failure, pipeline::disk::digest};
use contract::{
    Digest, Release,
    release::{Part, Update},
    slots::{self, Slot},
    trust::{Chain, Trust},
    verity::{BLOCK, Superblock, Tree, hash_block, hash_blocks},
};
use rayon::prelude::*;
use std::{
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

/// A build's folder.
#[derive(Debug)]
pub(super) struct Source {
    folder: PathBuf,
    pub(super) manifest: PathBuf,
    pub(super) release: Release,
    image: PathBuf,
    file: File,
}

/// The two parts of a release, with their trees.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) root: Tree,
    pub(super) uki: Tree,
    /// The kernel image; the root stays in its file.
    pub(super) uki_bytes: Vec<u8>,
    /// The superblock's UUID, in hexadecimal digits.
    pub(super) uuid: String,
    pub(super) image: PathBuf,
    pub(super) file: File,
    /// Where the root begins in the file.
    pub(super) root_at: u64,
}

impl Source {
    pub(super) fn open(folder: &Path) -> Result<Self, Failure> {
        let manifest = manifest_file(folder);
        let folder = manifest.parent().unwrap_or(Path::new("")).to_owned();
        let release = Release::parse(&fs::read(&manifest).map_err(Failure::file("read", &manifest))?)?;
        let image = folder.join("disk.img");
        let file = File::open(&image).map_err(Failure::file("read", &image))?;
        Ok(Self { folder, manifest, release, image, file })
    }

    pub(super) fn update(&self) -> Result<&Update, Failure> {
        self.release.update.as_ref().ok_or_else(|| {
            Failure::with_hint(
                format!("{} has no sequence: an older hcimage made it", self.manifest.display()),
                "build it again",
            )
        })
    }

    /// Two builds can share a bundle only if they are the same release but for the board.
    pub(super) fn same_release(&self, other: &Self) -> Result<(), Failure> {
        let (ours, theirs) = (&self.release, &other.release);
        for (what, a, b) in [
            ("product", ours.profile.clone(), theirs.profile.clone()),
            ("architecture", ours.arch.to_string(), theirs.arch.to_string()),
            ("root hash", ours.verity.root_hash.to_string(), theirs.verity.root_hash.to_string()),
            ("command line", ours.kernel.cmdline.clone(), theirs.kernel.cmdline.clone()),
        ] {
            if a != b {
                return Err(Failure::with_hint(
                    format!(
                        "{} and {} are not the same release: {what} {a}, and {b}",
                        self.folder.display(),
                        other.folder.display()
                    ),
                    "make a bundle of each",
                ));
            }
        }
        Ok(())
    }

    /// The chain that the bundle carries, and the trust that it leads to.
    pub(super) fn trust(&self, given: Option<&Path>) -> Result<(Chain, Trust), Failure> {
        let file = given.map_or_else(|| self.folder.join("trust.json"), Path::to_owned);
        let none = || {
            Failure::with_hint(
                format!(
                    "the profile `{}` trusts nobody: its nodes refuse every update",
                    self.release.profile
                ),
                "`hcimage trust new trust.json --pubkey FILE`, then `trust = \"trust.json\"` below `[update]` in the profile, and build it again",
            )
        };
        if given.is_none() && self.update()?.trust.is_none() {
            return Err(none());
        }
        let bytes = fs::read(&file).map_err(Failure::file("read", &file))?;
        let wrong = |error: String| Failure::refused(format!("{}: {error}", file.display()));
        if let Some(expected) = self.update()?.trust.filter(|_| given.is_none()) {
            let found = Digest::of(&bytes);
            if found != expected {
                return Err(wrong(format!("its sha256 is {found}, the manifest says {expected}")));
            }
        }
        let chain = Chain::parse(&bytes).map_err(|error| wrong(error.to_string()))?;
        let newest = chain.newest().map_err(|error| wrong(error.to_string()))?;
        Ok((chain, newest.ok_or_else(none)?))
    }

    fn part(&self, part: slots::Part) -> Result<&Part, Failure> {
        let name = part.label();
        self.release
            .part(name)
            .ok_or_else(|| Failure::refused(format!("{} has no part `{name}`", self.manifest.display())))
    }

    /// The parts that go into a bundle are those of the manifest.
    pub(super) fn verify(&self) -> Result<(), Failure> {
        let parts = [slots::Part::Esp, slots::Part::Root(Slot::A), slots::Part::Verity(Slot::A)];
        parts.par_iter().try_for_each(|part| {
            let Part { name, offset, size, sha256 } = self.part(*part)?;
            let found = digest(&self.file, *offset, *size).map_err(Failure::file("read", &self.image))?;
            if found == *sha256 {
                return Ok(());
            }
            Err(Failure::with_hint(
                format!("{}: {name} has sha256 {found}, the manifest says {sha256}", self.image.display()),
                "build it again, or get the image that belongs to the manifest",
            ))
        })
    }

    /// Root and kernel image, with their trees.
    pub(super) fn parts(&self) -> Result<Parts, Failure> {
        let unreadable = || Failure::file("read", &self.image);
        let (root, hashes) =
            (self.part(slots::Part::Root(Slot::A))?, self.part(slots::Part::Verity(Slot::A))?);
        let wrong = |error: contract::verity::VerityError| {
            Failure::refused(format!("{}: {error}", self.image.display()))
        };
        let mut tree = vec![0; usize::try_from(hashes.size).unwrap_or(usize::MAX)];
        self.file.read_exact_at(&mut tree, hashes.offset).map_err(unreadable())?;
        let superblock = Superblock::parse(&tree).map_err(wrong)?;
        let levels = tree.split_off(BLOCK.min(tree.len()));
        let tree =
            Tree::check(superblock.data_blocks, &superblock.salt, levels, &self.release.verity.root_hash.0)
                .map_err(wrong)?;
        if root.size != tree.data_blocks() * BLOCK as u64 {
            return Err(Failure::refused(format!(
                "{}: the root has {} bytes, its tree covers {} blocks",
                self.image.display(),
                root.size,
                tree.data_blocks()
            )));
        }
        let uki_bytes = self.kernel_image()?;
        let mut padded = uki_bytes.clone();
        padded.resize(padded.len().next_multiple_of(BLOCK), 0);
        let leaves: Vec<_> =
            padded.par_chunks(BLOCK).map(|block| hash_block(&superblock.salt, block)).collect();
        let uki =
            Tree::grow(leaves.concat(), |blocks| hash_blocks(&superblock.salt, blocks)).map_err(wrong)?;
        let file = self.file.try_clone().map_err(unreadable())?;
        let uuid = hex::encode(superblock.uuid);
        Ok(Parts { root: tree, uki, uki_bytes, uuid, image: self.image.clone(), file, root_at: root.offset })
    }

    /// The kernel image of slot A, out of the boot partition.
    fn kernel_image(&self) -> Result<Vec<u8>, Failure> {
        let unreadable = || Failure::file("read", &self.image);
        let window = Window::part(&self.file, self.part(slots::Part::Esp)?);
        let volume = fatfs::FileSystem::new(window, fatfs::FsOptions::new()).map_err(unreadable())?;
        let path = contract::selector::kernel_path(Slot::A);
        match volume.root_dir().open_file(&path) {
            Ok(mut kernel) => {
                let mut bytes = Vec::new();
                kernel.read_to_end(&mut bytes).map_err(unreadable())?;
                Ok(bytes)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Failure::refused(format!(
                "{}: there is no {path} on its boot partition",
                self.image.display()
            ))),
            Err(error) => Err(unreadable()(error)),
        }
    }
}
