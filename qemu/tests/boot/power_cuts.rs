//! The power-cut laboratory, over the first boot: a disk that remembers every write, and every state in which a power cut
//! could have left it. Each is judged by a model of firmware, loader and hash tree; a sample is booted. (Killing QEMU is no
//! power cut: what a guest wrote and did not flush survives it.)

use crate::{LONG, checks::Checks, image::Image, left::Left, must};
use contract::Arch;
use lab::{
    Cut, Device, History, Ill, Judge, Medium as _, Releases, Site, Verdict, exhaustive, image_digest, sampled,
};
use qemu::{Machine, PoweredOff, SERVICES};
use std::{collections::BTreeMap, fs, sync::Arc};

const MEDIUM: u64 = 2 << 30;
/// How many of the judged states are booted; in a soak more.
const BOOTED: (usize, usize) = (3, 40);
const SEED: u64 = 4;

/// However the first boot is cut off, the machine starts the release that was flashed, and ends with a whole disk.
pub(crate) fn first_boot_loses_nothing(test: &str) {
    let Some(image) = Image::find(test, Arch::X86_64) else { return };
    let mut checks = Checks::new(test);
    if checks.client(Left::tools()).is_none() {
        return;
    }
    let soak = std::env::var_os("HCIMAGE_SOAK").is_some();
    let flashed = Arc::new(lab::Image::open(&image.disk, MEDIUM).unwrap());
    let device = Device::over(flashed.clone()).unwrap();
    let mut guest = must(machine(&image, &device).prepare().and_then(PoweredOff::start));
    must(guest.console.expect("ready, starting", LONG));
    drop(guest);
    let history = device.history();
    let (writes, flushes) = history.counts(0..history.len());
    checks.that("the protocol held", told(device.complaints()));

    let root = hex::decode(image.root_hash()).unwrap().try_into().unwrap();
    let release = (root, kernel(&device));
    let mut judge = Judge::new(&*flashed, Releases { old: release, new: release }).unwrap();
    let cuts = exhaustive(&history, 0..history.len(), SEED);
    let (lost, count) = judged(&mut judge, &history, &cuts);
    eprintln!(
        "timing: first boot: {writes} writes, {flushes} flushes; {count} states tried, {} lost",
        lost.len()
    );
    checks.that("every state starts what was flashed", told(lost));

    let sample = sampled(&history, 0..history.len(), if soak { BOOTED.1 } else { BOOTED.0 }, SEED);
    for cut in &sample {
        booted(&mut checks, &image, &history, cut);
    }
    if let Some(cut) = sample.first() {
        lives_on(&mut checks, &image, &history, cut);
    }
    checks.finish();
}

fn machine(image: &Image, device: &Device) -> Machine {
    Machine::served(image.arch, device.socket()).forward(22)
}

/// SHA-256 of the one kernel image on the boot partition.
fn kernel(device: &Device) -> [u8; 32] {
    let partitions = lab::partitions(device).unwrap();
    let esp = partitions.iter().find(|partition| partition.name == "esp").unwrap();
    let fat = lab::Fat::open(device, &esp.extent).unwrap();
    let programs: Vec<String> = lab::entries(&fat).unwrap().into_iter().map(|entry| entry.program).collect();
    image_digest(device, &programs[0]).unwrap()
}

/// The states that start nothing signed, in words, and how many were tried.
fn judged(judge: &mut Judge, history: &History, cuts: &[Cut]) -> (Vec<String>, usize) {
    let mut lost = BTreeMap::new();
    history.walk(cuts.to_vec(), |cut, state| {
        if let Verdict::Lost(why) = judge.verdict(state) {
            lost.entry(why).or_insert_with(Vec::new).push(cut.to_string());
        }
    });
    let words =
        |(why, cuts): (String, Vec<String>)| format!("{why} ({} states, such as: {})", cuts.len(), cuts[0]);
    (lost.into_iter().map(words).collect(), cuts.len())
}

/// Starts a machine with what a cut left; its own writes go to a disk of their own.
fn booted(checks: &mut Checks, image: &Image, history: &History, cut: &Cut) {
    let device = Device::over(Arc::new(history.cut(cut))).unwrap();
    let mut guest = must(machine(image, &device).prepare().and_then(PoweredOff::start));
    let ended = guest.console.expect_any(&["ready, starting", "stopped: "], LONG);
    let tail = guest.console.tail();
    drop(guest);
    let verdict = match ended {
        Ok(0) => Ok(()),
        Ok(_) => Err(tail),
        Err(error) => Err(error.to_string()),
    };
    checks.that(&format!("booted after a cut ({cut}): gets through"), verdict);
    let folder = tempfile::tempdir().unwrap();
    let raw = folder.path().join("raw");
    device.copy_to(0..device.size(), &raw).unwrap();
    let whole = must(Left::in_file(&raw)).whole();
    checks.that("and table and state are whole", whole);
}

/// A machine with what a cut left goes on to be a whole one; and it reaches what tests of updates need: a server on the host,
/// as bad as it is told to be.
fn lives_on(checks: &mut Checks, image: &Image, history: &History, cut: &Cut) {
    let device = Device::over(Arc::new(history.cut(cut))).unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), vec![b'x'; 3 << 20]).unwrap();
    let site = Site::open(folder.path()).unwrap();
    let machine = machine(image, &device).service(80, site.address());
    let guest = must(machine.prepare().and_then(PoweredOff::start));
    let ssh = image.ssh(&guest);
    must(ssh.wait(&guest.console, LONG));
    let state = ssh.run("systemctl is-system-running --wait", LONG).map(|output| output.stdout);
    checks.equal(&format!("after a cut ({cut}): systemd says running"), state, "running");
    let fetch = format!(
        "bash -c 'exec 3<>/dev/tcp/{SERVICES}/80; printf \"GET /file HTTP/1.1\\r\\nConnection: close\\r\\n\\r\\n\" >&3; \
         tr -cd x <&3 | wc -c'"
    );
    checks.equal("the guest fetches a file from the host", ssh.ask(&fetch), &(3 << 20).to_string());
    site.be(Some(Ill::CutAfter(1 << 20)));
    checks.equal("and less of it when the line breaks", ssh.ask(&fetch), &(1 << 20).to_string());
}

fn told(complaints: Vec<String>) -> Result<(), String> {
    if complaints.is_empty() { Ok(()) } else { Err(complaints.join("\n  ")) }
}
