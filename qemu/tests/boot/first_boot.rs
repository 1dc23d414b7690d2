//! The first boot makes partitions and a file system, and the power may go at any moment of it; and the disks of
//! others are not ours. These guests are cut off as soon as `hcinit` hands over, so a boot is a few seconds.

use crate::{LONG, checks::Checks, image::Image, left::Left, must};
use contract::Arch;
use qemu::{Disk, PoweredOff, Running};
use std::{fs::File, os::unix::fs::FileExt as _, time::Duration};

/// The last line of `hcinit`, and of the one that gives up.
const ENDS: [&str; 2] = ["ready, starting", "stopped: "];
const MEDIUM: u64 = 2 << 30;
const MIB: u64 = 1 << 20;

/// When the power goes: after a line of `hcinit` that says what it is about to do, and a while.
const CUTS: [(&str, u64); 9] = [
    ("verified against", 0),
    ("new partition", 0),
    ("new partition", 60),
    ("making ext4", 0),
    ("making ext4", 150),
    ("making ext4", 400),
    ("mounted on /state", 0),
    ("mounted on /state", 120),
    ("new entries from the image", 0),
];

/// Wherever the first boot is cut off, the next one ends well, and what was whole is still there.
pub(crate) fn survives_power_cuts(test: &str) {
    let Some(image) = Image::find(test, Arch::X86_64) else { return };
    let mut checks = Checks::new(test);
    if checks.client(Left::tools()).is_none() {
        return;
    }
    for (line, later) in CUTS {
        let mut guest = start(&image, MEDIUM);
        must(guest.console.expect(line, LONG));
        // Later than the line, unless the guest is faster: either is a moment to be survived.
        let mut gone_on = false;
        if later > 0 {
            gone_on = guest.console.expect(ENDS[0], Duration::from_millis(later)).is_ok();
        }
        let off = must(guest.power_cut());
        let before = must(Left::on(&off.disk()));
        let told = if gone_on { "and the end of hcinit".to_owned() } else { format!("+ {later} ms") };
        let cut = format!("cut at `{line}` {told} ({before})");

        let (ended, said, disk) = boot_on(off);
        checks.that(&format!("{cut}: the next boot gets through"), ended);
        let after = must(Left::on(&disk.disk()));
        checks.that(&format!("{cut}: table and state are whole"), after.whole());
        let formatted = said.contains("making ext4");
        checks.that(&format!("{cut}: nothing is lost ({after})"), before.kept_in(&after, formatted));
    }
    checks.finish();
}

/// A disk with the same labels beside ours, smaller than its medium as ours is at its first boot: of another
/// release it stays as it is; a copy of our own stops the boot.
pub(crate) fn leaves_other_disks_alone(test: &str) {
    let (Some(image), Some(other)) = (Image::find(test, Arch::X86_64), Image::find(test, Arch::Aarch64))
    else {
        return;
    };
    let mut checks = Checks::new(test);
    for (beside, end, what) in [
        (&other.disk, ENDS[0], "the disk of another release"),
        (&image.disk, "all carry the boot partition", "a copy of the own disk"),
    ] {
        let machine = image.machine().disk_size(MEDIUM).further_disk(beside, MEDIUM);
        let mut guest = must(machine.prepare().and_then(PoweredOff::start));
        let ended = until(&mut guest, end);
        checks.that(&format!("{what}: the boot says `{end}`"), ended);
        let off = must(guest.power_cut());
        checks.that(&format!("{what} is not touched"), untouched(&off.further_disk().unwrap()));
        if end != ENDS[0] {
            checks.that(&format!("{what}: nor is the own disk"), own_untouched(&off.disk(), &image));
        }
    }
    checks.finish();
}

