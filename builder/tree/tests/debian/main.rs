//! The whole of it against what dpkg and the maintainer scripts make of the same packages: `debootstrap`.
//! Slow, so it runs only with `HCIMAGE_SLOW=1`, as root. `HCIMAGE_ORACLE_TREE` may name a tree that debootstrap
//! made already, with its packages in `var/cache/apt/archives` or the directory that `HCIMAGE_DEBS` names.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod debs;

use contract::{Digest, Epoch};
use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Command,
};
use tree::{
    Assembly, DropRules, ImagePath, Kind, Tree,
    effects::{accounts, accounts::Ledger, identity::Identity},
    recipe::{self, Recipe, State},
};

/// Packages whose scripts exercise every effect.
const INCLUDE: &str = "systemd,systemd-sysv,systemd-resolved,udev,dbus,libpam-systemd,libnss-systemd,\
                       libnss-myhostname,libnss-resolve,ca-certificates,openssh-server,sudo,vim-tiny,polkitd";

fn oracle(scratch: &Path) -> Option<PathBuf> {
    if let Some(tree) = env::var_os("HCIMAGE_ORACLE_TREE") {
        return Some(tree.into());
    }
    if env::var_os("HCIMAGE_SLOW").is_none() {
        eprintln!("skipped: debian: HCIMAGE_SLOW is not set");
        return None;
    }
    let tree = scratch.join("tree");
    let made = Command::new("debootstrap")
        .args(["--variant=minbase", &format!("--include={INCLUDE}"), "trixie"])
        .arg(&tree)
        .status();
    match made {
        Ok(status) => assert!(status.success(), "debootstrap failed: it needs root and a mirror"),
        Err(_) if env::var_os("HCIMAGE_CI").is_none() => {
            eprintln!("skipped: debian: debootstrap is not installed");
            return None;
        }
        Err(error) => panic!("debootstrap: {error}"),
    }
    Some(tree)
}

/// The tree of the oracle's packages as we make it. Scripts without a recipe count as doing nothing.
fn ours(oracle: &Path) -> (Tree, BTreeMap<Digest, Vec<u8>>) {
    let mut contents = BTreeMap::new();
    let archives =
        env::var_os("HCIMAGE_DEBS").map_or_else(|| oracle.join("var/cache/apt/archives"), PathBuf::from);
    let mut packages = Vec::new();
    for entry in fs::read_dir(archives).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            packages.push(debs::read(&path, &mut contents));
        }
    }
    assert!(packages.len() > 80, "{} packages", packages.len());
    let mut recipes = recipe::embedded().unwrap();
    let (lines, _) = recipe::coverage(&packages, &recipes);
    let mut made_up = Vec::new();
    for line in lines {
        if let State::Unknown { digest, .. } = line.state {
            eprintln!("no recipe: {} {}", line.package, line.script);
            let text =
                format!("[[script]]\nkind = \"{}\"\nresidue = [\"{digest}\"]\nwhy = \"test\"", line.script);
            made_up.push(Recipe::parse(&line.package, "made up", &text).unwrap());
        }
    }
    recipes.extend(made_up);
    let mut assembly = Assembly {
        packages,
        overlays: Vec::new(),
        recipes,
        ledger: Ledger::default(),
        drop: DropRules::default(),
        identity: Identity::default(),
        epoch: Epoch(1_700_000_000),
    };
    let needed = tree::needed(&assembly, &contents).unwrap_or_else(|error| panic!("{error}"));
    accounts::allocate(&needed, &mut assembly.ledger).unwrap();
    let start = std::time::Instant::now();
    let assembled =
        tree::assemble(&assembly, &contents, &mut |_| {}).unwrap_or_else(|error| panic!("{error}"));
    eprintln!("assembled {} paths in {:?}", assembled.tree.iter().count(), start.elapsed());
    for note in assembled.notes {
        eprintln!("note: {note}");
    }
    (assembled.tree, contents)
}

/// Ids to names, since the two sides number accounts differently.
struct Names(BTreeMap<u32, String>, BTreeMap<u32, String>);

impl Names {
    fn new(passwd: &str, group: &str) -> Self {
        let parse = |text: &str| {
            let lines = text.lines().map(|line| line.split(':').collect::<Vec<_>>());
            lines.map(|fields| (fields[2].parse().unwrap(), fields[0].to_owned())).collect()
        };
        Self(parse(passwd), parse(group))
    }

    fn of(&self, uid: u32, gid: u32) -> String {
        format!("{}:{}", self.0[&uid], self.1[&gid])
    }
}

