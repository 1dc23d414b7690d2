//! What is wrong with what the user wrote: refused with the place, both values and the way out, and nothing written.

use crate::kit::{Lab, PROFILE};

const TINY: &str = "project/profiles/tiny.toml";

#[test]
fn profiles_that_say_something_wrong_are_refused_with_the_place() {
    let lab = Lab::locked();
    let cases: [(&str, &str, &[&str]); 9] = [
        (
            "overlays = ",
            "overlay = ",
            &["profiles/tiny.toml:4:1: unknown field `overlay`, expected one of", "did you mean `overlays`?"],
        ),
        (
            "level = 5",
            "levle = 5",
            &["profiles/tiny.toml:10:1: unknown field `levle`", "did you mean `level`?"],
        ),
        ("level = 5", "level = 50", &["profiles/tiny.toml: `image.level` is 50: it must be from 1 to 19"]),
        (
            "\"16MiB\"",
            "\"16M\"",
            &["profiles/tiny.toml:8:8: ", "`16M` is not a size: write a whole number and KiB, MiB or GiB"],
        ),
        (
            "[\"base\"]",
            "[\"bsae\"]",
            &[
                "profiles/tiny.toml: overlay `bsae`: there is no ",
                "overlays/bsae/overlay.toml; did you mean `base`?",
            ],
        ),
        (
            "board = ",
            "extends = \"tiny\"\nboard = ",
            &["profiles/tiny.toml: `extends` leads round in a circle: tiny -> tiny"],
        ),
        (
            "board = ",
            "extends = \"tinu\"\nboard = ",
            &[
                "profiles/tinu.toml: profile `tinu` (extended by `tiny`) cannot be read: ",
                "did you mean `tiny`?",
            ],
        ),
        ("\"uefi\"", "\"toaster\"", &["board `toaster` is unknown; there are: uefi"]),
        ("hostname = \"tiny\"", "hostname = \"tiny", &["profiles/tiny.toml:3:"]),
    ];
    for (from, to, says) in cases {
        lab.edit(TINY, from, to);
        lab.build().fails(says);
        assert!(
            !lab.exists("out/tiny-x86_64/disk.img") && !lab.exists("out/tiny-x86_64/disk.img.partial"),
            "{to}"
        );
        lab.write(TINY, PROFILE);
    }
    lab.write("project/profiles/a.toml", "description = 'a'\nextends = 'b'\n");
    lab.write("project/profiles/b.toml", "description = 'b'\nextends = 'a'\n");
    lab.hcimage(&["lock", "--profile=a"])
        .fails(&["profiles/a.toml: `extends` leads round in a circle: a -> b -> a"]);
    lab.hcimage(&["build", "--profile=tiyn"])
        .fails(&["profile `tiyn` cannot be read", "did you mean `tiny`?"]);
    lab.hcimage(&["build", "--profile=server"])
        .fails(&["profile `server` cannot be read", "there are: a, b, tiny"]);
    lab.build().succeeds();
}

#[test]
fn overlays_that_say_something_wrong_are_refused_with_the_place() {
    let lab = Lab::locked();
    let overlay = "project/overlays/base/overlay.toml";
    let text = lab.text(overlay);
    let cases: [(&str, &str, &[&str]); 9] = [
        (
            "persist = ",
            "persits = ",
            &["overlays/base/overlay.toml:3:1: unknown field `persits`", "did you mean `persist`?"],
        ),
        (
            "\"tcp/22\"",
            "\"22/tcp\"",
            &["overlays/base/overlay.toml: `22/tcp` is not a port: write tcp/NUMBER or udp/NUMBER"],
        ),
        (
            "\"60s\"",
            "\"1min\"",
            &["probe `it is tiny`: deadline `1min` is not a time: write seconds, such as `60s`"],
        ),
        (
            "file = ",
            "unit = \"x.service\"\nfile = ",
            &["probe `it is tiny` needs exactly one of `unit`, `tcp`, `http`, `file`"],
        ),
        (
            "\"/usr/bin/tiny\" = \"0755\"",
            "\"/usr/bin/tinny\" = \"0755\"",
            &["`/usr/bin/tinny` has a mode or an owner, but is neither in files/ nor in `directories`"],
        ),
        ("\"0755\"", "\"rwxr-xr-x\"", &["overlay base: `rwxr-xr-x` is not a mode: write four octal digits"]),
        ("tiny:tiny\"", "tiny:tinny\"", &["overlay base: there is no group `tinny`"]),
        (
            "packages = [\"base-files\", ",
            "replace = [\"/usr/bin/nothing\"]\npackages = [\"base-files\", ",
            &["overlay base: `replace` names /usr/bin/nothing, which nobody ships"],
        ),
        (
            "packages = [\"base-files\", ",
            "enable = [\"tinny.service\"]\npackages = [\"base-files\", ",
            &["there is no unit `tinny.service`"],
        ),
    ];
    for (from, to, says) in cases {
        lab.edit(overlay, from, to);
        lab.build().fails(says);
        assert!(
            !lab.exists("out/tiny-x86_64/disk.img") && !lab.exists("out/tiny-x86_64/disk.img.partial"),
            "{to}"
        );
        lab.write(overlay, &text);
    }
    lab.write("project/overlays/base/files/usr/bin/hello", "another hello\n");
    lab.build().fails(&["overlay base: /usr/bin/hello comes from package hello already: name it in `replace` if that is meant"]);
    lab.edit(overlay, "packages = ", "replace = [\"/usr/bin/hello\"]\npackages = ");
    lab.build().succeeds();
}

