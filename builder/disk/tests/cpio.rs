//! The cpio writer against tools that we did not write.
#![allow(clippy::unwrap_used, reason = "functions that tests call are tests")]

mod oracle;

use contract::{Digest, Epoch};
use disk::cpio::{Archive, CpioError, Entry, Level, initrd};
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    process::Stdio,
};

const EPOCH: Epoch = Epoch(1_788_596_001);

fn sample() -> Archive<'static> {
    let mut archive = Archive::new();
    archive.add("dev/console", Entry::Character { mode: 0o600, major: 5, minor: 1 }).unwrap();
    archive.file("init", 0o755, &b"#!/bin/true\n"[..]).unwrap();
    archive.directory("sysroot", 0o700).unwrap();
    archive.symlink("sbin/init", "../init").unwrap();
    archive.file("usr/lib/modules/6.12/erofs.ko", 0o644, vec![0x5a; 70_003]).unwrap();
    for size in 0..5 {
        archive.file(&format!("usr/lib/{}", "n".repeat(size + 1)), 0o644, vec![b'x'; size]).unwrap();
    }
    archive
}

#[test]
fn cpio_lists_what_was_given() {
    let Some(cpio) = oracle::tool("cpio_lists_what_was_given", "cpio") else { return };
    let scratch = tempfile::tempdir().unwrap();
    let image = scratch.path().join("initrd");
    let bytes = sample().to_bytes(EPOCH).unwrap();
    assert!(bytes.len().is_multiple_of(512));
    fs::write(&image, bytes).unwrap();
    let mut list = cpio.command();
    list.args(["-itv", "--numeric-uid-gid", "--quiet"]).env("TZ", "UTC");
    let said = oracle::run(list.stdin(fs::File::open(&image).unwrap()));
    let lines: Vec<Vec<&str>> = said.lines().map(|line| line.split_whitespace().collect()).collect();
    let shown: Vec<String> = lines.iter().map(|words| [words[0], words[words.len() - 1]].join(" ")).collect();
    assert_eq!(
        shown[..4],
        ["drwxr-xr-x dev", "crw------- dev/console", "-rwxr-xr-x init", "drwxr-xr-x sbin"]
    );
    assert_eq!(shown[4..7], ["lrwxrwxrwx ../init", "drwx------ sysroot", "drwxr-xr-x usr"]);
    assert_eq!(lines.len(), sample().entries().count());
    for words in lines {
        assert_eq!(words[2..4], ["0", "0"], "{words:?}");
        // Then comes the year or the time of day, by the distance from today.
        assert!(words.join(" ").contains(" Sep 5 "), "{words:?}");
    }
}

#[test]
fn cpio_extracts_every_byte() {
    let Some(cpio) = oracle::tool("cpio_extracts_every_byte", "cpio") else { return };
    let scratch = tempfile::tempdir().unwrap();
    let image = scratch.path().join("initrd");
    fs::write(&image, sample().to_bytes(EPOCH).unwrap()).unwrap();
    let out = scratch.path().join("out");
    fs::create_dir(&out).unwrap();
    let mut extract = cpio.command();
    // Devices need root.
    extract.args(["-idm", "--quiet", "--no-preserve-owner", "-f", "dev/console"]).current_dir(&out);
    oracle::run(extract.stdin(fs::File::open(&image).unwrap()));
    let archive = sample();
    let mut files = 0;
    for (path, entry) in archive.entries() {
        let at = out.join(path);
        match entry {
            Entry::Directory { mode } => {
                assert_eq!(fs::metadata(&at).unwrap().permissions().mode() & 0o7777, *mode, "{path}");
            }
            Entry::File { mode, bytes } => {
                assert_eq!(fs::read(&at).unwrap(), bytes.as_ref(), "{path}");
                let found = fs::metadata(&at).unwrap();
                assert_eq!((found.permissions().mode() & 0o7777, found.mtime()), (*mode, EPOCH.0), "{path}");
                files += 1;
            }
            Entry::Symlink { target } => assert_eq!(fs::read_link(&at).unwrap().to_str(), Some(&**target)),
            Entry::Character { .. } => assert_eq!(path, "dev/console"),
        }
    }
    assert_eq!(files, 7);
}

