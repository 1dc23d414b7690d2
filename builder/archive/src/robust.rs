//! No reader panics, whatever it reads.

use crate::{
    deb::{self, Control, DebError, Entry, Limits, Visitor},
    deb822,
    packages::{Catalog, Index, decompress},
    relation, release,
    resolver::{Request, resolve},
    testing::{FakeArchive, FakeDeb, FakeEntry, FakeSuite, PUBLIC_KEY},
    version::Version,
};
use contract::Epoch;
use proptest::prelude::*;
use std::io::{self, Read};

struct Swallows;

impl Visitor for Swallows {
    type Error = DebError;

    fn control(&mut self, _: Control) -> Result<(), DebError> {
        Ok(())
    }

    fn entry(&mut self, entry: Entry, content: &mut dyn Read) -> Result<(), DebError> {
        assert!(
            !entry.path.starts_with('/') && entry.path.split('/').all(|part| part != ".."),
            "{}",
            entry.path
        );
        io::copy(content, &mut io::sink())
            .map(drop)
            .map_err(|source| DebError::Stream { member: String::new(), source })
    }
}

fn read_deb(bytes: &[u8]) -> Result<(), DebError> {
    let limits = Limits { control: 1 << 20, data: 1 << 20, entries: 100 };
    deb::read_within(limits, bytes, &mut Swallows).map(drop)
}

fn sample(compression: &'static str) -> Vec<u8> {
    let mut deb = FakeDeb::new("a", "1");
    deb.compression = compression;
    let mut capable = FakeEntry::file("./b", b"content");
    capable.pax =
        vec![("SCHILY.xattr.user.x".to_owned(), b"y".to_vec()), ("mtime".to_owned(), b"1.5".to_vec())];
    deb.entries.extend([capable, FakeEntry::hardlink("./c", "./b"), FakeEntry::symlink("./d", "e")]);
    deb.control = vec![("postinst".to_owned(), b"#!/bin/sh\n".to_vec())];
    deb.build()
}

#[test]
fn every_flipped_byte_of_a_package_is_read_without_a_panic() {
    let mut refused = 0;
    for compression in ["", ".gz", ".xz", ".zst"] {
        let good = sample(compression);
        read_deb(&good).unwrap();
        for place in 0..good.len() {
            for mask in [0x01, 0x80, 0xff] {
                let mut bad = good.clone();
                bad[place] ^= mask;
                refused += usize::from(read_deb(&bad).is_err());
            }
        }
    }
    assert!(refused > 3000, "{refused}");
}

