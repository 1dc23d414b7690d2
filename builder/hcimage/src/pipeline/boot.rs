//! What is booted: initrd, unified kernel image, boot partition.

use super::{
    bodies::Bodies,
    build::Rootfs,
    unpack::{Kind, Unpacked},
};
use crate::{
    board::Board,
    error::Failure,
    node::{Binaries, INIT},
};
use contract::{
    Arch, Digest, Epoch, Guid,
    selector::{self, Counter},
    slots::Slot,
};
use disk::{
    cpio::{Archive, Entry, Level, initrd},
    fat::{FileTree, Plan},
    pe::Uki,
};
use store::Cache;
use tree::{
    Contents as _, ImagePath,
    kernel::{Shipped, decompress, initrd_modules},
};

/// Level 19 would save 13 % of three megabytes and take twice the time.
const INITRD_LEVEL: i32 = 15;

/// What the boot stage takes from packages.
#[derive(Debug)]
pub(crate) struct Inputs {
    pub(crate) release: String,
    kernel: Vec<u8>,
    stub: Vec<u8>,
    loader: Vec<u8>,
}

impl Inputs {
    /// Finds kernel, stub and boot loader among the packages.
    pub(crate) fn find(
        arch: Arch,
        release: &str,
        packages: &[Unpacked],
        bodies: &Bodies,
    ) -> Result<Self, Failure> {
        let efi = arch.efi();
        let read = |path: String| {
            let digest =
                packages.iter().flat_map(|package| &package.entries).find_map(|entry| match &entry.kind {
                    Kind::File { sha256, .. } if entry.path == path => Some(*sha256),
                    _ => None,
                });
            let digest = digest.ok_or_else(|| {
                Failure::with_hint(
                    format!("no package of the lock ships /{path}, which the image is booted with"),
                    "the profile needs the packages linux-image-… and systemd-boot-efi",
                )
            })?;
            bodies.stored(&digest).map_err(|error| Failure::refused(format!("/{path}: {error}")))
        };
        Ok(Self {
            release: release.to_owned(),
            kernel: read(format!("boot/vmlinuz-{release}"))?,
            stub: read(format!("usr/lib/systemd/boot/efi/linux{efi}.efi.stub"))?,
            loader: read(format!("usr/lib/systemd/boot/efi/systemd-boot{efi}.efi"))?,
        })
    }

    /// Digest of all of them.
    pub(crate) fn digest(&self) -> Digest {
        Digest::of_fields([self.release.as_bytes(), &self.kernel, &self.stub, &self.loader])
    }
}

/// The initrd: `hcinit`, and the modules without which it cannot reach its disk.
pub(crate) fn initrd_image(
    board: &Board,
    arch: Arch,
    rootfs: &Rootfs,
    node: &Binaries,
    cache: &Cache,
    epoch: Epoch,
) -> Result<Vec<u8>, Failure> {
    let Rootfs { tree, bodies, modules, .. } = rootfs;
    let mut archive = Archive::new();
    for folder in ["dev", "etc", "etc/hcinit", "proc", "run", "sys", "sysroot"] {
        archive.directory(folder, 0o755)?;
    }
    archive.add("dev/console", Entry::Character { mode: 0o600, major: 5, minor: 1 })?;
    let init =
        node.get(INIT).ok_or_else(|| Failure::refused("there is no hcinit among the node's binaries"))?;
    archive.file("init", 0o755, &init.bytes[..])?;
    archive.file("etc/hcinit/modules", 0o644, (board.modules_loaded(arch).join("\n") + "\n").into_bytes())?;

    let loaded = initrd_modules(&modules.modules, &board.modules_carried(arch))?;
    let directory = &modules.directory;
    let text = |name: &str| tree.read_text(&directory.join(name)?, bodies).map_err(Failure::from);
    let (order, builtin) = (text("modules.order")?, text("modules.builtin")?);
    let builtin_modinfo = tree.read(&directory.join("modules.builtin.modinfo")?, bodies)?;
    let shipped = Shipped { order: &order, builtin: &builtin, builtin_modinfo: &builtin_modinfo };
    for path in &loaded.paths {
        let bytes = tree.read(&directory.join(path)?, bodies)?;
        let (plain, bytes) = plain_module(path, &bytes)?;
        file_in(&mut archive, &directory.join(&plain)?, bytes)?;
    }
    for (name, bytes) in loaded.depmod(&modules.modules, &shipped)? {
        // hcinit reads the text forms only.
        if !name.ends_with(".bin") {
            file_in(&mut archive, &directory.join(name)?, bytes)?;
        }
    }
    file_in(&mut archive, &directory.join("modules.builtin")?, builtin.into_bytes())?;
    let name = format!("initrd-1 {INITRD_LEVEL}");
    let key = Digest::of_fields([name.as_bytes(), &archive.to_bytes(epoch)?]);
    if let Some(known) = cache.recall(&key)? {
        return Ok(known);
    }
    let bytes = initrd(None, &archive, Level::new(INITRD_LEVEL)?, epoch)?;
    cache.remember(&key, &bytes)?;
    Ok(bytes)
}

