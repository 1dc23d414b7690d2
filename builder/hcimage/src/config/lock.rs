//! Locks: every byte that enters an image, by hash.
//!
//! Design goals: complete (a build needs nothing else from an index), closed (a byte that differs is an
//! error), readable (one line a package), small diffs (sorted; nothing repeats), the same bytes for the same
//! choice. Addresses are not in it: a path in the archive is a hint, mirrors are the machine's own.

use super::{Problem, artifact::is_url, parse};
use contract::{Arch, Digest, Epoch};
use serde::Deserialize;
use std::{collections::BTreeMap, fmt::Write as _, path::Path};

/// The version of the lock's form that this program writes and reads.
const VERSION: u32 = 1;

/// A parsed lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lock {
    pub(crate) profile: String,
    /// Digest of what was asked for; when the profile asks for something else the lock is stale.
    pub(crate) request: Digest,
    /// When the indexes were made: the newest `Date` of their Release files, for the snapshot archive.
    pub(crate) snapshot: Epoch,
    /// The newest date of any package: the build's one moment.
    pub(crate) epoch: Epoch,
    /// Names to numbers of dynamically allocated users, and of groups: allocated once, never moved or reused.
    pub(crate) users: BTreeMap<String, u32>,
    pub(crate) groups: BTreeMap<String, u32>,
    pub(crate) packages: BTreeMap<Arch, BTreeMap<String, Locked>>,
    /// Files that are no packages: pinned by overlays, and here so that the lock says it all.
    pub(crate) artifacts: BTreeMap<Arch, BTreeMap<String, LockedArtifact>>,
}

/// One package of the lock.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Locked {
    pub(crate) version: String,
    pub(crate) suite: String,
    pub(crate) path: String,
    pub(crate) size: u64,
    pub(crate) sha256: Digest,
}

/// One artifact of the lock. Its addresses are in it, since no mirror list leads to it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LockedArtifact {
    pub(crate) version: String,
    pub(crate) url: Vec<String>,
    pub(crate) sha256: Digest,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    version: u32,
    profile: String,
    request: Digest,
    snapshot: Epoch,
    epoch: Epoch,
    #[serde(default)]
    users: BTreeMap<String, u32>,
    #[serde(default)]
    groups: BTreeMap<String, u32>,
    packages: BTreeMap<Arch, BTreeMap<String, Locked>>,
    #[serde(default)]
    artifacts: BTreeMap<Arch, BTreeMap<String, LockedArtifact>>,
}

impl Lock {
    pub(crate) fn parse(file: &Path, text: &str) -> Result<Self, Problem> {
        let raw: Raw = parse::toml(file, text)?;
        if raw.version != VERSION {
            let message = format!("this lock has version {}, this program reads {VERSION}", raw.version);
            return Err(Problem::in_file(file, message));
        }
        for (arch, packages) in &raw.packages {
            for (name, package) in packages {
                let path = &package.path;
                if !path.starts_with("pool/") || path.split('/').any(|part| part == "..") {
                    let message = format!("{name} ({arch}): `{path}` is not a path in an archive's pool");
                    return Err(Problem::in_file(file, message));
                }
            }
        }
        for (arch, artifacts) in &raw.artifacts {
            for (name, LockedArtifact { url, .. }) in artifacts {
                if url.is_empty() || !url.iter().all(|url| is_url(url)) {
                    let message = format!("{name} ({arch}): {url:?} are not addresses");
                    return Err(Problem::in_file(file, message));
                }
            }
        }
        let Raw { profile, request, snapshot, epoch, users, groups, packages, artifacts, .. } = raw;
        Ok(Self { profile, request, snapshot, epoch, users, groups, packages, artifacts })
    }

