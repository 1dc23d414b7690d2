//! The corpora, and some thousand mutations of them.

use super::*;
use crate::{
    bundle::testing::{signed, trust as trust_of},
    update::*,
};
use proptest::prelude::*;
use std::{fs, path::PathBuf};

fn corpus(target: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus")).join(target)
}

fn files(target: &str) -> Vec<Vec<u8>> {
    let entries =
        fs::read_dir(corpus(target)).unwrap_or_else(|error| panic!("fuzz/corpus/{target}: {error}"));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

#[test]
fn every_corpus_is_read_and_has_something_that_is_accepted() {
    for (name, target) in TARGETS {
        let files = files(name);
        assert!(!files.is_empty(), "{name}");
        files.iter().for_each(|bytes| target(bytes));
    }
    let accepted =
        |name: &str, accepts: &dyn Fn(&[u8]) -> bool| files(name).iter().any(|bytes| accepts(bytes));
    let node = trust_of(1, 1, &[1, 2]);
    assert!(accepted("head", &|bytes| Head::read(bytes, &node).is_ok()));
    let known = Head::unverified(&Recipe::default().make().bytes).unwrap();
    assert!(accepted("index", &|bytes| Index::parse(&known, bytes.to_vec()).is_ok()));
    assert!(accepted("trust", &|bytes| Chain::parse(bytes).is_ok_and(|it| node.follow(&it).is_ok())));
    assert!(accepted("trust", &|bytes| Channel::parse(bytes).is_ok()));
    assert!(accepted("seed", &|bytes| Seed::parse(bytes).is_ok()));
}

/// Changes as a fuzzer makes them: bytes, runs, cuts.
fn mutated(mut bytes: Vec<u8>, changes: &[(usize, u8, usize)]) -> Vec<u8> {
    for (at, value, len) in changes {
        let at = at % (bytes.len() + 1);
        match value % 4 {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, *value),
            2 => drop(bytes.drain(at..(at + len % 9).min(bytes.len()))),
            _ => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= value | 1),
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, rng_seed: proptest::test_runner::RngSeed::Fixed(4), ..ProptestConfig::default() })]

    #[test]
    fn mutations_of_the_corpora_end_well(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<usize>(), any::<u8>(), any::<usize>()), 1..6),
    ) {
        for (name, target) in TARGETS {
            let files = files(name);
            target(&mutated(which.get(&files).clone(), &changes));
        }
    }
}

/// Writes the corpora anew: `cargo test -p contract -- --ignored the_corpora_are_written`.
#[test]
#[ignore = "writes fuzz/corpus"]
fn the_corpora_are_written() {
    let put = |target: &str, name: &str, bytes: &[u8]| {
        fs::create_dir_all(corpus(target)).unwrap();
        fs::write(corpus(target).join(name), bytes).unwrap();
    };
    let made = Recipe::default().make();
    let head = Head::unverified(&made.bytes).unwrap();
    let (head_end, frames_at) = (head.size as usize, head.frames_at() as usize);
    put("head", "good", &made.bytes[..head_end]);
    let chain = Chain(vec![signed(trust_of(1, 1, &[1, 2]), &[]), signed(trust_of(2, 2, &[3, 4]), &[2])]);
    let rotated = Recipe { chain: chain.clone(), signers: vec![3, 4], ..Recipe::default() }.make();
    put("head", "rotated", &rotated.bytes[..Head::unverified(&rotated.bytes).unwrap().size as usize]);
    put("head", "unsigned", &Recipe { signers: Vec::new(), ..Recipe::default() }.make().bytes[..head_end]);
    put("index", "good", &made.bytes[head_end..frames_at]);
    put("index", "table", &made.bytes[frames_at - made.header.frames.count as usize * ENTRY..frames_at]);
    let superblock = Superblock { uuid: [7; 16], data_blocks: 61, salt: vec![1; 32] };
    put("index", "superblock", &superblock.render()[..crate::verity::SUPERBLOCK]);
    put("trust", "chain", &chain.render());
    let installed = Installed {
        schema: INSTALLED_SCHEMA.to_owned(),
        product: "nas".to_owned(),
        arch: crate::Arch::X86_64,
        board: "uefi".to_owned(),
        layout: "ab-1".to_owned(),
        version: "1".to_owned(),
        sequence: 5,
        floor: 3,
        url: Some("http://updates.example/nas".to_owned()),
        auto: true,
        window: Some("22:00-05:00".parse().unwrap()),
        trust: Some(trust_of(1, 1, &[1])),
    };
    put("trust", "installed", &installed.render());
    let root_hash = made.header.root.root_hash;
    let channel = Channel {
        schema: CHANNEL_SCHEMA.to_owned(),
        version: "1".to_owned(),
        sequence: 1,
        bundle: "bundles/nas.hcb".to_owned(),
        size: 1,
        root_hash,
        halt: false,
        wave: Some(10),
    };
    put("trust", "channel", &channel.render());
    let permit = Permit {
        schema: PERMIT_SCHEMA.to_owned(),
        product: "nas".to_owned(),
        arch: crate::Arch::X86_64,
        sequence: 1,
        root_hash,
        floor: 9,
    };
    let signatures = vec![crate::bundle::testing::TestKey::new(1).sign(&permit.render())];
    put("trust", "permit", &SignedPermit { permit, signatures }.render());
    let seed = concat!(
        "hostname = \"nas1\"\n\n[network]\ninterface = \"en*\"\naddresses = [\"192.168.1.20/24\"]\n",
        "gateway = \"192.168.1.1\"\ndns = [\"192.168.1.1\"]\n\n[[wifi]]\nssid = \"home\"\npassword = \"wifi-secret\"\n",
        "country = \"DE\"\n\n[cluster]\nrole = \"agent\"\nserver = \"https://nas0.local:6443\"\n",
    );
    put("seed", "network", seed.as_bytes());
    put("seed", "small", b"hostname = \"attic\"\n");
}
