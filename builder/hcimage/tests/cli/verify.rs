//! `verify`, `why` and `run --print` on a built image.

use crate::kit::{Lab, Said};
use contract::Arch;
use serde_json::Value;

const OUT: &str = "out/tiny-x86_64";

fn signed() -> Lab {
    let lab = Lab::locked();
    lab.hcimage(&["key", "new", "keys"]).succeeds();
    let mut build = lab.command(&Lab::build_args(Arch::X86_64));
    Said::of(build.args(["--key", "keys/hcimage.key"])).succeeds();
    lab
}

#[test]
fn a_good_image_is_good_and_every_flipped_bit_is_found() {
    let lab = signed();
    let verify = |lab: &Lab| lab.hcimage(&["verify", OUT, "--pubkey=keys/hcimage.pub"]);
    let said = verify(&lab).succeeds();
    for check in
        ["signature", "table", "root-a", "root-a-verity", "table-backup", "root hash", "kernel image"]
    {
        assert!(said.err.contains(check), "{check} is not named:\n{}", said.err);
    }
    let release: Value = serde_json::from_slice(&lab.read(&format!("{OUT}/release.json"))).unwrap();
    let disk = format!("{OUT}/disk.img");
    let whole = lab.read(&disk);
    for part in release["parts"].as_array().unwrap() {
        let (name, number) =
            (part["name"].as_str().unwrap(), |key: &str| part[key].as_u64().unwrap() as usize);
        // The last byte of every part, and one in its middle.
        for at in [number("offset") + number("size") - 1, number("offset") + number("size") / 2] {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            lab.write(&disk, &bytes);
            let range =
                format!("bytes {} to {}: sha256 is ", number("offset"), number("offset") + number("size"));
            let said =
                verify(&lab).fails(&[name, &range, "checks failed: ", "hint: do not flash this image"]);
            let failed = said.err.split("checks failed: ").nth(1).unwrap();
            assert!(failed.starts_with(name), "{at}: {failed}");
        }
    }
    lab.write(&disk, &whole[..whole.len() - 512]);
    verify(&lab).fails(&["disk.img has ", "bytes, the manifest says "]);
    lab.write(&disk, &whole);
    verify(&lab).succeeds();
}

#[test]
fn a_wrong_key_and_an_edited_manifest_are_found_before_anything_is_believed() {
    let lab = signed();
    lab.hcimage(&["key", "new", "others"]).succeeds();
    lab.hcimage(&["verify", OUT, "--pubkey=others/hcimage.pub"]).fails(&["checks failed: signature", "key"]);
    lab.hcimage(&["verify", OUT, "--pubkey=keys/hcimage.key"]).fails(&["error: keys/hcimage.key: "]);
    lab.hcimage(&["verify", OUT]).ends(2, &["--pubkey <FILE>"]);
    let manifest = format!("{OUT}/release.json");
    lab.edit(&manifest, "\"board\": \"uefi\"", "\"board\": \"uefj\"");
    lab.hcimage(&["verify", OUT, "--pubkey=keys/hcimage.pub"]).fails(&["1 of 1 checks failed: signature"]);
    lab.edit(&manifest, "\"board\": \"uefj\"", "\"board\": \"uefi\"");
    std::fs::remove_file(lab.path(&format!("{manifest}.minisig"))).unwrap();
    lab.hcimage(&["verify", OUT, "--pubkey=keys/hcimage.pub"])
        .fails(&["release.json.minisig: nobody signed this image"]);
    lab.hcimage(&["verify", OUT, "--unsigned"]).succeeds();
    lab.write(&manifest, "{}");
    lab.hcimage(&["verify", OUT, "--unsigned"]).fails(&["missing field `schema`"]);
}

#[test]
fn two_builds_are_compared_by_their_inputs() {
    let lab = Lab::locked();
    lab.build().succeeds();
    let mut again =
        lab.command(&["build", "--profile=tiny", "--arch=x86_64", "--node-bin=node", "--out=again"]);
    Said::of(&mut again).succeeds();
    let verify = |lab: &Lab| lab.hcimage(&["verify", OUT, "--unsigned", "--against=again/tiny-x86_64"]);
    verify(&lab).succeeds();
    lab.write("node/hcinit", "from another compiler\n");
    Said::of(&mut again).succeeds();
    verify(&lab)
        .fails(&["node binary hcinit: ", "the node's own binaries alone differ: another compiler made them"]);
}
