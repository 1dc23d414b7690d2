use super::*;

/// 1 GiB.
const MEDIUM: Geometry = Geometry { sector: 512, sectors: 1 << 21 };

/// What an image ships: ESP of 100 MiB, root of 150 MiB, verity of 2 MiB.
fn shipped(geometry: Geometry) -> Table {
    let mib = (1 << 20) / geometry.sector;
    let entry = |part: Part, id: u8, start: u64, size: u64| Entry {
        kind: part.type_guid(contract::Arch::X86_64),
        id: Guid([id; 16]),
        first: start * mib,
        last: (start + size) * mib - 1,
        attributes: part.attributes(),
        name: part.label().to_owned(),
    };
    let entries = [
        entry(Part::Esp, 1, 1, 100),
        entry(Part::Root(Slot::A), 2, 101, 150),
        entry(Part::Verity(Slot::A), 3, 251, 2),
    ];
    Table {
        disk: Guid([7; 16]),
        first_usable: 34,
        last_usable: 254 * mib - 34,
        slots: 128,
        entries: (1..).zip(entries).collect(),
    }
}

fn dump(table: &Table, geometry: Geometry) -> Vec<String> {
    let mib = (1 << 20) / geometry.sector;
    let line = |(number, entry): (&u32, &Entry)| {
        format!("{number} {} {}+{}", entry.name, entry.first / mib, entry.sectors() / mib)
    };
    table.entries.iter().map(line).collect()
}

#[test]
fn first_boot_adds_slot_b_and_state_up_to_the_end() {
    for geometry in [MEDIUM, Geometry { sector: 4096, sectors: 1 << 18 }] {
        let table = grown(&shipped(geometry), geometry).unwrap();
        let expected = [
            "1 esp 1+100",
            "2 root-a 101+150",
            "3 root-a-verity 251+2",
            "4 root-b 253+150",
            "5 root-b-verity 403+2",
            "6 state-new 405+618",
        ];
        assert_eq!(dump(&table, geometry), expected);
        let kinds = |part: Part| part.type_guid(contract::Arch::X86_64);
        assert_eq!(table.entries[&4].kind, kinds(Part::Root(Slot::B)));
        assert_eq!(table.entries[&5].kind, kinds(Part::Verity(Slot::B)));
        assert_eq!(
            (table.entries[&6].kind, table.entries[&6].attributes),
            (LINUX_TYPE, Part::State.attributes())
        );
        assert_eq!(grown(&table, geometry).as_ref(), Ok(&table), "nothing more to do");
    }
}

#[test]
fn ids_are_derived_and_differ() {
    let table = grown(&shipped(MEDIUM), MEDIUM).unwrap();
    let ids: Vec<Guid> = (4..=6).map(|number| table.entries[&number].id).collect();
    assert!(ids[0] != ids[1] && ids[1] != ids[2], "{ids:?}");
    assert!(ids.iter().all(|id| id.to_string().as_bytes()[14] == b'8'), "{ids:?}");
    let other = Table { disk: Guid([8; 16]), ..shipped(MEDIUM) };
    assert_ne!(grown(&other, MEDIUM).unwrap().entries[&4].id, ids[0]);
}

#[test]
fn state_follows_the_medium_and_keeps_its_name() {
    let table = renamed_state(&grown(&shipped(MEDIUM), MEDIUM).unwrap(), STATE);
    let larger = Geometry { sectors: 1 << 22, ..MEDIUM };
    let after = grown(&table, larger).unwrap();
    assert_eq!(dump(&after, larger)[5], "6 state 405+1642");
    assert_eq!(after.entries[&6].id, table.entries[&6].id);
    // A partition that the operator put behind it ends the growth.
    let mut foreign = table.clone();
    foreign.entries.get_mut(&6).unwrap().last -= 204_800;
    let last = foreign.entries[&6].last;
    let own =
        Entry { first: last + 1, last: last + 2048, name: "mine".to_owned(), ..foreign.entries[&6].clone() };
    foreign.entries.insert(9, own);
    assert_eq!(grown(&foreign, larger).unwrap().entries, foreign.entries);
}

#[test]
fn a_small_medium_is_refused_with_both_sizes() {
    let message = |mib: u64| {
        let geometry = Geometry { sector: 512, sectors: mib * 2048 };
        grown(&shipped(MEDIUM), geometry)
            .map(|table| dump(&table, geometry)[5].clone())
            .map_err(|e| e.to_string())
    };
    assert_eq!(message(470), Ok("6 state-new 405+64".to_owned()));
    let error = message(469).unwrap_err();
    assert!(
        error.contains("the medium has 469 MiB, but this image needs 470 MiB (slot B and 64 MiB"),
        "{error}"
    );
    assert!(message(255).unwrap_err().contains("has 255 MiB, but this image needs 470 MiB"));
    let mut lost = shipped(MEDIUM);
    lost.entries.remove(&2);
    assert!(grown(&lost, MEDIUM).unwrap_err().to_string().contains("no partition named `root-a`"));
    let full = Table { slots: 4, ..shipped(MEDIUM) };
    assert_eq!(grown(&full, MEDIUM), Err(LayoutError::Full { slots: 4 }));
}

#[test]
fn the_kernel_is_told_of_what_is_new_and_never_of_a_move() {
    let table = grown(&shipped(MEDIUM), MEDIUM).unwrap();
    let mib = 1 << 20;
    let mut known: BTreeMap<u32, Extent> =
        BTreeMap::from([(1, (mib, 100 * mib)), (2, (101 * mib, 150 * mib)), (3, (251 * mib, 2 * mib))]);
    let changes = kernel_changes(&table, &known, MEDIUM).unwrap();
    assert_eq!(changes.len(), 3);
    assert_eq!(changes[0], Change::Add { number: 4, extent: (253 * mib, 150 * mib) });
    known.extend([(4, (253 * mib, 150 * mib)), (5, (403 * mib, 2 * mib)), (6, (405 * mib, 100 * mib))]);
    let grow = Change::Grow { number: 6, extent: (405 * mib, 618 * mib) };
    assert_eq!(kernel_changes(&table, &known, MEDIUM), Ok(vec![grow]));
    known.insert(2, (102 * mib, 150 * mib));
    let message = kernel_changes(&table, &known, MEDIUM).unwrap_err().to_string();
    assert!(message.contains("partition 2: the kernel has 157286400 bytes at 106954752"), "{message}");
}
