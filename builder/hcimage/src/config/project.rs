//! The checkout: where profiles and overlays are.

use super::{Artifact, Lock, LockedArtifact, Overlay, Problem, Profile, profile::Raw};
use contract::{Arch, trust::Chain};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};
use tree::suggest::nearest;

/// A folder that holds `profiles/` and `overlays/`.
#[derive(Clone, Debug)]
pub(crate) struct Project {
    pub(crate) root: PathBuf,
}

/// A profile with its overlays.
#[derive(Clone, Debug)]
pub(crate) struct Described {
    pub(crate) profile: Profile,
    pub(crate) overlays: Vec<Overlay>,
    /// Whose updates its nodes believe, with all earlier versions.
    pub(crate) trust: Chain,
}

impl Described {
    /// The artifacts that the image has, each with its overlay: all but those optional ones that nobody asks for.
    pub(crate) fn artifacts(&self) -> impl Iterator<Item = (&Overlay, &Artifact)> {
        let all = self
            .overlays
            .iter()
            .flat_map(|overlay| overlay.keys.artifacts.iter().map(move |artifact| (overlay, artifact)));
        all.filter(|(_, artifact)| !artifact.optional || self.profile.artifacts.contains(&artifact.name))
    }

    /// The same as a lock names them.
    pub(crate) fn pins(&self) -> BTreeMap<Arch, BTreeMap<String, LockedArtifact>> {
        let of = |arch| {
            let pins = self.artifacts().filter_map(move |(_, artifact)| {
                let pin = artifact.pin(arch)?;
                let (version, url) = (artifact.version.clone(), pin.url.clone());
                Some((artifact.name.clone(), LockedArtifact { version, url, sha256: pin.sha256 }))
            });
            (arch, pins.collect::<BTreeMap<_, _>>())
        };
        Arch::ALL.into_iter().map(of).filter(|(_, pins)| !pins.is_empty()).collect()
    }
}

impl Project {
    /// The project that holds `start`: the nearest folder upwards with `profiles/` and `overlays/`.
    pub(crate) fn find(start: &Path) -> Result<Self, Problem> {
        let holds = |folder: &&Path| folder.join("profiles").is_dir() && folder.join("overlays").is_dir();
        let root = start.ancestors().find(holds).ok_or_else(|| {
            Problem::in_file(start, "neither this folder nor one above it holds profiles/ and overlays/: run hcimage in a checkout, or give --project DIR")
        })?;
        Ok(Self { root: root.to_owned() })
    }

    fn profile_file(&self, name: &str) -> PathBuf {
        self.root.join("profiles").join(format!("{name}.toml"))
    }

    /// Where the lock of a profile is, or would be.
    pub(crate) fn lock_file(&self, profile: &str) -> PathBuf {
        self.root.join("profiles").join(format!("{profile}.lock"))
    }

    /// The names of all profiles, sorted.
    pub(crate) fn profiles(&self) -> Result<Vec<String>, Problem> {
        names_in(&self.root.join("profiles"), ".toml")
    }

    /// The profile `name` with what it extends, and its overlays.
    pub(crate) fn describe(&self, name: &str) -> Result<Described, Problem> {
        let file = self.profile_file(name);
        let profile = self.raw(name, &mut Vec::new())?.finish(name, &file)?;
        let mut overlays = Vec::new();
        for overlay in &profile.overlays {
            let folder = self.root.join("overlays").join(overlay);
            if !folder.join("overlay.toml").is_file() {
                let known = names_in(&self.root.join("overlays"), "")?;
                let hint = nearest(overlay, known.iter().map(String::as_str)).map_or_else(
                    || format!("there are: {}", known.join(", ")),
                    |near| format!("did you mean `{near}`?"),
                );
                let message = format!(
                    "overlay `{overlay}`: there is no {}; {hint}",
                    folder.join("overlay.toml").display()
                );
                return Err(Problem::in_file(&file, message));
            }
            overlays.push(Overlay::load(overlay, &folder)?);
        }
        let trust = self.trust(&profile, &file)?;
        let described = Described { profile, overlays, trust };
        self.check_artifacts(&described)?;
        Ok(described)
    }