#[test]
fn every_cut_of_a_package_is_refused() {
    for compression in ["", ".gz", ".xz", ".zst"] {
        let good = sample(compression);
        let odd = usize::from(good.last() == Some(&b'\n'));
        for end in 0..good.len() - odd {
            assert!(read_deb(&good[..end]).is_err(), "{compression} {end} of {}", good.len());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_are_no_package(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert!(read_deb(&bytes).is_err());
        prop_assert!(read_deb(&[&b"!<arch>\n"[..], &bytes].concat()).is_err());
        let member = |name, bytes: &[u8]| (name, bytes.to_vec());
        let members = [member("debian-binary", b"2.0\n"), member("control.tar", &bytes)];
        let members: Vec<_> = members.iter().map(|(name, bytes): &(&str, Vec<u8>)| (*name, bytes.as_slice())).collect();
        prop_assert!(read_deb(&crate::testing::ar(&members)).is_err());
        if let Ok(text) = decompress(&bytes, 10_000) {
            prop_assert!(text.len() <= 10_000);
        }
    }

    #[test]
    fn arbitrary_text_never_panics(text in "[ -~\n\t|,()<>=:\\[\\]ä]{0,200}") {
        let parsed: Result<Vec<_>, _> = deb822::paragraphs(&text).collect();
        if let Ok(paragraphs) = parsed {
            prop_assert!(paragraphs.iter().all(|p| !p.fields.is_empty()));
        }
        if let Ok(groups) = relation::parse(&text) {
            let shown = groups.iter().map(|g| relation::show(g)).collect::<Vec<_>>().join(", ");
            prop_assert_eq!(relation::parse(&shown).unwrap(), groups);
        }
        prop_assert!(Index::parse(&text, "s").map_or(true, |index| index.packages.is_empty()));
        prop_assert!(release::Release::parse(&text).is_err());
    }

    #[test]
    fn order_of_versions_is_total(a in "[0-9a~+.-]{1,8}", b in "[0-9a~+.-]{1,8}", c in "[0-9a~+.-]{1,8}") {
        let all = [&a, &b, &c].map(|text| Version::parse(text));
        if let [Ok(a), Ok(b), Ok(c)] = all {
            prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
            if a <= b && b <= c {
                prop_assert!(a <= c);
            }
        }
    }

    #[test]
    fn a_selection_is_closed_and_free_of_conflicts(edges in prop::collection::vec((0..12_u8, 0..4_u8, 0..12_u8, 0..12_u8), 0..30)) {
        let mut fields = vec![[String::new(), String::new(), String::new()]; 12];
        for (from, kind, to, other) in edges {
            let (index, item) = match kind {
                0 => (0, format!("p{to}, ")),
                1 => (0, format!("p{to} | p{other}, ")),
                2 => (0, format!("v{} (= 1) | p{other}, ", to % 3)),
                _ => (1, format!("p{to}, ")),
            };
            fields[usize::from(from)][index] += &item;
        }
        let mut text = String::new();
        for (number, [depends, conflicts, _]) in fields.iter().enumerate() {
            text += &format!("Package: p{number}\nVersion: 1\nArchitecture: all\nFilename: p\nSize: 1\nSHA256: {}\n", "0".repeat(64));
            text += &format!("Depends: {depends}\nConflicts: {conflicts}\nProvides: v{} (= 1)\n\n", number % 4);
        }
        let catalog = Catalog::new("amd64", vec![Index::parse(&text, "s").unwrap()]).unwrap();
        let answer = resolve(&catalog, &Request { roots: vec!["p0".into(), "p1".into()], ..Request::default() });
        // All 1024 sets that hold both roots, by brute force: the search finds one exactly if there is one.
        let names: Vec<String> = (0..12).map(|n| format!("p{n}")).collect();
        let holds = |set: u32, name: &str| (0..12_usize).any(|n| set >> n & 1 == 1 && (names[n] == name || format!("v{}", n % 4) == name));
        let valid = |set: u32| (0..12_usize).filter(|n| set >> n & 1 == 1).all(|n| {
            let depends = relation::parse(&fields[n][0]).unwrap();
            let conflicts = relation::parse(&fields[n][1]).unwrap();
            depends.iter().all(|group| group.iter().any(|r| holds(set, r.name)))
                && conflicts.iter().flatten().all(|r| r.name == names[n] || !holds(set, r.name))
        });
        match answer {
            Ok(selection) => {
                let set = selection.packages.keys().map(|name| 1_u32 << name[1..].parse::<u32>().unwrap()).sum::<u32>();
                prop_assert!(set & 3 == 3 && valid(set), "{set:b}\n{text}");
            }
            Err(error) => {
                let possible = (0..1_u32 << 12).find(|set| set & 3 == 3 && valid(*set));
                prop_assert!(possible.is_none(), "{possible:?} {error}\n{text}");
            }
        }
    }
}

#[test]
fn mutated_release_files_never_panic() {
    let suite = FakeSuite::new("trixie", Epoch(1_790_000_000), vec![]);
    let good = FakeArchive::default().with(&suite).files["dists/trixie/InRelease"].clone();
    let keyring = release::Keyring::parse(&[PUBLIC_KEY]).unwrap();
    let verify = |bytes: &[u8]| release::verify(bytes, &keyring, "trixie", Epoch(1_790_000_100));
    let original = verify(&good).unwrap();
    for place in 0..good.len() {
        let mut bad = good.clone();
        bad.remove(place);
        if let Ok(release) = verify(&bad) {
            assert_eq!(release, original, "byte {place} removed");
        }
        assert!(
            verify(&good[..place]).is_err() || good[place..].iter().all(u8::is_ascii_whitespace),
            "cut at {place}"
        );
    }
}
