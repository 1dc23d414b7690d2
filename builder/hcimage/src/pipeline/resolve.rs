//! From what a profile asks for to a choice of packages, out of Debian's signed indexes. The only stage that
//! looks at a clock: a Release file can be out of date.

use crate::{
    config::{Described, Lock, Locked},
    error::Failure,
    printer::{Printer, Stage},
    settings::Workshop,
};
use archive::{
    packages::{Catalog, Index, LARGEST_INDEX, decompress},
    release::{DEBIAN_TRIXIE, Keyring, Release, verify},
    resolver::{Recommends, Request, resolve},
};
use contract::{Arch, Digest, Epoch};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    time::{SystemTime, UNIX_EPOCH},
};
use store::Download;

const SUITES: [&str; 3] = ["trixie", "trixie-updates", "trixie-security"];
const COMPONENTS: [&str; 2] = ["main", "non-free-firmware"];
/// InRelease is 140 KB; one that is a hundred times larger is none.
const LARGEST_RELEASE: u64 = 16 << 20;

/// Packages chosen for every architecture, and how new the indexes were.
#[derive(Debug)]
pub(crate) struct Choice {
    pub(crate) packages: BTreeMap<Arch, BTreeMap<String, Locked>>,
    pub(crate) snapshot: Epoch,
}

/// Digest of what a profile asks for; a lock is stale when it was made for another one.
pub(crate) fn request_digest(described: &Described) -> Digest {
    let mut text = format!("{SUITES:?} {COMPONENTS:?}\n");
    for arch in Arch::ALL {
        let Request { roots, exclude, .. } = request(described, arch, BTreeMap::new());
        text += &format!("{arch} {roots:?} {exclude:?} {:?}\n", described.profile.recommends);
    }
    let pins = described.pins();
    if !pins.is_empty() {
        text += &format!("{pins:?}\n");
    }
    Digest::of(text.as_bytes())
}

/// Whether `lock` was made for what the profile asks for now.
pub(crate) fn check_current(described: &Described, lock: &Lock) -> Result<(), Failure> {
    let name = &described.profile.name;
    // The pins are compared themselves: a line that somebody took out of the lock must not go unnoticed.
    if lock.request == request_digest(described) && lock.artifacts == described.pins() {
        return Ok(());
    }
    Err(Failure::with_hint(
        format!(
            "profiles/{name}.lock was made for other packages or artifacts than profiles/{name}.toml and its overlays ask for now"
        ),
        format!("run `hcimage lock --profile {name}`"),
    ))
}

/// Chooses packages anew; where `keep` names a version that still exists and still fits, that one.
pub(crate) fn choose(
    workshop: &Workshop,
    described: &Described,
    keep: &dyn Fn(Arch) -> BTreeMap<String, String>,
    printer: &Printer,
) -> Result<Choice, Failure> {
    let keyring = keyring(workshop)?;
    let releases = printer.stage("releases", |stage| {
        let releases = releases(workshop, &keyring)?;
        stage.note(format!("{} suites, signatures good", releases.len()));
        Ok(releases)
    })?;
    let snapshot = releases.iter().map(|(_, release)| release.date).max().unwrap_or(Epoch(0));
    let mut packages = BTreeMap::new();
    for arch in Arch::ALL {
        let chosen = printer.stage("resolve", |stage| {
            let texts = indexes(workshop, &releases, arch, stage)?;
            let chosen = resolve_one(described, arch, &texts, keep(arch))?;
            stage.note(format!("{} packages for {arch}", chosen.len()));
            Ok(chosen)
        })?;
        packages.insert(arch, chosen);
    }
    Ok(Choice { packages, snapshot })
}

fn keyring(workshop: &Workshop) -> Result<Keyring, Failure> {
    let Some(file) = &workshop.keyring else {
        return Keyring::parse(DEBIAN_TRIXIE).map_err(|error| Failure::refused(error.to_string()));
    };
    let bytes = fs::read(file).map_err(Failure::file("read", file))?;
    Keyring::parse(&[&bytes]).map_err(|error| Failure::refused(format!("{}: {error}", file.display())))
}

