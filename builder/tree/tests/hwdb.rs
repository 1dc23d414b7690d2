//! systemd-hwdb as the oracle of the hardware database, and what our reader refuses.
//! `HCIMAGE_HWDB_SOURCES` names a directory of real `*.hwdb` files, to compare as well.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "the functions around the tests are tests too")]

use std::{collections::BTreeMap, fs, path::Path, process::Command};
use tree::{
    ImagePath, Origin, Tree,
    effects::hwdb::{apply, database},
};

const SOURCES: [(&str, &str); 2] = [
    (
        "10-a.hwdb",
        "# a comment\nusb:v1D6B*\nusb:v1D6Bp0001*\n ID_VENDOR=Linux # trailing\n  ID_MODEL=hub\n\n\
         pci:v00008086*\n ID_VENDOR=Intel\n",
    ),
    (
        "20-b.hwdb",
        "usb:v1D6B*\n ID_VENDOR=Linux Foundation\n ID_A=Foundation\n\nusb:v1D*\n B=x\n\nusb:\n \tB=\n\
         \nusb:v1D6Bp0001*\n ID_VENDOR=Linux=2\n\nmouse:*:name:*M\u{fc}ller*:\n MOUSE_DPI=1\n",
    ),
];

fn path(text: &str) -> ImagePath {
    ImagePath::parse(text).unwrap()
}

fn sources() -> Vec<(ImagePath, String)> {
    let source =
        |(name, text): &(&str, &str)| (path(&format!("usr/lib/udev/hwdb.d/{name}")), (*text).to_owned());
    SOURCES.iter().map(source).collect()
}

/// What systemd-hwdb makes of these files in a root of its own. `None` when it is not installed.
fn theirs(test: &str, files: &[(ImagePath, String)]) -> Option<Vec<u8>> {
    let tool = std::env::var("HCIMAGE_SYSTEMD_HWDB").unwrap_or("systemd-hwdb".to_owned());
    let Ok(output) = Command::new(&tool).arg("--version").output() else {
        assert!(std::env::var_os("HCIMAGE_CI").is_none(), "{test}: systemd-hwdb is not installed");
        eprintln!("skipped: {test}: systemd-hwdb is not installed");
        return None;
    };
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let version: u32 = said.split([' ', '.', '~']).nth(1).and_then(|word| word.parse().ok()).unwrap();
    if version < 254 {
        eprintln!("skipped: {test}: systemd-hwdb {version} looks below /lib, 254 and later below /usr/lib");
        return None;
    }
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("usr/lib/udev/hwdb.d")).unwrap();
    for (path, text) in files {
        fs::write(root.path().join(path.as_str()), text).unwrap();
    }
    let output = Command::new(tool).args(["update", "--usr", "--root"]).arg(root.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(fs::read(root.path().join("usr/lib/udev/hwdb.bin")).unwrap())
}

/// Their sources have the root's path in their names: ours are given it too. The version may differ.
fn compare(test: &str, files: &[(ImagePath, String)]) {
    let Some(theirs) = theirs(test, files) else { return };
    let at = theirs.windows(5).position(|window| window == b"/tmp/");
    let root = at.map_or(String::new(), |at| {
        let end = theirs[at..].windows(5).position(|window| window == b"/usr/").unwrap();
        String::from_utf8(theirs[at..at + end].to_vec()).unwrap()
    });
    let files: Vec<_> = files.iter().map(|(at, text)| (path(&format!("{root}{at}")), text.clone())).collect();
    let ours = database(&files).unwrap();
    assert_eq!(ours[..8], theirs[..8]);
    assert_eq!(ours.len(), theirs.len());
    assert!(ours[16..] == theirs[16..]);
}

#[test]
fn the_database_is_that_of_systemd_hwdb() {
    compare("the_database_is_that_of_systemd_hwdb", &sources());
}

#[test]
fn real_sources_too() {
    let Ok(directory) = std::env::var("HCIMAGE_HWDB_SOURCES") else {
        return eprintln!("skipped: real_sources_too: HCIMAGE_HWDB_SOURCES is not set");
    };
    let mut files: Vec<(ImagePath, String)> = fs::read_dir(Path::new(&directory))
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_name().to_str().unwrap().ends_with(".hwdb"))
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (path(&format!("usr/lib/udev/hwdb.d/{name}")), fs::read_to_string(entry.path()).unwrap())
        })
        .collect();
    files.sort();
    assert!(files.len() > 20);
    compare("real_sources_too", &files);
}

#[test]
fn lines_out_of_place_are_errors() {
    for (text, message) in [
        (" A=1\n", "/x.hwdb:1: a match is expected: ` A=1`"),
        ("usb:*\n\n A=1\n", "/x.hwdb:2: a property is expected"),
        ("usb:*\n A\n", "/x.hwdb:2: ` KEY=value` is expected: ` A`"),
        ("usb:*\n =1\n", "/x.hwdb:2: ` KEY=value` is expected: ` =1`"),
        ("usb:*\n A=1\nusb:v*\n", "/x.hwdb:3: a property or an empty line is expected: `usb:v*`"),
    ] {
        let error = database(&[(path("x.hwdb"), text.to_owned())]).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn the_effect_lets_etc_hide_usr_and_is_nothing_without_sources() {
    let mut tree = Tree::new();
    let none = BTreeMap::new();
    apply(&mut tree, &none).unwrap();
    let bin = path("usr/lib/udev/hwdb.bin");
    assert!(tree.get(&bin).is_none());
    let put = |tree: &mut Tree, at: &str, text: &str| tree.write(&path(at), text, Origin::Frame).unwrap();
    put(&mut tree, "usr/lib/udev/hwdb.d/a.hwdb", "usb:*\n A=usr\n");
    put(&mut tree, "usr/lib/udev/hwdb.d/b.hwdb", "usb:*\n B=hidden\n");
    put(&mut tree, "etc/udev/hwdb.d/b.hwdb", "usb:*\n B=etc\n");
    apply(&mut tree, &none).unwrap();
    let a = (path("usr/lib/udev/hwdb.d/a.hwdb"), "usb:*\n A=usr\n".to_owned());
    let b = (path("etc/udev/hwdb.d/b.hwdb"), "usb:*\n B=etc\n".to_owned());
    assert_eq!(tree.read(&bin, &none).unwrap(), database(&[a, b]).unwrap());
    assert_eq!(tree.get(&bin).unwrap().mode, 0o444);
}
