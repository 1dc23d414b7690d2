//! The machine without an image: firmware, console, monitor, and an end that leaves nothing behind.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails by panicking and tells why it skipped"
)]

use contract::Arch;
use qemu::{Error, Machine, PoweredOff, Running};
use std::{fs, path::Path, time::Duration};

const LONG: Duration = Duration::from_secs(120);

/// A machine with an empty disk; `None` when this host has no QEMU or firmware for it.
fn empty(test: &str, arch: Arch, place: &Path) -> Option<PoweredOff> {
    let image = place.join("empty.img");
    fs::write(&image, vec![0; 1 << 20]).unwrap();
    let machine = Machine::new(arch, image).memory(256).cpus(1).disk_size(8 << 20).forward(22).forward(445);
    match machine.keep(place.join("machine")).prepare() {
        Err(error) if error.is_missing() && std::env::var_os("HCIMAGE_CI").is_none() => {
            eprintln!("skipped: {test}: {error}");
            None
        }
        prepared => Some(prepared.unwrap()),
    }
}

fn firmware_speaks(guest: &mut Running) {
    guest.console.expect_any(&["BdsDxe", "UEFI"], LONG).unwrap();
}

fn lives(test: &str, arch: Arch) {
    let dir = tempfile::tempdir().unwrap();
    let Some(machine) = empty(test, arch, dir.path()) else { return };
    let mut guest = machine.start().unwrap();
    firmware_speaks(&mut guest);
    assert_eq!(guest.qmp.status().unwrap(), "running");
    let (ssh, smb) = (guest.port(22).unwrap(), guest.port(445).unwrap());
    assert!(ssh != 0 && smb != 0 && ssh != smb);
    assert!(matches!(guest.port(80), Err(Error::NotForwarded(80))));

    guest.console.skip();
    guest.qmp.reset().unwrap();
    firmware_speaks(&mut guest);
    assert_eq!(guest.qmp.status().unwrap(), "running", "a reset that we ask for is not the machine's end");

    let pid = guest.pid();
    let off = guest.power_cut().unwrap();
    assert!(!Path::new(&format!("/proc/{pid}")).exists(), "QEMU outlives a power cut");
    let mut guest = off.start().unwrap();
    firmware_speaks(&mut guest);
    let pid = guest.pid();
    drop(guest);
    assert!(!Path::new(&format!("/proc/{pid}")).exists(), "QEMU outlives its owner");
    assert!(dir.path().join("machine/disk.qcow2").exists(), "a kept disk is gone");
    assert_eq!(fs::read(dir.path().join("empty.img")).unwrap(), vec![0; 1 << 20], "the image was written");
}

#[test]
fn an_x86_64_machine_lives_dies_and_lives_again() {
    lives("an_x86_64_machine_lives_dies_and_lives_again", Arch::X86_64);
}

#[test]
fn an_aarch64_machine_lives_dies_and_lives_again() {
    lives("an_aarch64_machine_lives_dies_and_lives_again", Arch::Aarch64);
}

#[test]
fn the_trial_guest_decides_about_kvm() {
    let dir = tempfile::tempdir().unwrap();
    if empty("the_trial_guest_decides_about_kvm", Arch::X86_64, dir.path()).is_none() {
        return;
    }
    let verdict = qemu::verdict(Arch::X86_64).unwrap();
    eprintln!("accelerator for x86_64: {} ({})", verdict.accel.name(), verdict.why);
    let again = qemu::verdict(Arch::X86_64).unwrap();
    assert!(std::ptr::eq(verdict, again), "the trial is made once");
}
