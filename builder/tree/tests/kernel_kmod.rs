//! kmod as the oracle: its depmod must write the same files, and its modprobe must find the same through ours.
//! The modules are assembled here. With `HCIMAGE_KERNEL_TREES` (directories separated by `:`, each a root with
//! `lib/modules/<release>`), real kernels are compared as well; `HCIMAGE_KMOD` is then the directory of another
//! version's depmod and modprobe.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "the functions around the tests are tests too")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use tree::{
    Content, ImagePath, Node, Origin, Tree,
    kernel::{self, NoCache, Rules},
};

/// Path, `.modinfo` strings, exported and needed symbols.
type Source<'a> = (&'a str, &'a [&'a str], &'a [&'a str], &'a [&'a str]);

const RELEASE: &str = "6.12.0-test";

/// Whether all tools are there; if not, says so, and fails where they must be.
fn tools(test: &str, names: &[&str]) -> bool {
    let there = |name: &str| Command::new(name).arg("--version").output().is_ok();
    let missing = names.iter().find(|name| !there(name));
    if let Some(name) = missing {
        assert!(std::env::var_os("HCIMAGE_CI").is_none(), "{test}: {name} is not installed");
        eprintln!("skipped: {test}: {name} is not installed");
    }
    missing.is_none()
}

struct Root(tempfile::TempDir);

impl Root {
    /// Assembles modules.
    fn new(modules: &[Source]) -> Self {
        let root = Self(tempfile::tempdir().unwrap());
        let mut order = String::new();
        for (path, info, exports, needs) in modules {
            let file = root.modules().join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            let plain = path.strip_suffix(".xz").unwrap_or(path);
            order += &format!("{plain}\n");
            let mut source = ".section .modinfo,\"a\"\n".to_owned();
            info.iter().for_each(|text| source += &format!(".asciz \"{text}\"\n"));
            source += ".section __ksymtab_strings,\"a\"\n";
            exports.iter().for_each(|name| source += &format!(".asciz \"{name}\"\n"));
            source += ".data\n";
            needs.iter().for_each(|name| source += &format!(".quad {name}\n"));
            let (assembly, object) = (root.0.path().join("x.s"), root.modules().join(plain));
            fs::write(&assembly, source).unwrap();
            run(Command::new("as").arg("-o").arg(&object).arg(&assembly));
            if plain != *path {
                run(Command::new("xz").args(["--check=crc32"]).arg(&object));
            }
        }
        // The last one is not listed.
        let listed = order.trim_end().rfind('\n').map_or("", |end| &order[..=end]);
        fs::write(root.modules().join("modules.order"), listed).unwrap();
        fs::write(root.modules().join("modules.builtin"), "kernel/lib/core-x.ko\nkernel/fs/ext9.ko\n")
            .unwrap();
        let modinfo =
            b"core_x.license=GPL\0core_x.alias=crypto-core\0ext9.alias=fs-ext[2-9]\0ext9.alias=fs-e\0";
        fs::write(root.modules().join("modules.builtin.modinfo"), modinfo).unwrap();
        root
    }

    fn modules(&self) -> PathBuf {
        self.0.path().join("lib/modules").join(RELEASE)
    }
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The tree with what lies in `directory` at `/usr/lib/modules/<release>`.
fn tree_of(directory: &Path, release: &str) -> Tree {
    let mut tree = Tree::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(at) = pending.pop() {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            let below = path.strip_prefix(directory).unwrap().to_str().unwrap();
            let name = ImagePath::parse(&format!("usr/lib/modules/{release}/{below}")).unwrap();
            if path.is_dir() {
                pending.push(path);
            } else {
                let node = Node::file(Content::bytes(fs::read(&path).unwrap()), 0o644, Origin::Frame);
                tree.insert(&name, node).unwrap();
            }
        }
    }
    tree
}

