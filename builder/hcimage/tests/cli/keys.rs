//! Keys and signatures, with minisign's own program as the judge.

use crate::kit::{Lab, Said, missing};
use contract::Arch;
use std::{fs, os::unix::fs::PermissionsExt as _, process::Command};

fn minisign(lab: &Lab) -> Said {
    let mut command = Command::new("minisign");
    command
        .args(["-V", "-p"])
        .arg(lab.path("keys/hcimage.pub"))
        .arg("-m")
        .arg(lab.path("out/tiny-x86_64/release.json"));
    Said::of(&mut command)
}

#[test]
fn what_build_and_sign_sign_minisign_believes() {
    let lab = Lab::locked();
    lab.hcimage(&["key", "new", "keys"]).succeeds();
    let mode = fs::metadata(lab.path("keys/hcimage.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    lab.hcimage(&["key", "new", "keys"])
        .fails(&["keys/hcimage.key is there already", "hint: a key is never overwritten"]);
    let mut build = lab.command(&Lab::build_args(Arch::X86_64));
    Said::of(build.args(["--key", "keys/hcimage.key"])).succeeds();
    assert_eq!(
        lab.list("out/tiny-x86_64"),
        ["disk.img", "files.txt", "packages.txt", "release.json", "release.json.minisig"]
    );
    let unsigned = lab.image("out/tiny-x86_64");
    let minisign_is_missing = missing("what_build_and_sign_sign_minisign_believes", "minisign");
    if !minisign_is_missing {
        let said = minisign(&lab).succeeds();
        assert!(said.out.contains("Signature and comment signature verified"), "{}", said.out);
        assert!(said.out.contains("Trusted comment: hcimage tiny x86_64 20240101.000000."), "{}", said.out);
    }

    // An unsigned build over it leaves no stale signature, and is the same image.
    lab.build().succeeds();
    assert_eq!(lab.list("out/tiny-x86_64"), ["disk.img", "files.txt", "packages.txt", "release.json"]);
    assert_eq!(lab.image("out/tiny-x86_64"), unsigned);
    lab.hcimage(&["sign", "out/tiny-x86_64", "--key", "keys/hcimage.key"]).succeeds();
    if !minisign_is_missing {
        minisign(&lab).succeeds();
        lab.edit("out/tiny-x86_64/release.json", "\"profile\": \"tiny\"", "\"profile\": \"tinY\"");
        assert_ne!(minisign(&lab).code, Some(0));
    }
}

#[test]
fn an_image_with_a_way_in_is_no_release() {
    let lab = Lab::locked();
    lab.hcimage(&["key", "new", "keys"]).succeeds();
    lab.write(
        "id.pub",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA me\n",
    );
    lab.write("id", "-----BEGIN OPENSSH PRIVATE KEY-----\nxyz\n");
    lab.write("none", "hello\n");
    let build = |more: &[&str]| Said::of(lab.command(&Lab::build_args(Arch::X86_64)).args(more));
    build(&["--key=keys/hcimage.key", "--ssh-key=id.pub"]).fails(&[
        "--key and --ssh-key together: an image that a lab can log in to is no release",
        "hint: ",
        "`hcimage sign --lab`",
    ]);
    build(&["--ssh-key=id"])
        .fails(&["error: id is a private key, which must stay where it is: give the public one"]);
    build(&["--ssh-key=none"]).fails(&["error: none does not begin with a key's type"]);
    build(&["--key=id.pub"]).fails(&["error: id.pub: this is not a minisign secret key"]);
    build(&["--key=nowhere.key"]).fails(&["error: cannot read nowhere.key: No such file or directory"]);
    assert!(!lab.exists("out"), "refused before anything was written");

    build(&["--ssh-key=id.pub"]).succeeds();
    lab.hcimage(&["sign", "out/tiny-x86_64", "--key=keys/hcimage.key"]).fails(&[
        "release.json has lab inputs (ssh-key): it is not for release",
        "hint: build it without them, or say --lab",
    ]);
    assert!(!lab.exists("out/tiny-x86_64/release.json.minisig"));
    lab.hcimage(&["sign", "out/tiny-x86_64", "--key=keys/hcimage.key", "--lab"]).succeeds();
}
