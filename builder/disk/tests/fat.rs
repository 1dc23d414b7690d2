//! The FAT32 writer against tools that we did not write.
#![allow(clippy::unwrap_used, reason = "functions that tests call are tests")]

mod oracle;

use contract::{Digest, Epoch};
use disk::{
    fat::{Body, FatError, FileTree, Volume},
    output::{Hashed, Output, Seekable},
};
use proptest::prelude::*;
use std::{
    fs,
    io::{Read, Seek, SeekFrom},
    os::unix::fs::MetadataExt,
    path::Path,
};

const MIB: u64 = 1 << 20;

fn volume(size: u64) -> Volume {
    Volume {
        id: 0x1234_abcd,
        label: "HCIMAGE ESP".into(),
        size,
        hidden_sectors: 2048,
        epoch: Epoch(1_788_596_001),
    }
}

/// Bytes that no shift of themselves resembles.
fn noise(seed: u8, length: usize) -> Vec<u8> {
    let digest = |n: usize| Digest::of(&[&[seed][..], &n.to_le_bytes()].concat()).0;
    (0..length.div_ceil(32)).flat_map(digest).take(length).collect()
}

/// An ESP such as ours, and some things that test the format: deep and wide directories, names of every kind,
/// files of every size around a cluster, empty ones.
fn sample() -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = [
        ("EFI/BOOT/BOOTX64.EFI", 124_416),
        ("EFI/systemd/systemd-bootx64.efi", 124_416),
        ("EFI/Linux/hcimage_13.7+3.efi", 5_000_001),
        ("EFI/Linux/hcimage_13.8+3.efi", 4096),
        ("loader/loader.conf", 33),
        ("loader/entries.srel", 6),
        ("README", 512),
        ("empty.txt", 0),
        ("a/b/c/d/e/f/g/h/deep", 4097),
        ("names/später geöffnet … 😀.txt", 1),
        ("names/MIXEDcas.E", 2),
        ("names/lower.txt", 3),
        ("names/.dotfile", 4),
        ("names/two.dots.txt", 5),
        ("names/+,;=[]", 6),
    ]
    .map(|(name, size)| (name.to_owned(), noise(name.len() as u8, size)))
    .into();
    let exactly = "x".repeat(13);
    files.push((format!("names/{exactly}"), noise(1, 4095)));
    files.push((format!("names/{}", "y".repeat(255)), noise(2, 8192)));
    files.extend((0..700).map(|n| (format!("wide/one of many files {n:03}"), noise(n as u8, n * 7))));
    files
}

fn tree(files: &[(String, Vec<u8>)]) -> FileTree<'_> {
    let mut tree = FileTree::new();
    for (path, bytes) in files {
        tree.file(path, bytes.as_slice()).unwrap();
    }
    tree.directory("bare/directory").unwrap();
    tree
}

fn write_file(path: &Path, volume: &Volume, files: &[(String, Vec<u8>)]) {
    let file = fs::File::create(path).unwrap();
    file.set_len(volume.size).unwrap();
    volume.plan(tree(files)).unwrap().write(&mut Seekable(file)).unwrap();
}

#[test]
fn fsck_finds_nothing_to_say() {
    let Some(fsck) = oracle::tool("fsck_finds_nothing_to_say", "fsck.fat") else { return };
    let scratch = tempfile::tempdir().unwrap();
    for size in [40 * MIB, 128 * MIB, 512 * MIB, 9 << 30] {
        let image = scratch.path().join("esp");
        write_file(&image, &volume(size), &sample());
        let said = oracle::run(fsck.command().arg("-n").arg("-v").arg(&image));
        // The last line counts 717 files, 17 directories and the label; complaints would come before it.
        let last = said.lines().last().unwrap();
        assert!(last.contains("735 files"), "{size}: {said}");
        for word in ["Warning", "wrong", "differ", "Free cluster", "Dirty", "rename", "Lonely", "lfn", "LFN"]
        {
            assert!(!said.contains(word), "{size}: {word}: {said}");
        }
    }
}

#[test]
fn mtools_reads_every_byte_back() {
    let Some(mcopy) = oracle::tool("mtools_reads_every_byte_back", "mcopy") else { return };
    let scratch = tempfile::tempdir().unwrap();
    let image = scratch.path().join("esp");
    let files = sample();
    write_file(&image, &volume(128 * MIB), &files);
    let out = scratch.path().join("out");
    fs::create_dir(&out).unwrap();
    let mut copy = mcopy.command();
    copy.env("MTOOLS_SKIP_CHECK", "1").env("LC_ALL", "C.UTF-8").env("TZ", "UTC");
    oracle::run(copy.args(["-s", "-m", "-i"]).arg(&image).arg("::").arg(&out));
    let mut outside_of_its_letters = 0;
    for (path, bytes) in &files {
        if path.contains('😀') {
            // mtools has no letters outside of the first plane.
            outside_of_its_letters += 1;
            continue;
        }
        let copied = out.join(path);
        assert!(fs::read(&copied).unwrap_or_else(|error| panic!("{path}: {error}")) == *bytes, "{path}");
        assert_eq!(fs::metadata(&copied).unwrap().mtime(), 1_788_596_000, "{path}");
    }
    assert_eq!(outside_of_its_letters, 1);
    assert!(out.join("bare/directory").is_dir());
}

