//! The root file system as a value, from packages, overlays and effects.

use super::{
    artifacts::{self, Artifacts},
    unpack::{Entry, Kind, Unpacked},
};
use crate::{
    config::{Described, Lock, overlay, profile::UpdateSettings},
    error::Failure,
    node::{Binaries, NODE},
};
use archive::{deb822, relation, version::Version};
use contract::{
    Arch, Digest, bundle,
    release::{self, How},
    update::{INSTALLED_PATH, INSTALLED_SCHEMA, Installed},
};
use std::collections::{BTreeMap, BTreeSet};
use tree::{
    Assembly, Content, DropRules, Glob, ImagePath, Node, Origin, Overlay, OverlayDirectory, OverlayFile,
    Package, ScriptKind,
    effects::{accounts::Ledger, identity::Identity},
    recipe::{Mode, Owner, Recipe, embedded},
};

/// The profile's drop rules, parsed.
pub(crate) fn drop_rules(described: &Described) -> Result<DropRules, Failure> {
    let globs = |texts: &[String]| texts.iter().map(|text| Glob::parse(text)).collect::<Result<_, _>>();
    let rules = &described.profile.drop;
    Ok(DropRules { paths: globs(&rules.drop)?, keep: globs(&rules.keep)? })
}

/// What a build adds to what profile and lock say.
#[derive(Clone, Debug, Default)]
pub(crate) struct Additions {
    /// The node's own programs; none where a root is only looked at.
    pub(crate) node: Binaries,
    /// Files that no Debian package ships.
    pub(crate) artifacts: Artifacts,
    /// A public SSH key for root.
    pub(crate) ssh_key: Option<String>,
}

impl Additions {
    /// What makes the image one for labs.
    pub(crate) fn lab_inputs(&self) -> Vec<String> {
        let substitutes = self.artifacts.iter().filter(|(_, it)| it.described.how == How::Substituted);
        let substitutes = substitutes.map(|(name, _)| format!("substitute:{name}"));
        self.ssh_key.iter().map(|_| "ssh-key".to_owned()).chain(substitutes).collect()
    }
}

/// Everything that the tree is made of.
pub(crate) fn assembly(
    described: &Described,
    lock: &Lock,
    arch: Arch,
    unpacked: &[Unpacked],
    additions: &Additions,
    version: &str,
) -> Result<Assembly, Failure> {
    let profile = &described.profile;
    let mut overlays = Vec::with_capacity(described.overlays.len() + 1);
    for overlay in &described.overlays {
        let mut value = overlay_value(overlay)?;
        artifacts::lay(&additions.artifacts, overlay, &mut value);
        overlays.push(value);
    }
    let installed = installed(described, lock, arch, version)?;
    overlays.push(build_overlay(described, additions, &installed)?);
    let mut recipes = embedded().map_err(|error| Failure::refused(error.to_string()))?;
    for (file, text) in described.overlays.iter().flat_map(|overlay| &overlay.recipes) {
        let package = file.rsplit('/').next().and_then(|name| name.strip_suffix(".toml")).unwrap_or(file);
        recipes
            .push(Recipe::parse(package, file, text).map_err(|error| Failure::refused(error.to_string()))?);
    }
    Ok(Assembly {
        packages: packages(unpacked)?,
        overlays,
        recipes,
        ledger: Ledger { users: lock.users.clone(), groups: lock.groups.clone() },
        drop: drop_rules(described)?,
        identity: Identity {
            hostname: profile.hostname.clone(),
            image_id: format!("{}-{arch}", profile.name),
            image_version: version.to_owned(),
        },
        epoch: lock.epoch,
    })
}

