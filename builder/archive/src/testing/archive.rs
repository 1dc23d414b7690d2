//! A whole archive as paths and bytes, as a mirror would serve it.

use super::{FakeDeb, deb::compress, sign};
use contract::{Digest, Epoch};
use std::{collections::BTreeMap, fmt::Write as _};

/// What a mirror serves: path below the base URI -> bytes.
#[derive(Clone, Debug, Default)]
pub struct FakeArchive {
    /// The files.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// One suite with the component `main`.
#[derive(Clone, Debug)]
pub struct FakeSuite {
    /// Codename, and directory below `dists/`.
    pub codename: String,
    /// Debian architectures it has indexes for.
    pub arches: Vec<String>,
    /// When it is made and signed.
    pub date: Epoch,
    /// `Valid-Until`.
    pub valid_until: Option<Epoch>,
    /// The packages; each goes into the index of its architecture, `all` into every one.
    pub packages: Vec<FakeDeb>,
}

impl FakeSuite {
    /// A suite for amd64 and arm64, made at `date`, that does not expire.
    #[must_use]
    pub fn new(codename: &str, date: Epoch, packages: Vec<FakeDeb>) -> Self {
        let arches = vec!["amd64".to_owned(), "arm64".to_owned()];
        Self { codename: codename.to_owned(), arches, date, valid_until: None, packages }
    }
}

impl FakeArchive {
    /// Adds a suite with its pool, its indexes (by name and by hash) and its `InRelease`, signed by the test key.
    #[must_use]
    pub fn with(mut self, suite: &FakeSuite) -> Self {
        let dists = format!("dists/{}", suite.codename);
        let mut hashes = String::new();
        for arch in &suite.arches {
            let directory = format!("main/binary-{arch}");
            let index = compress(".xz", self.index(suite, arch).as_bytes());
            let digest = Digest::of(&index);
            writeln!(hashes, " {digest} {} {directory}/Packages.xz", index.len()).unwrap_or_default();
            self.files.insert(format!("{dists}/{directory}/by-hash/SHA256/{digest}"), index.clone());
            self.files.insert(format!("{dists}/{directory}/Packages.xz"), index);
        }
        self.files.insert(format!("{dists}/InRelease"), sign(&release(suite, &hashes), suite.date));
        self
    }

    /// The text of an index; the packages that it names go into the pool.
    fn index(&mut self, suite: &FakeSuite, arch: &str) -> String {
        let mut index = String::new();
        for package in suite.packages.iter().filter(|p| p.arch == arch || p.arch == "all") {
            let bytes = package.build();
            let version = package.version.split_once(':').map_or(package.version.as_str(), |(_, rest)| rest);
            let path = format!("pool/main/{}_{version}_{}.deb", package.name, package.arch);
            let (control, size, digest) = (package.control_text(), bytes.len(), Digest::of(&bytes));
            let stanza = format!("{control}Filename: {path}\nSize: {size}\nSHA256: {digest}\n\n");
            index.push_str(&stanza);
            self.files.insert(path, bytes);
        }
        index
    }
}

/// The text of the Release file; `hashes` are the lines of its SHA256 field.
fn release(suite: &FakeSuite, hashes: &str) -> String {
    let FakeSuite { codename, arches, date, valid_until, .. } = suite;
    let until = valid_until.map_or_else(String::new, |at| format!("Valid-Until: {}\n", rfc_date(at)));
    format!(
        "Origin: Test\nSuite: {codename}\nCodename: {codename}\nDate: {}\n{until}Acquire-By-Hash: yes\n\
         Architectures: {}\nComponents: main\nSHA256:\n{hashes}",
        rfc_date(*date),
        arches.join(" ")
    )
}

/// A date as Release files write it.
fn rfc_date(at: Epoch) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let weekday = DAYS[usize::try_from(at.0.div_euclid(86_400).rem_euclid(7)).unwrap_or_default()];
    let iso = at.to_string();
    let month = MONTHS[iso[5..7].parse::<usize>().unwrap_or(1) - 1];
    format!("{weekday}, {} {month} {} {} UTC", &iso[8..10], &iso[..4], &iso[11..19])
}
