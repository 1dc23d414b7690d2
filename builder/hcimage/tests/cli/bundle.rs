//! Bundles as their makers see them: from a build to a file that a node believes, and what is refused on the way.

use crate::kit::{Lab, Said};
use contract::{
    Digest,
    bundle::{Head, testing::install},
    trust::Chain,
};
use serde_json::Value;

const OUT: &str = "out/tiny-x86_64";

/// A lab whose profile trusts keys `a` and `b`, of which one must sign, with an image.
fn built(more: &[&str]) -> Lab {
    let lab = Lab::locked();
    for name in ["a", "b", "stranger"] {
        lab.hcimage(&["key", "new", name]).succeeds();
    }
    lab.hcimage(&["trust", "new", "project/trust.json", "--pubkey=a/hcimage.pub", "--pubkey=b/hcimage.pub"])
        .succeeds();
    let profile = lab.text("project/profiles/tiny.toml");
    lab.write(
        "project/profiles/tiny.toml",
        format!("{profile}\n[update]\ntrust = \"trust.json\"\nurl = \"http://updates.example/tiny/\"\nwindow = \"02:00-05:00\"\n"),
    );
    build(&lab, "out", more);
    lab
}

fn build(lab: &Lab, out: &str, more: &[&str]) {
    let mut build = lab.command(&["build", "--profile=tiny", "--arch=x86_64", "--node-bin=node"]);
    Said::of(build.arg(format!("--out={out}")).args(more)).succeeds();
}

fn unzstd(stored: &[u8], limit: usize) -> Result<Vec<u8>, String> {
    zstd::bulk::decompress(stored, limit).map_err(|error| error.to_string())
}

#[test]
fn a_bundle_is_what_the_image_holds_and_two_builds_make_the_same() {
    let lab = built(&[]);
    let said = lab.hcimage(&["bundle", OUT, "-o", "tiny.hcb", "--key=a/hcimage.key"]).succeeds();
    for word in
        ["root hash", "version 1, 1 of 2 keys", "signed: nodes take it", "Next: hcimage publish tiny.hcb"]
    {
        assert!(said.err.contains(word), "not said: {word}\n{}", said.err);
    }
    let bytes = lab.read("tiny.hcb");
    let chain = Chain::parse(&lab.read("project/trust.json")).unwrap();
    assert_eq!(lab.read(&format!("{OUT}/trust.json")), lab.read("project/trust.json"));
    let trust = chain.newest().unwrap().unwrap();
    let (root, uki) = install(&bytes, &trust, unzstd).unwrap();

    let release = contract::Release::parse(&lab.read(&format!("{OUT}/release.json"))).unwrap();
    let disk = lab.read(&format!("{OUT}/disk.img"));
    let part = release.part("root-a").unwrap();
    assert!(root == disk[usize::try_from(part.offset).unwrap()..][..usize::try_from(part.size).unwrap()]);
    let cmdline = disk::pe::section(&uki, ".cmdline").unwrap();
    assert_eq!(String::from_utf8_lossy(cmdline), release.kernel.cmdline);
    let header = Head::read(&bytes, &trust).unwrap().header;
    assert_eq!((header.sequence, header.floor), (release.epoch.0.cast_unsigned(), 0));
    assert_eq!((&header.version, &header.boards), (&release.version, &vec!["uefi".to_owned()]));
    assert_eq!(header.root.root_hash, release.verity.root_hash);

    // P25: another build elsewhere, with another number of threads.
    build(&lab, "again", &["--jobs=3"]);
    lab.hcimage(&["bundle", "again/tiny-x86_64", "-o", "again.hcb", "--key=a/hcimage.key", "--jobs=1"])
        .succeeds();
    assert_eq!(Digest::of(&lab.read("again.hcb")), Digest::of(&bytes));

    // Signing later gives the same file as signing at once.
    let said = lab.hcimage(&["bundle", OUT, "-o", "later.hcb"]).succeeds();
    assert!(
        said.err.contains("one more signature is needed")
            && said.err.contains("Next: hcimage sign later.hcb")
    );
    assert!(install(&lab.read("later.hcb"), &trust, unzstd).is_err());
    lab.hcimage(&["sign", "later.hcb", "--key=a/hcimage.key"]).succeeds();
    assert!(lab.read("later.hcb") == bytes);
    lab.hcimage(&["sign", "later.hcb", "--key=a/hcimage.key"]).succeeds();
    assert!(lab.read("later.hcb") == bytes, "a second time adds nothing");
    lab.hcimage(&["sign", "later.hcb", "--key=b/hcimage.key"]).succeeds();
    assert_eq!(Head::read(&lab.read("later.hcb"), &trust).unwrap().signers.len(), 2);

    let said = lab.hcimage(&["bundle", OUT, "-o", "json.hcb", "--json"]).succeeds();
    let said: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((&said["missing_signatures"], &said["header"]["product"]), (&1.into(), &"tiny".into()));
}

