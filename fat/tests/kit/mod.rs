//! Volumes to edit, and readers that we did not write.
#![allow(dead_code, reason = "every test binary uses its own part")]
#![allow(clippy::print_stderr, reason = "CI counts what is skipped")]

use contract::{Digest, Epoch};
use disk::fat::{FileTree, Volume};
use std::{
    collections::BTreeMap,
    fs,
    io::{Cursor, Read as _},
    path::PathBuf,
    process::{Command, Stdio},
};

pub(crate) const MIB: u64 = 1 << 20;

/// Bytes that no shift of themselves resembles.
pub(crate) fn noise(seed: u8, length: usize) -> Vec<u8> {
    let digest = |n: usize| Digest::of(&[&[seed][..], &n.to_le_bytes()].concat()).0;
    (0..length.div_ceil(32)).flat_map(digest).take(length).collect()
}

/// The files of [`made`].
pub(crate) fn sample() -> BTreeMap<String, Vec<u8>> {
    [
        ("EFI/BOOT/BOOTX64.EFI", noise(0, 5_000)),
        ("EFI/Linux/hc-a.efi", noise(1, 300_000)),
        ("loader/loader.conf", b"timeout 1\n".to_vec()),
    ]
    .map(|(path, bytes)| (path.to_owned(), bytes))
    .into()
}

/// A boot partition as the builder makes them.
pub(crate) fn made() -> Vec<u8> {
    let volume = Volume {
        id: 0x1234_abcd,
        label: "HCBOOT".into(),
        size: 34 * MIB,
        hidden_sectors: 2048,
        epoch: Epoch(1_788_596_001),
    };
    let mut tree = FileTree::new();
    for (path, bytes) in sample() {
        tree.file(&path, bytes).unwrap();
    }
    tree.directory("loader/entries").unwrap();
    let mut image = Vec::new();
    volume.plan(tree).unwrap().write(&mut image).unwrap();
    image.resize(volume.size as usize, 0);
    image
}

/// An empty volume as `mkfs.fat` makes them, if it is installed.
pub(crate) fn mkfs(mib: u64) -> Option<Vec<u8>> {
    let mkfs = tool("mkfs", "mkfs.fat")?;
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("volume");
    fs::File::create(&path).unwrap().set_len(mib * MIB).unwrap();
    let said = Command::new(mkfs).args(["-F", "32", "-s", "1", "-n", "CARD"]).arg(&path).output().unwrap();
    assert!(said.status.success(), "{said:?}");
    Some(fs::read(&path).unwrap())
}

fn tool(test: &str, name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    let found =
        std::env::split_paths(&path).chain(system).map(|dir| dir.join(name)).find(|file| file.is_file());
    if found.is_none() {
        assert!(std::env::var_os("HCIMAGE_CI").is_none(), "{test}: {name} is not installed");
        eprintln!("skipped: {test}: {name} is not installed");
    }
    found
}

/// What `fsck.fat` says of a volume, in lines; nothing when it is not installed.
pub(crate) fn fsck_says(image: &[u8]) -> Option<Vec<String>> {
    let fsck = tool("fsck", "fsck.fat")?;
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("volume");
    fs::write(&path, image).unwrap();
    let said =
        Command::new(fsck).arg("-n").arg(&path).env("LC_ALL", "C").stdin(Stdio::null()).output().unwrap();
    Some(String::from_utf8_lossy(&said.stdout).lines().map(str::to_owned).collect())
}

/// `fsck.fat` has nothing to say.
pub(crate) fn fsck(image: &[u8]) {
    if let Some(said) = fsck_says(image) {
        assert_eq!(said.len(), 2, "{said:#?}");
    }
}

/// `fatfs` and `mtools` read every byte of `files`, and no other.
pub(crate) fn agree(image: &[u8], files: &BTreeMap<String, Vec<u8>>) {
    let system = fatfs::FileSystem::new(Cursor::new(image.to_vec()), fatfs::FsOptions::new()).unwrap();
    for (path, bytes) in files {
        let mut read = Vec::new();
        system
            .root_dir()
            .open_file(path)
            .unwrap_or_else(|error| panic!("{path}: {error}"))
            .read_to_end(&mut read)
            .unwrap();
        assert!(read == *bytes, "{path}");
    }
    let Some(mcopy) = tool("agree", "mcopy") else { return };
    let scratch = tempfile::tempdir().unwrap();
    let (path, out) = (scratch.path().join("volume"), scratch.path().join("out"));
    fs::write(&path, image).unwrap();
    fs::create_dir(&out).unwrap();
    let mut copy = Command::new(mcopy);
    copy.env("MTOOLS_SKIP_CHECK", "1")
        .env("LC_ALL", "C.UTF-8")
        .args(["-s", "-i"])
        .arg(&path)
        .arg("::")
        .arg(&out);
    let said = copy.stdin(Stdio::null()).output().unwrap();
    assert!(said.status.success(), "{said:?}");
    // mtools has no letters outside of the first plane.
    for (path, bytes) in files.iter().filter(|(path, _)| !path.contains('😀')) {
        assert!(
            fs::read(out.join(path)).unwrap_or_else(|error| panic!("{path}: {error}")) == *bytes,
            "{path}"
        );
    }
}