    /// The chain of trusts that a profile names; its newest version must be signed already.
    fn trust(&self, profile: &Profile, file: &Path) -> Result<Chain, Problem> {
        let Some(name) = &profile.update.trust else { return Ok(Chain::default()) };
        let path = self.root.join(name);
        let bytes = fs::read(&path).map_err(|error| {
            let message = format!(
                "`update.trust`: {} cannot be read: {error}; `hcimage trust new` makes one",
                path.display()
            );
            Problem::in_file(file, message)
        })?;
        let wrong = |wrong: String| Problem::in_file(&path, wrong);
        let chain = Chain::parse(&bytes).map_err(|error| wrong(error.to_string()))?;
        match chain.newest() {
            Ok(Some(_)) => Ok(chain),
            Ok(None) => Err(wrong("there is no trust in it: `hcimage trust new` makes one".to_owned())),
            Err(error) => Err(wrong(format!("{error}; `hcimage trust sign` adds a signature"))),
        }
    }

    /// Names of artifacts are the image's, not an overlay's, and what the profile asks for must exist.
    fn check_artifacts(&self, described: &Described) -> Result<(), Problem> {
        let mut names = BTreeSet::new();
        for overlay in &described.overlays {
            for Artifact { name, .. } in &overlay.keys.artifacts {
                if !names.insert(name.as_str()) {
                    let file = self.root.join("overlays").join(&overlay.name).join("overlay.toml");
                    let message =
                        format!("artifact `{name}` is there twice: the overlays of a profile name each once");
                    return Err(Problem::in_file(&file, message));
                }
            }
        }
        let Some(stranger) = described.profile.artifacts.iter().find(|name| !names.contains(name.as_str()))
        else {
            return Ok(());
        };
        let hint = match nearest(stranger, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if names.is_empty() => "its overlays have none at all".to_owned(),
            None => format!("there are: {}", names.into_iter().collect::<Vec<_>>().join(", ")),
        };
        let file = self.profile_file(&described.profile.name);
        Err(Problem::in_file(
            &file,
            format!("artifact `{stranger}`: no overlay of this profile has it; {hint}"),
        ))
    }

    /// The lock of `profile`.
    pub(crate) fn lock(&self, profile: &str) -> Result<Lock, Problem> {
        let file = self.lock_file(profile);
        let text = fs::read_to_string(&file).map_err(|error| {
            let message = format!("cannot be read: {error}; `hcimage lock --profile {profile}` makes it");
            Problem::in_file(&file, message)
        })?;
        Lock::parse(&file, &text)
    }

    fn raw(&self, name: &str, seen: &mut Vec<String>) -> Result<Raw, Problem> {
        let file = self.profile_file(name);
        if seen.iter().any(|earlier| earlier == name) {
            seen.push(name.to_owned());
            let message = format!("`extends` leads round in a circle: {}", seen.join(" -> "));
            return Err(Problem::in_file(&file, message));
        }
        let text = fs::read_to_string(&file).map_err(|error| {
            let known = self.profiles().unwrap_or_else(|_| Vec::new());
            let by = seen.last().map_or_else(String::new, |by| format!(" (extended by `{by}`)"));
            let hint = nearest(name, known.iter().map(String::as_str)).map_or_else(
                || format!("there are: {}", known.join(", ")),
                |near| format!("did you mean `{near}`?"),
            );
            Problem::in_file(&file, format!("profile `{name}`{by} cannot be read: {error}; {hint}"))
        })?;
        seen.push(name.to_owned());
        let raw = Raw::parse(&file, &text)?;
        match raw.extends.clone() {
            Some(base) => Ok(raw.on(self.raw(&base, seen)?)),
            None => Ok(raw),
        }
    }
}

/// The names in a folder that end in `suffix`, without it, sorted.
fn names_in(folder: &Path, suffix: &str) -> Result<Vec<String>, Problem> {
    let cannot = |error: std::io::Error| Problem::in_file(folder, format!("cannot be read: {error}"));
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(cannot)? {
        let name = entry.map_err(cannot)?.file_name();
        if let Some(name) = name.to_str().and_then(|name| name.strip_suffix(suffix)) {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}