#[test]
fn the_headers_are_those_that_gnu_cpio_writes() {
    let Some(cpio) = oracle::tool("the_headers_are_those_that_gnu_cpio_writes", "cpio") else { return };
    let scratch = tempfile::tempdir().unwrap();
    fs::write(scratch.path().join("a"), "hello").unwrap();
    let names = scratch.path().join("names");
    fs::write(&names, "a\n").unwrap();
    let mut make = cpio.command();
    make.args(["-o", "-H", "newc", "--reproducible", "--quiet", "-R", "0:0"]).current_dir(scratch.path());
    let output = make.stdin(fs::File::open(&names).unwrap()).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success());
    let found = fs::metadata(scratch.path().join("a")).unwrap();
    let mut ours = Archive::new();
    ours.file("a", found.permissions().mode() & 0o7777, &b"hello"[..]).unwrap();
    let ours = ours.to_bytes(Epoch(found.mtime())).unwrap();
    let mut theirs = output.stdout;
    // Inode numbers count from 0 there and from 1 here.
    theirs[6..14].copy_from_slice(b"00000001");
    assert_eq!(String::from_utf8_lossy(&ours), String::from_utf8_lossy(&theirs));
}

#[test]
fn zstd_unpacks_the_main_part_within_the_window_of_the_kernel() {
    let test = "zstd_unpacks_the_main_part_within_the_window_of_the_kernel";
    let Some(zstd) = oracle::tool(test, "zstd") else { return };
    let scratch = tempfile::tempdir().unwrap();
    let image = scratch.path().join("initrd.zst");
    let mut main = sample();
    // More than a window, and not all alike.
    let noise: Vec<u8> = (0..400_000_u32).flat_map(|n| Digest::of(&n.to_le_bytes()).0).collect();
    main.file("noise", 0o644, noise).unwrap();
    for level in [1, 3, 19] {
        fs::write(&image, initrd(None, &main, Level::new(level).unwrap(), EPOCH).unwrap()).unwrap();
        let said = oracle::run(zstd.command().args(["-lv"]).arg(&image));
        assert!(
            said.contains("Number of files listed: 1") || said.contains("# Zstandard Frames: 1"),
            "{said}"
        );
        assert!(said.contains("Check: XXH64"), "{said}");
        let window = said.lines().find(|line| line.contains("Window Size")).unwrap();
        let bytes = window.split('(').nth(1).unwrap().split(' ').next().unwrap();
        assert!(bytes.parse::<u64>().unwrap() <= 8 << 20, "{window}");
        let plain = zstd.command().args(["-dcq"]).arg(&image).output().unwrap();
        assert!(plain.stdout == main.to_bytes(EPOCH).unwrap());
    }
}

#[test]
fn an_early_part_comes_first_and_uncompressed() {
    let mut early = Archive::new();
    early.file("kernel/x86/microcode/GenuineIntel.bin", 0o644, vec![1; 1000]).unwrap();
    let early_bytes = early.to_bytes(EPOCH).unwrap();
    let whole = initrd(Some(&early), &sample(), Level::new(3).unwrap(), EPOCH).unwrap();
    assert!(whole.starts_with(&early_bytes));
    let main = zstd::decode_all(&whole[early_bytes.len()..]).unwrap();
    assert!(main == sample().to_bytes(EPOCH).unwrap());
}

#[test]
fn the_same_archive_is_the_same_bytes() {
    let bytes = sample().to_bytes(EPOCH).unwrap();
    assert_eq!(
        Digest::of(&bytes).to_string(),
        "d412bd7d8474526ae3900f76bab90bd62eea566f55b1f1204df3e4712d33509d"
    );
    let packed = initrd(None, &sample(), Level::new(19).unwrap(), EPOCH).unwrap();
    assert_eq!(
        Digest::of(&packed).to_string(),
        "358f554d6eb6c7354cb165f78c46c1e1c0515bcb2a77438c8e9b0608356a66d4"
    );
}

#[test]
fn what_an_archive_cannot_hold_is_refused() {
    let message = |result: Result<(), CpioError>| result.unwrap_err().to_string();
    let mut archive = sample();
    for path in ["", "/init", "a//b", "a/", "./a", "a/../b", "a\0b"] {
        assert!(message(archive.directory(path, 0o755)).contains("is not a relative path"), "{path:?}");
    }
    assert_eq!(message(archive.directory("init", 0o755)), "cpio: `init` is there already");
    assert_eq!(
        message(archive.file("init/x", 0o644, &b""[..])),
        "cpio: `init/x` cannot be below `init`, which is no directory"
    );
    assert_eq!(
        message(archive.file("x", 0o100_644, &b""[..])),
        "cpio: `x` has the mode 100644: expected permission bits only, at most 7777"
    );
    assert_eq!(archive, sample());
    assert!(matches!(archive.to_bytes(Epoch(-1)), Err(CpioError::Epoch(Epoch(-1)))));
    assert!(matches!(archive.to_bytes(Epoch(1 << 32)), Err(CpioError::Epoch(_))));
    for level in [0, -5, 20, 22] {
        assert!(matches!(Level::new(level), Err(CpioError::Level(found)) if found == level));
    }
}
