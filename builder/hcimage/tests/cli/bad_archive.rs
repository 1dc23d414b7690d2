//! Mirrors, indexes and packages that are not what they should be.

use crate::kit::{Lab, OVERLAY, packages::package};
use archive::testing::{FakeDeb, FakeEntry};
use contract::Digest;
use std::{fs, net::TcpListener};

const LOCK: [&str; 2] = ["lock", "--profile=tiny"];

#[test]
fn a_damaged_download_in_the_cache_is_named_removed_and_fetched_again() {
    let lab = Lab::locked();
    lab.build().succeeds();
    let image = lab.image("out/tiny-x86_64");
    let file = lab.cached("hello");
    let mut bytes = fs::read(&file).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    fs::write(&file, &bytes).unwrap();
    // What is unpacked already is not read again.
    fs::remove_dir_all(lab.path("cache/packs-v1")).unwrap();
    fs::remove_file(lab.path("out/tiny-x86_64/disk.img")).unwrap();
    let (found, expected) = (Digest::of(&bytes), lab.locked_digest("hello"));
    lab.build().fails(&[
        &format!("error: hello: the cached file has sha256 {found}, the lock says {expected}; it was removed from the cache"),
        "hint: run the same command again: it will be downloaded anew",
    ]);
    assert!(!file.exists() && !lab.exists("out/tiny-x86_64/disk.img"));
    lab.build().succeeds();
    assert_eq!(lab.image("out/tiny-x86_64"), image);
}

#[test]
fn a_damaged_pack_in_the_cache_never_gets_into_an_image() {
    let lab = Lab::locked();
    lab.build().succeeds();
    let image = lab.image("out/tiny-x86_64");
    for name in lab.list("cache/packs-v1") {
        let path = format!("cache/packs-v1/{name}");
        let mut bytes = lab.read(&path);
        if let Some(byte) = bytes.last_mut() {
            *byte ^= 1;
            lab.write(&path, bytes);
        }
    }
    // Damaged indexes are made again; bodies are checked when they are read.
    lab.build().succeeds();
    assert_eq!(lab.image("out/tiny-x86_64"), image);
}

#[test]
fn a_mirror_that_sends_something_else_is_named_with_both_digests() {
    let lab = Lab::locked();
    fs::remove_dir_all(lab.path("cache")).unwrap();
    let mut found = None;
    lab.mirror.change("/hello_1.0-1_all.deb", |bytes| {
        bytes[70] ^= 1;
        found = Some(Digest::of(bytes));
    });
    let (found, expected) = (found.unwrap(), lab.locked_digest("hello"));
    lab.build().fails(&[
        "error: cannot download hello 1.0-1; tried:\n",
        &format!("hello_1.0-1_all.deb: has sha256 {found}, expected {expected}"),
    ]);
    assert!(!lab.cached("hello").exists() && !lab.exists("out/tiny-x86_64/disk.img"));
    lab.publish();
    lab.build().succeeds();
}

#[test]
fn a_connection_that_breaks_is_resumed() {
    let lab = Lab::locked();
    fs::remove_dir_all(lab.path("cache")).unwrap();
    lab.mirror.cut_once("/hello_1.0-1_all.deb");
    // In this run or in the next one, but never from the beginning.
    let said = lab.build();
    if said.code != Some(0) {
        said.fails(&["after ", "hint: what was downloaded so far is kept: run the same command again"]);
        lab.build().succeeds();
    }
    let asked = lab.mirror.requests().iter().filter(|path| path.ends_with("/hello_1.0-1_all.deb")).count();
    assert_eq!(asked, 3, "when it was locked, cut, and resumed");
    assert_eq!(lab.mirror.resumed(), 1);
}

