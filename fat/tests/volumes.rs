//! Edits against tools that we did not write.
#![allow(clippy::unwrap_used, reason = "functions that tests call are tests")]

mod kit;

use fat::{FatError, Fault, SECTOR, Stamp, Step, Volume};
use kit::{MIB, agree, fsck, made, mkfs, noise};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn open(image: &Vec<u8>) -> Volume<&Vec<u8>> {
    Volume::open(image, image.len() as u64).unwrap()
}

/// Carries one edit out and lets `fsck.fat` look.
fn edit(image: &mut Vec<u8>, act: impl FnOnce(&mut Volume<&Vec<u8>>)) -> usize {
    let mut volume = open(image);
    act(&mut volume);
    let plan = volume.take_plan();
    assert!(plan.steps.is_empty() || plan.steps.last() == Some(&Step::Flush));
    plan.apply(image).unwrap();
    plan.writes()
}

#[test]
fn what_the_builder_wrote_is_read() {
    let image = made();
    let volume = open(&image);
    assert_eq!(volume.read_file("EFI/Linux/hc-a.efi", MIB).unwrap(), noise(1, 300_000));
    assert_eq!(volume.read_file("efi/linux/HC-A.EFI", MIB).unwrap(), noise(1, 300_000));
    let names: Vec<String> = volume.list("loader").unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, ["entries", "loader.conf"]);
    assert!(volume.survey().unwrap().faults.is_empty());
    assert!(volume.find("loader/none").unwrap_err().is_missing());
    assert!(matches!(volume.list("loader/loader.conf"), Err(FatError::Kind { .. })));
    assert!(matches!(volume.read_file("EFI/Linux/hc-a.efi", 5), Err(FatError::TooLarge { .. })));
    let extents = volume.extents("EFI/Linux/hc-a.efi").unwrap();
    assert_eq!((extents.len(), extents[0].length), (1, 300_000));
}

#[test]
fn every_edit_leaves_a_volume_that_fsck_mtools_and_fatfs_agree_on() {
    for mut image in [Some(made()), mkfs(40)].into_iter().flatten() {
        let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        if image == made() {
            files.extend(kit::sample());
        }
        let check = |image: &Vec<u8>, files: &BTreeMap<String, Vec<u8>>| {
            fsck(image);
            agree(image, files);
        };
        edit(&mut image, |volume| volume.make_directory("seeds", Stamp::START).unwrap());
        edit(&mut image, |volume| {
            volume.make_directory("seeds/a long name for a directory", Stamp::START).unwrap()
        });
        let path = "seeds/a long name for a directory/homecloud.toml";
        edit(&mut image, |volume| volume.put(path, b"[node]\n", Stamp::START).unwrap());
        files.insert(path.to_owned(), b"[node]\n".to_vec());
        check(&image, &files);
        edit(&mut image, |volume| volume.overwrite(path, b"[NODE]\n").unwrap());
        files.insert(path.to_owned(), b"[NODE]\n".to_vec());
        edit(&mut image, |volume| volume.replace(path, &noise(3, 70_000)).unwrap());
        files.insert(path.to_owned(), noise(3, 70_000));
        check(&image, &files);
        edit(&mut image, |volume| volume.rename(path, "später 😀.toml").unwrap());
        let content = files.remove(path).unwrap();
        files.insert("seeds/a long name for a directory/später 😀.toml".to_owned(), content);
        edit(&mut image, |volume| volume.put("EMPTY", b"", Stamp::START).unwrap());
        files.insert("EMPTY".to_owned(), Vec::new());
        for number in 0..40 {
            let path = format!("seeds/one of many, number {number}.txt");
            edit(&mut image, |volume| volume.put(&path, &noise(4, number * 99), Stamp::START).unwrap());
            files.insert(path, noise(4, number * 99));
        }
        check(&image, &files);
        for number in (0..40).step_by(2) {
            let path = format!("seeds/one of many, number {number}.txt");
            edit(&mut image, |volume| volume.remove(&path).unwrap());
            files.remove(&path);
        }
        check(&image, &files);
    }
}