#[test]
fn the_fatfs_crate_reads_every_byte_back() {
    let files = sample();
    let volume = volume(128 * MIB);
    let mut image = Vec::new();
    volume.plan(tree(&files)).unwrap().write(&mut image).unwrap();
    image.resize(volume.size as usize, 0);
    let system = fatfs::FileSystem::new(std::io::Cursor::new(&mut image), fatfs::FsOptions::new()).unwrap();
    assert_eq!(system.fat_type(), fatfs::FatType::Fat32);
    assert_eq!(system.volume_id(), 0x1234_abcd);
    assert_eq!(system.volume_label(), "HCIMAGE ESP");
    assert_eq!(system.read_volume_label_from_root_dir().unwrap().as_deref(), Some("HCIMAGE ESP"));
    for (path, bytes) in &files {
        let mut read = Vec::new();
        system.root_dir().open_file(path).unwrap().read_to_end(&mut read).unwrap();
        assert!(read == *bytes, "{path}");
    }
    let names: Vec<String> = system
        .root_dir()
        .open_dir("wide")
        .unwrap()
        .iter()
        .map(|entry| entry.unwrap().short_file_name())
        .collect();
    assert_eq!((&*names[0], &*names[1], names.len()), (".", "..", 702));
    let unique: std::collections::BTreeSet<_> = names.iter().collect();
    assert_eq!(unique.len(), names.len());
}

#[test]
fn the_free_space_that_the_volume_claims_is_what_a_count_of_its_table_gives() {
    let volume = volume(64 * MIB);
    let files = sample();
    let plan = volume.plan(tree(&files)).unwrap();
    let (used, free) = (plan.used(), plan.free());
    let mut image = Vec::new();
    plan.write(&mut image).unwrap();
    image.resize(volume.size as usize, 0);
    let system = fatfs::FileSystem::new(std::io::Cursor::new(image), fatfs::FsOptions::new()).unwrap();
    let stats = system.stats().unwrap();
    assert_eq!(u64::from(stats.free_clusters()) * u64::from(stats.cluster_size()), free);
    assert_eq!(u64::from(stats.total_clusters()) * u64::from(stats.cluster_size()), used + free);
}

#[test]
fn a_mostly_empty_volume_stays_sparse() {
    let scratch = tempfile::tempdir().unwrap();
    let image = scratch.path().join("esp");
    let volume = volume(512 * MIB);
    let mut tree = FileTree::new();
    tree.file("EFI/BOOT/BOOTX64.EFI", noise(0, 100_000)).unwrap();
    let mut file = fs::File::create(&image).unwrap();
    file.set_len(volume.size).unwrap();
    volume.plan(tree).unwrap().write(&mut Seekable(&mut file)).unwrap();
    assert_eq!(file.seek(SeekFrom::End(0)).unwrap(), volume.size);
    let on_disk = fs::metadata(&image).unwrap().blocks() * 512;
    assert!(on_disk < 300_000, "{on_disk}");
}

/// Remembers where it was written to.
#[derive(Default)]
struct Offsets(Vec<(u64, u64)>);

impl Output for Offsets {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> std::io::Result<()> {
        self.0.push((offset, offset + bytes.len() as u64));
        Ok(())
    }
}

#[test]
fn runs_ascend_and_never_overlap() {
    let files = sample();
    let mut offsets = Offsets::default();
    volume(64 * MIB).plan(tree(&files)).unwrap().write(&mut offsets).unwrap();
    assert!(offsets.0.len() > 700);
    for pair in offsets.0.windows(2) {
        assert!(pair[0].1 <= pair[1].0, "{pair:?}");
    }
}

#[test]
fn a_hash_on_the_way_is_the_hash_of_the_volume() {
    let files = sample();
    let (volume, mut image) = (volume(40 * MIB), Vec::new());
    let mut hashed = Hashed::new(&mut image);
    volume.plan(tree(&files)).unwrap().write(&mut hashed).unwrap();
    let digest = hashed.finish(volume.size).unwrap();
    image.resize(volume.size as usize, 0);
    assert_eq!(digest, Digest::of(&image));
}

