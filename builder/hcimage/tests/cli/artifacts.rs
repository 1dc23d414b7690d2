//! Files that are no Debian packages: fetched, given, deferred, substituted.

use crate::kit::{Lab, Said};
use contract::{Arch, Deferred, Digest, Release, release::How};

const OUT: &str = "out/tiny-x86_64";
const TOOL: &[u8] = b"#!/bin/sh\necho the tool\n";

/// Bytes that no compressor makes small, so that a download can break in their middle.
fn pictures() -> Vec<u8> {
    (0..20_000u32).flat_map(|number| Digest::of(&number.to_le_bytes()).0).collect()
}

/// A project whose overlay has the artifact `tool` and the optional one `pictures`, served but not locked yet.
fn lab() -> Lab {
    let lab = Lab::new();
    lab.mirror.put("/files/tool", TOOL.to_vec());
    lab.mirror.put("/files/pictures.tar.zst", pictures());
    let host = lab.mirror.proxy();
    let pin = |name: &str, file: &str, bytes: &[u8]| {
        ["x86_64", "aarch64"].map(|arch| {
            let sha256 = Digest::of(bytes);
            format!(
                "[artifact.{arch}]\nurl = [\"{host}/files/{file}\"]\nsha256 = \"{sha256}\" # {name} {arch}\n"
            )
        })
    };
    let mut text = lab.text("project/overlays/base/overlay.toml");
    text +=
        "\n[[artifact]]\nname = \"tool\"\nversion = \"v1.2+t1\"\npath = \"/usr/bin/tool\"\nmode = \"0755\"\n";
    text += &pin("tool", "tool", TOOL).concat();
    text += "\n[[artifact]]\nname = \"pictures\"\nversion = \"3\"\npath = \"/usr/share/pictures.tar.zst\"\noptional = true\n";
    text += &pin("pictures", "pictures.tar.zst", &pictures()).concat();
    lab.write("project/overlays/base/overlay.toml", text);
    lab
}

fn locked() -> Lab {
    let lab = lab();
    lab.hcimage(&["lock", "--profile", "tiny"]).succeeds();
    lab
}

fn with_pictures() -> Lab {
    let lab = lab();
    lab.edit("project/profiles/tiny.toml", "packages = ", "artifacts = [\"pictures\"]\npackages = ");
    lab.hcimage(&["lock", "--profile", "tiny"]).succeeds();
    lab
}

fn build(lab: &Lab, more: &[&str]) -> Said {
    Said::of(lab.command(&Lab::build_args(Arch::X86_64)).args(more))
}

fn release(lab: &Lab) -> Release {
    Release::parse(&lab.read(&format!("{OUT}/release.json"))).unwrap()
}

/// The line of a path in `files.txt`.
fn line(lab: &Lab, path: &str) -> String {
    let text = lab.text(&format!("{OUT}/files.txt"));
    let found = text.lines().find(|line| line.split_whitespace().any(|word| word == path));
    found.unwrap_or_else(|| panic!("files.txt has no {path}")).to_owned()
}

#[test]
fn a_pinned_file_is_fetched_once_and_the_image_says_so() {
    let lab = with_pictures();
    assert!(
        !lab.mirror.requests().iter().any(|path| path.starts_with("/files")),
        "lock takes the pins as they are"
    );
    let lock = lab.text("project/profiles/tiny.lock");
    assert!(lock.contains("\n[artifacts.x86_64]\n\"pictures\" = { version = \"3\", url = ["), "{lock}");
    lab.mirror.cut_once("pictures.tar.zst");
    let said = build(&lab, &[]).succeeds();
    assert_eq!(lab.mirror.resumed(), 1, "a broken download goes on where it broke");
    assert!(said.err.contains("tool v1.2+t1 (pinned, 24 B)"), "{}", said.err);
    let release = release(&lab);
    let tool = &release.artifacts["tool"];
    assert_eq!((tool.sha256, tool.size, tool.how), (Digest::of(TOOL), Some(24), How::Pinned));
    assert_eq!(release.artifacts["pictures"].size, Some(640_000));
    assert_eq!(release.lab, [""; 0]);
    let sha256 = Digest::of(TOOL).to_string();
    let file = line(&lab, "/usr/bin/tool");
    assert!(file.contains("0755") && file.contains(&sha256), "{file}");
    assert!(lab.text(&format!("{OUT}/packages.txt")).contains(&format!("tool v1.2+t1 artifact {sha256}\n")));
    lab.hcimage(&["verify", OUT, "--unsigned"]).succeeds();

    // What is in the cache is enough, and gives the same bytes; so does a file of the user's.
    let first = lab.image(OUT);
    let asked = lab.mirror.requests().len();
    build(&lab, &["--offline"]).succeeds();
    assert_eq!((lab.image(OUT), lab.mirror.requests().len()), (first.clone(), asked));
    lab.write("mine", TOOL);
    build(&lab, &["--artifact", "tool=mine", "--offline"]).succeeds();
    assert_eq!((lab.image(OUT), self::release(&lab).artifacts["tool"].how), (first, How::Given));

    let why = lab.hcimage(&["why", "tiny", "/usr/bin/tool", "--arch=x86_64"]).succeeds().out;
    assert!(why.contains("artifact") && why.contains("tool v1.2+t1") && why.contains(&sha256), "{why}");
    let why = lab.hcimage(&["why", "tiny", "pictures", "--arch=x86_64"]).succeeds().out;
    assert!(why.contains("/files/pictures.tar.zst") && why.contains("overlay base"), "{why}");
    lab.hcimage(&["why", "tiny", "picture", "--arch=x86_64"]).fails(&["did you mean `pictures`?"]);
}

