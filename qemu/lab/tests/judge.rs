//! The judge, over disks that other programs made: sgdisk, mkfs.fat, mtools, veritysetup.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails by panicking and tells why it skipped"
)]

use lab::{Image, Judge, Medium as _, Random, Releases, Verdict, image_digest};
use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::Command,
};

const MIB: u64 = 1 << 20;
const DISK: u64 = 64 * MIB;
const ESP: u64 = MIB;
/// Root and hash tree of both slots.
const SLOTS: [(u64, u64); 2] = [(44 * MIB, 48 * MIB), (50 * MIB, 54 * MIB)];

/// Runs a program that must succeed; `None` when it is not installed.
fn tool(test: &str, program: &str, words: &[&str]) -> Option<String> {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    match Command::new(program).env("PATH", path).args(words).output() {
        Ok(output) => {
            let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            assert!(output.status.success(), "{program} {words:?}: {text}");
            Some(text)
        }
        Err(_) if std::env::var_os("HCIMAGE_CI").is_none() => {
            eprintln!("skipped: {test}: {program} is not installed");
            None
        }
        Err(error) => panic!("{program}: {error}"),
    }
}

/// A PE file with nothing in it but two texts.
fn kernel(release: &str, line: &str) -> Vec<u8> {
    let mut file = vec![0; 1024];
    file[..2].copy_from_slice(b"MZ");
    file[60] = 64;
    file[64..68].copy_from_slice(b"PE\0\0");
    file[70] = 2;
    for (nth, (name, text)) in [(".osrel", release), (".cmdline", line)].into_iter().enumerate() {
        let entry = 64 + 24 + nth * 40;
        let at = file.len() as u32;
        file[entry..entry + name.len()].copy_from_slice(name.as_bytes());
        for (place, value) in [(8, text.len() as u32), (16, 512), (20, at)] {
            file[entry + place..entry + place + 4].copy_from_slice(&value.to_le_bytes());
        }
        file.extend(text.as_bytes());
        file.resize(at as usize + 512, 0);
    }
    file
}

/// A disk with two releases on it and no entry for either.
struct Lab {
    dir: tempfile::TempDir,
    roots: [[u8; 32]; 2],
}

impl Lab {
    fn new(test: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mut lab = Self { dir, roots: [[0; 32]; 2] };
        let disk = lab.disk();
        File::create(&disk).unwrap().set_len(DISK).unwrap();
        let name = disk.to_str().unwrap().to_owned();
        let mut words = vec!["-n=1:1M:+42M".to_owned(), "-t=1:ef00".to_owned(), "-c=1:esp".to_owned()];
        for (nth, (data, hash)) in SLOTS.into_iter().enumerate() {
            let root = lab.slot(test, nth, data, hash)?;
            lab.roots[nth] = root;
            let text = hex::encode(root);
            for (half, start) in [data, hash].into_iter().enumerate() {
                let number = 2 + nth * 2 + half;
                let digits = &text[half * 32..half * 32 + 32];
                let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
                words.push(format!("-n={number}:{}M:+2M", start / MIB));
                words.push(format!("-u={number}:{}", parts.join("-")));
            }
        }
        words.push(name.clone());
        tool(test, "sgdisk", &words.iter().map(String::as_str).collect::<Vec<_>>())?;
        let at = format!("{name}@@{ESP}");
        tool(
            test,
            "mkfs.fat",
            &["-F", "32", "-s", "1", "--offset", &(ESP / 512).to_string(), &name, "43008"],
        )?;
        tool(
            test,
            "mmd",
            &["-i", &at, "::EFI", "::EFI/BOOT", "::EFI/Linux", "::loader", "::loader/entries"],
        )?;
        lab.put(test, "EFI/BOOT/BOOTX64.EFI", b"the loader")?;
        for (nth, root) in lab.roots.into_iter().enumerate() {
            let line = format!("ro hcimage.root={}", hex::encode(root));
            let image = kernel(&format!("ID=debian\nIMAGE_ID=lab\nIMAGE_VERSION={}\n", nth + 1), &line);
            lab.put(test, &format!("EFI/Linux/hc-{}.efi", ["a", "b"][nth]), &image)?;
        }
        Some(lab)
    }

    /// Random data and their hash tree; gives the root hash.
    fn slot(&self, test: &str, nth: usize, data: u64, hash: u64) -> Option<[u8; 32]> {
        let (first, second) = (self.dir.path().join("data"), self.dir.path().join("hash"));
        let mut random = Random::new(nth as u64);
        let bytes: Vec<u8> = (0..200 * 4096 / 8).flat_map(|_| random.draw().to_le_bytes()).collect();
        fs::write(&first, &bytes).unwrap();
        fs::write(&second, b"").unwrap();
        let words = ["format", "--salt=abcd", first.to_str().unwrap(), second.to_str().unwrap()];
        let said = tool(test, "veritysetup", &words)?;
        let line = said.lines().find_map(|line| line.strip_prefix("Root hash:")).unwrap();
        let disk = File::options().write(true).open(self.disk()).unwrap();
        disk.write_all_at(&bytes, data).unwrap();
        disk.write_all_at(&fs::read(second).unwrap(), hash).unwrap();
        Some(hex::decode(line.trim()).unwrap().try_into().unwrap())
    }

    fn disk(&self) -> PathBuf {
        self.dir.path().join("disk")
    }

    fn put(&self, test: &str, path: &str, bytes: &[u8]) -> Option<()> {
        let file = self.dir.path().join("file");
        fs::write(&file, bytes).unwrap();
        let at = format!("{}@@{ESP}", self.disk().display());
        tool(test, "mcopy", &["-o", "-i", &at, file.to_str().unwrap(), &format!("::{path}")]).map(drop)
    }

    fn entry(&self, test: &str, name: &str, generation: u32, slot: &str) {
        let text = format!("title lab\nsort-key 1\nversion {generation:010}\nefi /EFI/Linux/hc-{slot}.efi\n");
        self.put(test, &format!("loader/entries/{name}"), text.as_bytes()).unwrap();
    }

    fn medium(&self) -> Image {
        Image::open(Path::new(&self.disk()), DISK).unwrap()
    }

    fn judge(&self) -> Judge {
        let medium = self.medium();
        let of = |nth: usize, name: &str| (self.roots[nth], image_digest(&medium, name).unwrap());
        let releases = Releases { old: of(0, "EFI/Linux/hc-a.efi"), new: of(1, "EFI/Linux/hc-b.efi") };
        Judge::new(&medium, releases).unwrap()
    }
}

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
