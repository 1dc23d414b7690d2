//! Certificates and their links, against OpenSSL.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::{collections::BTreeMap, env, fs, path::Path, process::Command};
use tree::{Content, ImagePath, Kind, Node, Origin, Tree, effects::certificates};

/// Subjects that are canonical in different ways: letters, spaces, several attributes in one set, no text.
const SUBJECTS: &[&str] = &[
    "/C=DE/O=Ä Öffentliche  CA /CN= Straße",
    "/C=US+O=Two In+CN=One Set",
    "/CN=ALL CAPITALS\tAND  TABS",
    "/DC=org/DC=example/emailAddress=Root@Example.ORG",
    "/CN=Twice",
    "/CN=twice",
];

fn openssl(arguments: &[&str]) -> Option<String> {
    match Command::new("openssl").args(arguments).output() {
        Ok(out) => {
            assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
            Some(String::from_utf8(out.stdout).unwrap())
        }
        Err(error) if env::var_os("HCIMAGE_CI").is_some() => panic!("openssl: {error}"),
        Err(_) => {
            eprintln!("skipped: certificates: openssl is not installed");
            None
        }
    }
}

fn shipped(folder: &Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    // The host's own, when it has them: some 140 real ones.
    if let Ok(entries) = fs::read_dir("/usr/share/ca-certificates/mozilla") {
        for entry in entries {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            files.push((name, fs::read_to_string(path).unwrap()));
        }
    }
    for (number, _) in SUBJECTS.iter().enumerate() {
        let name = format!("made ({number}).crt");
        files.push((name.clone(), fs::read_to_string(folder.join(name)).unwrap()));
    }
    files
}

#[test]
fn links_are_those_of_openssl() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key").to_str().unwrap().to_owned();
    for (number, subject) in SUBJECTS.iter().enumerate() {
        let out = folder.path().join(format!("made ({number}).crt"));
        let out = out.to_str().unwrap();
        let made = openssl(&[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-utf8",
            "-subj",
            subject,
            "-keyout",
            &key,
            "-out",
            out,
        ]);
        if made.is_none() {
            return;
        }
    }
    let mut tree = Tree::new();
    let files = shipped(folder.path());
    let certs = tempfile::tempdir().unwrap();
    for (name, text) in &files {
        let path = ImagePath::parse(&format!("/usr/share/ca-certificates/mozilla/{name}")).unwrap();
        tree.insert(&path, Node::file(Content::bytes(text.as_bytes()), 0o644, Origin::Frame)).unwrap();
        let link = name.replace(' ', "_").replace(['(', ')'], "=").replace(".crt", ".pem");
        fs::write(certs.path().join(link), text).unwrap();
    }
    certificates::apply(&mut tree, &BTreeMap::new()).unwrap();
    openssl(&["rehash", certs.path().to_str().unwrap()]).unwrap();
    let mut theirs = BTreeMap::new();
    for entry in fs::read_dir(certs.path()).unwrap() {
        let path = entry.unwrap().path();
        if let Ok(target) = fs::read_link(&path) {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            theirs.insert(name, target.to_str().unwrap().to_owned());
        }
    }
    assert!(theirs.len() >= SUBJECTS.len());
    let hashed = tree.below(&ImagePath::parse("/etc/ssl/certs").unwrap()).filter_map(|(path, node)| {
        match &node.kind {
            Kind::Symlink(target) if !target.starts_with('/') => {
                Some((path.name().to_owned(), target.clone()))
            }
            _ => None,
        }
    });
    assert_eq!(hashed.collect::<BTreeMap<_, _>>(), theirs);
}

#[test]
fn what_is_no_certificate_is_refused() {
    let mut tree = Tree::new();
    let path = ImagePath::parse("/usr/local/share/ca-certificates/x.crt").unwrap();
    for (text, why) in [
        ("text", "expected exactly one PEM block"),
        ("-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n", "its DER ends too early"),
        ("-----BEGIN KEY-----\nMII\n-----END KEY-----\n", "expected a PEM block `CERTIFICATE`"),
    ] {
        tree.insert(&path, Node::file(Content::bytes(text), 0o644, Origin::Frame)).unwrap();
        let error = certificates::apply(&mut tree, &BTreeMap::new()).unwrap_err().to_string();
        assert_eq!(error, format!("/usr/local/share/ca-certificates/x.crt is no certificate: {why}"));
    }
}