/// The image's version: the epoch, so that versions sort by time, and the first digits of everything that was
/// put in.
pub(crate) fn version(
    described: &Described,
    lock: &Lock,
    arch: Arch,
    additions: &Additions,
) -> Result<String, Failure> {
    let mut inputs = vec![lock.render().into_bytes(), format!("{arch} {:?}", described.profile).into_bytes()];
    for overlay in &described.overlays {
        inputs.push(format!("{:?} {:?}", overlay.name, overlay.keys).into_bytes());
        for (path, entry) in &overlay.files {
            inputs.push(path.clone().into_bytes());
            inputs.push(match entry {
                overlay::Entry::File(bytes) => bytes.clone(),
                overlay::Entry::Link(target) => target.clone().into_bytes(),
            });
        }
    }
    inputs.push(described.trust.render());
    inputs.push(format!("{:?}", additions.ssh_key).into_bytes());
    inputs.extend(additions.node.values().map(|binary| binary.described.sha256.0.to_vec()));
    // The lock has the pins; what departs from them is an input of its own.
    let departures = additions.artifacts.iter().filter_map(|(name, artifact)| {
        let contract::release::Artifact { sha256, how, .. } = &artifact.described;
        matches!(how, How::Deferred | How::Substituted).then(|| format!("{name} {how} {sha256}"))
    });
    inputs.extend(departures.map(String::into_bytes));
    // Recipes of packages that are not in the image are none of its inputs.
    let locked = super::packages::of(lock, arch)?;
    let recipes = embedded().map_err(|error| Failure::refused(error.to_string()))?;
    let concerning = recipes.iter().filter(|recipe| locked.keys().any(|name| recipe.is_for(name)));
    inputs.push(format!("{:?}", concerning.collect::<Vec<_>>()).into_bytes());
    inputs.extend(
        described
            .overlays
            .iter()
            .flat_map(|overlay| overlay.recipes.values().cloned().map(String::into_bytes)),
    );
    let digest = Digest::of_fields(inputs.iter().map(Vec::as_slice)).to_string();
    let at = lock.epoch.calendar();
    Ok(format!(
        "{:04}{:02}{:02}.{:02}{:02}{:02}.{}",
        at.year,
        at.month,
        at.day,
        at.hour,
        at.minute,
        at.second,
        &digest[..8]
    ))
}

/// Unpacked packages as the tree takes them, with their `Replaces` judged.
pub(crate) fn packages(unpacked: &[Unpacked]) -> Result<Vec<Package>, Failure> {
    let versions: BTreeMap<&str, &str> =
        unpacked.iter().map(|package| (package.name.as_str(), package.version.as_str())).collect();
    unpacked.iter().map(|package| one_package(package, &versions)).collect()
}

fn one_package(package: &Unpacked, versions: &BTreeMap<&str, &str>) -> Result<Package, Failure> {
    let wrong = |why: String| Failure::refused(format!("{}: control: {why}", package.name));
    let paragraph = deb822::paragraph(&package.control).map_err(|error| wrong(error.to_string()))?;
    let mut replaces = BTreeSet::new();
    if let Some(field) = paragraph.get("Replaces") {
        for alternatives in relation::parse(field).map_err(|error| wrong(error.to_string()))? {
            for relation in alternatives {
                let Some(version) = versions.get(relation.name) else { continue };
                let version = Version::parse(version).map_err(|error| wrong(error.to_string()))?;
                if relation.admits(Some(version)) {
                    replaces.insert(relation.name.to_owned());
                }
            }
        }
    }
    let script = |(name, text): (&String, &Vec<u8>)| {
        let kind = match name.as_str() {
            "preinst" => ScriptKind::Preinst,
            "postinst" => ScriptKind::Postinst,
            "prerm" => ScriptKind::Prerm,
            "postrm" => ScriptKind::Postrm,
            "config" => ScriptKind::Config,
            other => return Err(wrong(format!("unknown script `{other}`"))),
        };
        Ok((kind, text.clone()))
    };
    Ok(Package {
        name: package.name.clone(),
        version: package.version.clone(),
        arch: package.arch.clone(),
        multi_arch_same: paragraph.get("Multi-Arch") == Some("same"),
        replaces,
        entries: package
            .entries
            .iter()
            .map(|entry| one_entry(&package.name, entry))
            .collect::<Result<_, _>>()?,
        scripts: package.scripts.iter().map(script).collect::<Result<_, _>>()?,
        triggers: package.triggers.clone(),
        control: package.control.clone(),
    })
}