#[test]
fn nothing_is_downloaded_when_offline() {
    let lab = Lab::locked();
    fs::remove_file(lab.cached("hello")).unwrap();
    let asked = lab.mirror.requests().len();
    let says = format!(
        "hello 1.0-1 is not in the cache ({}); run again without --offline to fetch it",
        lab.locked_digest("hello")
    );
    lab.hcimage(&["build", "--profile=tiny", "--arch=x86_64", "--node-bin=node", "--offline"])
        .fails(&[&says]);
    lab.hcimage(&["lock", "--profile=tiny", "--offline"])
        .fails(&["InRelease of trixie", "--offline was given"]);
    assert_eq!(lab.mirror.requests().len(), asked);
}

#[test]
fn a_mirror_that_is_down_is_named() {
    let lab = Lab::locked();
    fs::remove_dir_all(lab.path("cache")).unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let lock = lab.text("project/profiles/tiny.lock");
    let mut command = lab.command(&LOCK);
    let said = crate::kit::Said::of(command.env("HCIMAGE_MIRROR", format!("http://{closed}/debian")));
    said.fails(&[
        "cannot download InRelease of trixie; tried:\n",
        &format!("http://{closed}/debian/dists/trixie/InRelease: "),
        "hint: ",
        "--mirror URL",
    ]);
    assert_eq!(lab.text("project/profiles/tiny.lock"), lock);
    // One that is down does not matter when another is up.
    let mut command = lab.command(&LOCK);
    let both = format!("http://{closed}/debian {}", lab.mirror.url());
    crate::kit::Said::of(command.env("HCIMAGE_MIRROR", both)).succeeds();
}

#[test]
fn an_index_that_cannot_be_believed_is_refused() {
    let mut lab = Lab::locked();
    let before = lab.text("project/profiles/tiny.lock");
    let refused = |lab: &Lab, says: &[&str]| {
        lab.hcimage(&LOCK).fails(says);
        assert_eq!(lab.text("project/profiles/tiny.lock"), before);
    };
    let in_release = "/debian/dists/trixie/InRelease";
    lab.mirror.change(in_release, |bytes| {
        let text = String::from_utf8(bytes.clone()).unwrap();
        *bytes = text.replacen("Origin: Test", "Origin: Tesy", 1).into_bytes();
    });
    refused(
        &lab,
        &[
            "error: trixie: no valid signature by a trusted key: key ",
            "did not sign this text: it was tampered with or damaged",
        ],
    );
    lab.publish();
    lab.mirror.change(in_release, |bytes| bytes.extend(b"Suite: other\n"));
    refused(&lab, &["error: trixie: there is unsigned text behind the signed message"]);
    lab.publish();
    let other = lab.archive.files()["/debian/dists/trixie-updates/InRelease"].clone();
    lab.mirror.change(in_release, |bytes| *bytes = other);
    refused(&lab, &["error: trixie: expected the Release file of `trixie`, found suite `trixie-updates`"]);
    lab.archive.release_fields = "Valid-Until: Sun, 02 Jun 2024 00:00:00 UTC\n".to_owned();
    lab.publish();
    refused(
        &lab,
        &[
            "error: trixie: the Release file of 2024-06-01T00:00:00Z expired: valid until 2024-06-02T00:00:00Z",
        ],
    );
    lab.archive.release_fields.clear();
    lab.publish();
    // Debian's own keys did not sign this archive.
    let mut command = lab.command(&LOCK);
    let args: Vec<_> = command.get_args().map(|arg| arg.to_owned()).collect();
    let keyring = args.iter().position(|arg| arg == "--keyring").unwrap();
    let mut without = std::process::Command::new(command.get_program());
    without.args(&args[..keyring]).args(&args[keyring + 2..]).current_dir(lab.path("."));
    without.env_clear().envs(
        command.env("HOME", lab.path("home")).get_envs().filter_map(|(name, value)| Some((name, value?))),
    );
    crate::kit::Said::of(&mut without).fails(&[
        "error: trixie: no valid signature by a trusted key: key ",
        "is not a trusted key; trusted are ",
    ]);
    // An index that is not the one that was signed.
    fs::remove_dir_all(lab.path("cache")).unwrap();
    let index = lab
        .archive
        .files()
        .into_keys()
        .find(|path| path.starts_with("/debian/dists/trixie/main/binary-amd64/by-hash"))
        .unwrap();
    lab.mirror.change(&index, |bytes| bytes[30] ^= 1);
    refused(
        &lab,
        &["cannot download package index of trixie/main (x86_64); tried:\n", ": has sha256 ", ", expected "],
    );
}

