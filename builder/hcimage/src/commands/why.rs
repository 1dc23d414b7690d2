//! `hcimage why`: where a file or a package of an image comes from, and what it costs.

use super::sign::manifest_file;
use crate::{
    args::WhyArgs,
    config::{Described, Lock, size},
    error::Failure,
    pipeline::{
        artifacts::{self, Artifacts},
        build::{Order, Rootfs},
        packages,
        tree::Additions,
        unpack::Unpacked,
    },
    printer::Printer,
    settings::{Workshop, host_arch},
};
use archive::{deb822, relation};
use contract::{Arch, Digest, Release, release::Tool};
use std::{collections::BTreeSet, fs, path::Path};
use tree::{ImagePath, Kind, Origin};

/// One answer: lines of a name and a value.
type Rows = Vec<(String, String)>;

pub(crate) fn run(args: &WhyArgs, workshop: &Workshop, printer: &Printer) -> Result<(), Failure> {
    let (profile, arch) = subject(args)?;
    let described = workshop.project.describe(&profile)?;
    let lock = workshop.project.lock(&profile)?;
    if let Some(release) = release_of(&args.subject)?
        && release.lock != lock.digest()
    {
        printer.warn(&format!(
            "this image was built from another lock than profiles/{profile}.lock is now; the answer is about the lock"
        ));
    }
    packages::fetch(workshop, &lock, arch, printer)?;
    let artifacts = artifacts::known(&workshop.cache, &described, &lock, arch)?;
    let additions = Additions { artifacts, ..Additions::default() };
    let order = Order {
        workshop,
        described: &described,
        lock: &lock,
        arch,
        additions: &additions,
        tool: Tool { version: String::new(), sha256: Digest([0; 32]) },
    };
    let rootfs = order.rootfs(printer)?;
    let artifacts = &additions.artifacts;
    let question = Question { described: &described, lock: &lock, arch, rootfs: &rootfs, artifacts };
    let rows =
        if args.what.starts_with('/') { question.path(&args.what)? } else { question.package(&args.what)? };
    if workshop.json {
        let rows: Vec<_> = rows
            .into_iter()
            .map(|(name, value)| serde_json::json!({ "what": name, "answer": value }))
            .collect();
        return printer.data(&format!("{:#}\n", serde_json::Value::from(rows)));
    }
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    printer.data(&rows.iter().map(|(name, value)| format!("{name:<width$}  {value}\n")).collect::<String>())
}

/// The profile and architecture that the subject names: a build's folder, or a profile.
fn subject(args: &WhyArgs) -> Result<(String, Arch), Failure> {
    match release_of(&args.subject)? {
        Some(release) => Ok((release.profile, release.arch)),
        None => Ok((args.subject.clone(), args.arch.map_or_else(host_arch, Ok)?)),
    }
}

fn release_of(subject: &str) -> Result<Option<Release>, Failure> {
    let path = Path::new(subject);
    if !path.exists() {
        return Ok(None);
    }
    let folder = if path.is_file() { path.parent().unwrap_or(path) } else { path };
    let manifest = manifest_file(folder);
    let bytes = fs::read(&manifest).map_err(Failure::file("read", manifest))?;
    Ok(Some(Release::parse(&bytes)?))
}

struct Question<'a> {
    described: &'a Described,
    lock: &'a Lock,
    arch: Arch,
    rootfs: &'a Rootfs,
    artifacts: &'a Artifacts,
}

fn row(name: &str, value: impl Into<String>) -> (String, String) {
    (name.to_owned(), value.into())
}

