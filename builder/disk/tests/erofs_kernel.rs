//! The kernel mounts what we write, and finds every byte, owner, mode, time, link, attribute and device.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "the functions around the tests are tests too")]

mod erofs_support;

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use disk::erofs::{Kind, PackSettings, unpack};
use erofs_support::{Builder, from_host, nasty};

struct Mount {
    at: PathBuf,
    _dir: tempfile::TempDir,
}

impl Drop for Mount {
    fn drop(&mut self) {
        let status = Command::new("umount").arg("-l").arg(&self.at).status();
        assert!(
            status.is_ok_and(|s| s.success()) || std::thread::panicking(),
            "umount {}",
            self.at.display()
        );
    }
}

/// Mounts on a loop device; `None` where this machine does not let us.
fn mount(test: &str, image: &[u8]) -> Option<Mount> {
    let root = rustix::process::geteuid().is_root();
    let known = std::fs::read_to_string("/proc/filesystems").unwrap_or_default().contains("erofs");
    if !root || !known || !Path::new("/dev/loop-control").exists() {
        assert!(std::env::var_os("HCIMAGE_CI").is_none() || !root, "no erofs or no loop devices");
        eprintln!("skipped: {test}: needs root, loop devices and a kernel with erofs");
        return None;
    }
    let dir = tempfile::tempdir().unwrap();
    let (file, at) = (dir.path().join("image"), dir.path().join("mnt"));
    std::fs::write(&file, image).unwrap();
    std::fs::create_dir(&at).unwrap();
    let output =
        Command::new("mount").args(["-t", "erofs", "-o", "ro,loop"]).arg(&file).arg(&at).output().unwrap();
    assert!(output.status.success(), "mount: {}", String::from_utf8_lossy(&output.stderr));
    Some(Mount { at, _dir: dir })
}

fn compare(b: &Builder, at: &Path) {
    let mut names = 0;
    let mut first = std::collections::BTreeMap::new();
    for (path, id) in &b.fs.names {
        let host = at.join(path);
        let meta = host.symlink_metadata().unwrap_or_else(|e| panic!("{path}: {e}"));
        let inode = &b.fs.inodes[id.0];
        assert_eq!((meta.mode() & 0o7777) as u16, inode.mode, "mode of {path}");
        assert_eq!((meta.uid(), meta.gid()), (inode.uid, inode.gid), "owner of {path}");
        assert_eq!((meta.mtime(), meta.mtime_nsec()), (inode.mtime, 0), "mtime of {path}");
        assert_eq!(*first.entry(*id).or_insert(meta.ino()), meta.ino(), "identity of {path}");
        if inode.kind != Kind::Directory {
            let links = b.fs.names.values().filter(|other| *other == id).take(400).count();
            assert_eq!(meta.nlink(), links as u64, "links of {path}");
        }
        check_xattrs(&host, inode);
        check_kind(b, &host, &meta, &inode.kind);
        names += 1;
    }
    assert_eq!(count(at), names, "the image has other names too");
}

fn check_kind(b: &Builder, host: &Path, meta: &std::fs::Metadata, kind: &Kind) {
    let kind_of = meta.file_type();
    let device =
        |major, minor| assert_eq!(meta.rdev(), rustix::fs::makedev(major, minor), "{}", host.display());
    match kind {
        Kind::Directory => assert!(kind_of.is_dir()),
        Kind::File { shape, body } => {
            let bytes = std::fs::read(host).unwrap_or_else(|e| panic!("{}: {e}", host.display()));
            let expected = unpack(shape, &b.store.packed[*body as usize]).unwrap();
            assert!(bytes == expected, "bytes of {}", host.display());
        }
        Kind::Symlink(target) => assert_eq!(std::fs::read_link(host).unwrap(), Path::new(target)),
        Kind::CharDevice { major, minor } => {
            assert!(kind_of.is_char_device());
            device(*major, *minor);
        }
        Kind::BlockDevice { major, minor } => {
            assert!(kind_of.is_block_device());
            device(*major, *minor);
        }
        Kind::Fifo => assert!(kind_of.is_fifo()),
        Kind::Socket => assert!(kind_of.is_socket()),
    }
}

fn check_xattrs(host: &Path, inode: &disk::erofs::Inode) {
    let mut list = vec![0; 65_536];
    let len = rustix::fs::llistxattr(host, &mut list[..]).unwrap();
    let found: Vec<&[u8]> = list[..len].split(|b| *b == 0).filter(|name| !name.is_empty()).collect();
    assert_eq!(found.len(), inode.xattrs.len(), "{}: {found:?}", host.display());
    for (name, value) in &inode.xattrs {
        let mut got = vec![0; 65_536];
        let name = OsStr::new(std::str::from_utf8(name).unwrap());
        let len = rustix::fs::lgetxattr(host, name, &mut got[..]).unwrap();
        assert_eq!(&got[..len], &value[..], "{} {name:?}", host.display());
    }
}

fn count(at: &Path) -> usize {
    let below = |entry: std::fs::DirEntry| {
        if entry.file_type().unwrap().is_dir() { count(&entry.path()) } else { 1 }
    };
    1 + std::fs::read_dir(at).unwrap().map(|entry| below(entry.unwrap())).sum::<usize>()
}

#[test]
fn the_kernel_finds_the_nasty_tree() {
    for settings in [
        PackSettings::new(3, 64 << 10).unwrap(),
        PackSettings::new(9, 512 << 10).unwrap(),
        PackSettings::new(3, 1 << 20).unwrap(),
        PackSettings::uncompressed(),
    ] {
        let b = nasty(settings);
        let Some(mount) = mount("the_kernel_finds_the_nasty_tree", &b.image()) else { return };
        compare(&b, &mount.at);
    }
}

/// A tree of this machine, or the one that `HCIMAGE_TREE` names.
#[test]
fn the_kernel_finds_a_real_tree() {
    let root = std::env::var_os("HCIMAGE_TREE").unwrap_or_else(|| OsString::from("/usr/share/doc"));
    let b = from_host(Path::new(&root), PackSettings::new(3, 256 << 10).unwrap());
    let Some(mount) = mount("the_kernel_finds_a_real_tree", &b.image()) else { return };
    compare(&b, &mount.at);
}