fn one_entry(package: &str, entry: &Entry) -> Result<tree::Entry, Failure> {
    let mut link = None;
    let kind = match &entry.kind {
        Kind::Directory => tree::Kind::Directory,
        Kind::File { sha256, size, .. } => tree::Kind::File(Content::Stored { digest: *sha256, size: *size }),
        Kind::Symlink(target) => tree::Kind::Symlink(target.clone()),
        Kind::Hardlink(target) => {
            link = Some(ImagePath::parse(target)?);
            tree::Kind::File(Content::bytes(""))
        }
        Kind::Char(major, minor) => tree::Kind::CharDevice { major: *major, minor: *minor },
        Kind::Block(major, minor) => tree::Kind::BlockDevice { major: *major, minor: *minor },
        Kind::Fifo => tree::Kind::Fifo,
    };
    let node = Node {
        kind,
        mode: entry.mode,
        uid: entry.uid,
        gid: entry.gid,
        mtime: entry.mtime,
        xattrs: entry.xattrs.clone(),
        origin: Origin::Package(package.to_owned()),
    };
    Ok(tree::Entry { path: ImagePath::parse(&entry.path)?, node, link })
}

fn overlay_value(overlay: &overlay::Overlay) -> Result<Overlay, Failure> {
    let keys = &overlay.keys;
    let wrong = |why: String| Failure::refused(format!("overlay {}: {why}", overlay.name));
    let mode = |text: &str| {
        text.parse::<Mode>()
            .map_err(|_| wrong(format!("`{text}` is not a mode: write four octal digits, such as \"0755\"")))
    };
    let owner = |text: &str| {
        let (owner, group) =
            text.split_once(':').ok_or_else(|| wrong(format!("`{text}` is not OWNER:GROUP")))?;
        Ok::<_, Failure>((owner.to_owned(), group.to_owned()))
    };
    let mut value = Overlay {
        name: overlay.name.clone(),
        replace: keys.replace.iter().map(|path| ImagePath::parse(path)).collect::<Result<_, _>>()?,
        enable: keys.enable.clone(),
        disable: keys.disable.clone(),
        mask: keys.mask.clone(),
        users: keys.users.clone(),
        ..Overlay::default()
    };
    for (path, entry) in &overlay.files {
        let named = format!("/{path}");
        let path = ImagePath::parse(path)?;
        match entry {
            overlay::Entry::Link(target) => value.links.push((path, target.clone())),
            overlay::Entry::File(bytes) => {
                let (owner, group) =
                    keys.owners.get(&named).map_or_else(|| owner("root:root"), |text| owner(text))?;
                let mode = keys.modes.get(&named).map_or(Ok(Mode(0o644)), |text| mode(text))?;
                value.files.push(OverlayFile {
                    path,
                    content: Content::bytes(bytes.clone()),
                    mode,
                    owner,
                    group,
                });
            }
        }
    }
    for (path, text) in &keys.directories {
        let (bits, names) = text
            .split_once(' ')
            .ok_or_else(|| wrong(format!("`{text}` is not MODE OWNER:GROUP ({path})")))?;
        let (owner, group) = owner(names)?;
        value.directories.push(OverlayDirectory {
            path: ImagePath::parse(path)?,
            mode: mode(bits)?,
            owner,
            group,
        });
    }
    for (path, target) in &keys.links {
        value.links.push((ImagePath::parse(path)?, target.clone()));
    }
    let elsewhere =
        keys.owners.iter().filter(|(path, _)| !overlay.files.contains_key(path.trim_start_matches('/')));
    for (path, text) in elsewhere {
        let (user, group) = owner(text)?;
        let path = ImagePath::parse(path)?;
        value.owners.push(Owner { path, owner: Some(user), group: Some(group), mode: None });
    }
    Ok(value)
}