/// Runs our depmod and kmod's over one directory of modules and compares every file; then asks modprobe for each
/// module through kmod's files and through ours. Gives the number of modules.
fn compare(root: &Path, release: &str, kmod: &str) -> usize {
    let directory = root.join("lib/modules").join(release);
    let made = |name: &str| {
        name.ends_with(".bin")
            || ["dep", "alias", "symbols", "softdep", "weakdep", "devname"]
                .contains(&&name["modules.".len()..])
    };
    for entry in fs::read_dir(&directory).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name().to_str().is_some_and(|name| name.starts_with("modules.") && made(name)) {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    let mut tree = tree_of(&directory, release);
    let none = BTreeMap::new();
    let installed = kernel::apply(&mut tree, &none, &Rules::default(), &NoCache).unwrap().remove(0);
    assert_eq!(installed.selection.dropped, [""; 0]);
    run(tool(kmod, "depmod").arg("-b").arg(root).arg(release));
    let ours = installed.modules.files();
    let version = run(tool(kmod, "depmod").arg("--version"));
    let version: u32 = version.split_whitespace().nth(2).unwrap().split('.').next().unwrap().parse().unwrap();
    let mut compared = 0;
    for (name, bytes) in &ours {
        let Ok(theirs) = fs::read(directory.join(name)) else {
            assert_eq!(*name, "modules.weakdep", "kmod before 33 does not write it, and only it");
            continue;
        };
        match *name {
            "modules.symbols" => assert!(lines(bytes) == lines(&theirs), "{name} has other lines"),
            // Before 34 kmod wrote a node's children in front of it.
            _ if version < 34 && name.ends_with(".bin") => assert_eq!(dump(bytes), dump(&theirs), "{name}"),
            _ => assert!(*bytes == theirs, "{name} differs: {} and {} bytes", bytes.len(), theirs.len()),
        }
        compared += 1;
    }
    assert!(compared >= 10);
    let modules = installed.modules.modules();
    let show = |module: &kernel::Module| {
        let mut modprobe = tool(kmod, "modprobe");
        run(modprobe.args(["--show-depends", "-S", release, "-d"]).arg(root).arg(module.name()))
    };
    // modprobe takes 2 ms: every module of a small set, and every 16th of a real kernel.
    let some = || modules.iter().step_by(1 + modules.len() / 256);
    let theirs: Vec<String> = some().map(show).collect();
    ours.iter().for_each(|(name, bytes)| fs::write(directory.join(name), bytes).unwrap());
    for (module, theirs) in some().zip(theirs) {
        assert_eq!(show(module), theirs, "{}", module.path);
    }
    modules.len()
}

/// An index file as key, priority and value.
fn dump(file: &[u8]) -> Vec<(String, u32, String)> {
    let word = |at: usize| u32::from_be_bytes(file[at..at + 4].try_into().unwrap());
    let text = |at: usize| file[at..].split(|byte| *byte == 0).next().unwrap().escape_ascii().to_string();
    let mut found = Vec::new();
    let mut pending = vec![(word(8), String::new())];
    while let Some((offset, mut key)) = pending.pop() {
        let mut at = (offset & 0x0FFF_FFFF) as usize;
        if offset & 0x8000_0000 != 0 {
            key += &text(at);
            at += text(at).len() + 1;
        }
        if offset & 0x2000_0000 != 0 {
            let (first, last) = (file[at], file[at + 1]);
            for (index, byte) in (first..=last).enumerate() {
                match word(at + 2 + 4 * index) {
                    0 => {}
                    child => pending.push((child, format!("{key}{}", byte as char))),
                }
            }
            at += 2 + 4 * (usize::from(last - first) + 1);
        }
        if offset & 0x4000_0000 != 0 {
            let count = word(at);
            at += 4;
            for _ in 0..count {
                found.push((key.clone(), word(at), text(at + 4)));
                at += 4 + text(at + 4).len() + 1;
            }
        }
    }
    found.sort();
    found
}

fn lines(bytes: &[u8]) -> BTreeSet<&[u8]> {
    bytes.split(|byte| *byte == b'\n').collect()
}

fn tool(directory: &str, name: &str) -> Command {
    Command::new(if directory.is_empty() { PathBuf::from(name) } else { Path::new(directory).join(name) })
}

const SMALL: &[Source] = &[
    (
        "kernel/fs/top-fs.ko.xz",
        &["alias=fs-top", "softdep=pre: crypto-core lib-c", "depends=mid"],
        &[],
        &["mid_a"],
    ),
    (
        "kernel/lib/mid.ko",
        &["alias=a-[0-9]-b", "license=GPL"],
        &["mid_a", "mid_b"],
        &["c_a", "b_a", "printk"],
    ),
    ("kernel/lib/lib-b.ko.xz", &["alias=x]y", "alias=pci:v00008086d*"], &["b_a"], &["c_a"]),
    (
        "kernel/lib/lib-c.ko",
        &["alias=pci:v00008086d*", "alias=pci:v00008087", "devname=x", "alias=devname:net/tun"],
        &["c_a", "c_"],
        &[],
    ),
    (
        "kernel/tun.ko",
        &["alias=char-major-10-200", "alias=devname:net/tun", "weakdep=mid"],
        &[],
        &["c_", "c_a"],
    ),
    ("updates/late.ko", &["alias=char-major-7-*", "firmware=a/b.bin"], &[], &["b_a", "mid_b"]),
];

#[test]
fn depmod_writes_the_same_files() {
    if tools("depmod_writes_the_same_files", &["depmod", "modprobe", "as", "xz"]) {
        let root = Root::new(SMALL);
        assert_eq!(compare(root.0.path(), RELEASE, ""), SMALL.len());
    }
}

#[test]
fn real_kernels_too() {
    let Ok(roots) = std::env::var("HCIMAGE_KERNEL_TREES") else {
        return eprintln!("skipped: real_kernels_too: HCIMAGE_KERNEL_TREES is not set");
    };
    let kmod = std::env::var("HCIMAGE_KMOD").unwrap_or_default();
    for root in roots.split(':') {
        let releases = fs::read_dir(Path::new(root).join("lib/modules")).unwrap();
        for release in releases {
            let release = release.unwrap().file_name().into_string().unwrap();
            assert!(compare(Path::new(root), &release, &kmod) > 1000, "{root} {release}");
        }
    }
}
