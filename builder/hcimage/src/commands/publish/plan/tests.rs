use super::*;
use contract::{
    Arch, Digest, Epoch,
    bundle::{FrameTable, LAYOUT, Part, SCHEMA, Uki},
};

fn offer(sequence: u64, boards: &[&str]) -> Offer {
    let header = Header {
        schema: SCHEMA.to_owned(),
        product: "nas".to_owned(),
        arch: Arch::X86_64,
        boards: boards.iter().map(|board| (*board).to_owned()).collect(),
        layout: LAYOUT.to_owned(),
        version: format!("20261120.{sequence:06}.abcdef01"),
        epoch: Epoch(0),
        content_id: Digest([1; 32]),
        sequence,
        floor: 0,
        trust: 1,
        chain: Digest([2; 32]),
        root: Part {
            size: 4096,
            data_blocks: 1,
            root_hash: Digest([3; 32]),
            salt: Digest([4; 32]),
            uuid: "0".repeat(32),
        },
        uki: Uki { size: 4096, data_blocks: 1, root_hash: Digest([5; 32]) },
        frames: FrameTable { count: 2, sha256: Digest([6; 32]), stored: 8192 },
        k3s: None,
        lab: Vec::new(),
    };
    Offer { file: "nas.hcb".into(), size: 1 << 20, header }
}

/// The channels after these steps, and the names of bundles, in order.
fn played(steps: &[Step]) -> (BTreeMap<String, Channel>, Vec<String>) {
    let (mut channels, mut bundles) = (BTreeMap::new(), Vec::new());
    for step in steps {
        match step {
            Step::Bundle { name, .. } => bundles.push(name.clone()),
            Step::Channel { name, channel } => {
                assert!(bundles.contains(&channel.bundle), "a channel before its bundle");
                channels.insert(name.clone(), channel.clone());
            }
        }
    }
    (channels, bundles)
}

#[test]
fn the_bundle_is_there_before_any_channel_names_it() {
    let (channels, bundles) =
        played(&steps(&offer(7, &["uefi", "other"]), &BTreeMap::new(), false, Some(10), false).unwrap());
    assert_eq!(bundles, ["bundles/nas-x86_64-20261120.000007.abcdef01.hcb"]);
    assert_eq!(channels.keys().collect::<Vec<_>>(), ["nas-x86_64-other.json", "nas-x86_64-uefi.json"]);
    assert!(
        channels.values().all(|channel| channel.wave == Some(10) && !channel.halt && channel.size == 1 << 20)
    );
}

#[test]
fn an_older_release_is_offered_only_knowingly() {
    let (channels, _) = played(&steps(&offer(7, &["uefi"]), &BTreeMap::new(), false, None, false).unwrap());
    let refused = steps(&offer(6, &["uefi"]), &channels, false, None, false).unwrap_err();
    let text = refused.to_string();
    assert!(text.contains("offers sequence 7") && text.contains("this bundle has 6"), "{text}");
    assert!(refused.hint().unwrap().contains("--offer-older"));
    assert!(steps(&offer(6, &["uefi"]), &channels, false, None, true).is_ok());
    assert!(steps(&offer(7, &["uefi"]), &channels, false, None, false).is_ok(), "the same once more");
    assert!(steps(&offer(6, &["other"]), &channels, false, None, false).is_ok(), "another board's channel");
}

#[test]
fn everything_can_be_stopped() {
    let (channels, _) = played(&steps(&offer(7, &["uefi"]), &BTreeMap::new(), false, None, false).unwrap());
    let stopped = halted(&channels).unwrap();
    assert!(matches!(&stopped[..], [Step::Channel { channel, .. }] if channel.halt && channel.sequence == 7));
    assert!(halted(&BTreeMap::new()).is_err());
}

#[test]
fn a_version_that_is_no_file_name_is_refused() {
    let mut offer = offer(7, &["uefi"]);
    offer.header.version = "../../etc/passwd".to_owned();
    assert!(
        steps(&offer, &BTreeMap::new(), false, None, false)
            .unwrap_err()
            .to_string()
            .contains("plain relative path")
    );
}
