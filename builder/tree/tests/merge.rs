//! The law by which packages share a tree.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use tree::{
    Content, Diversion, DropRules, Entry, Glob, ImagePath, Node, Origin, Package, ScriptKind, Tree, merge,
    recipe::{self, Recipe, State, Uncovered},
};

fn path(text: &str) -> ImagePath {
    ImagePath::parse(text).unwrap()
}

/// A package of `path`, `path/`, `path -> target` and `path = hard link` entries.
fn package(name: &str, entries: &[&str]) -> Package {
    let origin = Origin::Package(name.to_owned());
    let entry = |entry: &&str| {
        let (at, node, link) = if let Some((at, target)) = entry.split_once(" -> ") {
            (at, Node::symlink(target, origin.clone()), None)
        } else if let Some((at, other)) = entry.split_once(" = ") {
            (at, Node::file(Content::bytes(""), 0o644, origin.clone()), Some(path(other)))
        } else if entry.ends_with('/') {
            (*entry, Node::directory(0o755, origin.clone()), None)
        } else {
            (*entry, Node::file(Content::bytes(name), 0o644, origin.clone()), None)
        };
        Entry { path: path(at), node, link }
    };
    Package {
        name: name.to_owned(),
        version: "1".to_owned(),
        arch: "amd64".to_owned(),
        multi_arch_same: false,
        replaces: BTreeSet::new(),
        entries: entries.iter().map(entry).collect(),
        scripts: BTreeMap::new(),
        triggers: String::new(),
        control: format!("Package: {name}\n"),
    }
}

fn merged(packages: &[Package]) -> Result<Tree, String> {
    let (tree, _) = merge(packages, &[], &DropRules::default()).map_err(|error| error.to_string())?;
    let mut backwards = packages.to_vec();
    backwards.reverse();
    let (again, _) = merge(&backwards, &[], &DropRules::default()).unwrap();
    assert_eq!(tree.dump(), again.dump(), "the order of packages matters");
    Ok(tree)
}

fn holder(tree: &Tree, name: &str) -> String {
    tree.get(&path(name)).unwrap().origin.to_string()
}

#[test]
fn links_of_base_files_are_there_before_everything_else() {
    let tree = merged(&[
        package("a", &["/bin/", "/bin/a", "/usr/", "/usr/bin/", "/usr/bin/hard = /bin/a"]),
        package("base-files", &["/usr/bin/", "/bin -> usr/bin"]),
    ])
    .unwrap();
    assert_eq!(tree.id(&path("/usr/bin/a")), tree.id(&path("/usr/bin/hard")));
    assert_eq!(holder(&tree, "/bin"), "package base-files");
}

#[test]
fn one_path_of_two_packages_needs_replaces() {
    let error = merged(&[package("a", &["/x"]), package("b", &["/x"])]).unwrap_err();
    assert_eq!(
        error,
        "/x is shipped by a 1 (amd64) and by b 1 (amd64), and neither replaces the other: exclude one of them in the profile"
    );
    for (name, other) in [("a", "b"), ("b", "a")] {
        let mut winner = package(name, &["/x"]);
        winner.replaces.insert(other.to_owned());
        let tree = merged(&[winner, package(other, &["/x"])]).unwrap();
        assert_eq!(holder(&tree, "/x"), format!("package {name}"));
    }
}

#[test]
fn a_diversion_moves_what_others_ship() {
    let diversion = Diversion { by: "b".into(), path: path("/x"), to: path("/x.distrib") };
    let packages = [package("a", &["/x"]), package("b", &["/x"])];
    let (tree, _) = merge(&packages, &[diversion], &DropRules::default()).unwrap();
    assert_eq!(holder(&tree, "/x"), "package b");
    assert_eq!(holder(&tree, "/x.distrib"), "package a");
}

#[test]
fn of_two_directories_the_special_one_is_right() {
    let mut special = package("z", &["/d/"]);
    special.entries[0].node.mode = 0o1777;
    let tree = merged(&[special.clone(), package("a", &["/d/"])]).unwrap();
    assert_eq!(tree.get(&path("/d")).unwrap().mode, 0o1777);
    let mut other = package("y", &["/d/"]);
    other.entries[0].node.mode = 0o700;
    let error = merge(&[special, other], &[], &DropRules::default()).unwrap_err().to_string();
    assert!(error.starts_with("/d is 700 0:0 in package y and 1777 0:0 in package z"), "{error}");
}

#[test]
fn packages_may_not_assume_ids_or_lost_links() {
    let mut dynamic = package("a", &["/x"]);
    dynamic.entries[0].node.gid = 105;
    let error = merge(&[dynamic], &[], &DropRules::default()).unwrap_err().to_string();
    assert_eq!(error, "a: /x belongs to 0:105, but only ids up to 99 are the same everywhere");
    let error = merge(&[package("a", &["/x = /y"])], &[], &DropRules::default()).unwrap_err().to_string();
    assert_eq!(error, "a: /x is a hard link to /y, which it does not ship before");
}