#[test]
fn the_same_volume_is_the_same_bytes() {
    let (mut forward, mut backward) = (sample(), sample());
    backward.reverse();
    let images = [&mut forward, &mut backward].map(|files| {
        let mut image = Vec::new();
        volume(40 * MIB).plan(tree(files)).unwrap().write(&mut image).unwrap();
        Digest::of(&image).to_string()
    });
    assert_eq!(images[0], images[1]);
    assert_eq!(images[0], "4f56b5748f59e33c9e509bcc116314b97bcb1aeda52a8b7653c1d4d1f7e16871");
}

#[test]
fn what_fat_cannot_hold_is_refused_before_anything_is_written() {
    let message = |result: Result<(), FatError>| result.unwrap_err().to_string();
    let mut tree = FileTree::new();
    tree.file("EFI/Boot/a.efi", &b"x"[..]).unwrap();
    assert_eq!(
        message(tree.file("efi/other", &b""[..])),
        "fat: `efi/other`: `efi` is already there as `EFI`, and fat does not tell them apart"
    );
    assert_eq!(
        message(tree.file("EFI/Boot/A.EFI", &b""[..])),
        "fat: `EFI/Boot/A.EFI`: `A.EFI` is already there as `a.efi`, and fat does not tell them apart"
    );
    assert!(message(tree.file("EFI/Boot/a.efi/b", &b""[..])).contains("`a.efi` is already there"));
    assert!(message(tree.file("EFI/Boot", &b""[..])).contains("`Boot` is already there"));
    assert_eq!(message(tree.file("EFI//x", &b""[..])), "fat: `EFI//x`: the name `` is empty");
    assert!(message(tree.directory("a/..")).contains("ends in a dot"));
    let huge = Body::Stream { size: 1 << 32, from: Box::new(std::io::empty()) };
    assert_eq!(
        message(tree.file("huge", huge)),
        "fat: `huge` has 4294967296 bytes, and a file on fat has at most 4294967295"
    );
    tree.file("large", Body::Stream { size: 60 * MIB, from: Box::new(std::io::empty()) }).unwrap();
    let error = volume(40 * MIB).plan(tree).unwrap_err();
    assert!(matches!(error, FatError::Full { needed, available, .. } if needed > available), "{error}");
    for label in ["", "TWELVE CHARS", "lower", " X", "X ", "Ü"] {
        let volume = Volume { label: label.into(), ..volume(40 * MIB) };
        assert!(matches!(volume.plan(FileTree::new()), Err(FatError::Label { .. })), "{label:?}");
    }
    let mut wide = FileTree::new();
    for n in 0..22_000 {
        wide.directory(&format!("w/{n} and a name of three entries")).unwrap();
    }
    assert!(
        matches!(volume(512 * MIB).plan(wide), Err(FatError::DirectoryTooLarge { path, .. }) if path == "/w")
    );
}

#[test]
fn a_stream_must_keep_its_word() {
    for (announced, given, said) in [(10, 9, 9), (10, 11, 11), (2 * MIB, MIB, MIB), (MIB, 2 * MIB, MIB + 1)] {
        let mut tree = FileTree::new();
        let from = Box::new(std::io::repeat(7).take(given));
        tree.file("stream", Body::Stream { size: announced, from }).unwrap();
        let error = volume(40 * MIB).plan(tree).unwrap().write(&mut Vec::new()).unwrap_err();
        let FatError::Length { path, announced: was, given } = error else { panic!("{error}") };
        assert_eq!((path.as_str(), was, given), ("stream", announced, said));
    }
    let mut tree = FileTree::new();
    tree.file("stream", Body::Stream { size: 3 * MIB, from: Box::new(std::io::repeat(7).take(3 * MIB)) })
        .unwrap();
    volume(40 * MIB).plan(tree).unwrap().write(&mut Vec::new()).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_names_that_are_accepted_are_read_back(
        names in proptest::collection::vec(("[a-cA-C ~.1é]{1,14}", "[a-c~1.]{0,3}"), 1..40),
    ) {
        let mut files = Vec::new();
        let mut tree = FileTree::new();
        for (directory, name) in names {
            let path = if name.is_empty() { directory } else { format!("{directory}/{name}") };
            let body = noise(3, path.len() * 50);
            // Some are refused; those that are not must come back.
            if tree.file(&path, body.clone()).is_ok() {
                files.push((path, body));
            }
        }
        let volume = volume(34 * MIB);
        let mut image = Vec::new();
        volume.plan(tree).unwrap().write(&mut image).unwrap();
        image.resize(volume.size as usize, 0);
        let system = fatfs::FileSystem::new(std::io::Cursor::new(image), fatfs::FsOptions::new()).unwrap();
        for (path, body) in files {
            let mut read = Vec::new();
            system.root_dir().open_file(&path).unwrap().read_to_end(&mut read).unwrap();
            prop_assert!(read == body, "{}", path);
        }
    }
}
