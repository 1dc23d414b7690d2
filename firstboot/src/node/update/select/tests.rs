//! The flip laboratory: every state in which a machine may stop during a decision, under a model of the loader.

mod model;
mod volume;

use super::{Entry, Proof, SelectError, Selection, Truth, moves};
use contract::{
    selector::{self, Counter},
    slots::Slot,
};
use fat::{Plan, SECTOR, Stamp, Step};
use model::{boot, choose};
use std::collections::{BTreeMap, BTreeSet};
use volume::{Image, kernel, volume};

type Act = fn(&mut fat::Volume<&Image>) -> Result<(), SelectError>;

/// The decisions, by name.
const ACTS: &[(&str, Act)] = &[
    ("arm a", |volume| moves::arm(volume, Slot::A, 3)),
    ("arm b", |volume| moves::arm(volume, Slot::B, 3)),
    ("commit a", |volume| moves::commit(volume, Slot::A)),
    ("commit b", |volume| moves::commit(volume, Slot::B)),
    ("disarm a", |volume| moves::disarm(volume, Slot::A)),
    ("disarm b", |volume| moves::disarm(volume, Slot::B)),
    ("give up a", |volume| moves::give_up(volume, Slot::A)),
    ("give up b", |volume| moves::give_up(volume, Slot::B)),
    ("place b", |volume| moves::place(volume, Slot::B)),
    ("repair, a runs", |volume| moves::repair(volume, &Truth { running: Slot::A, kept: true }).map(drop)),
    ("repair, b runs", |volume| moves::repair(volume, &Truth { running: Slot::B, kept: true }).map(drop)),
];

fn plan(image: &Image, act: Act) -> Result<Plan, SelectError> {
    let mut volume = volume(image);
    act(&mut volume)?;
    Ok(volume.take_plan())
}

fn done(image: &Image, act: Act) -> Image {
    let mut after = image.clone();
    plan(image, act).unwrap().apply(&mut after).unwrap();
    after
}

fn read(image: &Image) -> Selection {
    moves::read(&volume(image)).unwrap()
}

/// A flashed node's boot partition before its first start.
fn flashed() -> Image {
    let mut image = Image::empty();
    let name = selector::entry_name(Slot::A, Some(Counter { left: 3, done: 0 }));
    let entry = format!("{}/{name}", selector::ENTRIES);
    image.edit(|volume| {
        for folder in ["EFI", selector::KERNELS, "loader", selector::ENTRIES] {
            volume.make_directory(folder, Stamp::START)?;
        }
        volume.put(&selector::kernel_path(Slot::A), &kernel(Slot::A, 1), Stamp::START)?;
        volume.put(selector::LOADER_CONF, selector::LOADER_CONF_TEXT.as_bytes(), Stamp::START)?;
        volume.put(&entry, selector::entry_text(Slot::A, 1).as_bytes(), Stamp::START)
    });
    image
}

/// With a new kernel, written and not placed.
fn written(image: &Image) -> Image {
    let mut image = image.clone();
    image.edit(|volume| volume.put(moves::NEW, &kernel(Slot::B, 2), Stamp::START));
    image
}

/// Every state that the node and the loader lead to, by how: the loader's renames in both ways that firmware may make
/// them.
fn states() -> BTreeMap<String, Image> {
    let mut states = BTreeMap::new();
    let mut keep = |name: &str, image: &Image| {
        states.insert(name.to_owned(), image.clone());
    };
    for appends in [false, true] {
        let way = if appends { "appended" } else { "in place" };
        let first = flashed();
        keep("flashed", &first);
        let mut booted = first.clone();
        for start in 1..=3 {
            boot(&mut booted, appends);
            keep(&format!("flashed, started {start}, {way}"), &booted);
        }
        let mut once = first.clone();
        boot(&mut once, appends);
        let kept = done(&once, |volume| moves::commit(volume, Slot::A));
        keep(&format!("kept, {way}"), &kept);
        let new = written(&kept);
        keep(&format!("written, {way}"), &new);
        let placed = done(&new, |volume| moves::place(volume, Slot::B));
        keep(&format!("placed, {way}"), &placed);
        let armed = done(&placed, |volume| moves::arm(volume, Slot::B, 3));
        keep(&format!("armed, {way}"), &armed);
        let mut trial = armed.clone();
        for start in 1..=3 {
            boot(&mut trial, appends);
            keep(&format!("trial, started {start}, {way}"), &trial);
        }
        boot(&mut trial, appends);
        keep(&format!("used up, {way}"), &trial);
        let given_up = done(&trial, |volume| moves::give_up(volume, Slot::B));
        keep(&format!("given up, {way}"), &given_up);
        let mut tried = armed.clone();
        boot(&mut tried, appends);
        let both = done(&tried, |volume| moves::commit(volume, Slot::B));
        keep(&format!("both kept, {way}"), &both);
        let back = done(&both, |volume| moves::arm(volume, Slot::A, 3));
        keep(&format!("back on trial, {way}"), &back);
        let lone = done(&both, |volume| moves::disarm(volume, Slot::A));
        keep(&format!("b alone, {way}"), &lone);
    }
    states
}

