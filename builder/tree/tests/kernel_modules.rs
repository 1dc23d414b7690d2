//! Readers of modules and of cached facts take any bytes without a panic; the initrd's closure on a small set.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "the functions around the tests are tests too")]

use proptest::prelude::*;
use tree::kernel::{Facts, Module, ModuleSet, Shipped, initrd_modules, modules::decompress};

/// An ELF header with one section table entry after another, so that damage reaches what lies behind the header.
fn elf(body: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(64, 0);
    bytes[16] = 1;
    bytes[20] = 1;
    bytes[40] = 64;
    bytes[52] = 64;
    bytes[58] = 64;
    bytes[60] = 4;
    bytes[62] = 1;
    bytes.extend_from_slice(body);
    bytes
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(body in proptest::collection::vec(any::<u8>(), 0..600)) {
        for path in ["a.ko", "a.ko.xz", "a.ko.zst"] {
            prop_assert!(Facts::of_file(path, &body).is_err());
        }
        // A table of sections of zeros is a module without anything; both answers are fine.
        if let Ok(facts) = Facts::of_object("a.ko", &elf(&body)) {
            prop_assert_eq!(Facts::from_bytes(&facts.to_bytes()).unwrap(), facts);
        }
        prop_assert!(Facts::from_bytes(&body).is_err());
    }

    #[test]
    fn facts_survive_the_cache(lists in proptest::collection::vec(proptest::collection::vec("[ -~]{1,9}", 0..4), 7)) {
        let mut lists = lists.into_iter();
        let mut next = || lists.next().unwrap();
        let facts = Facts {
            aliases: next(), depends: next(), softdeps: next(), weakdeps: next(),
            firmware: next(), exports: next(), needs: next(),
        };
        let bytes = facts.to_bytes();
        prop_assert_eq!(&Facts::from_bytes(&bytes).unwrap(), &facts);
        for cut in 0..bytes.len() {
            prop_assert!(Facts::from_bytes(&bytes[..cut]).is_err());
        }
    }
}

fn module(path: &str, aliases: &[&str], softdep: &str, exports: &[&str], needs: &[&str]) -> Module {
    let own = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
    let softdeps = if softdep.is_empty() { Vec::new() } else { vec![softdep.to_owned()] };
    let facts = Facts {
        aliases: own(aliases),
        softdeps,
        exports: own(exports),
        needs: own(needs),
        ..Facts::default()
    };
    Module { path: path.to_owned(), facts }
}

fn set() -> ModuleSet {
    let modules = vec![
        module(
            "kernel/fs/erofs-x.ko.xz",
            &["fs-erofs"],
            "pre: crypto-sha256 post: after nowhere",
            &[],
            &["lib"],
        ),
        module("kernel/lib/lib.ko.xz", &[], "", &["lib"], &["deep"]),
        module("kernel/lib/deep.ko.xz", &[], "", &["deep"], &["printk"]),
        module("kernel/crypto/sha256-generic.ko.xz", &["sha256", "crypto-sha256"], "", &[], &[]),
        module("kernel/crypto/sha256-ssse3.ko.xz", &["crypto-sha256"], "", &[], &["deep"]),
        module("kernel/after.ko.xz", &[], "pre: erofs_x", &[], &[]),
        module("kernel/unused.ko.xz", &["pci:v*d00001234*"], "", &[], &[]),
    ];
    let shipped = Shipped {
        order: "kernel/lib/deep.ko\n",
        builtin: "kernel/drivers/ext4-x.ko\n",
        builtin_modinfo: b"ext4_x.alias=fs-ext4\0",
    };
    ModuleSet::new(modules, &shipped).unwrap()
}

#[test]
fn the_initrd_gets_everything_that_its_roots_need() {
    let loaded = initrd_modules(&set(), &["erofs-x".into(), "fs-ext4".into(), "ext4-x".into()]).unwrap();
    let names: Vec<_> = loaded.paths.iter().map(|path| path.rsplit('/').next().unwrap()).collect();
    let order = [
        "sha256-generic.ko.xz",
        "deep.ko.xz",
        "sha256-ssse3.ko.xz",
        "lib.ko.xz",
        "erofs-x.ko.xz",
        "after.ko.xz",
    ];
    assert_eq!(names, order);
    assert_eq!(loaded.builtin, ["fs-ext4", "ext4-x"]);
    assert_eq!(loaded.missing, [("erofs_x".to_owned(), "nowhere".to_owned())]);
    let files = loaded.depmod(&set(), &Shipped::default()).unwrap();
    let dep = String::from_utf8(files["modules.dep"].clone()).unwrap();
    assert!(dep.contains("kernel/fs/erofs-x.ko: kernel/lib/lib.ko kernel/lib/deep.ko\n"), "{dep}");
    assert!(!dep.contains("unused"));
}

#[test]
fn names_patterns_and_devices_find_modules() {
    for (root, count) in [("lib/*", 2), ("pci:v00008086d00001234sv0", 1), ("crypto/**", 3), ("fs-erofs", 6)] {
        assert_eq!(initrd_modules(&set(), &[root.to_owned()]).unwrap().paths.len(), count, "{root}");
    }
}

#[test]
fn unknown_roots_are_errors_with_a_way_out() {
    for (root, message) in [
        ("erofsx", "no module, alias or built-in of the kernel is called `erofsx`; did you mean `erofs_x`?"),
        ("fs/nothing*", "pattern `fs/nothing*` matches no module"),
        ("fs/erofs.ko", "pattern `fs/erofs.ko`: modules are named without `.ko`, relative to `kernel/`"),
    ] {
        assert_eq!(initrd_modules(&set(), &[root.to_owned()]).unwrap_err().to_string(), message);
    }
}

#[test]
fn modules_that_need_each_other_are_refused() {
    let modules = vec![module("a.ko", &[], "", &["a"], &["b"]), module("b-b.ko", &[], "", &["b"], &["a"])];
    let error = ModuleSet::new(modules, &Shipped::default()).unwrap_err();
    assert_eq!(error.to_string(), "modules need each other in a circle: a, b_b");
}

#[test]
fn a_decompressor_does_not_fill_the_memory() {
    let zeros = zstd::bulk::compress(&vec![0; 300 << 20], 1).unwrap();
    let error = decompress("bomb.ko.zst", &zeros).unwrap_err().to_string();
    assert_eq!(error, "bomb.ko.zst: decompresses to more than 268435456 bytes");
}