impl Question<'_> {
    fn path(&self, text: &str) -> Result<Rows, Failure> {
        let tree = &self.rootfs.tree;
        let asked = ImagePath::parse(text)?;
        let path = tree.resolve(&asked, false)?;
        let Some(node) = tree.get(&path) else { return self.absent(&asked) };
        let mut rows = vec![row("path", path.to_string()), row("origin", node.origin.to_string())];
        if path != asked {
            rows.insert(1, row("asked for", format!("{asked}, which leads there")));
        }
        rows.push(row("owner", format!("{}:{} mode {:04o}", node.uid, node.gid, node.mode)));
        match &node.kind {
            Kind::File(content) => {
                rows.push(row("size", size::show(content.size())));
                if let Some(stored) = self.rootfs.bodies.stored_size(content) {
                    rows.push(row("in the image", size::show(stored)));
                }
                rows.push(row("sha256", content.digest().to_string()));
            }
            Kind::Symlink(target) => rows.push(row("leads to", target.clone())),
            Kind::Directory => {
                let (count, stored) = self.cost(|under| under.is_within(&path) && *under != path);
                rows.push(row("holds", format!("{count} paths, {} in the image", size::show(stored))));
            }
            _ => {}
        }
        if let Some((name, _)) = self.artifacts.iter().find(|(_, artifact)| artifact.path == path) {
            rows.extend(self.artifact(name));
        }
        if let Origin::Package(name) = &node.origin {
            rows.extend(self.locked(name));
            rows.extend(self.reasons(name));
        }
        Ok(rows)
    }

    /// A path that is not in the image: perhaps a package ships it, and a rule dropped it.
    fn absent(&self, path: &ImagePath) -> Result<Rows, Failure> {
        let ships = |package: &&Unpacked| package.entries.iter().any(|entry| entry.path == path.as_str());
        let Some(package) = self.rootfs.unpacked.iter().find(ships) else {
            return Err(Failure::refused(format!(
                "{path} is not in the image, and no package of the lock ships it"
            )));
        };
        let rules = crate::pipeline::tree::drop_rules(self.described)?;
        let rule = rules.paths.iter().find(|rule| rule.matches(path));
        let why = rule.map_or_else(
            || "an effect or a kernel rule took it out".to_owned(),
            |rule| format!("dropped by the rule {rule}"),
        );
        Ok(vec![
            row("path", path.to_string()),
            row("origin", format!("package {}", package.name)),
            row("not in the image", why),
        ])
    }

    fn package(&self, name: &str) -> Result<Rows, Failure> {
        if !packages::of(self.lock, self.arch)?.contains_key(name) {
            if self.artifacts.contains_key(name) {
                return Ok(self.artifact(name));
            }
            let known = packages::of(self.lock, self.arch)?.keys().chain(self.artifacts.keys());
            let known = known.map(String::as_str);
            let near = tree::suggest::nearest(name, known);
            let hint = near.map_or_else(
                || "a path begins with `/`".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            return Err(Failure::with_hint(
                format!("package `{name}` is not in the lock of `{}`", self.lock.profile),
                hint,
            ));
        }
        let mut rows = vec![row("package", name)];
        rows.extend(self.locked(name));
        rows.extend(self.reasons(name));
        let tree = &self.rootfs.tree;
        let own = |path: &ImagePath| {
            tree.get(path).is_some_and(|node| node.origin == Origin::Package(name.to_owned()))
        };
        let (count, stored) = self.cost(own);
        rows.push(row("costs", format!("{count} paths, {} in the image", size::show(stored))));
        let mut largest: Vec<(u64, String)> = tree
            .iter()
            .filter(|(path, _)| own(path))
            .filter_map(|(path, node)| match &node.kind {
                Kind::File(content) => Some((self.rootfs.bodies.stored_size(content)?, path.to_string())),
                _ => None,
            })
            .collect();
        largest.sort_by(|a, b| b.cmp(a));
        rows.extend(
            largest
                .into_iter()
                .take(5)
                .map(|(bytes, path)| row("", format!("{:>10}  {path}", size::show(bytes)))),
        );
        let scripts = self.rootfs.assembled.coverage.iter().filter(|line| line.package == name);
        rows.extend(scripts.map(|line| row("script", line.to_string())));
        Ok(rows)
    }

    /// What is known of an artifact, by its name.
    fn artifact(&self, name: &str) -> Rows {
        let Some(artifact) = self.artifacts.get(name) else { return Rows::new() };
        let mut rows = vec![
            row("artifact", format!("{name} {}", artifact.described.version)),
            row("pinned", artifact.described.sha256.to_string()),
            row("asked for by", format!("overlay {}", artifact.overlay)),
            row("is at", artifact.path.to_string()),
        ];
        rows.extend(artifact.urls.iter().map(|url| row("fetched from", url)));
        if !artifact.is_inside() {
            rows.push(row(
                "not here",
                "it is not in the cache: its size is not known, and a link stands for it",
            ));
        } else if let Some(node) = self.rootfs.tree.get(&artifact.path)
            && let Kind::File(content) = &node.kind
            && let Some(stored) = self.rootfs.bodies.stored_size(content)
        {
            rows.push(row("costs", format!("{} of {}", size::show(stored), size::show(content.size()))));
        }
        rows
    }

    /// Number of paths, and bytes that their files take, each inode counted once.
    fn cost(&self, wanted: impl Fn(&ImagePath) -> bool) -> (usize, u64) {
        let tree = &self.rootfs.tree;
        let mut seen = BTreeSet::new();
        let (mut count, mut stored) = (0, 0);
        for (_, id) in tree.paths().filter(|(path, _)| wanted(path)) {
            count += 1;
            if let (true, Kind::File(content)) = (seen.insert(id), &tree.node(id).kind) {
                stored += self.rootfs.bodies.stored_size(content).unwrap_or(0);
            }
        }
        (count, stored)
    }

    fn locked(&self, name: &str) -> Rows {
        let locked = self.lock.packages.get(&self.arch).and_then(|packages| packages.get(name));
        locked.map_or_else(Vec::new, |locked| {
            vec![
                row("version", format!("{} from {}", locked.version, locked.suite)),
                row("locked as", format!("{} ({})", locked.path, size::show(locked.size))),
            ]
        })
    }

    /// Who asks for a package: profile, overlays, other packages.
    fn reasons(&self, name: &str) -> Rows {
        let mut rows = Vec::new();
        if self.described.profile.packages.iter().any(|package| package == name) {
            rows.push(row("asked for by", format!("profile {}", self.described.profile.name)));
        }
        for overlay in &self.described.overlays {
            if overlay.packages(self.arch).any(|package| package == name) {
                rows.push(row("asked for by", format!("overlay {}", overlay.name)));
            }
        }
        let provides = self
            .rootfs
            .unpacked
            .iter()
            .find(|package| package.name == name)
            .map_or_else(BTreeSet::new, names_of);
        let needs = self
            .rootfs
            .unpacked
            .iter()
            .filter_map(|package| Some((&package.name, need(package, &provides)?)));
        rows.extend(needs.take(8).map(|(by, need)| row("needed by", format!("{by} ({need})"))));
        if rows.is_empty() {
            rows.push(row("asked for by", "Debian: it is Essential"));
        }
        rows
    }
}

/// A package's name and the names that it provides.
fn names_of(package: &Unpacked) -> BTreeSet<String> {
    let mut names = BTreeSet::from([package.name.clone()]);
    if let Ok(paragraph) = deb822::paragraph(&package.control)
        && let Some(Ok(provided)) = paragraph.get("Provides").map(relation::parse_provides)
    {
        names.extend(provided.into_iter().map(|(name, _)| name.to_owned()));
    }
    names
}

/// The first relation of `package` that one of `names` meets.
fn need(package: &Unpacked, names: &BTreeSet<String>) -> Option<String> {
    let paragraph = deb822::paragraph(&package.control).ok()?;
    ["Pre-Depends", "Depends"].into_iter().find_map(|field| {
        let alternatives = relation::parse(paragraph.get(field)?).ok()?;
        let meets =
            |one: &&relation::Alternatives<'_>| one.iter().any(|relation| names.contains(relation.name));
        alternatives.iter().find(meets).map(|one| relation::show(one))
    })
}
