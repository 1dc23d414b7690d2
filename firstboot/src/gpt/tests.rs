use super::*;
use std::{
    io::{Cursor, Write as _},
    process::Command,
};

const GEOMETRY: Geometry = Geometry { sector: 512, sectors: 8192 };

fn table(geometry: Geometry) -> Table {
    let array = array_sectors(128, geometry);
    let entry = |number: u8, first: u64, name: &str| Entry {
        kind: Guid([number; 16]),
        id: Guid([number + 100; 16]),
        first,
        last: first + 99,
        attributes: 1 << 60,
        name: name.to_owned(),
    };
    Table {
        disk: Guid([42; 16]),
        first_usable: 2 + array,
        last_usable: geometry.sectors - 2 - array,
        slots: 128,
        entries: BTreeMap::from([
            (1, entry(1, 100, "esp")),
            (2, entry(2, 200, "root-a")),
            (5, entry(5, 300, "état")),
        ]),
    }
}

/// A medium of `geometry` with `table` as an image has it that was written to a larger medium: the backup is where the
/// image of `image` sectors ended.
fn medium(table: &Table, image: Geometry, geometry: Geometry) -> Vec<u8> {
    let empty =
        OnDisk { table: Table { entries: BTreeMap::new(), ..table.clone() }, primary: true, backup: true };
    let mut bytes = vec![0; usize::try_from(geometry.sector * geometry.sectors).unwrap()];
    for write in writes(&empty, table, image) {
        put(&mut bytes, &write);
    }
    bytes
}

fn put(bytes: &mut [u8], write: &Write) {
    let at = usize::try_from(write.offset).unwrap();
    bytes[at..at + write.bytes.len()].copy_from_slice(&write.bytes);
}

fn read_bytes(bytes: &[u8], geometry: Geometry) -> Found {
    read(&mut Cursor::new(bytes), geometry).unwrap()
}

#[test]
fn both_copies_say_what_was_written() {
    for geometry in [GEOMETRY, Geometry { sector: 4096, sectors: 2048 }] {
        let table = table(geometry);
        let bytes = medium(&table, geometry, geometry);
        let whole = OnDisk { table, primary: true, backup: true };
        assert_eq!(read_bytes(&bytes, geometry), Found::Table(whole.clone()));
        assert!(writes(&whole, &whole.table, geometry).is_empty());
    }
}

#[test]
fn one_damaged_copy_is_survived_and_two_are_named() {
    let table = table(GEOMETRY);
    let bytes = medium(&table, GEOMETRY, GEOMETRY);
    let end = bytes.len();
    for (at, primary, backup) in
        [(512, false, true), (1100, false, true), (end - 512, true, false), (end - 5000, true, false)]
    {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        let expected = OnDisk { table: table.clone(), primary, backup };
        assert_eq!(read_bytes(&damaged, GEOMETRY), Found::Table(expected), "byte {at}");
    }
    let mut damaged = bytes.clone();
    // Bytes 92 and later of a header are not part of it: the entries are to blame.
    (damaged[700], damaged[end - 300]) = (1, 1);
    damaged[1024 + 3] ^= 1;
    damaged[end - 512 - 16384 + 3] ^= 1;
    assert!(
        matches!(read_bytes(&damaged, GEOMETRY), Found::Damaged(why) if why.contains("entries' checksum is"))
    );
    assert_eq!(read_bytes(&vec![0; end], GEOMETRY), Found::Nothing);
    assert_eq!(read_bytes(&bytes, Geometry { sectors: 5, ..GEOMETRY }), Found::Nothing);
}

#[test]
fn tables_that_lie_are_refused() {
    let reason = |change: fn(&mut Table)| {
        let mut table = table(GEOMETRY);
        change(&mut table);
        match read_bytes(&medium(&table, GEOMETRY, GEOMETRY), GEOMETRY) {
            Found::Damaged(why) => why,
            other => panic!("{other:?}"),
        }
    };
    assert!(
        reason(|table| table.entries.get_mut(&2).unwrap().first = 150).contains("partitions 1 and 2 overlap")
    );
    let outside = reason(|table| table.entries.get_mut(&2).unwrap().last = 9000);
    assert!(outside.contains("partition 2 spans sectors 200 to 9000, usable are 34 to 8158"), "{outside}");
    assert!(
        reason(|table| table.entries.get_mut(&1).unwrap().last = 50)
            .contains("partition 1 spans sectors 100 to 50")
    );
    assert!(reason(|table| table.slots = 2000).contains("2000 entries of 128 bytes"));
}