#[test]
fn a_new_name_is_one_sector() {
    let mut image = made();
    let before = image.clone();
    let mut volume = open(&before);
    volume.rename("EFI/Linux/hc-a.efi", "hc-c.efi").unwrap();
    assert_eq!(volume.take_plan().writes(), 1);
    let mut volume = open(&before);
    volume.put("loader/entries/hc-b+3-0.conf", b"title b\n", Stamp::START).unwrap();
    let plan = volume.take_plan();
    let flushes: Vec<usize> = plan.steps.split(|step| *step == Step::Flush).map(<[_]>::len).collect();
    // Contents and both tables; the name; the counts.
    assert_eq!(flushes, [3, 1, 1, 0]);
    plan.apply(&mut image).unwrap();
    // With no tail to keep free of, the counted and the plain name differ in one entry of 32 bytes.
    let mut volume = open(&image);
    volume.rename("loader/entries/hc-b+3-0.conf", "hc-b.conf").unwrap();
    let plan = volume.take_plan();
    let [Step::Write { sector, bytes }, Step::Flush] = &plan.steps[..] else { panic!("{plan:?}") };
    let old = &image[*sector as usize * SECTOR..][..SECTOR];
    let changed = old.chunks(32).zip(bytes.chunks(32)).filter(|(old, new)| old != new).count();
    assert_eq!(changed, 1);
}

#[test]
fn refusals_name_the_path() {
    let image = made();
    let mut volume = open(&image);
    let said = |result: Result<(), FatError>| result.unwrap_err().to_string();
    assert_eq!(
        said(volume.put("LOADER/loader.CONF", b"", Stamp::START)),
        "fat: `LOADER/loader.CONF` is there already"
    );
    assert!(said(volume.put("none/x", b"", Stamp::START)).contains("there is no `none`"));
    assert!(said(volume.put("a?b", b"", Stamp::START)).contains("control character"));
    assert!(said(volume.remove("EFI")).contains("not empty"));
    assert!(said(volume.rename("EFI/Linux", "boot")).contains("`boot` is there already"));
    assert!(said(volume.overwrite("loader/loader.conf", b"x")).contains("has 10 bytes"));
    assert!(said(volume.reserve("big", u32::MAX, Stamp::START)).contains("delete something"));
    assert_eq!(volume.take_plan().steps, []);
    for size in [0, 511, image.len() as u64 / 2] {
        assert!(Volume::open(&image, size).is_err());
    }
}

#[test]
fn loops_and_shared_clusters_are_named_and_end() {
    let image = made();
    let volume = open(&image);
    let first = volume.extents("EFI/Linux/hc-a.efi").unwrap()[0].offset;
    // The second entry of the first table that belongs to the file points back.
    let table = usize::from(u16::from_le_bytes([image[14], image[15]])) * SECTOR;
    let tables = 2 * u32::from_le_bytes(image[36..40].try_into().unwrap()) as usize * SECTOR;
    let unit = usize::from(image[13]) * SECTOR;
    let cluster = (first as usize - table - tables) / unit + 2;
    let mut looped = image.clone();
    looped[table + 4 * (cluster + 1)..][..4].copy_from_slice(&(cluster as u32).to_le_bytes());
    let faults = open(&looped).survey().unwrap().faults;
    assert!(faults.iter().any(|fault| matches!(fault, Fault::Chain { .. })), "{faults:?}");
    let mut volume = open(&looped);
    assert!(volume.mend_tables().unwrap(), "the second table is whole");
    let mut mended = looped.clone();
    volume.take_plan().apply(&mut mended).unwrap();
    assert_eq!(mended, image);
    let mut shared = image.clone();
    shared[table + 4 * cluster..][..4].copy_from_slice(&2_u32.to_le_bytes());
    assert!(!open(&shared).survey().unwrap().faults.is_empty());
}

