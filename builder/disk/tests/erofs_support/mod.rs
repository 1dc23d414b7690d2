//! Trees for the tests of the EROFS writer, and the tools that judge its images.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part")]

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::process::Command;

use contract::Epoch;
use disk::erofs::{Bodies, FileSystem, Inode, InodeId, Kind, PackSettings, Plan, Volume, pack};

pub const EPOCH: i64 = 1_760_000_000;

/// Packed files and their plain bytes, by body id.
#[derive(Default)]
pub struct Store {
    pub packed: Vec<Vec<u8>>,
}

impl Bodies for Store {
    fn body(&self, id: u64) -> io::Result<Cow<'_, [u8]>> {
        let body = self.packed.get(id as usize).ok_or_else(|| io::Error::other("no such body"))?;
        Ok(Cow::Borrowed(body))
    }
}

pub struct Builder {
    pub fs: FileSystem,
    pub store: Store,
    pub contents: BTreeMap<String, Vec<u8>>,
    pub settings: PackSettings,
}

impl Builder {
    pub fn new(settings: PackSettings) -> Self {
        Self { fs: FileSystem::default(), store: Store::default(), contents: BTreeMap::new(), settings }
    }

    pub fn add(&mut self, path: &str, mode: u16, kind: Kind) -> InodeId {
        let inode = Inode { mode, uid: 0, gid: 0, mtime: EPOCH, xattrs: BTreeMap::new(), kind };
        self.fs.add(path, inode)
    }

    pub fn dir(&mut self, path: &str) -> InodeId {
        self.add(path, 0o755, Kind::Directory)
    }

    pub fn file(&mut self, path: &str, bytes: &[u8]) -> InodeId {
        let packed = pack(bytes, self.settings).unwrap();
        let body = self.store.packed.len() as u64;
        self.store.packed.push(packed.bytes);
        self.contents.insert(path.to_owned(), bytes.to_vec());
        self.add(path, 0o644, Kind::File { shape: packed.shape, body })
    }

    pub fn inode(&mut self, id: InodeId) -> &mut Inode {
        &mut self.fs.inodes[id.0]
    }

    pub fn image(&self) -> Vec<u8> {
        let volume = volume();
        let plan = Plan::new(&self.fs, &volume).unwrap();
        let mut image = Vec::new();
        plan.write(&mut image, &self.store).unwrap();
        assert_eq!(image.len() as u64, plan.size());
        assert_eq!(image.len() % 4096, 0);
        image
    }
}

pub fn volume() -> Volume {
    Volume { uuid: *b"0123456789abcdef", epoch: Epoch(EPOCH), label: "hcroot".to_owned() }
}

/// Bytes that do not compress, the same every time.
pub fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..len).map(|_| next()).collect()
}

/// Bytes that compress to about a third, and differ everywhere.
pub fn text(len: usize, seed: u64) -> Vec<u8> {
    let words =
        ["the ", "share ", "of ", "node ", "volume ", "is ", "mounted\n", "read-only ", "unit ", "42 "];
    let mut out = Vec::with_capacity(len + 16);
    for byte in noise(len / 2 + 16, seed) {
        out.extend_from_slice(words[usize::from(byte) % words.len()].as_bytes());
        if out.len() >= len {
            break;
        }
    }
    out.truncate(len);
    out
}

/// Everything that has gone wrong in such writers, in one tree.
pub fn nasty(settings: PackSettings) -> Builder {
    let mut b = Builder::new(settings);
    b.dir("");
    sizes(&mut b);
    names(&mut b);
    inodes(&mut b);
    b
}

fn sizes(b: &mut Builder) {
    b.dir("sizes");
    let extent = b.settings.extent_size() as usize;
    let mut lens =
        vec![0, 1, 2, 31, 100, 3839, 3840, 3841, 4095, 4096, 4097, 8191, 8192, 8193, 65_536, 100_000];
    for n in 1..=4 {
        lens.extend([extent * n - 1, extent * n, extent * n + 1, extent * n + 5000, extent * n + 8192]);
    }
    lens.sort_unstable();
    lens.dedup();
    for (at, len) in lens.into_iter().enumerate() {
        b.file(&format!("sizes/text-{len}"), &text(len, at as u64));
        b.file(&format!("sizes/noise-{len}"), &noise(len, at as u64));
        b.file(&format!("sizes/zeros-{len}"), &vec![0; len]);
        // Compressible, then not, then compressible: plain and compressed extents in one file.
        let mixed = [text(len / 3, 1), noise(len / 3, at as u64), text(len - len / 3 * 2, 2)].concat();
        b.file(&format!("sizes/mixed-{len}"), &mixed);
    }
    for blocks in [1, 2, 3, 5, 15, 16, 17, 31, 33, 63, 65, 127, 129] {
        let parts: Vec<_> =
            (0..blocks).map(|at| if at % 2 == 0 { text(4096, at) } else { noise(4096, at) }).collect();
        b.file(&format!("sizes/stripes-{blocks}"), &parts.concat());
    }
    b.file("sizes/long-text", &text(3_000_001, 77));
    b.file("sizes/long-noise", &noise(1_300_001, 78));
}

fn names(b: &mut Builder) {
    b.dir("names");
    for at in 0..5000 {
        b.file(&format!("names/{at:05}"), format!("{at}\n").as_bytes());
    }
    b.dir("long");
    for at in 0..40 {
        b.file(&format!("long/{at:x<255}", at = format!("{at}-")), b"long name");
    }
    b.dir("utf8");
    for name in
        ["grüße", "日本語のファイル", "emoji 🦀 crab", "!first", "+plus", "-dash", "a b\tc\n", "\"quote\\"]
    {
        b.file(&format!("utf8/{name}"), name.as_bytes());
    }
    b.dir("empty");
    let mut deep = "deep".to_owned();
    for _ in 0..50 {
        b.dir(&deep);
        deep.push_str("/d");
    }
    b.file(&deep, b"bottom");
}

