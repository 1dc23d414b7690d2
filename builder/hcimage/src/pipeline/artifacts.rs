//! Artifacts: from the lock's pins and what the user says of them to files in the cache.

use crate::{
    args::{ArtifactArgs, NamedFile},
    config::{Described, Lock, LockedArtifact, overlay, size},
    error::Failure,
    printer::Printer,
    settings::Workshop,
};
use ::tree::{Content, ImagePath, Overlay, OverlayFile, recipe::Mode, suggest::nearest};
use contract::{
    Arch, Deferred, Digest,
    release::{self, How},
};
use std::{collections::BTreeMap, fs, path::PathBuf};
use store::{Cache, Download, StoreError};

/// One artifact of a build: its bytes are in the cache, or it is left to the node.
#[derive(Clone, Debug)]
pub(crate) struct Artifact {
    /// The overlay that brings it.
    pub(crate) overlay: String,
    pub(crate) path: ImagePath,
    mode: Mode,
    pub(crate) urls: Vec<String>,
    pub(crate) described: release::Artifact,
}

/// The artifacts by name.
pub(crate) type Artifacts = BTreeMap<String, Artifact>;

/// Where the user wants an artifact from, if not from where it is published.
#[derive(Clone, Debug)]
enum Wish {
    Given(PathBuf),
    Deferred,
    Substituted(PathBuf),
}

impl Wish {
    const fn option(&self) -> &'static str {
        match self {
            Self::Given(_) => "--artifact",
            Self::Deferred => "--defer",
            Self::Substituted(_) => "--substitute",
        }
    }
}

/// What the user says of artifacts, by their names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wishes(BTreeMap<String, Wish>);

impl Wishes {
    /// From what was typed; nothing may be said twice of one artifact.
    pub(crate) fn of(args: ArtifactArgs) -> Result<Self, Failure> {
        let ArtifactArgs { artifact, defer, substitute } = args;
        let given = artifact.into_iter().map(|NamedFile { name, file }| (name, Wish::Given(file)));
        let deferred = defer.into_iter().map(|name| (name, Wish::Deferred));
        let others = substitute.into_iter().map(|NamedFile { name, file }| (name, Wish::Substituted(file)));
        let mut wishes = Self::default();
        for (name, wish) in given.chain(deferred).chain(others) {
            let option = wish.option();
            if let Some(earlier) = wishes.0.insert(name.clone(), wish) {
                return Err(Failure::with_hint(
                    format!("artifact `{name}` is named twice, with {} and {option}", earlier.option()),
                    "say one thing of it: --artifact NAME=FILE, --defer NAME or --substitute NAME=FILE",
                ));
            }
        }
        Ok(wishes)
    }

    /// The names of what is substituted.
    pub(crate) fn substituted(&self) -> Vec<&str> {
        let substitutes = self.0.iter().filter(|(_, wish)| matches!(wish, Wish::Substituted(_)));
        substitutes.map(|(name, _)| name.as_str()).collect()
    }

    fn check(&self, described: &Described, locked: &BTreeMap<String, LockedArtifact>) -> Result<(), Failure> {
        let Some((name, wish)) = self.0.iter().find(|(name, _)| !locked.contains_key(*name)) else {
            return Ok(());
        };
        let profile = &described.profile.name;
        let optional = described.overlays.iter().flat_map(|overlay| &overlay.keys.artifacts);
        let hint = if optional.clone().any(|artifact| artifact.name == *name) {
            format!(
                "it is there for profiles that ask for it, on architectures that have it: artifacts = [\"{name}\"]"
            )
        } else {
            match nearest(name, locked.keys().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None if locked.is_empty() => "it has none: no overlay of it has an [[artifact]]".to_owned(),
                None => format!("there are: {}", locked.keys().cloned().collect::<Vec<_>>().join(", ")),
            }
        };
        Err(Failure::with_hint(
            format!("{} {name}: the profile `{profile}` has no artifact of this name", wish.option()),
            hint,
        ))
    }
}

