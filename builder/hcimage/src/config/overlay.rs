//! Overlays: one folder per service, `overlay.toml` and `files/`.

use super::{Artifact, Problem, parse};
use contract::{Arch, Check, Probe};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// One overlay as its folder says. The meaning of each key is in `docs/overlays.md`.
#[derive(Clone, Debug)]
pub(crate) struct Overlay {
    pub(crate) name: String,
    pub(crate) keys: Keys,
    pub(crate) probes: Vec<Probe>,
    /// `files/`, by path in the image, in bytewise order.
    pub(crate) files: BTreeMap<String, Entry>,
    /// Recipes for the overlay's own packages: file name and text.
    pub(crate) recipes: BTreeMap<String, String>,
}

/// What `files/` holds at one path. Modes and times of the checkout are never used.
#[derive(Clone, Debug)]
pub(crate) enum Entry {
    File(Vec<u8>),
    Link(String),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Keys {
    #[allow(dead_code, reason = "for people, and required so that every overlay says what it is")]
    description: String,
    #[serde(default)]
    pub(crate) packages: Vec<String>,
    #[serde(default, rename = "packages-by-arch")]
    pub(crate) packages_by_arch: BTreeMap<Arch, Vec<String>>,
    #[serde(default)]
    pub(crate) modes: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) owners: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) directories: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) links: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) replace: Vec<String>,
    #[serde(default)]
    pub(crate) enable: Vec<String>,
    #[serde(default)]
    pub(crate) disable: Vec<String>,
    #[serde(default)]
    pub(crate) mask: Vec<String>,
    #[serde(default)]
    pub(crate) persist: Vec<String>,
    #[serde(default)]
    pub(crate) ports: Vec<String>,
    #[serde(default, rename = "user")]
    pub(crate) users: Vec<tree::recipe::User>,
    #[serde(default, rename = "artifact")]
    pub(crate) artifacts: Vec<Artifact>,
    #[serde(default, rename = "probe")]
    probes: Vec<RawProbe>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawProbe {
    name: String,
    deadline: String,
    unit: Option<String>,
    tcp: Option<String>,
    http: Option<String>,
    expect: Option<String>,
    file: Option<String>,
    sysctl: Option<String>,
}

impl Overlay {
    /// Reads the overlay in `folder`.
    pub(crate) fn load(name: &str, folder: &Path) -> Result<Self, Problem> {
        let file = folder.join("overlay.toml");
        let text = read_text(&file)?;
        let keys: Keys = parse::toml(&file, &text)?;
        let probes = keys.probes.iter().map(|probe| probe.finish(name)).collect::<Result<_, _>>();
        let overlay = Self {
            name: name.to_owned(),
            probes: probes.map_err(|message| Problem::in_file(&file, message))?,
            keys,
            files: read_files(&folder.join("files"))?,
            recipes: read_recipes(&folder.join("recipes"))?,
        };
        overlay.check(&file)?;
        Ok(overlay)
    }

    /// Packages that this overlay needs on `arch`.
    pub(crate) fn packages(&self, arch: Arch) -> impl Iterator<Item = &String> {
        self.keys.packages.iter().chain(self.keys.packages_by_arch.get(&arch).into_iter().flatten())
    }

    fn check(&self, file: &Path) -> Result<(), Problem> {
        for path in self.keys.modes.keys().chain(self.keys.owners.keys()) {
            let known = self.files.contains_key(path.trim_start_matches('/'))
                || self.keys.directories.contains_key(path);
            if !known {
                let message =
                    format!("`{path}` has a mode or an owner, but is neither in files/ nor in `directories`");
                return Err(Problem::in_file(file, message));
            }
        }
        for artifact in &self.keys.artifacts {
            artifact.check().map_err(|message| Problem::in_file(file, message))?;
        }
        for port in &self.keys.ports {
            let valid = port.split_once('/').is_some_and(|(protocol, number)| {
                matches!(protocol, "tcp" | "udp") && number.parse::<u16>().is_ok_and(|number| number > 0)
            });
            if !valid {
                let message =
                    format!("`{port}` is not a port: write tcp/NUMBER or udp/NUMBER, such as `tcp/22`");
                return Err(Problem::in_file(file, message));
            }
        }
        Ok(())
    }
}