/// What the build itself lays over the root: the services' program, what it reads of the overlays, and a lab's
/// key.
fn build_overlay(
    described: &Described,
    additions: &Additions,
    installed: &Installed,
) -> Result<Overlay, Failure> {
    let file = |path: &str, bytes: Vec<u8>, mode: u16| -> Result<OverlayFile, Failure> {
        Ok(OverlayFile {
            path: ImagePath::parse(path)?,
            content: Content::bytes(bytes),
            mode: Mode(mode),
            owner: "root".to_owned(),
            group: "root".to_owned(),
        })
    };
    let lines =
        |words: BTreeSet<&String>| words.into_iter().map(|word| format!("{word}\n")).collect::<String>();
    let persist = described.overlays.iter().flat_map(|overlay| &overlay.keys.persist).collect();
    let probes: Vec<_> = described.overlays.iter().flat_map(|overlay| &overlay.probes).collect();
    let probes =
        serde_json::to_string_pretty(&probes).map_err(|error| Failure::refused(error.to_string()))?;
    let mut files = vec![
        file("usr/lib/hcimage/persist", lines(persist).into(), 0o644)?,
        file("usr/lib/hcimage/ports", lines(ports(described)).into(), 0o644)?,
        file("usr/lib/hcimage/probes.json", (probes + "\n").into(), 0o644)?,
        file(INSTALLED_PATH.trim_start_matches('/'), installed.render(), 0o644)?,
    ];
    let deferred = artifacts::deferred(&additions.artifacts)?;
    files.push(file("usr/lib/hcimage/deferred.json", deferred.into(), 0o644)?);
    if let Some(binary) = additions.node.get(NODE) {
        files.push(file("usr/lib/hcimage/hcnode", binary.bytes.clone(), 0o755)?);
    }
    if let Some(key) = &additions.ssh_key {
        files.push(file("etc/ssh/authorized_keys.d/root", key.clone().into(), 0o644)?);
    }
    Ok(Overlay { name: "build".to_owned(), files, ..Overlay::default() })
}

/// The release's place in the order of releases.
pub(crate) fn update(described: &Described, lock: &Lock) -> Result<release::Update, Failure> {
    let settings = &described.profile.update;
    let sequence = match settings.sequence {
        Some(sequence) => sequence,
        None => u64::try_from(lock.epoch.0).map_err(|_| {
            Failure::with_hint(
                format!("the lock's epoch is {}, before 1970: no sequence can be taken from it", lock.epoch),
                "give the profile one: `sequence` below `[update]`",
            )
        })?,
    };
    if settings.floor > sequence {
        return Err(Failure::with_hint(
            format!("`update.floor` is {}, above this release's own sequence, {sequence}", settings.floor),
            "a floor is the sequence of the oldest release that may still be installed",
        ));
    }
    let trust = (!described.trust.0.is_empty()).then(|| Digest::of(&described.trust.render()));
    Ok(release::Update { sequence, floor: settings.floor, trust })
}

/// What the root says of itself to the node's updater.
fn installed(described: &Described, lock: &Lock, arch: Arch, version: &str) -> Result<Installed, Failure> {
    let release::Update { sequence, floor, .. } = update(described, lock)?;
    let profile = &described.profile;
    let UpdateSettings { url, auto, window, .. } = profile.update.clone();
    Ok(Installed {
        schema: INSTALLED_SCHEMA.to_owned(),
        product: profile.name.clone(),
        arch,
        board: profile.board.clone(),
        layout: bundle::LAYOUT.to_owned(),
        version: version.to_owned(),
        sequence,
        floor,
        url,
        auto,
        window,
        trust: described.trust.newest().map_err(|error| Failure::refused(error.to_string()))?,
    })
}

/// Every port that an overlay declares.
pub(crate) fn ports(described: &Described) -> BTreeSet<&String> {
    described.overlays.iter().flat_map(|overlay| &overlay.keys.ports).collect()
}
