//! The partition table against tools that we did not write.
#![allow(clippy::unwrap_used, reason = "functions that tests call are tests")]

mod oracle;

use contract::{
    Arch, Digest, Guid,
    slots::{self, Part, Slot},
};
use disk::{
    gpt::{GptError, Layout, Partition, SECTOR},
    output::Seekable,
};
use std::{fs, path::Path};

const MIB: u64 = 1 << 20;

fn layout(arch: Arch) -> Layout {
    let id = Digest::of(b"a release");
    let sizes = [512 * MIB, 100 * MIB + 4096, MIB + 512, 100 * MIB, MIB, 64 * MIB];
    let partitions = Part::ALL
        .into_iter()
        .zip(sizes)
        .map(|(part, size)| Partition::of(part, arch, Guid::derive(&id, part.label()), size));
    Layout { disk_guid: Guid::derive(&id, "disk"), disk_size: None, partitions: partitions.collect() }
}

fn write_file(path: &Path, layout: &Layout) {
    let table = layout.place().unwrap();
    let file = fs::File::create(path).unwrap();
    file.set_len(table.disk_size()).unwrap();
    table.write(&mut Seekable(file)).unwrap();
}

#[test]
fn placement_is_aligned_and_has_no_holes_but_for_alignment() {
    let table = layout(Arch::X86_64).place().unwrap();
    let starts: Vec<u64> = table.partitions().iter().map(|placed| placed.offset / MIB).collect();
    assert_eq!(starts, [1, 513, 614, 616, 716, 717]);
    assert_eq!(table.disk_size(), 782 * MIB);
    let root = table.part(Part::Root(Slot::A)).unwrap();
    assert_eq!((root.number, root.first_lba()), (2, 513 * 2048));
    assert_eq!(root.last_lba(), root.first_lba() + (100 * MIB + 4096) / SECTOR - 1);
}

#[test]
fn sgdisk_finds_no_problem() {
    let Some(sgdisk) = oracle::tool("sgdisk_finds_no_problem", "sgdisk") else { return };
    let scratch = tempfile::tempdir().unwrap();
    let image = scratch.path().join("disk");
    for arch in Arch::ALL {
        // Ends that are no multiple of 1 MiB are fine, but sgdisk has a word of caution for them.
        let mut whole = layout(arch);
        whole
            .partitions
            .iter_mut()
            .for_each(|partition| partition.size = partition.size.next_multiple_of(MIB));
        write_file(&image, &whole);
        let said = oracle::run(sgdisk.command().arg("-v").arg(&image));
        assert!(said.contains("No problems found"), "{said}");
        assert!(!said.contains("Caution") && !said.contains("Warning"), "{said}");
        let details = oracle::run(sgdisk.command().arg("-i").arg("2").arg(&image));
        assert!(details.contains("Partition name: 'root-a'"), "{details}");
        assert!(details.contains("Attribute flags: 9000000000000000"), "{details}");
    }
}

#[test]
fn sfdisk_reads_what_was_given() {
    let Some(sfdisk) = oracle::tool("sfdisk_reads_what_was_given", "sfdisk") else { return };
    let scratch = tempfile::tempdir().unwrap();
    let image = scratch.path().join("disk");
    for arch in Arch::ALL {
        let layout = layout(arch);
        write_file(&image, &layout);
        let said = oracle::run(sfdisk.command().arg("--verify").arg(&image));
        assert!(said.contains("No errors detected"), "{said}");
        let json = oracle::run(sfdisk.command().arg("--json").arg(&image)).to_lowercase();
        assert!(json.contains(&format!("\"id\": \"{}\"", layout.disk_guid)), "{json}");
        let table = layout.place().unwrap();
        for placed in table.partitions() {
            let Partition { name, type_guid, guid, size, .. } = &placed.partition;
            for field in [
                format!("\"start\": {},", placed.first_lba()),
                format!("\"size\": {},", size / SECTOR),
                format!("\"type\": \"{type_guid}\""),
                format!("\"uuid\": \"{guid}\""),
                format!("\"name\": \"{name}\""),
            ] {
                assert!(json.contains(&field), "{field}: {json}");
            }
        }
        assert!(
            json.contains("\"attrs\": \"guid:60,63\"") && json.contains("\"attrs\": \"guid:59,63\""),
            "{json}"
        );
    }
}

#[test]
fn the_same_table_is_the_same_bytes() {
    let table = Layout { disk_size: Some(800 * MIB + 512), ..layout(Arch::Aarch64) }.place().unwrap();
    let mut image = Vec::new();
    table.write(&mut image).unwrap();
    assert_eq!(image.len() as u64, table.disk_size());
    assert_eq!(
        Digest::of(&image).to_string(),
        "21eb7e257dd45181befb8076e82ccb09a742af31874d760958c99d4f903d4247"
    );
}

#[test]
fn given_starts_are_kept() {
    let mut layout = layout(Arch::X86_64);
    layout.partitions[1].start_lba = Some(600 * 2048 + 1);
    assert_eq!(layout.place().unwrap().partitions()[1].first_lba(), 600 * 2048 + 1);
    assert_eq!(layout.place().unwrap().partitions()[2].offset, 701 * MIB);
    layout.partitions[1].start_lba = Some(5);
    let error = layout.place().unwrap_err().to_string();
    assert_eq!(error, "gpt: `root-a` is to start at sector 5, and the first free one there is 1050624");
}

#[test]
fn what_a_table_cannot_hold_is_refused() {
    type Change = fn(&mut Layout);
    let table: [(Change, &str); 10] = [
        (|l| l.partitions[0].size = 0, "gpt: `esp` has 0 bytes: expected a multiple of 512 above 0"),
        (|l| l.partitions[0].size = 513, "gpt: `esp` has 513 bytes"),
        (|l| l.partitions[0].name.clear(), "gpt: the partition name `` has 0 UTF-16 units: expected 1 to 36"),
        (|l| l.partitions[0].name = "x".repeat(37), "has 37 UTF-16 units"),
        (|l| l.partitions[0].name = "state".into(), "gpt: the partitions 1 and 6 have the same name `state`"),
        (|l| l.partitions[5].guid = l.partitions[4].guid, "gpt: the partitions 5 and 6 have the same guid"),
        (|l| l.partitions[0].size = 1 << 63, "gpt: `esp` would end after 2^63 bytes"),
        (|l| l.partitions[0].start_lba = Some(u64::MAX), "gpt: `esp` would end after 2^63 bytes"),
        (|l| l.disk_size = Some(781 * MIB), "gpt: a disk of 818937856 bytes cannot hold the partitions"),
        (|l| l.disk_size = Some(800 * MIB + 1), "expected a multiple of 512 from 818954752"),
    ];
    for (change, expected) in table {
        let mut layout = layout(Arch::X86_64);
        change(&mut layout);
        let error = layout.place().unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let mut many = layout(Arch::X86_64);
    many.partitions = (0..129)
        .map(|n: u8| Partition { name: format!("p{n}"), guid: Guid([n; 16]), ..many.partitions[0].clone() })
        .collect();
    assert!(matches!(many.place(), Err(GptError::TooMany { count: 129, limit: 128 })));
    assert_eq!(slots::ESP_TYPE, many.partitions[0].type_guid);
}