/// Path and what is there, for everything below `directory` of the oracle.
fn theirs(root: &Path, directory: &str, names: &Names) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut pending = vec![root.join(directory)];
    while let Some(path) = pending.pop() {
        let seen = fs::symlink_metadata(&path).unwrap();
        let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
        let mode = seen.mode() & 0o7777;
        let what = if seen.is_symlink() {
            format!("-> {}", fs::read_link(&path).unwrap().display())
        } else if seen.is_dir() {
            pending.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            format!("{mode:o} directory")
        } else if seen.is_file() {
            format!("{mode:o} {}", Digest::of(&fs::read(&path).unwrap()))
        } else {
            continue;
        };
        found.insert(name, format!("{} {what}", names.of(seen.uid(), seen.gid())));
    }
    found
}

fn of_tree(tree: &Tree, directory: &str, names: &Names) -> BTreeMap<String, String> {
    let directory = ImagePath::parse(directory).unwrap();
    let itself = tree.get(&directory).map(|node| (&directory, node));
    let seen = itself.into_iter().chain(tree.below(&directory)).map(|(path, node)| {
        let what = match &node.kind {
            Kind::Directory => format!("{:o} directory", node.mode),
            Kind::Symlink(target) => format!("-> {target}"),
            Kind::File(content) => format!("{:o} {}", node.mode, content.digest()),
            other => format!("{other:?}"),
        };
        (path.as_str().to_owned(), format!("{} {what}", names.of(node.uid, node.gid)))
    });
    seen.collect()
}

fn differences(ours: &BTreeMap<String, String>, theirs: &BTreeMap<String, String>) -> BTreeSet<String> {
    let names: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
    let differ = names.into_iter().filter(|name| ours.get(*name) != theirs.get(*name));
    let none = || "nothing".to_owned();
    differ
        .map(|name| {
            let (one, other) = (ours.get(name), theirs.get(name));
            format!(
                "{name}: ours {}, dpkg's {}",
                one.cloned().unwrap_or_else(none),
                other.cloned().unwrap_or_else(none)
            )
        })
        .collect()
}

#[test]
fn the_tree_is_what_dpkg_makes() {
    let scratch = tempfile::tempdir().unwrap();
    let Some(oracle) = oracle(scratch.path()) else { return };
    let (tree, _) = ours(&oracle);
    let of_oracle = |name: &str| fs::read_to_string(oracle.join(name)).unwrap();
    let our_names = Names::new(&text_of(&tree, "etc/passwd"), &text_of(&tree, "etc/group"));
    let their_names = Names::new(&of_oracle("etc/passwd"), &of_oracle("etc/group"));
    let mut all = BTreeSet::new();
    for directory in ["etc", "usr", "bin", "lib", "sbin", "root", "home"] {
        all.extend(differences(
            &of_tree(&tree, directory, &our_names),
            &theirs(&oracle, directory, &their_names),
        ));
    }
    for difference in &all {
        eprintln!("{difference}");
    }
    // Of these not one may differ: whole effects.
    let exact =
        ["etc/pam.d/common-", "etc/ssl/certs/", "etc/alternatives/", "etc/nsswitch.conf", "etc/shells"];
    // Drawn anew on each machine, when ssl-cert is installed.
    let drawn = |difference: &&String| difference.contains("snakeoil");
    let wrong: Vec<_> = all
        .iter()
        .filter(|difference| exact.iter().any(|prefix| difference.starts_with(prefix)))
        .filter(|one| !drawn(one))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let (ours, theirs) = (
        accounts_of(&text_of(&tree, "etc/passwd"), &text_of(&tree, "etc/group")),
        accounts_of(&of_oracle("etc/passwd"), &of_oracle("etc/group")),
    );
    // Packages without a recipe may lack theirs; those that we have must be the same.
    for (name, account) in &ours {
        assert_eq!(Some(account), theirs.get(name), "{name}");
    }
    let lacking: Vec<_> = theirs.keys().filter(|name| !ours.contains_key(*name)).collect();
    eprintln!("accounts of packages without a recipe: {lacking:?}");
}

fn text_of(tree: &Tree, name: &str) -> String {
    tree.read_text(&ImagePath::parse(name).unwrap(), &BTreeMap::new()).unwrap()
}

/// Users by name with everything but ids: group, description, home, shell; groups with their members.
fn accounts_of(passwd: &str, group: &str) -> BTreeMap<String, String> {
    let fields = |text: &str| {
        let lines = text.lines().map(|line| line.split(':').map(str::to_owned).collect::<Vec<_>>());
        lines.collect::<Vec<_>>()
    };
    let groups = fields(group);
    let name = |gid: &str| groups.iter().find(|group| group[2] == gid).map(|group| group[0].clone()).unwrap();
    let users = fields(passwd).into_iter().map(|user| {
        (format!("user {}", user[0]), format!("{}:{}:{}:{}", name(&user[3]), user[4], user[5], user[6]))
    });
    let members = groups.iter().map(|group| (format!("group {}", group[0]), group[3].clone()));
    users.chain(members).collect()
}