/// The states in which power may fail while `plan` is carried out: after every write, without any one write of those
/// that no barrier orders, and with any write torn at a multiple of 32 bytes.
fn cuts(image: &Image, plan: &Plan) -> Vec<(String, Image)> {
    let mut states = vec![("not begun".to_owned(), image.clone())];
    let mut before = image.clone();
    for (nth, epoch) in plan.steps.split(|step| *step == Step::Flush).enumerate() {
        let mut so_far = before.clone();
        for (at, step) in epoch.iter().enumerate() {
            let Step::Write { sector, bytes } = step else { continue };
            let old = so_far.sector(*sector);
            for torn in
                (32..SECTOR).step_by(32).filter(|torn| old[*torn - 32..*torn] != bytes[*torn - 32..*torn])
            {
                let mut half = old;
                half[..torn].copy_from_slice(&bytes[..torn]);
                let mut state = so_far.clone();
                state.set(*sector, half);
                states.push((format!("epoch {nth}, write {at} torn at {torn}"), state));
            }
            so_far.set(*sector, **bytes);
            states.push((format!("epoch {nth}, after write {at}"), so_far.clone()));
            let mut without = before.clone();
            for other in epoch.iter().enumerate().filter(|(other, _)| *other != at) {
                if let (_, Step::Write { sector, bytes }) = other {
                    without.set(*sector, **bytes);
                }
            }
            states.push((format!("epoch {nth}, without write {at}"), without));
        }
        before = so_far;
    }
    states
}

/// The slots that may start while a decision leads from one selection to another: those that are kept or on trial
/// before or after; and when none is, any with a kernel, which only a whole slot has.
fn allowed(before: &Selection, after: &Selection) -> BTreeSet<Slot> {
    let live = |selection: &Selection, slot| selection.of(slot).is_some_and(|entry| !entry.is_exhausted());
    let slots = Slot::ALL.into_iter().filter(|slot| live(before, *slot) || live(after, *slot));
    let slots: BTreeSet<Slot> = slots.collect();
    if slots.is_empty() { Slot::ALL.into() } else { slots }
}

/// Whether the loader's choice in a cut state is one that a machine can live with.
fn judge(image: &Image, allowed: &BTreeSet<Slot>, sure: &[Slot]) -> Result<(), String> {
    let Some(choice) = choose(image) else { return Err("nothing starts".to_owned()) };
    if !choice.verified {
        return Err(format!("{choice:?} was never verified"));
    }
    if !allowed.contains(&choice.slot) {
        return Err(format!("{choice:?} is neither kept nor on trial"));
    }
    // What is not kept is started with a counter, unless no entry at all is left that starts.
    if !choice.counted && !sure.contains(&choice.slot) && !choice.without_entries {
        return Err(format!("{choice:?} starts without a counter"));
    }
    Ok(())
}

fn kept(selections: [&Selection; 2]) -> Vec<Slot> {
    let is_kept = |slot: &Slot| {
        selections.iter().any(|selection| matches!(selection.of(*slot), Some(Entry::Committed { .. })))
    };
    Slot::ALL.into_iter().filter(is_kept).collect()
}