#[test]
fn drop_rules_take_files_out_and_say_how_much() {
    let drop = DropRules {
        paths: ["/usr/share/doc/**", "/usr/**/*.mo"].map(|glob| Glob::parse(glob).unwrap()).into(),
        keep: vec![Glob::parse("/usr/share/doc/*/copyright").unwrap()],
    };
    let packages = [package(
        "name",
        &[
            "/usr/share/doc/a/copyright",
            "/usr/share/doc/a/news",
            "/usr/share/doc/b/c/",
            "/usr/lib/x.mo",
            "/usr/lib/y",
        ],
    )];
    let (tree, dropped) = merge(&packages, &[], &drop).unwrap();
    let names: Vec<_> = tree.iter().map(|(path, _)| path.to_string()).collect();
    assert!(
        names.contains(&"/usr/share/doc/a/copyright".to_owned()) && names.contains(&"/usr/lib/y".to_owned())
    );
    assert!(
        !names.iter().any(|name| name.contains("news") || name.contains(".mo") || name.contains("doc/b"))
    );
    let report: Vec<_> = dropped.iter().map(|one| (one.rule.as_str(), one.files, one.bytes)).collect();
    assert_eq!(report, [("/usr/share/doc/**", 1, 4), ("/usr/**/*.mo", 1, 4)]);
}

#[test]
fn a_script_needs_a_recipe_for_just_what_it_is() {
    let mut one = package("one", &[]);
    one.scripts.insert(ScriptKind::Postinst, b"#!/bin/sh\nset -e\nmkdir /x\n".to_vec());
    let packages = [one];
    let (lines, _) = recipe::coverage(&packages, &[]);
    let State::Unknown { digest, text, .. } = &lines[0].state else { panic!("{lines:?}") };
    assert_eq!(text, "mkdir /x\n");
    let message = Uncovered::none_in(&lines, &packages).unwrap_err().to_string();
    for part in ["one postinst is not covered", "    mkdir /x\n", "recipes/one.toml", &digest.to_string()] {
        assert!(message.contains(part), "{message}");
    }
    let text = format!(
        "[[script]]\nkind = \"postinst\"\nresidue = [\"{digest}\"]\nwhy = \"x\"\ndo = [{{ directory = {{ path = \"/x\" }} }}]\n"
    );
    let recipes = [Recipe::parse("one", "one.toml", &text).unwrap()];
    let (lines, asked) = recipe::coverage(&packages, &recipes);
    assert_eq!(lines[0].to_string(), "one postinst: one.toml: x");
    assert_eq!(asked.scripts[0].1.actions.len(), 1);
}

#[test]
fn one_recipe_fits_all_kernels_that_are_alike() {
    let kernel = |uname: &str| {
        let mut kernel = package(&format!("linux-image-{uname}"), &[]);
        let script = format!("#!/bin/sh\nversion={uname}\nrun $version\n");
        kernel.scripts.insert(ScriptKind::Postinst, script.into_bytes());
        [kernel]
    };
    let first = kernel("6.12.1+deb13-amd64");
    let (lines, _) = recipe::coverage(&first, &[]);
    let State::Unknown { digest, text, .. } = &lines[0].state else { panic!("{lines:?}") };
    assert_eq!(text, "version=@UNAME@\nrun $version\n");
    let text = format!(
        "package = \"linux-image-6.*\"\n[[script]]\nkind = \"postinst\"\nresidue = [\"{digest}\"]\nwhy = \"x\"\n"
    );
    let recipes = [Recipe::parse("linux-image", "linux-image.toml", &text).unwrap()];
    let next = kernel("6.12.2+deb13-arm64");
    let (lines, _) = recipe::coverage(&next, &recipes);
    assert_eq!(lines[0].to_string(), "linux-image-6.12.2+deb13-arm64 postinst: linux-image.toml: x");
}

#[test]
fn unknown_triggers_and_malformed_recipes_are_refused() {
    let mut one = package("one", &[]);
    one.triggers = "# text\ninterest-noawait magic\nactivate-noawait ldconfig\n".to_owned();
    let message = Uncovered::none_in(&[], &[one]).unwrap_err().to_string();
    assert!(message.contains("one: the trigger `magic` is not known"), "{message}");
    let cases = [
        ("[[script]]\nkind = \"postinst\"\nresidu = []\n", "r.toml:3: unknown field `residu`"),
        (
            "[[script]]\nkind = \"prerm\"\nresidue = []\nwhy = \"\"\n",
            "r.toml:1: a prerm never runs at an installation",
        ),
        (
            "[[script]]\nkind = \"postinst\"\nresidue = []\nwhy = \"x\"\ndo = [{ remov = \"/x\" }]\n",
            "did you mean `remove`?",
        ),
        (
            "[[script]]\nkind = \"postinst\"\nresidue = []\nwhy = \"x\"\ndo = [{ remove = \"x\" }]\n",
            "does not begin with `/`",
        ),
    ];
    for (text, expected) in cases {
        let error = Recipe::parse("r", "r.toml", text).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