/// Brings every artifact of the lock into the cache, from where it is published or from where the user has it.
/// `typed` is the command line, for the ways out of a failure.
pub(crate) fn gather(
    workshop: &Workshop,
    described: &Described,
    lock: &Lock,
    arch: Arch,
    wishes: &Wishes,
    typed: &str,
    printer: &Printer,
) -> Result<Artifacts, Failure> {
    let locked = of(lock, arch);
    wishes.check(described, &locked)?;
    if locked.is_empty() {
        return Ok(Artifacts::new());
    }
    printer.stage("artifacts", |stage| {
        let cache = &workshop.cache;
        let mut artifacts = Artifacts::new();
        let mut missing = Vec::new();
        for (name, pin) in &locked {
            let mut artifact = described_one(described, name, pin)?;
            match wishes.0.get(name) {
                None => missing.push((name.clone(), download(name, pin))),
                Some(Wish::Deferred) => artifact.described.how = How::Deferred,
                Some(Wish::Given(file)) => {
                    let (_, size) = cache.adopt(file, Some(&pin.sha256))?;
                    artifact.described.size = Some(size);
                    artifact.described.how = How::Given;
                }
                Some(Wish::Substituted(file)) => {
                    let (sha256, size) = cache.adopt(file, None)?;
                    let version = pin.version.clone();
                    let how = How::Substituted;
                    artifact.described = release::Artifact { version, sha256, size: Some(size), how };
                }
            }
            artifacts.insert(name.clone(), artifact);
        }
        let downloads: Vec<Download> = missing.iter().map(|(_, download)| download.clone()).collect();
        stage.note(format!("{}, nothing to download", locked.keys().cloned().collect::<Vec<_>>().join(", ")));
        workshop
            .web
            .fetch(cache, &downloads, stage)
            .map_err(|errors| out_of_reach(errors, &missing, typed))?;
        for (name, download) in &missing {
            let path = cache.file(&download.sha256);
            let found = fs::metadata(&path).map_err(Failure::file("read", &path))?;
            if let Some(artifact) = artifacts.get_mut(name) {
                artifact.described.size = Some(found.len());
            }
        }
        Ok(artifacts)
    })
}

/// The artifacts as they are known without the network: what the cache does not hold is as if it were deferred.
pub(crate) fn known(
    cache: &Cache,
    described: &Described,
    lock: &Lock,
    arch: Arch,
) -> Result<Artifacts, Failure> {
    let mut artifacts = Artifacts::new();
    for (name, pin) in of(lock, arch) {
        let mut artifact = described_one(described, &name, &pin)?;
        match fs::metadata(cache.file(&pin.sha256)) {
            Ok(found) => artifact.described.size = Some(found.len()),
            Err(_) => artifact.described.how = How::Deferred,
        }
        artifacts.insert(name, artifact);
    }
    Ok(artifacts)
}

/// The artifacts of the lock for one architecture.
fn of(lock: &Lock, arch: Arch) -> BTreeMap<String, LockedArtifact> {
    lock.artifacts.get(&arch).cloned().unwrap_or_default()
}

fn described_one(described: &Described, name: &str, pin: &LockedArtifact) -> Result<Artifact, Failure> {
    let found = described.artifacts().find(|(_, artifact)| artifact.name == name);
    let (overlay, artifact) = found.ok_or_else(|| {
        let profile = &described.profile.name;
        Failure::with_hint(
            format!("profiles/{profile}.lock has an artifact `{name}`, which no overlay of the profile has"),
            format!("run `hcimage lock --profile {profile}`"),
        )
    })?;
    Ok(Artifact {
        overlay: overlay.name.clone(),
        path: ImagePath::parse(&artifact.path)?,
        mode: artifact.permissions().map_err(Failure::refused)?,
        urls: pin.url.clone(),
        described: release::Artifact {
            version: pin.version.clone(),
            sha256: pin.sha256,
            size: None,
            how: How::Pinned,
        },
    })
}