fn plain_module(path: &str, bytes: &[u8]) -> Result<(String, Vec<u8>), Failure> {
    let plain = path.strip_suffix(".xz").or_else(|| path.strip_suffix(".zst")).unwrap_or(path);
    Ok((plain.to_owned(), decompress(path, bytes)?.into_owned()))
}

/// Adds a file with the directories on its way.
fn file_in(archive: &mut Archive<'_>, path: &ImagePath, bytes: Vec<u8>) -> Result<(), Failure> {
    let mut missing = Vec::new();
    let mut folder = path.parent();
    while let Some(parent) = folder.filter(|parent| !parent.is_root()) {
        if archive.entries().any(|(known, _)| known == parent.as_str()) {
            break;
        }
        folder = parent.parent();
        missing.push(parent);
    }
    for parent in missing.iter().rev() {
        archive.directory(parent.as_str(), 0o755)?;
    }
    Ok(archive.file(path.as_str(), 0o644, bytes)?)
}

/// The unified kernel image for a root hash.
pub(crate) fn uki(
    inputs: &Inputs,
    os_release: &str,
    cmdline: &str,
    initrd: &[u8],
) -> Result<Vec<u8>, Failure> {
    let Inputs { release, kernel, stub, .. } = inputs;
    let uki = Uki {
        stub,
        os_release,
        cmdline,
        uname: release,
        linux: kernel,
        initrd,
        device_trees: &[],
        microcode: None,
    };
    Ok(uki.assemble()?)
}

/// The files of the boot partition. The image's own entry is counted: its first start shows whether this machine's
/// loader counts (docs/adr/0015).
pub(crate) fn boot_files<'a>(arch: Arch, inputs: &'a Inputs, uki: &'a [u8]) -> Result<FileTree<'a>, Failure> {
    let mut files = FileTree::new();
    let efi = arch.efi();
    files.file(&format!("EFI/BOOT/BOOT{}.EFI", efi.to_uppercase()), &inputs.loader[..])?;
    files.file(&format!("EFI/systemd/systemd-boot{efi}.efi"), &inputs.loader[..])?;
    files.file(&selector::kernel_path(Slot::A), uki)?;
    files.file(selector::LOADER_CONF, selector::LOADER_CONF_TEXT.as_bytes())?;
    let counter = Counter { left: selector::TRIES, done: 0 };
    let entry = format!("{}/{}", selector::ENTRIES, selector::entry_name(Slot::A, Some(counter)));
    files.file(&entry, selector::entry_text(Slot::A, 1).into_bytes())?;
    Ok(files)
}

/// The boot partition's volume.
pub(crate) fn boot_volume<'a>(
    files: FileTree<'a>,
    content_id: &Digest,
    size: u64,
    hidden_sectors: u32,
    epoch: Epoch,
) -> Result<Plan<'a>, Failure> {
    let id = Guid::derive(content_id, "boot volume").0;
    let volume = disk::fat::Volume {
        id: u32::from_be_bytes([id[0], id[1], id[2], id[3]]),
        label: "HCBOOT".to_owned(),
        size,
        hidden_sectors,
        epoch,
    };
    Ok(volume.plan(files)?)
}