#[test]
fn power_may_fail_at_any_write_of_any_decision() {
    let (mut tried, mut lost, mut nested, mut refused) = (0, Vec::new(), 0, 0);
    let mut samples = Vec::new();
    for (name, image) in states() {
        assert_eq!(read(&image).next, choose(&image).map(|choice| choice.slot), "{name}");
        for (act_name, act) in ACTS {
            let Ok(plan) = plan(&image, *act) else {
                refused += 1;
                continue;
            };
            let mut after = image.clone();
            plan.apply(&mut after).unwrap();
            let (before, end) = (read(&image), read(&after));
            let (allowed, sure) = (allowed(&before, &end), kept([&before, &end]));
            assert_eq!(end.next, choose(&after).map(|choice| choice.slot), "{name}, {act_name}");
            for (cut, state) in cuts(&image, &plan) {
                tried += 1;
                if let Err(why) = judge(&state, &allowed, &sure) {
                    lost.push(format!("{name}: {act_name}: {cut}: {why}"));
                }
                if tried % 37 == 0 {
                    samples.push((format!("{name}: {act_name}: {cut}"), state.clone()));
                }
                // A cut while the cut before is mended.
                if tried % 5 == 0
                    && let Some(choice) = choose(&state)
                {
                    let running = Truth { running: choice.slot, kept: sure.contains(&choice.slot) };
                    let mut mended = volume(&state);
                    moves::repair(&mut mended, &running).unwrap();
                    let plan = mended.take_plan();
                    for (again, state) in cuts(&state, &plan) {
                        nested += 1;
                        if let Err(why) = judge(&state, &allowed, &sure) {
                            lost.push(format!("{name}: {act_name}: {cut}: repair: {again}: {why}"));
                        }
                    }
                    let mut whole = state.clone();
                    plan.apply(&mut whole).unwrap();
                    let damage = read(&whole).damage;
                    assert_eq!(damage, Vec::<String>::new(), "{name}: {act_name}: {cut}");
                }
            }
        }
    }
    let checked = samples.iter().filter(|(name, state)| volume::fsck_has_no_damage(name, state)).count();
    println!(
        "flip: {tried} states tried, {nested} nested, {} lost; {refused} decisions refused; fsck.fat saw {checked}",
        lost.len()
    );
    assert_eq!(lost, Vec::<String>::new());
    assert!(tried > 500 && nested > 300);
}

#[test]
fn decisions_are_one_sector() {
    let states = states();
    for (state, act, epoch, sectors) in [
        ("placed, appended", 1, 1, 1),
        ("flashed, started 1, appended", 2, 0, 1),
        ("trial, started 1, appended", 3, 0, 1),
        ("trial, started 1, appended", 7, 0, 1),
        ("written, appended", 8, 0, 1),
    ] {
        let (name, act) = ACTS[act];
        let plan = plan(&states[state], act).unwrap();
        let writes = plan.steps.split(|step| *step == Step::Flush).nth(epoch).unwrap().len();
        assert_eq!(writes, sectors, "{name}");
    }
}

#[test]
fn the_story_of_an_update() {
    let states = states();
    let entry = |state: &str| {
        let Selection { a, b, next, damage } = read(&states[state]);
        assert_eq!(damage, Vec::<String>::new(), "{state}");
        (a, b, next)
    };
    let kept = |generation| Some(Entry::Committed { generation });
    let trial = |generation, left, done| Some(Entry::Trial { generation, left, done });
    let (a, b) = (Some(Slot::A), Some(Slot::B));
    assert_eq!(entry("flashed"), (trial(1, 3, 0), None, a));
    assert_eq!(entry("flashed, started 3, appended"), (trial(1, 0, 3), None, a));
    assert_eq!(entry("kept, appended"), (kept(1), None, a));
    assert_eq!(entry("placed, appended"), (kept(1), None, a));
    assert_eq!(entry("armed, appended"), (kept(1), trial(2, 3, 0), b));
    assert_eq!(entry("trial, started 2, appended"), (kept(1), trial(2, 1, 2), b));
    assert_eq!(entry("used up, appended"), (kept(1), trial(2, 0, 3), a));
    assert_eq!(entry("both kept, appended"), (kept(1), kept(2), b));
    assert_eq!(entry("back on trial, appended"), (trial(3, 3, 0), kept(2), a));
    assert_eq!(entry("b alone, appended"), (None, kept(2), b));
    let alone = &states["b alone, appended"];
    assert!(matches!(plan(alone, ACTS[5].1), Err(SelectError::LastSlot { slot: Slot::B })));
    assert!(matches!(plan(alone, ACTS[0].1), Err(SelectError::NoKernel { slot: Slot::A })));
    assert!(matches!(plan(alone, ACTS[3].1), Err(SelectError::Entry { .. })));
}

