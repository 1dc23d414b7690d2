//! The disk image: where everything lies, and its bytes.

use super::{bodies::Bodies, boot, image};
use crate::error::Failure;
use contract::{
    Arch, Digest, Epoch, Guid,
    release::{Extent, Part},
    slots::{self, Slot},
};
use disk::{
    erofs::FileSystem,
    fat::{FatError, FileTree},
    gpt::{GptError, Layout, Partition, Table},
    output::{Output, Window},
};
use sha2::{Digest as _, Sha256};
use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

/// Bytes in front of the first partition: protective MBR, header and entries of the GPT, and padding.
const TABLE: u64 = 1 << 20;

/// Sizes of the partitions, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    pub(crate) esp: u64,
    pub(crate) slot: u64,
}

impl Sizes {
    /// Room for the hash tree of a full slot, rounded up to the partitions' alignment: each level holds one
    /// 32-byte digest for each 4 KiB block below, and a superblock comes first.
    fn verity(self) -> u64 {
        let (mut blocks, mut all) = (self.slot.div_ceil(4096), 1);
        while blocks > 1 {
            blocks = blocks.div_ceil(128);
            all += blocks;
        }
        (all * 4096).next_multiple_of(disk::gpt::ALIGNMENT)
    }

    /// The table of an image. Before the root hash is known, `root` is any digest: places do not depend on it.
    fn table(self, arch: Arch, content_id: &Digest, root: &Digest) -> Result<Table, Failure> {
        let partition = |part, guid, size| Partition::of(part, arch, guid, size);
        let layout = Layout {
            disk_guid: Guid::derive(content_id, "disk"),
            disk_size: None,
            partitions: vec![
                partition(slots::Part::Esp, Guid::derive(content_id, "esp"), self.esp),
                partition(slots::Part::Root(Slot::A), Guid::from_half(root, 0), self.slot),
                partition(slots::Part::Verity(Slot::A), Guid::from_half(root, 1), self.verity()),
            ],
        };
        Ok(layout.place()?)
    }
}

/// A disk image while it is written: a file beside its final place, which takes that place when it is whole.
#[derive(Debug)]
pub(crate) struct DiskImage {
    file: File,
    partial: PathBuf,
    target: PathBuf,
    sizes: Sizes,
    arch: Arch,
    content_id: Digest,
    table: Table,
}

/// An output into the image's file.
struct Sparse<'a>(&'a File);

impl Output for Sparse<'_> {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }
}

/// An output that knows how far it was written.
struct Reaching<O> {
    inner: O,
    end: u64,
}

impl<O: Output> Output for Reaching<O> {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.end = self.end.max(offset + bytes.len() as u64);
        self.inner.write_at(offset, bytes)
    }
}

impl Drop for DiskImage {
    /// What was not finished is of no use to anybody; where it cannot be removed the next build overwrites it.
    fn drop(&mut self) {
        drop(fs::remove_file(&self.partial));
    }
}

