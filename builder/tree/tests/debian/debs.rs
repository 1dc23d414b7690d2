//! Packages read with dpkg's own tools, for tests.

use contract::Digest;
use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read as _,
    path::Path,
    process::Command,
};
use tree::{Content, Entry, ImagePath, Kind, Node, Origin, Package, ScriptKind};

pub(crate) fn read(deb: &Path, contents: &mut BTreeMap<Digest, Vec<u8>>) -> Package {
    let members = |kind: &str| {
        let out = Command::new("dpkg-deb").arg(kind).arg(deb).output().unwrap();
        assert!(out.status.success(), "dpkg-deb {kind} {}", deb.display());
        out.stdout
    };
    let mut package = Package {
        name: String::new(),
        version: String::new(),
        arch: String::new(),
        multi_arch_same: false,
        replaces: BTreeSet::new(),
        entries: Vec::new(),
        scripts: BTreeMap::new(),
        triggers: String::new(),
        control: String::new(),
    };
    for member in tar::Archive::new(&members("--ctrl-tarfile")[..]).entries().unwrap() {
        let mut member = member.unwrap();
        let name = member.path().unwrap().to_string_lossy().trim_start_matches("./").to_owned();
        let mut bytes = Vec::new();
        member.read_to_end(&mut bytes).unwrap();
        let text = || String::from_utf8(bytes.clone()).unwrap();
        match name.as_str() {
            "control" => package.control = text(),
            "triggers" => package.triggers = text(),
            "preinst" => drop(package.scripts.insert(ScriptKind::Preinst, bytes)),
            "postinst" => drop(package.scripts.insert(ScriptKind::Postinst, bytes)),
            _ => {}
        }
    }
    let field = |name: &str| {
        let line = package.control.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
        line.unwrap_or_default().to_owned()
    };
    let names = |text: String| {
        let names = text.split(',').filter_map(|one| one.split_whitespace().next()).map(str::to_owned);
        names.collect::<BTreeSet<String>>()
    };
    (package.replaces, package.multi_arch_same) = (names(field("Replaces")), field("Multi-Arch") == "same");
    (package.name, package.version, package.arch) =
        (field("Package"), field("Version"), field("Architecture"));
    let origin = Origin::Package(package.name.clone());
    for member in tar::Archive::new(&members("--fsys-tarfile")[..]).entries().unwrap() {
        let mut member = member.unwrap();
        let path = ImagePath::parse(&member.path().unwrap().to_string_lossy()).unwrap();
        let target = member.link_name().unwrap().map(|target| target.to_string_lossy().into_owned());
        let header = member.header().clone();
        let mut link = None;
        let kind = match header.entry_type() {
            tar::EntryType::Directory => Kind::Directory,
            tar::EntryType::Symlink => Kind::Symlink(target.unwrap()),
            tar::EntryType::Link => {
                link = Some(ImagePath::parse(&target.unwrap()).unwrap());
                Kind::File(Content::bytes(""))
            }
            tar::EntryType::Regular => {
                let mut bytes = Vec::new();
                member.read_to_end(&mut bytes).unwrap();
                let (digest, size) = (Digest::of(&bytes), bytes.len() as u64);
                if size < 1 << 20 || path.name().ends_with(".hwdb") {
                    contents.insert(digest, bytes);
                }
                Kind::File(Content::Stored { digest, size })
            }
            other => panic!("{other:?}"),
        };
        let mode = u16::try_from(header.mode().unwrap() & 0o7777).unwrap();
        let (uid, gid) = (header.uid().unwrap(), header.gid().unwrap());
        let node = Node {
            kind,
            mode,
            uid: u32::try_from(uid).unwrap(),
            gid: u32::try_from(gid).unwrap(),
            mtime: i64::try_from(header.mtime().unwrap()).unwrap(),
            xattrs: BTreeMap::new(),
            origin: origin.clone(),
        };
        package.entries.push(Entry { path, node, link });
    }
    package
}
