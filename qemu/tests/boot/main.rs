//! What a built image must show when it is booted. The images come from the environment; `ci/test` builds them
//! with the real command:
//! `HCIMAGE_IMAGES` is the builder's output directory (`<profile>-<arch>/disk.img`, `release.json`) and
//! `HCIMAGE_TEST_KEY` the private half of the key that was built in with `--ssh-key`.
//! One boot costs most of a minute without KVM, so one life of a guest answers many questions; each answer is
//! a line, and a life ends with all its failures at once.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails by panicking and tells why it skipped"
)]

mod checks;
mod cluster;
mod first_boot;
mod health;
mod image;
mod left;
mod node;
mod power_cuts;
mod probes;
mod real_k3s;
mod seeds;
mod shares;
mod tamper;
mod update;

use checks::Checks;
use contract::Arch;
use image::Image;
use qemu::PoweredOff;
use std::time::Duration;

/// For anything that a guest does under TCG on a machine with other work. A boot of half a minute has been seen to take
/// twelve of them beside ten compilers; a guest that hangs costs this once.
const LONG: Duration = Duration::from_secs(1800);

/// The value of an act without which a test cannot go on; a failure is told as the harness says it, with the lines
/// of the console as lines.
fn must<T>(outcome: qemu::Result<T>) -> T {
    outcome.unwrap_or_else(|error| panic!("{error}"))
}

/// Three boots of one disk: a first one, one after a power cut, one after a reset.
fn a_life(test: &str, arch: Arch) {
    let Some(image) = Image::find(test, arch) else { return };
    let mut checks = Checks::new(test);
    let guest = must(image.machine().prepare().and_then(PoweredOff::start));
    let ssh = image.ssh(&guest);

    must(ssh.wait(&guest.console, LONG));
    health::of_the_system(&mut checks, &guest, &ssh);
    probes::all_pass(&mut checks, &ssh);
    health::of_the_root(&mut checks, &image, &ssh);
    health::of_the_doors(&mut checks, &image, &ssh);
    shares::smb(&mut checks, &guest, &ssh);
    shares::nfs(&mut checks, &guest, &ssh);
    shares::syncthing(&mut checks, &ssh);
    let before = shares::remember(&mut checks, &ssh);
    health::timing(&guest, &ssh);

    let mut guest = must(guest.power_cut().and_then(PoweredOff::start));
    let ssh = ssh.moved_to(must(guest.port(22)));
    must(ssh.wait(&guest.console, LONG));
    shares::nothing_changed(&mut checks, "a power cut", &before, &ssh);
    health::of_the_system(&mut checks, &guest, &ssh);
    probes::all_pass(&mut checks, &ssh);
    shares::nfs_still_serves(&mut checks, &guest, &ssh);

    guest.console.skip();
    must(guest.qmp.reset());
    must(guest.console.expect_any(&["Linux version", "systemd[1]:"], LONG));
    must(ssh.wait(&guest.console, LONG));
    shares::nothing_changed(&mut checks, "a reset", &before, &ssh);
    health::of_the_system(&mut checks, &guest, &ssh);
    health::timing(&guest, &ssh);

    checks.record("switches itself off at the power button", guest.shut_down(LONG).map(drop));
    checks.finish();
}

#[test]
fn x86_64_serves_files_and_survives_a_power_cut() {
    a_life("x86_64_serves_files_and_survives_a_power_cut", Arch::X86_64);
}

#[test]
fn aarch64_serves_files_and_survives_a_power_cut() {
    a_life("aarch64_serves_files_and_survives_a_power_cut", Arch::Aarch64);
}

#[test]
fn x86_64_flipped_bits_in_the_root_stop_the_boot() {
    tamper::flipped_bits_stop_the_boot("x86_64_flipped_bits_in_the_root_stop_the_boot", Arch::X86_64);
}

#[test]
fn aarch64_flipped_bits_in_the_root_stop_the_boot() {
    tamper::flipped_bits_stop_the_boot("aarch64_flipped_bits_in_the_root_stop_the_boot", Arch::Aarch64);
}

#[test]
fn x86_64_first_boot_survives_power_cuts() {
    first_boot::survives_power_cuts("x86_64_first_boot_survives_power_cuts");
}

#[test]
fn x86_64_first_boot_loses_nothing_that_it_flushed() {
    power_cuts::first_boot_loses_nothing("x86_64_first_boot_loses_nothing_that_it_flushed");
}

#[test]
fn x86_64_first_boot_leaves_other_disks_alone() {
    first_boot::leaves_other_disks_alone("x86_64_first_boot_leaves_other_disks_alone");
}

#[test]
fn x86_64_keeps_foreign_data_on_state() {
    first_boot::keeps_foreign_data("x86_64_keeps_foreign_data_on_state");
}

#[test]
fn x86_64_refuses_a_small_medium() {
    first_boot::refuses_a_small_medium("x86_64_refuses_a_small_medium");
}

#[test]
fn x86_64_a_card_becomes_a_node() {
    seeds::a_card_becomes_a_node("x86_64_a_card_becomes_a_node", Arch::X86_64, (2, 10));
}

#[test]
fn aarch64_a_card_becomes_a_node() {
    seeds::a_card_becomes_a_node("aarch64_a_card_becomes_a_node", Arch::Aarch64, (1, 10));
}

#[test]
fn x86_64_a_seed_survives_power_cuts() {
    seeds::survives_power_cuts("x86_64_a_seed_survives_power_cuts");
}

#[test]
fn x86_64_joins_and_says_why_not() {
    cluster::joins_and_says_why_not("x86_64_joins_and_says_why_not");
}

#[test]
fn x86_64_serves_before_the_cluster() {
    cluster::serves_before_the_cluster("x86_64_serves_before_the_cluster");
}

#[test]
fn x86_64_real_k3s_runs_a_pod() {
    real_k3s::joins_and_runs_a_pod("x86_64_real_k3s_runs_a_pod");
}

#[test]
fn x86_64_only_a_good_release_stays() {
    update::only_a_good_release_stays("x86_64_only_a_good_release_stays", Arch::X86_64);
}