fn request(described: &Described, arch: Arch, keep: BTreeMap<String, String>) -> Request {
    let overlays = described.overlays.iter().flat_map(|overlay| overlay.packages(arch));
    let roots: BTreeSet<String> = described.profile.packages.iter().chain(overlays).cloned().collect();
    Request {
        roots: roots.into_iter().collect(),
        exclude: described.profile.exclude.iter().cloned().collect(),
        recommends: match described.profile.recommends.as_slice() {
            [] => Recommends::None,
            names => Recommends::Of(names.iter().cloned().collect()),
        },
        keep,
    }
}

fn releases(workshop: &Workshop, keyring: &Keyring) -> Result<Vec<(&'static str, Release)>, Failure> {
    if workshop.mirrors.is_empty() {
        return Err(store::StoreError::NoMirror.into());
    }
    let now =
        SystemTime::now().duration_since(UNIX_EPOCH).ok().and_then(|now| i64::try_from(now.as_secs()).ok());
    let now = Epoch(now.ok_or_else(|| Failure::refused("this machine's clock is before 1970: set it"))?);
    SUITES
        .into_iter()
        .map(|suite| {
            let urls = workshop.mirrors.urls(suite, &format!("dists/{suite}/InRelease"));
            let bytes = workshop.web.get(&format!("InRelease of {suite}"), &urls, LARGEST_RELEASE)?;
            let release = verify(&bytes, keyring, suite, now);
            Ok((
                suite,
                release.map_err(|source| Failure::Release {
                    suite: suite.to_owned(),
                    source: Box::new(source),
                })?,
            ))
        })
        .collect()
}

/// The package indexes of one architecture, as text, each with its suite.
fn indexes(
    workshop: &Workshop,
    releases: &[(&'static str, Release)],
    arch: Arch,
    stage: &Stage,
) -> Result<Vec<(&'static str, String)>, Failure> {
    let mut wanted = Vec::new();
    for (suite, release) in releases {
        for component in COMPONENTS {
            let index = release.index(component, arch.debian());
            let index = index.map_err(|source| Failure::Release {
                suite: (*suite).to_owned(),
                source: Box::new(source),
            })?;
            let path = index.by_hash.as_ref().unwrap_or(&index.path);
            let download = Download {
                name: format!("package index of {suite}/{component} ({arch})"),
                urls: workshop.mirrors.urls(suite, &format!("dists/{suite}/{path}")),
                sha256: index.sha256,
                size: Some(index.size),
            };
            wanted.push((*suite, download));
        }
    }
    let downloads: Vec<_> = wanted.iter().map(|(_, download)| download.clone()).collect();
    workshop.web.fetch(&workshop.cache, &downloads, stage).map_err(Failure::Downloads)?;
    wanted
        .into_iter()
        .map(|(suite, download)| {
            let path = workshop.cache.file(&download.sha256);
            let bytes = fs::read(&path).map_err(Failure::file("read", &path))?;
            let found = Digest::of(&bytes);
            if found != download.sha256 {
                fs::remove_file(&path).map_err(Failure::file("remove", &path))?;
                return Err(Failure::DamagedCache { name: download.name, found, expected: download.sha256 });
            }
            let text = decompress(&bytes, LARGEST_INDEX);
            Ok((
                suite,
                text.map_err(|source| Failure::Packages {
                    suite: suite.to_owned(),
                    source: Box::new(source),
                })?,
            ))
        })
        .collect()
}

fn resolve_one(
    described: &Described,
    arch: Arch,
    texts: &[(&'static str, String)],
    keep: BTreeMap<String, String>,
) -> Result<BTreeMap<String, Locked>, Failure> {
    let wrong = |suite: &str| {
        let suite = suite.to_owned();
        move |source| Failure::Packages { suite, source: Box::new(source) }
    };
    let indexes = texts.iter().map(|(suite, text)| Index::parse(text, suite).map_err(wrong(suite)));
    let catalog =
        Catalog::new(arch.debian(), indexes.collect::<Result<_, _>>()?).map_err(wrong("all suites"))?;
    let selection = resolve(&catalog, &request(described, arch, keep));
    let selection = selection.map_err(|source| Failure::Resolve { arch, source: Box::new(source) })?;
    let locked = selection.packages.into_iter().map(|(name, chosen)| {
        let package = chosen.package;
        let locked = Locked {
            version: package.version.to_string(),
            suite: package.suite.to_owned(),
            path: package.filename.to_owned(),
            size: package.size,
            sha256: package.sha256,
        };
        (name.to_owned(), locked)
    });
    Ok(locked.collect())
}