    /// The lock's text.
    pub(crate) fn render(&self) -> String {
        let Self { profile, request, snapshot, epoch, users, groups, packages, artifacts } = self;
        let mut text = format!(
            "# Made by `hcimage lock --profile {profile}`; `--update PACKAGE` renews one package.\n\
             # Indexes of {snapshot}, newest package of {epoch}.\n\
             version = {VERSION}\nprofile = \"{profile}\"\nrequest = \"{request}\"\nsnapshot = {}\nepoch = {}\n",
            snapshot.0, epoch.0
        );
        for (title, ids) in [("users", users), ("groups", groups)] {
            text += &format!("\n[{title}]\n");
            for (name, id) in ids {
                append(&mut text, format_args!("{name} = {id}\n"));
            }
        }
        for (arch, packages) in packages {
            text += &format!("\n[packages.{arch}]\n");
            for (name, Locked { version, suite, path, size, sha256 }) in packages {
                append(
                    &mut text,
                    format_args!(
                        "\"{name}\" = {{ version = \"{version}\", suite = \"{suite}\", path = \"{path}\", size = {size}, sha256 = \"{sha256}\" }}\n"
                    ),
                );
            }
        }
        for (arch, artifacts) in artifacts {
            text += &format!("\n[artifacts.{arch}]\n");
            for (name, LockedArtifact { version, url, sha256 }) in artifacts {
                append(
                    &mut text,
                    format_args!(
                        "\"{name}\" = {{ version = \"{version}\", url = [\"{}\"], sha256 = \"{sha256}\" }}\n",
                        url.join("\", \"")
                    ),
                );
            }
        }
        text
    }

    /// The digest by which a release names its lock.
    pub(crate) fn digest(&self) -> Digest {
        Digest::of(self.render().as_bytes())
    }
}

fn append(text: &mut String, line: std::fmt::Arguments<'_>) {
    text.write_fmt(line).expect("a String takes every text");
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn sample() -> Lock {
        let package = Locked {
            version: "1:2.0-1+b1".into(),
            suite: "trixie".into(),
            path: "pool/main/h/hello/hello_2.0-1_amd64.deb".into(),
            size: 12,
            sha256: Digest::of(b"hello"),
        };
        let artifact = LockedArtifact {
            version: "v1.34.3+k3s1".into(),
            url: vec!["https://a.example/k3s".into(), "https://b.example/v1%2B/k3s".into()],
            sha256: Digest::of(b"k3s"),
        };
        Lock {
            profile: "nas".into(),
            request: Digest::of(b"request"),
            snapshot: Epoch(1_788_596_000),
            epoch: Epoch(1_788_000_000),
            users: [("dnas".into(), 999)].into(),
            groups: [("dnas".into(), 999), ("_ssh".into(), 101)].into(),
            packages: Arch::ALL.map(|arch| (arch, [("hello".into(), package.clone())].into())).into(),
            artifacts: [(Arch::X86_64, [("k3s".into(), artifact)].into())].into(),
        }
    }

    #[test]
    fn a_lock_survives_its_text() {
        let lock = sample();
        assert_eq!(Lock::parse(Path::new("nas.lock"), &lock.render()).unwrap(), lock);
    }

    #[test]
    fn a_path_outside_the_pool_and_another_version_are_refused() {
        let text = sample().render();
        let escaped = text.replacen("pool/main/h", "pool/../../h", 1);
        let problem = Lock::parse(Path::new("nas.lock"), &escaped).unwrap_err().to_string();
        assert!(problem.starts_with("nas.lock: hello (x86_64): `pool/../../h"), "{problem}");
        let no_address = text.replacen("https://a.example", "file:///etc", 1);
        let problem = Lock::parse(Path::new("nas.lock"), &no_address).unwrap_err().to_string();
        assert!(problem.starts_with("nas.lock: k3s (x86_64): [\"file:///etc/k3s\""), "{problem}");
        let problem =
            Lock::parse(Path::new("nas.lock"), &text.replace("version = 1\n", "version = 2\n")).unwrap_err();
        assert_eq!(problem.to_string(), "nas.lock: this lock has version 2, this program reads 1");
    }
}