/// Locks a project whose package `hello` was changed, and gives what was said.
fn lock_with(change: impl FnOnce(&mut FakeDeb)) -> (Lab, crate::kit::Said) {
    let mut lab = Lab::new();
    change(lab.archive.package("hello"));
    lab.publish();
    let said = lab.hcimage(&LOCK);
    (lab, said)
}

#[test]
fn packages_that_would_leave_the_image_are_refused() {
    let cases = [
        (FakeEntry::file("./../../etc/passwd", b"x"), "`./../../etc/passwd`: the path escapes with `..`"),
        (FakeEntry::file("/etc/passwd", b"x"), "`/etc/passwd`: the path is absolute"),
        (
            FakeEntry::hardlink("./usr/bin/evil", "/etc/shadow"),
            "`./usr/bin/evil`: hard link to `/etc/shadow`: the path is absolute",
        ),
        (
            FakeEntry::hardlink("./usr/bin/evil", "../../etc/shadow"),
            "hard link to `../../etc/shadow`: the path escapes with `..`",
        ),
        (
            FakeEntry { kind: b'7', ..FakeEntry::file("./usr/bin/evil", b"") },
            "`./usr/bin/evil`: unknown entry type 0x37",
        ),
    ];
    for (entry, says) in cases {
        let (lab, said) = lock_with(|hello| hello.entries.push(entry));
        said.fails(&["error: hello: `data.tar.xz`: ", says]);
        assert!(
            !lab.exists("project/profiles/tiny.lock") && !lab.exists("project/profiles/tiny.lock.partial")
        );
    }
}

#[test]
fn a_truncated_package_is_refused() {
    let mut lab = Lab::new();
    // The archive itself has only a part of the package: its index names that part.
    let whole = lab.archive.package("hello").build().len();
    lab.archive.truncated.insert("hello".to_owned(), whole / 2);
    lab.publish();
    lab.hcimage(&LOCK).fails(&["error: hello: truncated: `data.tar.xz` ends after "]);
    assert!(!lab.exists("project/profiles/tiny.lock"));
}

#[test]
fn a_package_that_is_gone_is_named_and_can_be_chosen_anew() {
    let mut lab = Lab::locked();
    fs::remove_dir_all(lab.path("cache")).unwrap();
    lab.archive.package("hello").version = "1.0-2".to_owned();
    lab.publish();
    let lock = lab.text("project/profiles/tiny.lock");
    lab.build().fails(&["hello 1.0-1", "hello_1.0-1_all.deb: 404", "hint: mirrors keep only current versions: run `hcimage lock --update hello`, or build with --relock-gone"]);
    assert_eq!(lab.text("project/profiles/tiny.lock"), lock);
    let args = ["build", "--profile=tiny", "--arch=x86_64", "--node-bin=node", "--relock-gone"];
    lab.hcimage(&args)
        .succeeds()
        .ends(0, &["warning: hello: the locked version is on no mirror any more; choosing anew"]);
    let new = lab.text("project/profiles/tiny.lock");
    let gone: Vec<_> = lock.lines().filter(|line| !new.contains(*line)).collect();
    assert!(
        gone.len() == 2 && gone.iter().all(|line| line.starts_with("\"hello\" = { version = \"1.0-1\"")),
        "{gone:#?}"
    );
    assert!(lab.text("out/tiny-x86_64/packages.txt").contains("hello 1.0-2 trixie "));
}

