//! The disk that remembers, as QEMU's own tools see it.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails by panicking and tells why it skipped"
)]

use lab::{Cut, Device, Fault, How, Image, Medium, On, exhaustive, sampled};
use std::{collections::BTreeSet, fs, process::Command, sync::Arc};

const MIB: u64 = 1 << 20;

/// A disk of 8 MiB whose first MiB is an image full of sevens.
fn device() -> (Device, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    fs::write(&image, vec![7; MIB as usize]).unwrap();
    (Device::over(Arc::new(Image::open(&image, 8 * MIB).unwrap())).unwrap(), dir)
}

/// Runs commands of qemu-io on it; `None` when there is no qemu-io here.
fn qemu_io(test: &str, device: &Device, commands: &[&str]) -> Option<(bool, String)> {
    let target = format!("nbd+unix:///?socket={}", device.socket().display());
    let mut command = Command::new("qemu-io");
    command.args(["-f", "raw", "-t", "none"]);
    for line in commands {
        command.args(["-c", line]);
    }
    match command.arg(target).output() {
        Ok(output) => {
            let text = [output.stdout, output.stderr].concat();
            Some((output.status.success(), String::from_utf8_lossy(&text).into_owned()))
        }
        Err(error) if std::env::var_os("HCIMAGE_CI").is_none() => {
            eprintln!("skipped: {test}: qemu-io is not installed ({error})");
            None
        }
        Err(error) => panic!("qemu-io: {error}"),
    }
}

#[test]
fn what_is_written_is_read_back_and_remembered() {
    let (device, _dir) = device();
    let commands = [
        "read -P 7 0 64k",
        "read -P 0 1M 64k",
        "write -P 1 512 1k",
        "flush",
        "write -P 2 1k 4k",
        "write -z 1M 64k",
        "write -P 3 8388096 512",
        "read -P 1 512 512",
        "read -P 2 1k 4k",
        "read -P 7 5k 1k",
        "read -P 3 8388096 512",
    ];
    let Some((good, said)) = qemu_io("what_is_written_is_read_back_and_remembered", &device, &commands)
    else {
        return;
    };
    assert!(good && !said.contains("verification failed"), "{said}");
    assert_eq!(device.complaints(), Vec::<String>::new());
    let history = device.history();
    // qemu-io flushes once more when it goes.
    let (writes, flushes) = history.counts(0..history.len());
    assert!(writes == 4 && flushes >= 2, "{writes} writes, {flushes} flushes");
    let epochs = history.epochs(0..history.len());
    assert_eq!(epochs[0].pending.len(), 1);
    assert_eq!(epochs[1].pending.iter().map(|(_, sectors)| *sectors).collect::<Vec<_>>(), [8, 128, 1]);
    assert_eq!(history.written(0..history.len()), [512..5120, MIB..MIB + 65536, 8 * MIB - 512..8 * MIB]);
    assert_eq!(device.bytes(0..512).unwrap(), [7; 512], "the image is below");
}

#[test]
fn a_cut_leaves_what_was_flushed_and_any_of_the_rest() {
    let (device, _dir) = device();
    let commands =
        ["write -P 1 0 1k", "flush", "write -P 2 0 512", "write -P 3 512 512", "write -P 4 2k 512"];
    if qemu_io("a_cut_leaves_what_was_flushed_and_any_of_the_rest", &device, &commands).is_none() {
        return;
    }
    let history = device.history();
    let cuts = exhaustive(&history, 0..history.len(), 1);
    let mut seen = BTreeSet::new();
    history.walk(cuts.clone(), |cut, state| {
        let first = |sector: u64| state.bytes(sector * 512..sector * 512 + 1).unwrap()[0];
        seen.insert((first(0), first(1), first(4)));
        let alone = history.cut(cut);
        assert_eq!(alone.bytes(0..4096).unwrap(), state.bytes(0..4096).unwrap(), "{cut}");
    });
    let mut expected = BTreeSet::new();
    for (a, b) in [(7, 7), (1, 7), (7, 1)] {
        expected.insert((a, b, 7));
    }
    for a in [1, 2] {
        for b in [1, 3] {
            expected.extend([(a, b, 7), (a, b, 4)]);
        }
    }
    assert_eq!(seen, expected, "every subset of both epochs, and no other state");
    assert_eq!(sampled(&history, 0..history.len(), 40, 2).len(), 40);
    let same = |seed| sampled(&history, 0..history.len(), 40, seed);
    assert!(same(2) == same(2) && same(2) != same(3), "a seed is a choice");

    // A state is a medium: a disk over it goes on from there.
    let flushed = cuts.iter().map(|cut| cut.flushed).max().unwrap();
    let state = history.cut(&Cut { flushed, kept: Vec::new() });
    let next = Device::over(Arc::new(state)).unwrap();
    let (good, said) =
        qemu_io("", &next, &["read -P 4 2k 512", "write -P 9 2k 512", "read -P 9 2k 512"]).unwrap();
    assert!(good && !said.contains("verification failed"), "{said}");
    assert_eq!(device.bytes(2048..2049).unwrap(), [4], "the first disk has not changed");
}

#[test]
fn equal_fingerprints_are_equal_bytes() {
    let (device, _dir) = device();
    let commands = ["write -P 1 0 512", "flush", "write -P 2 4M 512", "flush", "write -P 3 0 512"];
    if qemu_io("equal_fingerprints_are_equal_bytes", &device, &commands).is_none() {
        return;
    }
    let history = device.history();
    let mut seen = std::collections::BTreeMap::new();
    history.walk(exhaustive(&history, 0..history.len(), 1), |_, state| {
        for extent in [0..MIB, 4 * MIB..5 * MIB] {
            let print = state.fingerprint(extent.clone()).unwrap();
            let bytes = state.bytes(extent).unwrap();
            assert!(*seen.entry(print).or_insert_with(|| bytes.clone()) == bytes);
        }
    });
    assert!((4..=8).contains(&seen.len()), "{} contents", seen.len());
}

#[test]
fn a_bad_disk_fails_where_and_when_it_is_told_to() {
    let (device, _dir) = device();
    let fault = |on, how, after| Fault { on, within: MIB..2 * MIB, after, times: 1, how };
    device.fail(vec![fault(On::Write, How::NoSpace, 1), fault(On::Read, How::Io, 0)]);
    let test = "a_bad_disk_fails_where_and_when_it_is_told_to";
    let commands =
        ["write 0 512", "write 1M 512", "write 1M 512", "write 1M 512", "read 1M 512", "read 1M 512"];
    let Some((_, said)) = qemu_io(test, &device, &commands) else { return };
    assert_eq!(said.matches("write failed: No space left on device").count(), 1, "{said}");
    assert_eq!(said.matches("read failed: Input/output error").count(), 1, "{said}");
    assert_eq!(device.hits(), 2);

    // A disk that lies: what it took is not there.
    device.fail(vec![fault(On::Write, How::Dropped, 0), fault(On::Write, How::Flipped, 0)]);
    let commands = ["write -P 5 1M 512", "read -P 5 1M 512", "write -P 4 1M 512", "read -P 4 1M 512"];
    let (_, said) = qemu_io(test, &device, &commands).unwrap();
    assert_eq!(said.matches("Pattern verification failed").count(), 2, "{said}");
    device.damage(MIB + 100, b"xyz").unwrap();
    assert_eq!(device.bytes(MIB + 99..MIB + 104).unwrap(), b"\x04xyz\x04");
}