impl DiskImage {
    /// Begins the image that will be `target`.
    pub(crate) fn create(
        target: &Path,
        sizes: Sizes,
        arch: Arch,
        content_id: Digest,
    ) -> Result<Self, Failure> {
        let partial = target.with_extension("img.partial");
        let table = sizes.table(arch, &content_id, &content_id)?;
        let file = File::options().create(true).truncate(false).read(true).write(true).open(&partial);
        let file = file.map_err(Failure::file("write", &partial))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Failure::with_hint(
                    format!("another build is writing {}", partial.display()),
                    "wait for it, or build into another folder with --out DIR",
                ));
            }
            Err(TryLockError::Error(error)) => return Err(Failure::file("lock", partial)(error)),
        }
        file.set_len(0).map_err(Failure::file("write", &partial))?;
        file.set_len(table.disk_size()).map_err(Failure::file("write", &partial))?;
        Ok(Self { file, partial, target: target.to_owned(), sizes, arch, content_id, table })
    }

    fn place(&self, part: slots::Part) -> Result<(u64, u64), Failure> {
        let placed = self
            .table
            .part(part)
            .ok_or_else(|| Failure::refused(format!("no partition {}", part.label())))?;
        Ok((placed.offset, placed.partition.size))
    }

    /// Writes root and hash tree.
    pub(crate) fn root(
        &self,
        fs: &FileSystem,
        bodies: &Bodies,
        salt: &Digest,
        epoch: Epoch,
    ) -> Result<image::Root, Failure> {
        let (offset, size) = self.place(slots::Part::Root(Slot::A))?;
        let window = Window::new(Sparse(&self.file), offset, size);
        let root = image::write(fs, bodies, &self.content_id, salt, epoch, size, window)
            .map_err(|error| self.name(error))?;
        let (offset, size) = self.place(slots::Part::Verity(Slot::A))?;
        let written = Window::new(Sparse(&self.file), offset, size).write_at(0, &root.verity.bytes);
        written.map_err(Failure::file("write", &self.partial))?;
        Ok(root)
    }

    /// Writes the boot partition; gives the size of the part that is not zeros.
    pub(crate) fn boot(&self, files: FileTree<'_>, epoch: Epoch) -> Result<u64, Failure> {
        let (offset, size) = self.place(slots::Part::Esp)?;
        let hidden = u32::try_from(offset / disk::gpt::SECTOR).unwrap_or(u32::MAX);
        let volume = boot::boot_volume(files, &self.content_id, size, hidden, epoch)?;
        let mut output = Reaching { inner: Window::new(Sparse(&self.file), offset, size), end: 0 };
        volume.write(&mut output).map_err(|error| self.name(error.into()))?;
        Ok(output.end)
    }

    /// Writes the partition table, and says what lies where; `boot` is what [`DiskImage::boot`] gave.
    pub(crate) fn finish(&self, root: &image::Root, boot: u64) -> Result<(Extent, Vec<Part>), Failure> {
        let root_hash = Digest(root.verity.root);
        let table = self.sizes.table(self.arch, &self.content_id, &root_hash)?;
        table.write(&mut Sparse(&self.file)).map_err(|error| self.name(error.into()))?;
        let (esp, _) = self.place(slots::Part::Esp)?;
        let (root_at, _) = self.place(slots::Part::Root(Slot::A))?;
        let (verity_at, verity_size) = self.place(slots::Part::Verity(Slot::A))?;
        let end = verity_at + verity_size;
        let hash_size = root.verity.bytes.len() as u64;
        let read = |name: &str, offset: u64, size: u64| -> Result<Part, Failure> {
            let sha256 = digest(&self.file, offset, size).map_err(Failure::file("read", &self.partial))?;
            Ok(Part { name: name.to_owned(), offset, size, sha256 })
        };
        let size = table.disk_size();
        let (whole, parts) = rayon::join(
            || digest(&self.file, 0, size),
            || -> Result<Vec<Part>, Failure> {
                Ok(vec![
                    read("table", 0, TABLE)?,
                    read(slots::Part::Esp.label(), esp, boot)?,
                    Part {
                        name: slots::Part::Root(Slot::A).label().to_owned(),
                        offset: root_at,
                        size: root.size,
                        sha256: root.sha256,
                    },
                    Part {
                        name: slots::Part::Verity(Slot::A).label().to_owned(),
                        offset: verity_at,
                        size: hash_size,
                        sha256: Digest::of(&root.verity.bytes),
                    },
                    read("table-backup", end, size - end)?,
                ])
            },
        );
        let sha256 = whole.map_err(Failure::file("read", &self.partial))?;
        Ok((Extent { size, sha256 }, parts?))
    }

    /// Gives the image its place.
    pub(crate) fn publish(self) -> Result<(), Failure> {
        self.file.sync_all().map_err(Failure::file("write", &self.partial))?;
        fs::rename(&self.partial, &self.target).map_err(Failure::file("write", &self.target))?;
        let folder = self.target.parent().unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(Failure::file("write", folder))
    }

    /// Writing errors of the formats carry no path: they are this file's.
    fn name(&self, failure: Failure) -> Failure {
        let mut source: Option<&dyn std::error::Error> = match &failure {
            // Two that show their cause, but do not name it as a source.
            Failure::Fat(FatError::Write(io)) | Failure::Gpt(GptError::Write(io)) => Some(io),
            other => Some(other),
        };
        while let Some(error) = source {
            if let Some(io) = error.downcast_ref::<io::Error>() {
                let kind = io
                    .raw_os_error()
                    .map_or_else(|| io::Error::from(io.kind()), io::Error::from_raw_os_error);
                return Failure::file("write", &self.partial)(kind);
            }
            source = error.source();
        }
        failure
    }
}

/// SHA-256 of a part of a file.
pub(crate) fn digest(file: &File, offset: u64, size: u64) -> io::Result<Digest> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut at = 0;
    while at < size {
        let count = usize::try_from((size - at).min(buffer.len() as u64)).unwrap_or(buffer.len());
        file.read_exact_at(&mut buffer[..count], offset + at)?;
        hash.update(&buffer[..count]);
        at += count as u64;
    }
    Ok(Digest(hash.finalize().into()))
}