#[derive(Clone, Debug)]
enum Act {
    Put(u8, usize),
    Remove(u8),
    Rename(u8, u8),
    Replace(u8, usize),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        (0..24_u8, 0..20_000_usize).prop_map(|(name, size)| Act::Put(name, size)),
        (0..24_u8).prop_map(Act::Remove),
        (0..24_u8, 0..24_u8).prop_map(|(from, to)| Act::Rename(from, to)),
        (0..24_u8, 0..20_000_usize).prop_map(|(name, size)| Act::Replace(name, size)),
    ]
}

fn name(number: u8) -> String {
    match number % 4 {
        0 => format!("PLAIN{number}.TXT"),
        1 => format!("hc-{number}+3-0.conf"),
        2 => format!("a name of two entries {number}"),
        _ => format!("{}{number}", "x".repeat(usize::from(number) * 9)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn random_edits_cut_anywhere_leave_old_or_new(acts in proptest::collection::vec(act(), 1..20), cut in 0..1_000_usize) {
        let mut image = made();
        let mut files: BTreeMap<String, Vec<u8>> = kit::sample();
        for act in acts {
            let before = (image.clone(), files.clone());
            let mut volume = open(&before.0);
            let path = |number| format!("loader/entries/{}", name(number));
            match act {
                Act::Put(number, size) => {
                    let done = volume.put(&path(number), &noise(number, size), Stamp::START).is_ok();
                    prop_assert_eq!(done, !files.contains_key(&path(number)));
                    files.entry(path(number)).or_insert_with(|| noise(number, size));
                }
                Act::Remove(number) => {
                    prop_assert_eq!(volume.remove(&path(number)).is_ok(), files.remove(&path(number)).is_some());
                }
                Act::Rename(from, to) => {
                    let good = files.contains_key(&path(from)) && (from == to || !files.contains_key(&path(to)));
                    prop_assert_eq!(volume.rename(&path(from), &name(to)).is_ok(), good);
                    if good {
                        let content = files.remove(&path(from)).unwrap();
                        files.insert(path(to), content);
                    }
                }
                Act::Replace(number, size) => {
                    let there = files.contains_key(&path(number));
                    prop_assert_eq!(volume.replace(&path(number), &noise(number + 1, size)).is_ok(), there);
                    if there {
                        files.insert(path(number), noise(number + 1, size));
                    }
                }
            }
            let plan = volume.take_plan();
            // Every prefix holds the files from before or those from after, or both names of one.
            let writes = cut % (plan.steps.len() + 1);
            let mut torn = before.0.clone();
            fat::Plan { steps: plan.steps[..writes].to_vec() }.apply(&mut torn).unwrap();
            for (path, content) in before.1.iter().filter(|(path, content)| files.get(*path) == Some(content)) {
                prop_assert_eq!(&open(&torn).read_file(path, MIB).unwrap(), content, "{}", path);
            }
            plan.apply(&mut image).unwrap();
            let volume = open(&image);
            prop_assert_eq!(volume.survey().unwrap().faults, vec![]);
            for (path, content) in &files {
                prop_assert_eq!(&volume.read_file(path, MIB).unwrap(), content, "{}", path);
            }
        }
        agree(&image, &files);
    }

    #[test]
    fn garbage_is_never_believed(holes in proptest::collection::vec((0..4_000_usize, 0..512_usize, any::<u8>()), 1..60)) {
        let mut image = made();
        for (sector, at, byte) in holes {
            image[sector * SECTOR + at] = byte;
        }
        if let Ok(mut volume) = Volume::open(&image, image.len() as u64) {
            volume.survey().unwrap();
            let (_, free) = volume.room();
            prop_assert!(free <= image.len() as u64 / SECTOR as u64);
            // What an edit answers does not matter; that it answers does.
            drop(volume.put("loader/entries/x.conf", &noise(1, 9_000), Stamp::START));
            drop(volume.rename("EFI/Linux/hc-a.efi", "hc-b.efi"));
            drop(volume.remove("loader/loader.conf"));
            drop(volume.mend_tables());
            drop(volume.reclaim());
            volume.take_plan().apply(&mut image.clone()).unwrap();
        }
    }
}