#[test]
fn locks_that_do_not_fit_are_refused() {
    let lab = Lab::new();
    lab.build().fails(&["profiles/tiny.lock: cannot be read: ", "`hcimage lock --profile tiny` makes it"]);
    lab.hcimage(&["lock", "--profile=tiny"]).succeeds();
    lab.edit(TINY, "packages = [\"hello\"]", "packages = [\"hello\", \"libgreet\"]");
    lab.build().fails(&[
        "profiles/tiny.lock was made for other packages or artifacts than profiles/tiny.toml and its overlays ask for now",
        "hint: run `hcimage lock --profile tiny`",
    ]);
    lab.hcimage(&["lock", "--profile=tiny"]).succeeds();
    lab.hcimage(&["lock", "--profile=tiny", "--update", "helo"])
        .fails(&["--update helo: no package of this name is in "]);
    let lock = "project/profiles/tiny.lock";
    lab.edit(lock, "version = 1\n", "version = 7\n");
    lab.build().fails(&["profiles/tiny.lock: this lock has version 7, this program reads 1"]);
    lab.edit(lock, "version = 7\n", "version = 1\n");
    lab.edit(lock, "pool/main/hello", "pool/../hello");
    lab.build().fails(&["profiles/tiny.lock: hello (x86_64): `pool/../hello_1.0-1_all.deb` is not a path in an archive's pool"]);
    assert!(!lab.exists("out/tiny-x86_64/disk.img"));
}

#[test]
fn usage_errors_end_with_2() {
    let lab = Lab::locked();
    let cases: [(&[&str], &str); 5] = [
        (&["build", "--arch", "riscv64"], "expected x86_64 (amd64) or aarch64 (arm64)"),
        (&["build", "--jbos=3"], "tip: a similar argument exists: '--jobs'"),
        (&["build", "--jobs=0"], "0 is not in 1..=1024"),
        (&["lock", "--all", "--profile=tiny"], "cannot be used with"),
        (&["verfiy"], "tip: a similar subcommand exists: 'verify'"),
    ];
    for (args, says) in cases {
        lab.hcimage(args).ends(2, &[says]);
    }
    lab.hcimage(&["build", "--profile=tiny", "--level=30"]).fails(&["--level 30: it must be from 1 to 19"]);
    lab.hcimage(&["build", "--profile=tiny", "--node-bin=nowhere"])
        .fails(&["cannot read nowhere/hcinit: No such file or directory"]);
    lab.hcimage(&["build", "--profile=tiny"])
        .fails(&["firstboot/Cargo.toml", "hint: give them with --node-bin DIR"]);
    let elsewhere = tempfile::tempdir().unwrap();
    let mut outside = std::process::Command::new(env!("CARGO_BIN_EXE_hcimage"));
    let said = crate::kit::Said::of(
        outside.arg("build").current_dir(elsewhere.path()).env("HOME", elsewhere.path()),
    );
    said.fails(&["neither this folder nor one above it holds profiles/ and overlays/", "--project DIR"]);
}