#[test]
fn an_optional_file_is_left_out_unless_the_profile_asks() {
    let lab = locked();
    build(&lab, &[]).succeeds();
    assert_eq!(release(&lab).artifacts.keys().collect::<Vec<_>>(), ["tool"]);
    assert!(!lab.text(&format!("{OUT}/files.txt")).contains("pictures"));
    build(&lab, &["--defer", "pictures"])
        .fails(&["--defer pictures: the profile `tiny` has no artifact", "artifacts = [\"pictures\"]"]);
    lab.edit("project/profiles/tiny.toml", "packages = ", "artifacts = [\"picture\"]\npackages = ");
    build(&lab, &[]).fails(&["tiny.toml: artifact `picture`: no overlay", "did you mean `pictures`?"]);
    lab.edit("project/profiles/tiny.toml", "picture\"", "pictures\"");
    build(&lab, &[])
        .fails(&["was made for other packages or artifacts", "hint: run `hcimage lock --profile tiny`"]);
}

#[test]
fn another_file_than_the_pinned_one_is_refused_with_both_digests() {
    let lab = locked();
    let (pinned, other) = (Digest::of(TOOL).to_string(), Digest::of(b"other").to_string());
    lab.write("other", "other");
    build(&lab, &["--artifact", "tool=other"])
        .fails(&[&format!("other: has sha256 {other}, expected {pinned}"), "--substitute"]);
    build(&lab, &["--artifact", "tool=nowhere"]).fails(&["cannot read nowhere: No such file or directory"]);
    build(&lab, &["--artifact", "tool"]).ends(2, &["`tool` is not NAME=FILE"]);
    // A lock that was edited by hand is as stale as one of another overlay.
    let lock = lab.text("project/profiles/tiny.lock");
    let kept = lock.lines().filter(|line| !line.starts_with("\"tool\""));
    for edited in [lock.replace(&pinned, &other), kept.map(|line| format!("{line}\n")).collect()] {
        assert_ne!(edited, lock);
        lab.write("project/profiles/tiny.lock", edited);
        build(&lab, &[]).fails(&["was made for other packages or artifacts"]);
    }
    lab.write("project/profiles/tiny.lock", lock);
    lab.mirror.change("/files/tool", |bytes| *bytes = b"other".to_vec());
    build(&lab, &[]).fails(&[
        "cannot download artifact tool v1.2+t1; tried:",
        &format!("/files/tool: has sha256 {other}, expected {pinned}"),
    ]);
    // Nor is one believed that was changed in the cache.
    lab.mirror.change("/files/tool", |bytes| *bytes = TOOL.to_vec());
    build(&lab, &["--level=6"]).succeeds();
    lab.write(&format!("cache/files-v1/{pinned}"), "other");
    build(&lab, &["--level=7"]).fails(&[
        &format!("tool: the cached file has sha256 {other}, the lock says {pinned}"),
        "hint: run the same command again",
    ]);
    build(&lab, &["--level=7"]).succeeds();
}

#[test]
fn a_host_out_of_reach_names_every_way_out_as_it_is_typed() {
    let lab = locked();
    lab.mirror.remove("/files/tool");
    let typed = "hcimage build --profile tiny --arch x86_64 --node-bin node --out=out";
    let ways = ["--artifact tool=FILE", "--defer tool", "--substitute tool=FILE"];
    let sha256 = format!("tool has sha256 {}", Digest::of(TOOL));
    for (more, says) in [
        (&[][..], "artifact tool v1.2+t1 is on no mirror any more; tried:"),
        (&["--offline"], "artifact tool v1.2+t1 is not in the cache"),
    ] {
        let said = build(&lab, more).fails(&[says, typed, &sha256]);
        for way in ways {
            assert!(
                said.err.lines().any(|line| line.contains(typed) && line.ends_with(way)),
                "{way}\n{}",
                said.err
            );
        }
    }
    assert!(!lab.exists(&format!("{OUT}/release.json")));
}

