//! A Debian mirror on loopback: signed indexes of three suites, their packages, and whatever a test breaks.

use archive::testing::{FakeDeb, compress, sign};
use contract::{Digest, Epoch};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// When every Release file is made: 2024-06-01, after the test key and before any clock that runs these tests.
pub(crate) const DATE: Epoch = Epoch(1_717_200_000);
const DATE_TEXT: &str = "Sat, 01 Jun 2024 00:00:00 UTC";
const SUITES: [&str; 3] = ["trixie", "trixie-updates", "trixie-security"];
const COMPONENTS: [&str; 2] = ["main", "non-free-firmware"];

/// What an archive holds, by suite.
#[derive(Clone, Debug, Default)]
pub(crate) struct Archive {
    pub(crate) packages: BTreeMap<&'static str, Vec<FakeDeb>>,
    /// Further lines of every Release file, such as `Valid-Until`.
    pub(crate) release_fields: String,
    /// Packages by name of which the archive has only so many bytes.
    pub(crate) truncated: BTreeMap<String, usize>,
}

impl Archive {
    pub(crate) fn add(&mut self, suite: &'static str, package: FakeDeb) {
        self.packages.entry(suite).or_default().push(package);
    }

    /// The package `name` of `suite`, to change it.
    pub(crate) fn package(&mut self, name: &str) -> &mut FakeDeb {
        self.packages.values_mut().flatten().find(|package| package.name == name).unwrap()
    }

    /// Every file by its path on the server.
    pub(crate) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        for suite in SUITES {
            let base = if suite.ends_with("-security") { "/debian-security" } else { "/debian" };
            let none = Vec::new();
            let packages = self.packages.get(suite).unwrap_or(&none);
            let mut hashes = String::new();
            for component in COMPONENTS {
                for arch in ["amd64", "arm64"] {
                    let listed: &[FakeDeb] = if component == "main" { packages } else { &[] };
                    let index = compress(".xz", self.index(base, listed, arch, &mut files).as_bytes());
                    let digest = Digest::of(&index);
                    let folder = format!("{component}/binary-{arch}");
                    writeln!(hashes, " {digest} {} {folder}/Packages.xz", index.len()).unwrap();
                    files.insert(format!("{base}/dists/{suite}/{folder}/by-hash/SHA256/{digest}"), index);
                }
            }
            let release = format!(
                "Origin: Test\nSuite: {suite}\nCodename: {suite}\nDate: {DATE_TEXT}\nAcquire-By-Hash: yes\n{}\
                 Architectures: amd64 arm64\nComponents: main non-free-firmware\nSHA256:\n{hashes}",
                self.release_fields
            );
            files.insert(format!("{base}/dists/{suite}/InRelease"), sign(&release, DATE));
        }
        files
    }

    fn index(
        &self,
        base: &str,
        packages: &[FakeDeb],
        arch: &str,
        files: &mut BTreeMap<String, Vec<u8>>,
    ) -> String {
        let mut text = String::new();
        for package in packages.iter().filter(|package| package.arch == arch || package.arch == "all") {
            let mut bytes = package.build();
            bytes.truncate(self.truncated.get(&package.name).copied().unwrap_or(usize::MAX));
            let (path, size, digest) = (pool_path(package), bytes.len(), Digest::of(&bytes));
            text += &package.control_text();
            write!(text, "Filename: {path}\nSize: {size}\nSHA256: {digest}\n\n").unwrap();
            files.insert(format!("{base}/{path}"), bytes);
        }
        text
    }
}

/// Where a package is in the pool.
pub(crate) fn pool_path(package: &FakeDeb) -> String {
    format!("pool/main/{}_{}_{}.deb", package.name, package.version, package.arch)
}

#[derive(Debug, Default)]
struct Shelf {
    files: BTreeMap<String, Vec<u8>>,
    cut: BTreeSet<String>,
    requests: Vec<String>,
    resumed: usize,
}

/// A running server; it ends with the test's process.
#[derive(Debug)]
pub(crate) struct Mirror {
    port: u16,
    shelf: Arc<Mutex<Shelf>>,
}

impl Mirror {
    pub(crate) fn serve(archive: &Archive) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shelf = Arc::new(Mutex::new(Shelf { files: archive.files(), ..Shelf::default() }));
        let shared = Arc::clone(&shelf);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let shelf = Arc::clone(&shared);
                // A client that goes away in the middle is what some tests are about.
                thread::spawn(move || drop(answer(&stream.unwrap(), &shelf)));
            }
        });
        Self { port, shelf }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/debian", self.port)
    }

    /// A proxy for everything that is not on loopback, which denies it: no test leaves this machine.
    pub(crate) fn proxy(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Serves `archive` from now on.
    pub(crate) fn update(&self, archive: &Archive) {
        self.shelf.lock().unwrap().files = archive.files();
    }

    /// Serves a file that is none of the archive's, until the archive is served anew.
    pub(crate) fn put(&self, path: &str, bytes: Vec<u8>) {
        self.shelf.lock().unwrap().files.insert(path.to_owned(), bytes);
    }

    /// From now on there is no such file.
    pub(crate) fn remove(&self, path: &str) {
        self.shelf.lock().unwrap().files.remove(path).unwrap();
    }

    /// The bytes at the path that ends in `end`, to change them.
    pub(crate) fn change(&self, end: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut shelf = self.shelf.lock().unwrap();
        let (_, bytes) = shelf.files.iter_mut().find(|(path, _)| path.ends_with(end)).unwrap();
        change(bytes);
    }

    /// From now on the connection breaks in the middle of this file, once.
    pub(crate) fn cut_once(&self, end: &str) {
        let mut shelf = self.shelf.lock().unwrap();
        let path = shelf.files.keys().find(|path| path.ends_with(end)).unwrap().clone();
        shelf.cut.insert(path);
    }

    /// How many requests were for the rest of a file.
    pub(crate) fn resumed(&self) -> usize {
        self.shelf.lock().unwrap().resumed
    }

    /// What was asked for, oldest first.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.shelf.lock().unwrap().requests.clone()
    }
}

fn answer(mut stream: &TcpStream, shelf: &Mutex<Shelf>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    let mut from = 0;
    for line in lines {
        let line = line?.to_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(range) = line.strip_prefix("range: bytes=") {
            from = range.trim_end_matches('-').parse().unwrap();
        }
    }
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let (body, cut) = {
        let mut shelf = shelf.lock().unwrap();
        shelf.requests.push(path.clone());
        shelf.resumed += usize::from(from > 0);
        (shelf.files.get(&path).cloned(), shelf.cut.remove(&path))
    };
    let Some(body) = body else {
        return stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    };
    let status = if from > 0 { "206 Partial Content" } else { "200 OK" };
    let body = &body[from.min(body.len())..];
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    stream.write_all(head.as_bytes())?;
    stream.write_all(if cut { &body[..body.len() / 2] } else { body })
}