#[test]
fn the_image_says_what_its_node_must_know() {
    let lab = built(&[]);
    let files = lab.text(&format!("{OUT}/files.txt"));
    assert!(files.contains("/usr/lib/hcimage/update.json"), "{files}");
    // Equal blocks have equal leaves in the next release.
    let release = |lab: &Lab| contract::Release::parse(&lab.read(&format!("{OUT}/release.json"))).unwrap();
    let first = release(&lab);
    assert!(first.update.as_ref().unwrap().trust.is_some());
    lab.write("project/overlays/base/files/etc/tiny.conf", "tiny = false\n");
    build(&lab, "out", &[]);
    let second = release(&lab);
    assert_ne!(first.verity.root_hash, second.verity.root_hash);
    assert_eq!(first.verity.salt, second.verity.salt);
}

#[test]
fn what_no_node_would_take_is_not_made() {
    let lab = built(&[]);
    lab.hcimage(&["bundle", OUT, "-o", "x.hcb", "--key=stranger/hcimage.key"]).fails(&[
        "stranger/hcimage.key: key ",
        " is not among the keys of trust version 1 (",
        "no node would count its signature",
        "hint: sign with one of those keys",
    ]);
    lab.hcimage(&["bundle", "nowhere", "-o", "x.hcb"]).fails(&["error: cannot read nowhere"]);
    let disk = format!("{OUT}/disk.img");
    let release = contract::Release::parse(&lab.read(&format!("{OUT}/release.json"))).unwrap();
    let whole = lab.read(&disk);
    for name in ["esp", "root-a", "root-a-verity"] {
        let part = release.part(name).unwrap();
        let mut bytes = whole.clone();
        bytes[usize::try_from(part.offset + part.size / 2).unwrap()] ^= 1;
        lab.write(&disk, &bytes);
        lab.hcimage(&["bundle", OUT, "-o", "x.hcb"]).fails(&[
            &format!("{OUT}/disk.img: {name} has sha256 "),
            ", the manifest says ",
            "hint: build it again",
        ]);
    }
    lab.write(&disk, &whole);
    lab.edit(&format!("{OUT}/trust.json"), "\"threshold\": 1", "\"threshold\": 2");
    lab.hcimage(&["bundle", OUT, "-o", "x.hcb"]).fails(&["trust.json: its sha256 is ", "the manifest says "]);
    assert!(!lab.exists("x.hcb") && !lab.exists("x.hcb.partial"));

    let lab = Lab::locked();
    lab.build().succeeds();
    lab.hcimage(&["bundle", OUT, "-o", "x.hcb"]).fails(&[
        "the profile `tiny` trusts nobody: its nodes refuse every update",
        "hint: `hcimage trust new trust.json --pubkey FILE`",
    ]);
    lab.edit("project/profiles/tiny.toml", "description", "update.trust = 'nothing.json'\ndescription");
    lab.build().fails(&[
        "tiny.toml: `update.trust`: ",
        "nothing.json cannot be read: ",
        "`hcimage trust new` makes one",
    ]);
}