#[test]
fn packages_that_exclude_each_other_are_explained() {
    let mut lab = Lab::locked();
    let lock = lab.text("project/profiles/tiny.lock");
    lab.archive.package("libgreet").fields.push_str("Conflicts: libc6 (>= 2.40)\n");
    lab.publish();
    lab.hcimage(&LOCK).fails(&[
        "error: x86_64: cannot install `",
        "libgreet 2.1 conflicts with `libc6 (>= 2.40)`, and libc6 2.41-12 (asked for) is chosen",
        "hello",
    ]);
    lab.archive.package("libgreet").version = "1.9".to_owned();
    lab.publish();
    lab.hcimage(&LOCK).fails(&["libgreet (>= 2)", "1.9", "hello"]);
    lab.write("project/overlays/base/overlay.toml", OVERLAY.replace("\"libc6\"", "\"libc66\""));
    lab.hcimage(&LOCK).fails(&[
        "cannot install `libc66`: no package is called or provides `libc66`; did you mean `libc6`?",
    ]);
    assert_eq!(lab.text("project/profiles/tiny.lock"), lock);
}

#[test]
fn a_script_that_nobody_reviewed_stops_and_is_shown() {
    let script = b"#!/bin/sh\nset -e\n# Automatically added by dh_installsysusers/13.24.2\nif [ \"$1\" = \"configure\" ]; then\n\trm -rf /\nfi\n# End automatically added section\n";
    let (_, said) = lock_with(|hello| hello.control.push(("postinst".to_owned(), script.to_vec())));
    said.fails(&["hello postinst: line ", "dh_installsysusers", "never wrote `"]);
    let script = b"#!/bin/sh\nset -e\nmake-hello --in /var\n";
    let (lab, said) = lock_with(|hello| hello.control.push(("postinst".to_owned(), script.to_vec())));
    said.fails(&[
        "hello postinst is not covered by any recipe",
        "    make-hello --in /var\n",
        "add to builder/tree/recipes/hello.toml (or to the overlay's recipes/hello.toml)",
        "[[script]]\n    kind = \"postinst\"\n    residue = [\"",
    ]);
    assert!(!lab.exists("project/profiles/tiny.lock"));

    // With what the message says, written down, it goes on.
    let said = lab.hcimage(&LOCK).fails(&[]);
    let residue = said.err.split("residue = [\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let recipe = format!(
        "[[script]]\nkind = \"postinst\"\nresidue = [\"{residue}\"]\nwhy = \"a test\"\ndo = [{{ directory = {{ path = \"/etc/hello.made\" }} }}]\n"
    );
    lab.write("project/overlays/base/recipes/hello.toml", recipe);
    lab.hcimage(&LOCK).succeeds();
    lab.build().succeeds();
    let said = lab.hcimage(&["scripts", "--profile=tiny", "--arch=x86_64"]).succeeds();
    assert!(
        said.out.contains("hello postinst: ") && said.out.contains("recipes/hello.toml: a test\n"),
        "{}",
        said.out
    );
}

#[test]
fn packages_that_do_not_fit_together_are_refused() {
    let mut lab = Lab::locked();
    let rival = package("rival", "1", vec![FakeEntry::file("./usr/bin/hello", b"mine\n")]);
    lab.archive.add("trixie", rival);
    lab.archive.package("hello").fields.push_str("Recommends: rival\n");
    lab.publish();
    lab.edit("project/profiles/tiny.toml", "packages = [\"hello\"]", "packages = [\"hello\", \"rival\"]");
    lab.hcimage(&LOCK).fails(&["/usr/bin/hello is shipped by hello 1.0-1 (all) and by rival 1 (all), and neither replaces the other: exclude one of them in the profile"]);
    lab.archive.package("rival").fields.push_str("Replaces: hello\n");
    lab.archive.package("rival").version = "2".to_owned();
    lab.publish();
    lab.hcimage(&LOCK).succeeds();
    lab.build().succeeds();
    let users = b"u _one 450 \"One\"\nu _two 450 \"Two\"\n";
    lab.archive.package("rival").entries.push(FakeEntry::file("./usr/lib/sysusers.d/rival.conf", users));
    lab.archive.package("rival").version = "3".to_owned();
    lab.publish();
    lab.hcimage(&["lock", "--profile=tiny", "--update"])
        .fails(&["user `_two`: has id 450, but `_one` has it too"]);
}