/// The promise of [`writes`]: power may fail at any sector of any write, from any state that such a failure left.
#[test]
fn every_power_cut_leaves_the_old_or_the_new_table() {
    let image = Geometry { sector: 512, sectors: 2048 };
    // Few entries, so that all pairs of cuts are quick; still four sectors of them.
    let old = Table { slots: 16, ..table(image) };
    let mut new = Table { last_usable: GEOMETRY.sectors - 34, ..old.clone() };
    let model = new.entries[&2].clone();
    new.entries.insert(6, Entry { first: 2048, last: 8000, id: Guid([9; 16]), ..model });

    let mut starts = vec![medium(&old, image, GEOMETRY)];
    for round in 0..2 {
        let mut next = Vec::new();
        for start in &starts {
            let Found::Table(current) = read_bytes(start, GEOMETRY) else {
                panic!("round {round}: no table")
            };
            let mut bytes = start.clone();
            for write in writes(&current, &new, GEOMETRY) {
                for (index, sector) in write.bytes.chunks(512).enumerate() {
                    put(
                        &mut bytes,
                        &Write { offset: write.offset + index as u64 * 512, bytes: sector.to_vec() },
                    );
                    let Found::Table(cut) = read_bytes(&bytes, GEOMETRY) else {
                        panic!("round {round}: no table")
                    };
                    assert!(cut.table == old || cut.table == new, "round {round}: {cut:?}");
                    next.push(bytes.clone());
                }
            }
            let done = OnDisk { table: new.clone(), primary: true, backup: true };
            assert_eq!(read_bytes(&bytes, GEOMETRY), Found::Table(done));
        }
        starts = next;
    }
}

#[test]
fn the_protective_mbr_is_put_right_and_others_are_left_alone() {
    let mut sector = [0; 512];
    (sector[450], sector[510], sector[511], sector[0]) = (0xee, 0x55, 0xaa, 0xeb);
    let write = protective_mbr(&sector, GEOMETRY).unwrap();
    assert_eq!(
        (write.offset, &write.bytes[458..462], write.bytes[0]),
        (0, &8191_u32.to_le_bytes()[..], 0xeb)
    );
    let mut right = sector;
    right.copy_from_slice(&write.bytes);
    assert_eq!(protective_mbr(&right, GEOMETRY), None);
    let huge = protective_mbr(&sector, Geometry { sector: 512, sectors: 1 << 40 }).unwrap();
    assert_eq!(huge.bytes[458..462], [0xff; 4]);
    sector[466] = 0x0c;
    assert_eq!(protective_mbr(&sector, GEOMETRY), None, "a hybrid MBR is somebody's own work");
}

#[test]
fn the_gpt_crate_reads_the_same() {
    let table = table(GEOMETRY);
    let bytes = medium(&table, GEOMETRY, GEOMETRY);
    let disk = gpt::GptConfig::new().open_from_device(Cursor::new(bytes)).unwrap();
    assert_eq!(disk.guid().to_string(), table.disk.to_string());
    assert!(disk.backup_header().is_ok());
    for (number, entry) in &table.entries {
        let read = &disk.partitions()[number];
        assert_eq!(
            (read.first_lba, read.last_lba, read.name.as_str()),
            (entry.first, entry.last, entry.name.as_str())
        );
        assert_eq!(read.part_guid.to_string(), entry.id.to_string());
        assert_eq!(read.part_type_guid.guid.to_string(), entry.kind.to_string());
        assert_eq!(read.flags, entry.attributes);
    }
}

#[test]
fn sgdisk_finds_no_fault() {
    let mut bytes = medium(&table(GEOMETRY), GEOMETRY, GEOMETRY);
    (bytes[450], bytes[510], bytes[511]) = (0xee, 0x55, 0xaa);
    bytes[447..450].copy_from_slice(&[0, 2, 0]);
    bytes[454] = 1;
    let first: [u8; 512] = bytes[..512].try_into().unwrap();
    put(&mut bytes, &protective_mbr(&first, GEOMETRY).unwrap());
    let mut image = tempfile::NamedTempFile::new().unwrap();
    image.write_all(&bytes).unwrap();
    let run = Command::new("sgdisk").arg("-v").arg(image.path()).output();
    let output = match run {
        Ok(output) => output,
        Err(_) if std::env::var_os("HCIMAGE_CI").is_none() => {
            eprintln!("skipped: sgdisk_finds_no_fault: sgdisk is not installed");
            return;
        }
        Err(error) => panic!("sgdisk: {error}"),
    };
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("No problems found"), "{said}");
}
