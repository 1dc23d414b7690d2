//! ldconfig as the oracle of the library cache. `HCIMAGE_LDCONFIG_ROOTS` (separated by `:`) names roots of real systems to
//! compare as well, with their own ldconfig (in a chroot, as root) if they are for this machine.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "the functions around the tests are tests too")]

use contract::Arch;
use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt, path::Path, process::Command};
use tree::{
    Content, ImagePath, Kind, Node, Origin, Tree,
    effects::ldconfig::{apply, generator},
};

fn installed(test: &str, names: &[&str]) -> bool {
    let missing = names.iter().find(|name| Command::new(name).arg("--version").output().is_err());
    if let Some(name) = missing {
        assert!(std::env::var_os("HCIMAGE_CI").is_none(), "{test}: {name} is not installed");
        eprintln!("skipped: {test}: {name} is not installed");
    }
    missing.is_none()
}

/// What below `root` concerns the dynamic linker, as a tree; big files that are no libraries stay out.
fn tree_of(root: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut pending = vec![root.to_owned()];
    while let Some(at) = pending.pop() {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            let below = path.strip_prefix(root).unwrap().to_str().unwrap();
            let wanted = |top: &str| top.starts_with(below) || below.starts_with(top);
            let skipped = below.starts_with("usr/lib/modules") || below.starts_with("usr/lib/python");
            if skipped
                || !["lib", "lib64", "usr/lib", "usr/local/lib", "etc/ld.so", "opt"].into_iter().any(wanted)
            {
                continue;
            }
            let kind = fs::symlink_metadata(&path).unwrap();
            let name = ImagePath::parse(below).unwrap();
            let node = if kind.is_dir() {
                pending.push(path);
                Node::directory(0o755, Origin::Frame)
            } else if kind.is_symlink() {
                Node::symlink(fs::read_link(&path).unwrap().to_str().unwrap(), Origin::Frame)
            } else if kind.is_file() {
                Node::file(Content::bytes(fs::read(&path).unwrap()), 0o644, Origin::Frame)
            } else {
                continue;
            };
            tree.insert(&name, node).unwrap();
        }
    }
    tree
}

fn cache_of(tree: &Tree) -> Vec<u8> {
    match &tree.get(&ImagePath::parse("etc/ld.so.cache").unwrap()).unwrap().kind {
        Kind::File(Content::Bytes(bytes)) => bytes.to_vec(),
        other => panic!("{other:?}"),
    }
}

