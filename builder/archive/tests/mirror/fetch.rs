//! The mirror, what is fetched from it, and the tools.

use archive::{
    deb822,
    packages::{self, Catalog, Index, LARGEST_INDEX},
    release::{DEBIAN_TRIXIE, IndexFile, Keyring, Release},
};
use contract::{Digest, Epoch};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

/// Suites with the last component of their archive's base URI, in the order of preference.
pub(crate) const SUITES: [(&str, &str); 3] =
    [("trixie", "debian"), ("trixie-updates", "debian"), ("trixie-security", "debian-security")];

/// Whether `tool` is there. In CI a missing tool is a failure; elsewhere the test is skipped.
pub(crate) fn have(test: &str, tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|directory| directory.join(tool).is_file());
    if !found {
        eprintln!("skipped: {test}: {tool} is not installed");
        assert!(std::env::var_os("HCIMAGE_CI").is_none(), "{tool} is not installed");
    }
    found
}

/// The base URIs that this machine's apt sources name.
fn uris() -> Vec<String> {
    let read = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    let mut uris = Vec::new();
    let directory =
        fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten().map(|entry| entry.path());
    for path in std::iter::once(PathBuf::from("/etc/apt/sources.list")).chain(directory) {
        let text = read(&path);
        if path.extension().is_some_and(|e| e == "sources") {
            for paragraph in deb822::paragraphs_with_comments(&text).flatten() {
                uris.extend(
                    paragraph.get("URIs").unwrap_or_default().split_ascii_whitespace().map(str::to_owned),
                );
            }
        } else {
            let lines = text.lines().filter(|line| line.starts_with("deb "));
            uris.extend(
                lines
                    .filter_map(|l| l.split_ascii_whitespace().find(|w| w.contains("://")))
                    .map(str::to_owned),
            );
        }
    }
    uris
}

/// A mirror of Debian.
pub(crate) struct Mirror {
    uris: Vec<String>,
}

impl Mirror {
    /// The mirror, if one is named and answers.
    pub(crate) fn find(test: &str) -> Option<Self> {
        let mirror = Self { uris: uris() };
        let answers = ["debian", "debian-security"].iter().all(|base| mirror.base(base).is_some())
            && mirror.fetch("debian", "dists/trixie/InRelease", "InRelease.probe").is_some();
        if !answers {
            eprintln!("skipped: {test}: no apt source of this machine names a Debian mirror that answers");
        }
        answers.then_some(mirror)
    }

    fn base(&self, archive: &str) -> Option<&str> {
        self.uris
            .iter()
            .map(|uri| uri.trim_end_matches('/'))
            .find(|uri| uri.rsplit('/').next() == Some(archive))
    }

    /// Fetches a file into the tests' directory with apt's own downloader.
    fn fetch(&self, archive: &str, path: &str, name: &str) -> Option<PathBuf> {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.{}", std::process::id()));
        let uri = format!("{}/{path}", self.base(archive)?);
        let helper = Command::new("/usr/lib/apt/apt-helper")
            .args(["-qq", "-oAcquire::Retries=5", "download-file", &uri])
            .arg(&target)
            .output();
        helper.is_ok_and(|output| output.status.success()).then_some(target)
    }

    /// Fetches a file by its hash, once and for all runs.
    pub(crate) fn fetch_by_hash(&self, archive: &str, path: &str, sha256: &Digest) -> PathBuf {
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(sha256.to_string());
        if !kept.exists() {
            let fetched = self
                .fetch(archive, path, &sha256.to_string())
                .unwrap_or_else(|| panic!("cannot fetch {path}"));
            assert_eq!(Digest::of(&fs::read(&fetched).unwrap()), *sha256, "{path}");
            fs::rename(fetched, &kept).unwrap();
        }
        kept
    }

    /// The signed Release file of a suite.
    pub(crate) fn in_release(&self, suite: &str, archive: &str) -> PathBuf {
        let path = format!("dists/{suite}/InRelease");
        let thread =
            format!("{:?}", std::thread::current().id()).replace(|c: char| !c.is_ascii_alphanumeric(), "");
        self.fetch(archive, &path, &format!("InRelease.{suite}.{thread}"))
            .unwrap_or_else(|| panic!("cannot fetch {path}"))
    }

    pub(crate) fn release(&self, suite: &str, archive: &str) -> Release {
        let keyring = Keyring::parse(DEBIAN_TRIXIE).unwrap();
        let bytes = fs::read(self.in_release(suite, archive)).unwrap();
        archive::release::verify(&bytes, &keyring, suite, now()).unwrap()
    }

    /// The text of the package index of each suite.
    pub(crate) fn indexes(&self, arch: &str) -> Vec<(&'static str, String)> {
        let text = |(suite, archive): (&'static str, &str)| {
            let IndexFile { by_hash, sha256, .. } = self.release(suite, archive).index("main", arch).unwrap();
            let path = format!("dists/{suite}/{}", by_hash.unwrap());
            let fetched = fs::read(self.fetch_by_hash(archive, &path, &sha256)).unwrap();
            (suite, packages::decompress(&fetched, LARGEST_INDEX).unwrap())
        };
        SUITES.into_iter().map(text).collect()
    }
}

pub(crate) fn catalog<'a>(arch: &'a str, texts: &'a [(&'static str, String)]) -> Catalog<'a> {
    let indexes = texts.iter().map(|(suite, text)| Index::parse(text, suite).unwrap()).collect();
    Catalog::new(arch, indexes).unwrap()
}

pub(crate) fn now() -> Epoch {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    Epoch(seconds.try_into().unwrap())
}