fn inodes(b: &mut Builder) {
    b.dir("inodes");
    b.dir("inodes/other");
    let one = b.file("inodes/one", &text(20_000, 5));
    for name in ["inodes/two", "inodes/other/three", "zz-four"] {
        b.fs.link(name, one);
    }
    let many = b.file("inodes/many", b"x");
    for at in 0..300 {
        b.fs.link(format!("inodes/other/link{at}"), many);
    }
    let id = b.file("inodes/setuid", b"#!/bin/false\n");
    b.inode(id).mode = 0o6755;
    let id = b.dir("inodes/sticky");
    b.inode(id).mode = 0o1777;
    let id = b.file("inodes/owned", b"o");
    (b.inode(id).uid, b.inode(id).gid) = (1000, 65_535);
    let id = b.file("inodes/owned32", &text(9000, 3));
    (b.inode(id).uid, b.inode(id).gid) = (100_000, 4_000_000_000);
    for (name, mtime) in [("epoch", 0), ("negative", -1), ("later", EPOCH + 1), ("far", 5_000_000_000)] {
        let id = b.file(&format!("inodes/mtime-{name}"), &text(5000, 9));
        b.inode(id).mtime = mtime;
    }
    let id = b.file("inodes/cap", &text(40_000, 11));
    // VFS_CAP_REVISION_2, effective, cap_net_raw.
    let capability = [1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    b.inode(id).xattrs.insert(b"security.capability".to_vec(), capability.to_vec());
    b.inode(id).xattrs.insert(b"user.note".to_vec(), b"hello".to_vec());
    let id = b.file("inodes/attrs", b"tiny");
    for at in 0..60 {
        let (name, value) = (format!("user.attribute-{at}"), text(at * 7, at as u64));
        b.inode(id).xattrs.insert(name.into_bytes(), value);
    }
    let acl = [
        2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 232, 3, 0, 0, 4, 0, 4, 0, 255, 255, 255, 255,
    ]
    .into_iter()
    .chain([16, 0, 4, 0, 255, 255, 255, 255, 32, 0, 4, 0, 255, 255, 255, 255])
    .collect::<Vec<u8>>();
    let id = b.dir("inodes/acl");
    b.inode(id).mode = 0o644;
    b.inode(id).xattrs.insert(b"system.posix_acl_access".to_vec(), acl.clone());
    b.inode(id).xattrs.insert(b"system.posix_acl_default".to_vec(), acl);
    b.inode(id).xattrs.insert(b"trusted.overlay.opaque".to_vec(), b"y".to_vec());
    b.add("inodes/null", 0o666, Kind::CharDevice { major: 1, minor: 3 });
    b.add("inodes/disk", 0o660, Kind::BlockDevice { major: 259, minor: 70_000 });
    b.add("inodes/pipe", 0o600, Kind::Fifo);
    b.add("inodes/socket", 0o700, Kind::Socket);
    b.add("inodes/link", 0o777, Kind::Symlink("one".to_owned()));
    b.add("inodes/dangling", 0o777, Kind::Symlink("/no/such/ünicode".to_owned()));
    for len in [2000, 3840, 3841, 4095] {
        b.add(&format!("inodes/link-{len}"), 0o777, Kind::Symlink("l".repeat(len)));
    }
}

/// A copy of a directory of this machine. Sockets and unreadable names are not expected.
pub fn from_host(root: &Path, settings: PackSettings) -> Builder {
    let mut b = Builder::new(settings);
    let mut seen = BTreeMap::new();
    walk(&mut b, root, "", &mut seen);
    b
}

fn walk(b: &mut Builder, host: &Path, path: &str, seen: &mut BTreeMap<(u64, u64), InodeId>) {
    let meta = host.symlink_metadata().unwrap();
    let kind = meta.file_type();
    if !meta.is_dir()
        && let Some(id) = seen.get(&(meta.dev(), meta.ino()))
    {
        b.fs.link(path, *id);
        return;
    }
    let id = if kind.is_dir() {
        b.dir(path)
    } else if kind.is_symlink() {
        let target = std::fs::read_link(host).unwrap();
        b.add(path, 0o777, Kind::Symlink(target.to_str().unwrap().to_owned()))
    } else if kind.is_file() {
        b.file(path, &std::fs::read(host).unwrap())
    } else {
        assert!(kind.is_char_device() || kind.is_block_device(), "{}", host.display());
        return;
    };
    seen.insert((meta.dev(), meta.ino()), id);
    let inode = b.inode(id);
    (inode.mode, inode.uid, inode.gid) = ((meta.mode() & 0o7777) as u16, meta.uid(), meta.gid());
    inode.mtime = meta.mtime();
    if kind.is_dir() {
        let mut names: Vec<_> = std::fs::read_dir(host).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        for name in names {
            let Some(name) = name.to_str() else { continue };
            let below = if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
            walk(b, &host.join(name), &below, seen);
        }
    }
}

/// Runs a tool; `None` and a line for `ci/test` to count where it is missing.
pub fn tool(test: &str, program: &str, args: &[&OsStr]) -> Option<std::process::Output> {
    match Command::new(program).args(args).output() {
        Ok(output) => Some(output),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            assert!(std::env::var_os("HCIMAGE_CI").is_none(), "{program} is not installed");
            eprintln!("skipped: {test}: {program} is not installed");
            None
        }
        Err(error) => panic!("{program}: {error}"),
    }
}
