//! One of the two builds: what its folder says, and what only its root does.

use super::{changes::Map, listing::Listing};
use crate::{
    commands::{sign::manifest_file, verify::Window},
    config::size,
    error::Failure,
};
use contract::{Digest, Probe, Release, release::How, slots};
use disk::erofs;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
};

/// The largest text that is read from a root, bytes.
const TEXT_MAX: u64 = 4 << 20;

/// A build.
#[derive(Debug)]
pub(super) struct Side {
    pub(super) release: Release,
    pub(super) listing: Listing,
    /// Versions by package.
    pub(super) packages: Map,
    /// Digests of the packages' files.
    pub(super) sources: BTreeMap<String, Digest>,
    pub(super) users: Map,
    pub(super) groups: Map,
    pub(super) probes: Map,
    image: PathBuf,
    file: File,
}

impl Side {
    /// Reads a build's folder.
    pub(super) fn open(folder: &Path) -> Result<Self, Failure> {
        let text = |name: &str| {
            let path = folder.join(name);
            fs::read_to_string(&path).map_err(Failure::file("read", path))
        };
        let manifest = manifest_file(folder);
        let release = Release::parse(&fs::read(&manifest).map_err(Failure::file("read", &manifest))?)?;
        let listing = Listing::parse(&text("files.txt")?, &folder.join("files.txt"))?;
        let (packages, sources) = packages(&text("packages.txt")?, &folder.join("packages.txt"))?;
        let image = folder.join("disk.img");
        let file = File::open(&image).map_err(Failure::file("read", &image))?;
        let empty = Map::new;
        let (users, groups, probes) = (empty(), empty(), empty());
        let mut side = Self { release, listing, packages, sources, users, groups, probes, image, file };
        (side.users, side.groups, side.probes) = side.inside()?;
        Ok(side)
    }

    /// What only the root says: users, groups, probes.
    fn inside(&self) -> Result<(Map, Map, Map), Failure> {
        let mut root = erofs::Reader::open(self.part(slots::Part::Root(slots::Slot::A).label())?)?;
        let mut text = |path: &str| -> Result<String, Failure> {
            let found = root.find(path)?;
            Ok(String::from_utf8_lossy(&root.read(&found, TEXT_MAX)?).into_owned())
        };
        let users = accounts(&text("/etc/passwd")?, |fields| {
            format!("{}:{} {} {}", fields.get(2)?, fields.get(3)?, fields.get(5)?, fields.get(6)?).into()
        });
        let groups = accounts(&text("/etc/group")?, |fields| {
            let members = fields.get(3).copied().unwrap_or_default();
            Some(format!("{} {members}", fields.get(2)?).trim_end().to_owned())
        });
        let json = text("/usr/lib/hcimage/probes.json")?;
        let probes: Vec<Probe> = serde_json::from_str(&json).map_err(|error| {
            Failure::refused(format!("{}: /usr/lib/hcimage/probes.json: {error}", self.image.display()))
        })?;
        let said = |probe: &Probe| {
            let check =
                serde_json::to_string(&probe.check).map_err(|error| Failure::refused(error.to_string()))?;
            Ok((format!("{}: {}", probe.overlay, probe.name), format!("{check} within {} s", probe.deadline)))
        };
        Ok((users, groups, probes.iter().map(said).collect::<Result<_, Failure>>()?))
    }

    /// A part of the disk as a file of its own.
    pub(super) fn part(&self, name: &str) -> Result<Window<'_>, Failure> {
        let part = self.release.part(name).ok_or_else(|| {
            Failure::refused(format!("{}: the manifest has no part `{name}`", self.image.display()))
        })?;
        Ok(Window::part(&self.file, part))
    }

    /// For messages about the image.
    pub(super) fn image_path(&self) -> &Path {
        &self.image
    }

    /// What the image is.
    pub(super) fn image(&self) -> Map {
        let Release { profile, arch, board, lab, .. } = &self.release;
        let lab = if lab.is_empty() { "no".to_owned() } else { lab.join(" ") };
        let rows = [
            ("profile", profile.clone()),
            ("architecture", arch.to_string()),
            ("board", board.clone()),
            ("lab inputs", lab),
        ];
        rows.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// The kernel's release and the words of its command line.
    pub(super) fn kernel(&self) -> Map {
        let kernel = &self.release.kernel;
        // The root hash changes with every byte: it says nothing more.
        let words = kernel.cmdline.split_whitespace().filter(|word| !word.starts_with("hcimage.root="));
        let mut found: Map = words.map(|word| (format!("option {word}"), String::new())).collect();
        found.insert("release".to_owned(), kernel.release.clone());
        found
    }

    /// Our own binaries, and files that no package ships.
    pub(super) fn programs(&self) -> Map {
        let node = self.release.node.iter().map(|(name, it)| (name.clone(), format!("sha256:{}", it.sha256)));
        let artifacts = self.release.artifacts.iter().map(|(name, it)| {
            let how = if it.how == How::Deferred || it.how == How::Substituted {
                it.how.to_string()
            } else {
                String::new()
            };
            let digest = it.sha256.to_string();
            (name.clone(), format!("{} {} {how}", it.version, &digest[..12]).trim_end().to_owned())
        });
        node.chain(artifacts).collect()
    }

    /// Ports that may listen.
    pub(super) fn ports(&self) -> Map {
        self.release.ports.iter().map(|port| (port.clone(), String::new())).collect()
    }

    /// Sizes of the parts, and how many paths.
    pub(super) fn sizes(&self) -> Map {
        let parts = self.release.parts.iter().filter(|part| !part.name.starts_with("table"));
        let mut found: Map = parts.map(|part| (part.name.clone(), size::show(part.size))).collect();
        found.insert("paths".to_owned(), self.listing.len().to_string());
        found
    }
}

/// Lines of `NAME VERSION SUITE SHA256`; artifacts among them are the manifest's to tell.
fn packages(text: &str, file: &Path) -> Result<(Map, BTreeMap<String, Digest>), Failure> {
    let (mut versions, mut sources) = (Map::new(), BTreeMap::new());
    for (at, line) in (1..).zip(text.lines()) {
        let wrong = || {
            Failure::refused(format!("{}:{at}: not a line of a build's packages: `{line}`", file.display()))
        };
        let [name, version, suite, digest] = line.split(' ').collect::<Vec<_>>()[..] else {
            return Err(wrong());
        };
        if !suite.starts_with("artifact") {
            versions.insert(name.to_owned(), version.to_owned());
            sources.insert(name.to_owned(), digest.parse().map_err(|_| wrong())?);
        }
    }
    Ok((versions, sources))
}

fn accounts(text: &str, value: impl Fn(&[&str]) -> Option<String>) -> Map {
    let line = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        Some((fields.first()?.to_string(), value(&fields)?))
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_read_and_artifacts_passed_over() {
        let digest = "ab".repeat(32);
        let text = format!("bash 5.2 trixie {digest}\nk3s v1 artifact {digest}\n");
        let (versions, sources) = packages(&text, Path::new("packages.txt")).unwrap();
        assert_eq!((versions.len(), sources.len(), versions["bash"].as_str()), (1, 1, "5.2"));
        assert!(packages("bash 5.2\n", Path::new("p")).unwrap_err().to_string().starts_with("p:1: "));
    }

    #[test]
    fn accounts_are_read() {
        let found = accounts("root:x:0:\nsambashare:x:991:dnas\n", |fields| Some(fields.get(3)?.to_string()));
        assert_eq!(found["sambashare"], "dnas");
    }
}