/// What EDK2's driver and systemd-boot 257 left of `hc-a+03-00.conf`, byte for byte but for the cluster.
#[test]
fn a_directory_that_real_firmware_wrote_is_read_and_committed() {
    let recorded = include_str!("tests/edk2.txt");
    let mut image = flashed();
    let old = format!("{}/hc-a+3-0.conf", selector::ENTRIES);
    let text = volume(&image).extents(&old).unwrap()[0].offset;
    image.record_entries(recorded, text, selector::entry_text(Slot::A, 1).len() as u32);
    assert_eq!(read(&image).a, Some(Entry::Trial { generation: 1, left: 2, done: 1 }));
    assert_eq!(choose(&image).map(|choice| choice.slot), Some(Slot::A));
    let plan = plan(&image, ACTS[2].1).unwrap();
    let mut after = image.clone();
    plan.apply(&mut after).unwrap();
    assert_eq!(read(&after).a, Some(Entry::Committed { generation: 1 }));
    assert!(matches!(&plan.steps[..], [Step::Write { .. }, Step::Flush]), "one sector");
    for (cut, state) in cuts(&image, &plan) {
        judge(&state, &[Slot::A].into(), &[Slot::A]).unwrap_or_else(|why| panic!("{cut}: {why}"));
    }
}

#[test]
fn a_loader_that_does_not_count_is_found_out() {
    let seen = "systemd-boot 257 on EDK II\n";
    let ask = |image: &mut Image, counted| {
        let mut volume = volume(image);
        let proof = moves::canary(&mut volume, &moves::Said { counted, seen }).unwrap();
        let plan = volume.take_plan();
        plan.apply(image).unwrap();
        proof
    };
    let mut image = flashed();
    let counted = "\\loader\\entries\\hc-a+2-1.conf";
    for said in [None, Some(counted), Some("\\loader\\entries\\hc-a+3-0.conf")] {
        assert!(
            matches!(ask(&mut image, said), Proof::Missing { why } if why.contains("--prove")),
            "{said:?}"
        );
    }
    boot(&mut image, true);
    let proof = Proof::Counts { seen: seen.trim_end().to_owned() };
    assert_eq!(ask(&mut image, Some(counted)), proof);
    // Written down, for starts that are not counted.
    assert_eq!(ask(&mut image, None), proof);
    let mut moved = volume(&image);
    let other = moves::Said { counted: None, seen: "systemd-boot 257 on U-Boot\n" };
    assert!(matches!(moves::canary(&mut moved, &other).unwrap(), Proof::Missing { .. }));
}

#[test]
fn garbage_on_any_sector_starts_a_good_slot_and_is_mended() {
    let image = states()["both kept, appended"].clone();
    let view = volume(&image);
    let at = |path: &str| view.extents(path).unwrap()[0].offset / SECTOR as u64;
    let places = [
        ("entries", image.folder_sectors(selector::ENTRIES)),
        ("loader.conf", vec![at(selector::LOADER_CONF)]),
        ("entry a", vec![at("loader/entries/hc-a.conf")]),
        ("entry b", vec![at("loader/entries/hc-b.conf")]),
        ("counts", vec![1]),
        ("second table", (image.table(1)..image.table(2)).step_by(64).collect()),
    ];
    let mut tried = 0;
    for (name, sectors) in places {
        for sector in sectors {
            let noise: [u8; SECTOR] =
                std::array::from_fn(|at| (at * 167 + 13 + (at >> 3) * sector as usize) as u8);
            for (kind, garbage) in [("zeros", [0; SECTOR]), ("ff", [0xff; SECTOR]), ("noise", noise)] {
                tried += 1;
                let mut broken = image.clone();
                broken.set(sector, garbage);
                let choice = choose(&broken).unwrap_or_else(|| panic!("{name}, {kind}: nothing starts"));
                assert!(choice.verified, "{name}, {kind}");
                let expected = if name == "entry b" { Slot::A } else { Slot::B };
                assert_eq!(choice.slot, expected, "{name}, {kind}");
                let mut mended = volume(&broken);
                moves::repair(&mut mended, &Truth { running: choice.slot, kept: true }).unwrap();
                let plan = mended.take_plan();
                plan.apply(&mut broken).unwrap();
                let selection = read(&broken);
                assert_eq!(selection.damage, Vec::<String>::new(), "{name}, {kind}");
                assert_eq!(selection.next, Some(choice.slot), "{name}, {kind}");
                assert!(matches!(selection.of(choice.slot), Some(Entry::Committed { .. })), "{name}, {kind}");
                assert!(volume::fsck_has_no_damage(name, &broken));
            }
        }
    }
    println!("garbage: {tried} sectors tried, 0 slots lost");
}