fn download(name: &str, pin: &LockedArtifact) -> Download {
    Download {
        name: format!("artifact {name} {}", pin.version),
        urls: pin.url.clone(),
        sha256: pin.sha256,
        size: None,
    }
}

/// What could not be had, with every way to an image without it.
fn out_of_reach(errors: Vec<StoreError>, missing: &[(String, Download)], typed: &str) -> Failure {
    let of_network = |error: &StoreError| {
        matches!(error, StoreError::Gone { .. } | StoreError::Unreachable { .. } | StoreError::Offline { .. })
    };
    if !errors.iter().all(of_network) {
        return Failure::Downloads(errors);
    }
    let is_about = |error: &StoreError, download: &Download| match error {
        StoreError::Gone { name, .. }
        | StoreError::Unreachable { name, .. }
        | StoreError::Offline { name, .. } => *name == download.name,
        _ => false,
    };
    let names: Vec<(&str, &Digest)> = missing
        .iter()
        .filter(|(_, download)| errors.iter().any(|error| is_about(error, download)))
        .map(|(name, download)| (name.as_str(), &download.sha256))
        .collect();
    let all = |word: &dyn Fn(&str) -> String| {
        names.iter().map(|(name, _)| format!(" {}", word(name))).collect::<String>()
    };
    let sums: Vec<String> =
        names.iter().map(|(name, sha256)| format!("{name} has sha256 {sha256}")).collect();
    let message = errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    let hint = format!(
        "what was downloaded so far is kept; run it again, or\n\
         give a copy that you have ({}):\n  {typed}{}\n\
         leave it to the node, which fetches it when it starts:\n  {typed}{}\n\
         put another program in its place, in a lab (no release):\n  {typed}{}",
        sums.join(", "),
        all(&|name| format!("--artifact {name}=FILE")),
        all(&|name| format!("--defer {name}")),
        all(&|name| format!("--substitute {name}=FILE")),
    );
    Failure::with_hint(message, hint)
}

impl Artifact {
    /// Whether its bytes are in the image.
    pub(crate) fn is_inside(&self) -> bool {
        self.described.how != How::Deferred
    }

    fn deferred(&self, name: &str) -> Deferred {
        Deferred {
            name: name.to_owned(),
            version: self.described.version.clone(),
            path: format!("/{}", self.path.as_str()),
            mode: format!("{:04o}", self.mode.0),
            urls: self.urls.clone(),
            sha256: self.described.sha256,
        }
    }

    /// For a table: version, how, size.
    pub(crate) fn say(&self, name: &str) -> String {
        let release::Artifact { version, size, how, .. } = &self.described;
        size.map_or_else(
            || format!("{name} {version} ({how})"),
            |size| format!("{name} {version} ({how}, {})", size::show(size)),
        )
    }
}

/// Adds to an overlay's value what its artifacts put into the root: the file, or a link to where the node will have it.
pub(crate) fn lay(artifacts: &Artifacts, overlay: &overlay::Overlay, value: &mut Overlay) {
    for (name, artifact) in artifacts.iter().filter(|(_, artifact)| artifact.overlay == overlay.name) {
        let path = artifact.path.clone();
        let release::Artifact { sha256, size, .. } = artifact.described;
        match size.filter(|_| artifact.is_inside()) {
            None => value.links.push((path, artifact.deferred(name).place())),
            Some(size) => value.files.push(OverlayFile {
                path,
                content: Content::Stored { digest: sha256, size },
                mode: artifact.mode,
                owner: "root".to_owned(),
                group: "root".to_owned(),
            }),
        }
    }
}

/// What the node is to fetch, as the text of its `deferred.json`.
pub(crate) fn deferred(artifacts: &Artifacts) -> Result<String, Failure> {
    let left = artifacts.iter().filter(|(_, artifact)| !artifact.is_inside());
    let list: Vec<Deferred> = left.map(|(name, artifact)| artifact.deferred(name)).collect();
    let text = serde_json::to_string_pretty(&list).map_err(|error| Failure::refused(error.to_string()))?;
    Ok(text + "\n")
}