/// Data of somebody else's where state should be stops the boot; an erased state is made anew.
pub(crate) fn keeps_foreign_data(test: &str) {
    let Some(image) = Image::find(test, Arch::X86_64) else { return };
    let mut checks = Checks::new(test);
    if checks.client(Left::tools()).is_none() {
        return;
    }
    let mut guest = start(&image, MEDIUM);
    must(guest.console.expect(ENDS[0], LONG));
    let off = must(guest.power_cut());
    let start_of_state = must(Left::on(&off.disk())).state.unwrap().start;
    let strange = start_of_state..start_of_state + MIB;
    must(off.disk().fill(strange.clone(), 0x58));

    let mut guest = must(off.start());
    let refused = "holds data of an unknown kind, not ext4, and is left as it is";
    checks.that("foreign data on state stops the boot", until(&mut guest, refused));
    let off = must(guest.power_cut());
    let kept = off.disk().holds(strange.clone(), 0x58);
    checks.record("the foreign data is still there", kept);

    must(off.disk().fill(strange, 0));
    let (ended, said, _) = boot_on(off);
    checks.that("an erased state is made anew", ended);
    let made = if said.contains("making ext4") { Ok(()) } else { Err(said) };
    checks.that("with a file system", made);
    checks.finish();
}

/// A medium that cannot hold slot B and state is refused in a sentence, and stays as it is.
pub(crate) fn refuses_a_small_medium(test: &str) {
    let Some(image) = Image::find(test, Arch::X86_64) else { return };
    let mut checks = Checks::new(test);
    let mut guest = start(&image, 1200 * MIB);
    checks.that("the boot stops", until(&mut guest, "the medium has 1200 MiB, but this image needs"));
    checks.record("and says what to do", guest.console.expect("use a larger medium", LONG));
    let off = must(guest.power_cut());
    checks.that("the medium is not touched", own_untouched(&off.disk(), &image));
    checks.finish();
}

fn start(image: &Image, medium: u64) -> Running {
    must(image.machine().disk_size(medium).prepare().and_then(PoweredOff::start))
}

/// Starts a machine again and cuts it off when `hcinit` ended; tells how it ended and all that it said.
fn boot_on(off: PoweredOff) -> (Result<(), String>, String, PoweredOff) {
    let mut guest = must(off.start());
    let ended = until(&mut guest, ENDS[0]);
    let said = guest.console.text();
    (ended, said, must(guest.power_cut()))
}

/// Waits for `line`; another end of `hcinit` is told.
fn until(guest: &mut Running, line: &str) -> Result<(), String> {
    let lines: Vec<&str> = [line].into_iter().chain(ENDS.into_iter().filter(|end| *end != line)).collect();
    match guest.console.expect_any(&lines, LONG) {
        Ok(0) => Ok(()),
        // A reason to stop is in the line that says so.
        Ok(_) => guest.console.expect(line, Duration::from_secs(2)).map_err(|_| guest.console.tail()),
        Err(error) => Err(error.to_string()),
    }
}

fn untouched(disk: &Disk) -> Result<(), String> {
    match disk.is_untouched() {
        Ok(true) => Ok(()),
        Ok(false) => Err("it differs from its image".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// The boot loader counts its tries on the boot partition before any program of ours runs; all else is as it was.
fn own_untouched(disk: &Disk, image: &Image) -> Result<(), String> {
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("raw");
    must(disk.copy_to(&raw));
    let (left, shipped) = (File::open(raw).unwrap(), File::open(&image.disk).unwrap());
    let (length, shipped_length) = (left.metadata().unwrap().len(), shipped.metadata().unwrap().len());
    let card = image.card();
    for start in (0..length).step_by(1 << 20).filter(|start| !card.contains(start)) {
        let mut found = vec![0; (length - start).min(1 << 20) as usize];
        left.read_exact_at(&mut found, start).unwrap();
        let mut expected = vec![0; found.len()];
        let known = shipped_length.saturating_sub(start).min(found.len() as u64) as usize;
        shipped.read_exact_at(&mut expected[..known], start).unwrap();
        if found != expected {
            return Err(format!("it differs from its image in the MiB at byte {start}"));
        }
    }
    Ok(())
}
