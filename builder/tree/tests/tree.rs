//! The tree's own laws.

#![allow(clippy::unwrap_used)]

use contract::Epoch;
use std::collections::BTreeMap;
use tree::{Content, ImagePath, Kind, Node, Origin, Tree, TreeError};

fn path(text: &str) -> ImagePath {
    ImagePath::parse(text).unwrap()
}

fn package(name: &str) -> Origin {
    Origin::Package(name.to_owned())
}

fn file(text: &str) -> Node {
    Node::file(Content::bytes(text), 0o644, package("a"))
}

#[test]
fn names_below_a_link_land_in_its_target() {
    let mut tree = Tree::new();
    tree.insert(&path("usr/bin"), Node::directory(0o755, package("a"))).unwrap();
    tree.insert(&path("bin"), Node::symlink("usr/bin", package("a"))).unwrap();
    tree.insert(&path("bin/sh"), file("#")).unwrap();
    assert!(tree.get(&path("usr/bin/sh")).is_some());
    assert_eq!(tree.read(&path("/bin/sh"), &BTreeMap::new()).unwrap(), b"#");
}

#[test]
fn hard_links_share_one_node_and_removing_one_keeps_the_other() {
    let mut tree = Tree::new();
    let id = tree.insert(&path("a/one"), file("x")).unwrap();
    tree.link(&path("b/two"), id).unwrap();
    tree.get_mut(&path("b/two")).unwrap().mode = 0o4755;
    assert_eq!(tree.get(&path("a/one")).unwrap().mode, 0o4755);
    tree.remove(&path("a")).unwrap();
    assert_eq!(tree.iter().map(|(path, _)| path.to_string()).collect::<Vec<_>>(), ["/", "/b", "/b/two"]);
}

#[test]
fn a_directory_is_never_lost_and_a_file_is_no_directory() {
    let mut tree = Tree::new();
    tree.insert(&path("etc/x"), file("x")).unwrap();
    let error = tree.insert(&path("etc"), file("y")).unwrap_err();
    assert_eq!(error.to_string(), "/etc is a directory (package a) and would be lost");
    let error = tree.insert(&path("etc/x/y"), file("y")).unwrap_err();
    assert_eq!(error.to_string(), "/etc/x/y: /etc/x is not a directory (package a)");
}

#[test]
fn links_in_a_circle_are_an_error() {
    let mut tree = Tree::new();
    tree.insert(&path("a"), Node::symlink("b", package("a"))).unwrap();
    tree.insert(&path("b"), Node::symlink("/a", package("a"))).unwrap();
    assert!(matches!(tree.resolve(&path("a/c"), true), Err(TreeError::LinkLoop(_))));
}

#[test]
fn rename_moves_what_is_below() {
    let mut tree = Tree::new();
    tree.insert(&path("var/lib/x"), file("x")).unwrap();
    tree.rename(&path("var"), &path("usr/share/factory/var")).unwrap();
    assert!(tree.get(&path("usr/share/factory/var/lib/x")).is_some());
    assert!(tree.get(&path("var")).is_none());
}

#[test]
fn freezing_leaves_no_time_after_the_epoch() {
    let mut tree = Tree::new();
    tree.insert(&path("new"), Node { mtime: 2_000, ..file("x") }).unwrap();
    tree.insert(&path("old"), Node { mtime: 500, ..file("x") }).unwrap();
    let tree = tree.freeze(Epoch(1_000));
    let times: Vec<_> = tree.iter().map(|(_, node)| node.mtime).collect();
    assert_eq!(times, [1_000, 1_000, 500]);
    assert!(matches!(tree.get(&path("old")).unwrap().kind, Kind::File(_)));
}
