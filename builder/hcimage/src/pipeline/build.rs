//! Profile and lock in, disk image out.

use super::{
    bodies::Bodies,
    boot,
    disk::{DiskImage, Sizes},
    facts::RememberedFacts,
    image, packages,
    tree::{self as trees, Additions},
    unpack::{Unpacked, Unpacking},
};
use crate::{
    board::Board,
    config::{Described, Lock, size},
    error::Failure,
    printer::Printer,
    settings::Workshop,
};
use ::disk::erofs::PackSettings;
use ::tree::{
    Assembled, Content, Tree, assemble,
    effects::ldconfig,
    kernel::{self, Installed},
};
use contract::{
    Arch, Digest, Release,
    release::{Kernel, SCHEMA, Tool, Verity},
};
use std::{collections::BTreeMap, path::Path};

/// What one build is about.
#[derive(Debug)]
pub(crate) struct Order<'a> {
    pub(crate) workshop: &'a Workshop,
    pub(crate) described: &'a Described,
    pub(crate) lock: &'a Lock,
    pub(crate) arch: Arch,
    pub(crate) additions: &'a Additions,
    pub(crate) tool: Tool,
}

/// What came out besides the image.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) release: Release,
    pub(crate) root_size: u64,
    pub(crate) uki_size: u64,
    pub(crate) initrd_size: u64,
    pub(crate) dropped: Vec<(String, u64, u64)>,
    /// Every path of the root, a line each.
    pub(crate) files: String,
}

/// The root's tree with what it is made of, before it becomes bytes.
#[derive(Debug)]
pub(crate) struct Rootfs {
    pub(crate) tree: Tree,
    pub(crate) bodies: Bodies,
    pub(crate) unpacked: Vec<Unpacked>,
    pub(crate) assembled: Assembled,
    pub(crate) modules: Installed,
    pub(crate) version: String,
}