#[test]
fn an_image_with_a_way_in_is_signed_only_knowingly() {
    let lab = built(&[]);
    lab.write(
        "id.pub",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA me\n",
    );
    build(&lab, "out", &["--ssh-key=id.pub"]);
    let words =
        ["has lab inputs (ssh-key): it is not for release", "hint: build it without them, or say --lab"];
    lab.hcimage(&["bundle", OUT, "-o", "lab.hcb", "--key=a/hcimage.key"]).fails(&words);
    lab.hcimage(&["bundle", OUT, "-o", "lab.hcb"]).succeeds();
    lab.hcimage(&["sign", "lab.hcb", "--key=a/hcimage.key"]).fails(&words);
    lab.hcimage(&["sign", "lab.hcb", "--key=a/hcimage.key", "--lab"]).succeeds();
    lab.hcimage(&["bundle", OUT, "-o", "lab2.hcb", "--key=a/hcimage.key", "--lab"]).succeeds();
    assert!(lab.read("lab.hcb") == lab.read("lab2.hcb"));
}

#[test]
fn trust_is_handed_over_by_those_who_have_it() {
    let lab = Lab::new();
    for name in ["a", "b", "c"] {
        lab.hcimage(&["key", "new", name]).succeeds();
    }
    let pubkey = |name: &str| format!("--pubkey={name}/hcimage.pub");
    lab.hcimage(&["trust", "new", "trust.json", &pubkey("a"), &pubkey("b"), "--threshold=2"]).succeeds();
    lab.hcimage(&["trust", "new", "trust.json", &pubkey("c")])
        .fails(&["trust.json is there already", "`hcimage trust next`"]);
    lab.hcimage(&["trust", "new", "x.json", &pubkey("a"), "--threshold=2"])
        .fails(&["a threshold of 2 with 1 keys"]);
    lab.hcimage(&["trust", "new", "x.json", &pubkey("a"), &pubkey("a")]).fails(&["is there twice"]);
    lab.hcimage(&["trust", "sign", "trust.json", "--key=a/hcimage.key"])
        .fails(&["version 1 needs no signature"]);
    lab.hcimage(&["trust", "next", "trust.json", &pubkey("c")]).succeeds();
    let said = lab.hcimage(&["trust", "show", "trust.json"]).succeeds();
    assert!(
        said.err.contains("trust version 2: 0 of the 2 signatures that trust version 1 asks for"),
        "{}",
        said.err
    );
    lab.hcimage(&["trust", "sign", "trust.json", "--key=c/hcimage.key"]).fails(&[
        "is not among the keys of version 1",
        "hint: a version is signed by keys of the version before it",
    ]);
    lab.hcimage(&["trust", "sign", "trust.json", "--key=a/hcimage.key"]).succeeds();
    lab.hcimage(&["trust", "next", "trust.json", &pubkey("a")])
        .fails(&["1 of the 2 signatures", "hint: the newest version must be signed"]);
    lab.hcimage(&["trust", "sign", "trust.json", "--key=a/hcimage.key"]).succeeds();
    let said = lab.hcimage(&["trust", "sign", "trust.json", "--key=b/hcimage.key"]).succeeds();
    assert!(said.err.contains("trust.json: nodes come to version 2"), "{}", said.err);
    let said = lab.hcimage(&["trust", "show", "trust.json", "--json"]).succeeds();
    let said: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((&said["believed"], &said["fault"]), (&2.into(), &Value::Null));
}

#[test]
fn a_permit_is_for_a_release_that_a_floor_shuts_out() {
    let lab = built(&[]);
    lab.hcimage(&["bundle", OUT, "-o", "old.hcb", "--key=a/hcimage.key"]).succeeds();
    let trust = Chain::parse(&lab.read("project/trust.json")).unwrap().newest().unwrap().unwrap();
    let header = Head::read(&lab.read("old.hcb"), &trust).unwrap().header;
    let floor = header.sequence + 5;
    let low = format!("--floor={}", header.sequence);
    lab.hcimage(&["permit", "old.hcb", &low, "--key=a/hcimage.key", "-o", "p"])
        .fails(&["no permit is needed"]);
    let floor_word = format!("--floor={floor}");
    lab.hcimage(&["permit", "old.hcb", &floor_word, "--key=a/hcimage.key", "-o", "old.permit"]).succeeds();
    let permit = contract::update::SignedPermit::parse(&lab.read("old.permit")).unwrap();
    assert_eq!(permit.allows(&trust, &header, floor), Ok(()));
    assert!(permit.allows(&trust, &header, floor + 1).is_err());
}