impl RawProbe {
    fn finish(&self, overlay: &str) -> Result<Probe, String> {
        let Self { name, deadline, unit, tcp, http, expect, file, sysctl } = self;
        if expect.is_some() && http.is_none() {
            return Err(format!("probe `{name}` has `expect`, which only an `http` probe may have"));
        }
        let checks = [
            unit.clone().map(Check::Unit),
            tcp.clone().map(Check::Tcp),
            http.clone().map(|url| Check::Http { url, expect: expect.clone() }),
            file.clone().map(Check::File),
            sysctl.as_deref().map(|text| self.sysctl(text)).transpose()?,
        ];
        let checks: Vec<_> = checks.into_iter().flatten().collect();
        let [check] = <[Check; 1]>::try_from(checks).map_err(|_| {
            format!("probe `{name}` needs exactly one of `unit`, `tcp`, `http`, `file`, `sysctl`")
        })?;
        let seconds =
            deadline.strip_suffix('s').and_then(|number| number.parse().ok()).filter(|seconds| *seconds > 0);
        let deadline = seconds.ok_or_else(|| {
            format!("probe `{name}`: deadline `{deadline}` is not a time: write seconds, such as `60s`")
        })?;
        Ok(Probe { overlay: overlay.to_owned(), name: name.clone(), deadline, check })
    }

    /// `kernel.kptr_restrict = 2`, with or without spaces.
    fn sysctl(&self, text: &str) -> Result<Check, String> {
        let parts = text.split_once('=').map(|(key, value)| (key.trim(), value));
        let (key, value) = parts.filter(|(key, value)| is_sysctl(key) && !value.trim().is_empty()).ok_or_else(|| {
            format!("probe `{}`: `{text}` is not a setting: write its name and value, such as `kernel.kptr_restrict = 2`", self.name)
        })?;
        Ok(Check::Sysctl {
            key: key.to_owned(),
            value: value.split_whitespace().collect::<Vec<_>>().join(" "),
        })
    }
}

/// Names with dots between them; a `/` would lead out of /proc/sys.
fn is_sysctl(key: &str) -> bool {
    let name = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
    };
    key.contains('.') && key.split('.').all(name)
}

fn read_text(file: &Path) -> Result<String, Problem> {
    fs::read_to_string(file).map_err(|error| Problem::in_file(file, format!("cannot be read: {error}")))
}

fn read_files(root: &Path) -> Result<BTreeMap<String, Entry>, Problem> {
    let mut files = BTreeMap::new();
    let mut pending = vec![(root.to_owned(), String::new())];
    while let Some((folder, prefix)) = pending.pop() {
        for (name, path) in list(&folder)? {
            let inner = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
            let cannot = |error| Problem::in_file(&path, format!("cannot be read: {error}"));
            let kind = fs::symlink_metadata(&path).map_err(cannot)?.file_type();
            if kind.is_dir() {
                pending.push((path, inner));
            } else if kind.is_symlink() {
                let target = fs::read_link(&path).map_err(cannot)?;
                let target =
                    target.to_str().ok_or_else(|| Problem::in_file(&path, "its target is not UTF-8"))?;
                files.insert(inner, Entry::Link(target.to_owned()));
            } else if kind.is_file() {
                files.insert(inner, Entry::File(fs::read(&path).map_err(cannot)?));
            } else {
                return Err(Problem::in_file(&path, "is neither a file, a directory nor a symbolic link"));
            }
        }
    }
    Ok(files)
}

fn read_recipes(folder: &Path) -> Result<BTreeMap<String, String>, Problem> {
    let files = list(folder)?.into_iter().filter(|(name, _)| name.ends_with(".toml"));
    files.map(|(_, path)| Ok((path.display().to_string(), read_text(&path)?))).collect()
}

/// The entries of a folder by name; none when there is no such folder.
fn list(folder: &Path) -> Result<BTreeMap<String, PathBuf>, Problem> {
    let cannot = |error: std::io::Error| Problem::in_file(folder, format!("cannot be read: {error}"));
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(cannot(error)),
    };
    let mut named = BTreeMap::new();
    for entry in entries {
        let path = entry.map_err(cannot)?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| Problem::in_file(&path, "its name is not UTF-8"))?;
        named.insert(name.to_owned(), path);
    }
    Ok(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(check: &str) -> Result<Probe, String> {
        let raw: RawProbe = ::toml::from_str(&format!("name = 'p'\ndeadline = '5s'\n{check}")).unwrap();
        raw.finish("o")
    }

    #[test]
    fn a_sysctl_is_a_name_and_a_value() {
        for text in ["net.ipv4.tcp_rmem=1\t2  3", " net.ipv4.tcp_rmem = 1 2 3 "] {
            let check = probe(&format!("sysctl = '{text}'")).unwrap().check;
            assert_eq!(check, Check::Sysctl { key: "net.ipv4.tcp_rmem".into(), value: "1 2 3".into() });
        }
        for text in [
            "kernel.panic",
            "kernel.panic=",
            "=1",
            "kernel..panic=1",
            "../etc/x=1",
            "kernel/panic=1",
            "panic=1",
        ] {
            let says = probe(&format!("sysctl = '{text}'")).unwrap_err();
            assert!(says.contains(&format!("`{text}` is not a setting")), "{says}");
        }
    }
}