#[test]
fn a_deferred_file_is_a_link_and_a_line_for_the_node() {
    let lab = locked();
    lab.mirror.remove("/files/tool");
    build(&lab, &[]).fails(&["--defer tool"]);
    let said = build(&lab, &["--defer", "tool"]).succeeds();
    assert!(said.err.contains("tool v1.2+t1 (deferred)"), "{}", said.err);
    let sha256 = Digest::of(TOOL);
    let file = line(&lab, "/usr/bin/tool");
    assert!(file.contains(&format!("/var/lib/hcimage/artifacts/{sha256}/tool")), "{file}");
    let release = release(&lab);
    let tool = &release.artifacts["tool"];
    assert_eq!((tool.sha256, tool.size, tool.how), (sha256, None, How::Deferred));
    assert_eq!(release.lab, [""; 0], "the bytes are pinned all the same");
    let list = Deferred {
        name: "tool".into(),
        version: "v1.2+t1".into(),
        path: "/usr/bin/tool".into(),
        mode: "0755".into(),
        urls: vec![format!("{}/files/tool", lab.mirror.proxy())],
        sha256,
    };
    let text = serde_json::to_string_pretty(&[list]).unwrap() + "\n";
    let listed = line(&lab, "/usr/lib/hcimage/deferred.json");
    assert!(listed.contains(&Digest::of(text.as_bytes()).to_string()), "{listed}");
    build(&lab, &["--defer=tool", "--defer=tool"])
        .fails(&["artifact `tool` is named twice, with --defer and --defer", "hint: "]);
    lab.write("mine", TOOL);
    build(&lab, &["--defer=tool", "--artifact=tool=mine"])
        .fails(&["named twice, with --artifact and --defer"]);
    build(&lab, &["--defer=tol"])
        .fails(&["--defer tol: the profile `tiny` has no artifact", "did you mean `tool`?"]);
}

#[test]
fn a_substitute_is_for_labs() {
    let lab = locked();
    lab.hcimage(&["key", "new", "keys"]).succeeds();
    lab.write("standin", "another program");
    build(&lab, &["--substitute=tool=standin", "--key=keys/hcimage.key"]).fails(&[
        "--key and --substitute together: an image with another program in place of `tool` is no release",
        "`hcimage sign --lab`",
    ]);
    assert!(!lab.exists("out"), "refused before anything was written");
    build(&lab, &["--substitute=tool=standin"]).succeeds();
    let release = release(&lab);
    let tool = &release.artifacts["tool"];
    assert_eq!((tool.sha256, tool.how), (Digest::of(b"another program"), How::Substituted));
    assert_eq!(release.lab, ["substitute:tool"]);
    assert!(!lab.mirror.requests().iter().any(|path| path.starts_with("/files")));
    lab.hcimage(&["sign", OUT, "--key=keys/hcimage.key"])
        .fails(&["release.json has lab inputs (substitute:tool): it is not for release"]);
    lab.hcimage(&["sign", OUT, "--key=keys/hcimage.key", "--lab"]).succeeds();

    let pinned = ["build", "--profile=tiny", "--arch=x86_64", "--node-bin=node", "--out=pinned"];
    lab.hcimage(&pinned).succeeds();
    lab.hcimage(&["verify", OUT, "--unsigned", "--against=pinned/tiny-x86_64"])
        .fails(&["artifact tool: v1.2+t1 substituted", "lab inputs: substitute:tool, the other "]);
}

#[test]
fn what_is_wrong_in_an_overlay_is_named() {
    let lab = lab();
    let overlay = "project/overlays/base/overlay.toml";
    let good = lab.text(overlay);
    for (from, to, says) in [
        ("optional = true", "optionel = true", "unknown field `optionel`"),
        ("name = \"pictures\"", "name = \"tool\"", "artifact `tool` is there twice"),
        ("version = \"3\"", "version = \"3 4\"", "artifact `pictures`: version `3 4`"),
        ("sha256 = \"", "sha256 = \"x", "sha256"),
    ] {
        assert!(good.contains(from));
        lab.write(overlay, good.replacen(from, to, 1));
        lab.hcimage(&["lock", "--profile", "tiny"]).fails(&["overlay.toml:", says]);
    }
}