/// The name of the program that wrote a cache: the text at its end.
fn generator_in(cache: &[u8]) -> String {
    let at = cache.windows(9).rposition(|window| window == b"ldconfig ").unwrap();
    String::from_utf8(cache[at..].to_vec()).unwrap()
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A shared library from an assembler and a linker.
fn library(root: &Path, path: &str, soname: &str, isa: &str) {
    let file = root.join(path);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    let object = root.join("x.o");
    let source = root.join("x.s");
    fs::write(&source, ".data\n.quad 1\n").unwrap();
    run(Command::new("as").arg("-o").arg(&object).arg(&source));
    let mut ld = Command::new("ld");
    ld.args(["-shared", "-o"]).arg(&file).arg(&object);
    if !isa.is_empty() {
        ld.args(["-z", isa]);
    }
    if !soname.is_empty() {
        ld.args(["-soname", soname]);
    }
    run(&mut ld);
}

#[test]
fn the_cache_is_that_of_ldconfig() {
    if !installed("the_cache_is_that_of_ldconfig", &["ldconfig", "as", "ld"])
        || cfg!(not(target_arch = "x86_64"))
    {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let lib = "usr/lib/x86_64-linux-gnu";
    library(root, &format!("{lib}/liba.so.1.9"), "liba.so.1", "");
    library(root, &format!("{lib}/liba.so.1.10"), "liba.so.1", "");
    library(root, &format!("{lib}/libplain.so"), "", "");
    library(root, "opt/x/libb-2.so", "libb.so.0", "");
    library(root, "usr/local/lib/libc9.so.7", "libc9.so.7", "");
    library(root, &format!("{lib}/glibc-hwcaps/x86-64-v3/liba.so.1.10"), "liba.so.1", "x86-64-v3");
    library(root, &format!("{lib}/glibc-hwcaps/x86-64-v2/liba.so.1"), "liba.so.1", "");
    fs::write(root.join(lib).join("libscript.so"), "/* GNU ld script */ GROUP ( liba.so.1 ) ".repeat(9))
        .unwrap();
    fs::write(root.join(lib).join("libother.so.1;abc"), "x").unwrap();
    std::os::unix::fs::symlink("liba.so.1.10", root.join(lib).join("liba.so")).unwrap();
    std::os::unix::fs::symlink("nowhere", root.join(lib).join("libgone.so")).unwrap();
    std::os::unix::fs::symlink("usr/lib", root.join("lib")).unwrap();
    fs::create_dir_all(root.join("etc/ld.so.conf.d")).unwrap();
    fs::write(root.join("etc/ld.so.conf"), "# all\ninclude /etc/ld.so.conf.d/*.conf\n").unwrap();
    fs::write(root.join("etc/ld.so.conf.d/a.conf"), "/usr/local/lib/ # local\n/nowhere\n/opt/x\n").unwrap();
    fs::write(root.join("etc/ld.so.conf.d/b.conf"), "/lib/x86_64-linux-gnu\n").unwrap();
    let mut tree = tree_of(root);
    run(Command::new("ldconfig").arg("-r").arg(root));
    let theirs = fs::read(root.join("etc/ld.so.cache")).unwrap();
    let linked = apply(&mut tree, &BTreeMap::new(), Arch::X86_64, &generator_in(&theirs)).unwrap();
    let ours = cache_of(&tree);
    assert_eq!(dump(&ours, root), dump(&theirs, root));
    assert!(ours == theirs);
    assert_eq!(linked.libraries, 7);
    for (link, target) in &linked.links {
        assert_eq!(fs::read_link(root.join(link.as_str())).unwrap().to_str().unwrap(), target, "{link}");
    }
    assert_eq!(linked.links.len(), 2);
}

/// What `ldconfig -p` makes of a cache.
fn dump(cache: &[u8], root: &Path) -> String {
    let file = root.join("cache-to-print");
    fs::write(&file, cache).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let text = run(Command::new("ldconfig").arg("-p").arg("-C").arg(&file));
    text.split_once('\n').unwrap().1.to_owned()
}

#[test]
fn real_roots_too() {
    let Ok(roots) = std::env::var("HCIMAGE_LDCONFIG_ROOTS") else {
        return eprintln!("skipped: real_roots_too: HCIMAGE_LDCONFIG_ROOTS is not set");
    };
    for root in roots.split(':').map(Path::new) {
        let mut tree = tree_of(root);
        let arch =
            *Arch::ALL.iter().find(|arch| root.join("usr/lib").join(arch.multiarch()).is_dir()).unwrap();
        let scratch = tempfile::tempdir().unwrap();
        if arch.name() != std::env::consts::ARCH {
            // This machine's ldconfig can print a cache for any.
            let linked = apply(&mut tree, &BTreeMap::new(), arch, &generator("2.41-12")).unwrap();
            let lines = dump(&cache_of(&tree), scratch.path()).matches(",AArch64) => /").count();
            assert!(lines > 20 && lines == linked.libraries, "{lines} {}", linked.libraries);
            continue;
        }
        run(Command::new("chroot").arg(root).args(["/usr/sbin/ldconfig", "-X", "-i", "-C", "/tmp/cache"]));
        let theirs = fs::read(root.join("tmp/cache")).unwrap();
        let linked = apply(&mut tree, &BTreeMap::new(), arch, &generator_in(&theirs)).unwrap();
        let ours = cache_of(&tree);
        assert_eq!(dump(&ours, scratch.path()), dump(&theirs, scratch.path()));
        assert!(ours == theirs && linked.libraries > 20, "{linked:?}");
    }
}
