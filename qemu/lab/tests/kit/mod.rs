//! A disk with two slots, made by sgdisk, mkfs.fat, mtools and veritysetup.

#![allow(dead_code, reason = "each test takes what it needs")]

use lab::{Image, Judge, Random, Releases, image_digest};
use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::Command,
};

pub(crate) const MIB: u64 = 1 << 20;
pub(crate) const DISK: u64 = 64 * MIB;
pub(crate) const ESP: u64 = MIB;
/// Root and hash tree of both slots.
pub(crate) const SLOTS: [(u64, u64); 2] = [(44 * MIB, 48 * MIB), (50 * MIB, 54 * MIB)];

/// Runs a program that must succeed; `None` when it is not installed.
pub(crate) fn tool(test: &str, program: &str, words: &[&str]) -> Option<String> {
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
pub(crate) fn kernel(release: &str, line: &str) -> Vec<u8> {
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
pub(crate) struct Lab {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) roots: [[u8; 32]; 2],
}

impl Lab {
    pub(crate) fn new(test: &str) -> Option<Self> {
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

    pub(crate) fn disk(&self) -> PathBuf {
        self.dir.path().join("disk")
    }

    pub(crate) fn put(&self, test: &str, path: &str, bytes: &[u8]) -> Option<()> {
        let file = self.dir.path().join("file");
        fs::write(&file, bytes).unwrap();
        let at = format!("{}@@{ESP}", self.disk().display());
        tool(test, "mcopy", &["-o", "-i", &at, file.to_str().unwrap(), &format!("::{path}")]).map(drop)
    }

    pub(crate) fn entry(&self, test: &str, name: &str, generation: u32, slot: &str) {
        let text = format!("title lab\nsort-key 1\nversion {generation:010}\nefi /EFI/Linux/hc-{slot}.efi\n");
        self.put(test, &format!("loader/entries/{name}"), text.as_bytes()).unwrap();
    }

    pub(crate) fn medium(&self) -> Image {
        Image::open(Path::new(&self.disk()), DISK).unwrap()
    }

    pub(crate) fn judge(&self) -> Judge {
        let medium = self.medium();
        let of = |nth: usize, name: &str| (self.roots[nth], image_digest(&medium, name).unwrap());
        let releases = Releases { old: of(0, "EFI/Linux/hc-a.efi"), new: of(1, "EFI/Linux/hc-b.efi") };
        Judge::new(&medium, releases).unwrap()
    }
}
