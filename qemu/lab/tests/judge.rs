//! The judge, over disks that other programs made: sgdisk, mkfs.fat, mtools, veritysetup.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails by panicking and tells why it skipped"
)]

mod kit;

use kit::{DISK, ESP, Lab, MIB, SLOTS, tool};
use lab::{Device, Medium as _, Verdict, exhaustive};
use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    sync::Arc,
};

#[test]
fn the_judge_follows_loader_slots_and_hash_trees() {
    let test = "the_judge_follows_loader_slots_and_hash_trees";
    let Some(lab) = Lab::new(test) else { return };
    let mut judge = lab.judge();
    // Entries of type 1 gone: the newest kernel image is found by its place.
    assert_eq!(judge.verdict(&lab.medium()), Verdict::New);
    lab.entry(test, "hc-a.conf", 1, "a");
    assert_eq!(judge.verdict(&lab.medium()), Verdict::Old);
    lab.entry(test, "hc-b+03-00.conf", 2, "b");
    assert_eq!(judge.verdict(&lab.medium()), Verdict::New);
    let boots = judge.boots(&lab.medium()).unwrap();
    let order: Vec<Verdict> = boots.into_iter().map(|boot| boot.unwrap().verdict).collect();
    assert_eq!(
        order,
        [Verdict::New, Verdict::New, Verdict::New, Verdict::Old],
        "three tries, then the old one"
    );
}

#[test]
fn the_judge_sees_each_kind_of_damage() {
    let test = "the_judge_sees_each_kind_of_damage";
    let Some(lab) = Lab::new(test) else { return };
    lab.entry(test, "hc-a.conf", 1, "a");
    lab.entry(test, "hc-b+02-01.conf", 2, "b");
    let healthy = fs::read(lab.disk()).unwrap();
    let mut judge = lab.judge();
    let mut after = |offset: u64, bytes: &[u8]| {
        let disk = File::options().write(true).open(lab.disk()).unwrap();
        disk.write_all_at(bytes, offset).unwrap();
        let verdict = judge.verdict(&lab.medium());
        disk.write_all_at(&healthy[offset as usize..][..bytes.len()], offset).unwrap();
        verdict
    };
    let lost = |verdict: Verdict, words: &str| match verdict {
        Verdict::Lost(why) if why.contains(words) => {}
        other => panic!("expected `{words}`, found {other:?}"),
    };
    assert_eq!(after(0, &[0]), Verdict::New);
    assert_eq!(after(512, &[0; 512]), Verdict::New, "the backup of the table is there");
    assert_eq!(after(1024, b"x"), Verdict::New, "the primary table's entries are damaged");
    lost(after(512, &vec![0; DISK as usize - 512]), "primary table: no signature; backup: no signature");
    lost(after(ESP, &[0; 512]), "the boot sector is not FAT32's");
    for (data, hash) in [SLOTS[0], SLOTS[1]] {
        lost(after(data + 199 * 4096, b"y"), "the data are not what the root hash says");
        lost(after(hash + 4096, b"y"), "block 0 of a level of the hash tree is damaged");
        lost(after(hash, b"V"), "the verity superblock");
        assert_eq!(after(data + 200 * 4096, b"y"), Verdict::New, "behind the file system");
    }
    let place =
        |needle: &[u8]| healthy.windows(needle.len()).position(|window| window == needle).unwrap() as u64;
    lost(after(place(b"the loader"), b"The"), "is not the loader of before");
    let line = format!("ro hcimage.root={}", hex::encode(lab.roots[1]));
    lost(after(place(line.as_bytes()), b"rw"), "is of no signed release");
    // A trial whose program is gone is not shown.
    assert_eq!(after(place(b"/EFI/Linux/hc-b.efi"), b"/EFI/Linux/no"), Verdict::Old);
}

#[test]
fn the_reader_of_fat_reads_what_mtools_wrote() {
    let test = "the_reader_of_fat_reads_what_mtools_wrote";
    let Some(lab) = Lab::new(test) else { return };
    let long = "a name that is longer than one record can hold.conf";
    lab.put(test, long, &[9; 5000]).unwrap();
    lab.put(test, "EMPTY.TXT", b"").unwrap();
    let medium = lab.medium();
    let fat = lab::Fat::open(&medium, &(ESP..ESP + 42 * MIB)).unwrap();
    let names: Vec<String> = fat.list("").unwrap().into_iter().map(|node| node.name).collect();
    assert_eq!(names, ["EFI", "loader", long, "EMPTY.TXT"]);
    let node = fat.find(long).unwrap().unwrap();
    assert_eq!(fat.read(&node).unwrap(), [9; 5000]);
    assert_eq!(fat.extents(&node).unwrap().iter().map(|extent| extent.end - extent.start).sum::<u64>(), 5000);
    let (empty, none) = (fat.find("empty.txt").unwrap().unwrap(), fat.find("efi/nothing/x").unwrap());
    assert!(fat.read(&empty).unwrap().is_empty() && none.is_none());
    assert_eq!(fat.list("EFI/Linux").unwrap().len(), 4, "two dots and two files");
    assert!(medium.size() == DISK && fat.start() == ESP);
}

#[test]
fn a_loss_is_found_in_the_one_order_in_which_it_happens() {
    let test = "a_loss_is_found_in_the_one_order_in_which_it_happens";
    let Some(lab) = Lab::new(test) else { return };
    lab.entry(test, "hc-a.conf", 1, "a");
    let device = Device::over(Arc::new(lab.medium())).unwrap();
    // Two copies of the table are overwritten, with no flush between them, as only a careless program does.
    let disk = format!("nbd+unix:///?socket={}", device.socket().display());
    let second = format!("write -P 0 {} 512", DISK - 512);
    let words = ["-f", "raw", "-t", "none", "-c", "write -P 0 512 512", "-c", &second, &disk];
    if tool(test, "qemu-io", &words).is_none() {
        return;
    }
    let history = device.history();
    let mut judge = lab.judge();
    let mut verdicts = [0, 0];
    history.walk(exhaustive(&history, 0..history.len(), 1), |cut, state| {
        let lost = matches!(judge.verdict(state), Verdict::Lost(_));
        verdicts[usize::from(lost)] += 1;
        assert_eq!(
            lost,
            cut.flushed > 0 || cut.kept.iter().filter(|kept| !kept.sectors.is_empty()).count() == 2,
            "{cut}"
        );
    });
    assert!(verdicts[0] >= 3 && verdicts[1] >= 1, "{verdicts:?}");
}