impl Order<'_> {
    fn settings(&self) -> Result<PackSettings, Failure> {
        let image = &self.described.profile.image;
        Ok(PackSettings::new(image.level, image.extent)?)
    }

    /// Packages, tree, overlays, effects.
    pub(crate) fn rootfs(&self, printer: &Printer) -> Result<Rootfs, Failure> {
        let Self { workshop, described, lock, arch, additions, .. } = self;
        let rules = trees::drop_rules(described)?;
        let unpacking = Unpacking { cache: &workshop.cache, settings: self.settings()?, rules: &rules };
        let locked = packages::of(lock, *arch)?;
        let (unpacked, bodies) = printer.stage("unpack", |stage| {
            let (unpacked, mut bodies) = packages::unpack(&unpacking, locked, stage)?;
            for (name, artifact) in additions.artifacts.iter().filter(|(_, artifact)| artifact.is_inside()) {
                let (file, pack) = unpacking.lone_file(name, &artifact.path, &artifact.described.sha256)?;
                bodies.add(&file, pack)?;
            }
            Ok((unpacked, bodies))
        })?;
        printer.stage("tree", |stage| {
            let version = trees::version(described, lock, *arch, additions)?;
            let assembly = trees::assembly(described, lock, *arch, &unpacked, additions, &version)?;
            let mut assembled = assemble(&assembly, &bodies, &mut |_| {})?;
            let mut tree = std::mem::take(&mut assembled.tree);

            let modules = &described.profile.modules;
            let rules = kernel::Rules::parse(&modules.drop, &modules.keep)?;
            let facts = RememberedFacts::open(&workshop.cache, &unpacked)?;
            let mut installed = kernel::apply(&mut tree, &bodies, &rules, &facts)?;
            facts.close(&workshop.cache)?;
            let Some(modules) = installed.pop().filter(|_| installed.is_empty()) else {
                return Err(Failure::refused(
                    "the profile's packages bring more than one kernel: exclude all but one",
                ));
            };

            let libc = unpacked.iter().find(|package| package.name == "libc6");
            let libc = libc.ok_or_else(|| Failure::refused("the lock has no libc6"))?;
            ldconfig::apply(&mut tree, &bodies, *arch, &ldconfig::generator(&libc.version))?;
            let tree = tree.freeze(lock.epoch);
            stage.note(format!(
                "{} paths, {} modules",
                tree.paths().count(),
                modules.modules.modules().len()
            ));
            Ok(Rootfs { tree, bodies, unpacked, assembled, modules, version })
        })
    }

    /// Everything; the image is whole, but not at `target` before it is published.
    pub(crate) fn image(&self, target: &Path, printer: &Printer) -> Result<(DiskImage, Built), Failure> {
        let Self { workshop, described, lock, arch, additions, tool } = self;
        let mut rootfs = self.rootfs(printer)?;
        let board = Board::named(&described.profile.board)?;
        let inputs = boot::Inputs::find(*arch, &rootfs.modules.release, &rootfs.unpacked, &rootfs.bodies)?;
        let initrd = printer.stage("initrd", |stage| {
            let initrd =
                boot::initrd_image(&board, *arch, &rootfs, &additions.node, &workshop.cache, lock.epoch)?;
            stage.note(size::show(initrd.len() as u64));
            Ok(initrd)
        })?;
        let cmdline = [board.cmdline(*arch), described.profile.cmdline.clone()].concat().join(" ");
        let content_id = content_id(&rootfs.tree, &described.profile, &cmdline, &inputs, &initrd);

        let image = &described.profile.image;
        let sizes = Sizes { esp: image.esp, slot: image.slot };
        let disk = DiskImage::create(target, sizes, *arch, content_id)?;
        let salt = image::salt(&described.profile.name, *arch);
        let root = printer.stage("root", |stage| {
            let fs = image::file_system(&rootfs.tree, &mut rootfs.bodies, self.settings()?, &workshop.cache)?;
            let root = disk.root(&fs, &rootfs.bodies, &salt, lock.epoch)?;
            stage.note(size::show(root.size));
            Ok(root)
        })?;
        let root_hash = Digest(root.verity.root);
        let cmdline = format!("hcimage.root={root_hash} {cmdline}");
        let os_release = ::tree::ImagePath::parse("usr/lib/os-release")?;
        let os_release = rootfs.tree.read_text(&os_release, &rootfs.bodies)?;
        let uki = boot::uki(&inputs, &os_release, &cmdline, &initrd)?;
        let (extent, parts) = printer.stage("disk", |stage| {
            let boot = disk.boot(boot::boot_files(*arch, &inputs, &uki)?, lock.epoch)?;
            stage.note(format!("kernel image {}", size::show(uki.len() as u64)));
            disk.finish(&root, boot)
        })?;

        let release = Release {
            schema: SCHEMA,
            profile: described.profile.name.clone(),
            arch: *arch,
            board: board.name.clone(),
            version: rootfs.version,
            epoch: lock.epoch,
            content_id,
            lock: lock.digest(),
            tool: tool.clone(),
            node: additions
                .node
                .iter()
                .map(|(name, binary)| (name.clone(), binary.described.clone()))
                .collect(),
            artifacts: additions
                .artifacts
                .iter()
                .map(|(name, artifact)| (name.clone(), artifact.described.clone()))
                .collect(),
            disk: extent,
            parts,
            verity: Verity { root_hash, salt, data_blocks: root.verity.data_blocks },
            kernel: Kernel { release: inputs.release.clone(), cmdline },
            ports: trees::ports(described).into_iter().cloned().collect(),
            lab: additions.lab_inputs(),
            update: Some(trees::update(described, lock)?),
        };
        let dropped = rootfs.assembled.dropped.into_iter().map(|it| (it.rule, it.files, it.bytes)).collect();
        let (uki_size, initrd_size) = (uki.len() as u64, initrd.len() as u64);
        let files = rootfs.tree.dump();
        Ok((disk, Built { release, root_size: root.size, uki_size, initrd_size, dropped, files }))
    }
}

/// Digest of everything that the image holds: ids and salts are derived from it.
fn content_id(
    tree: &Tree,
    profile: &crate::config::Profile,
    cmdline: &str,
    inputs: &boot::Inputs,
    initrd: &[u8],
) -> Digest {
    let settings = format!("{} {:?} {cmdline}", profile.board, profile.image);
    let root = tree_digest(tree);
    let inputs = inputs.digest();
    Digest::of_fields([settings.as_bytes(), &root.0, &inputs.0, &Digest::of(initrd).0])
}

/// Digest of a tree: every path with everything that its inode has. (Origins are not in the image.)
fn tree_digest(tree: &Tree) -> Digest {
    let mut first = BTreeMap::new();
    let lines: Vec<String> = tree
        .paths()
        .map(|(path, id)| {
            let node = tree.node(id);
            let same_as = first.entry(id).or_insert_with(|| path.clone());
            let kind = match &node.kind {
                ::tree::Kind::File(content @ (Content::Bytes(_) | Content::Stored { .. })) => {
                    format!("file {}", content.digest())
                }
                other => format!("{other:?}"),
            };
            format!(
                "{path} {same_as} {kind} {:o} {} {} {} {:?}",
                node.mode, node.uid, node.gid, node.mtime, node.xattrs
            )
        })
        .collect();
    Digest::of_fields(lines.iter().map(String::as_bytes))
}
