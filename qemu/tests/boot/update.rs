//! Updates of a node that runs: one guest goes through a chain of releases, all bad but the last. The releases are those of
//! `qemu/tests/update/releases`, in the directory that `HCIMAGE_UPDATES` names.

use crate::{LONG, checks::Checks, must};
use contract::Arch;
use lab::{Device, Ill, Site};
use qemu::{Machine, Output, PoweredOff, Running, SERVICES, Ssh, SshKey};
use std::{
    env,
    path::PathBuf,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

const MEDIUM: u64 = 4 << 30;
/// Three tries of a release that does not last, with the watchdog's patience in each.
const TRIES: Duration = Duration::from_secs(1200);

/// A node with a disk that remembers, and a site with releases.
struct Node {
    device: Device,
    site: Site,
    guest: Running,
    ssh: Ssh,
}

impl Node {
    fn start(test: &str, arch: Arch) -> Option<Self> {
        let (Some(place), Some(key)) = (env::var_os("HCIMAGE_UPDATES"), env::var_os("HCIMAGE_TEST_KEY"))
        else {
            eprintln!(
                "skipped: {test}: HCIMAGE_UPDATES is not set (qemu/tests/update/releases makes what it names)"
            );
            return None;
        };
        let place = PathBuf::from(place);
        let flashed = place.join(format!("flashed/lab-{arch}/disk.img"));
        let device = Device::over(Arc::new(lab::Image::open(&flashed, MEDIUM).unwrap())).unwrap();
        let site = Site::open(&place).unwrap();
        let machine = Machine::served(arch, device.socket()).watchdog().reboots().service(80, site.address());
        let guest = must(machine.forward(22).forward(445).prepare().and_then(PoweredOff::start));
        let ssh = must(Ssh::new(must(guest.port(22)), &SshKey { file: key.into() }));
        must(ssh.wait(&guest.console, LONG));
        Some(Self { device, site, guest, ssh })
    }

    /// `hcnode update --to` of a release on the site.
    fn update(&self, name: &str, options: &str) -> qemu::Result<Output> {
        self.ssh.run(&format!("hcnode update --to http://{SERVICES}/{name}.hcb {options}"), LONG)
    }

    /// The release that runs, once there is one that answers `enough`.
    fn settles(&self, enough: impl Fn(&str) -> bool) -> Result<String, String> {
        let started = Instant::now();
        loop {
            let script = "cat /usr/lib/lab/release; hcnode update status --json";
            let last = match self.ssh.run(script, Duration::from_secs(60)) {
                Ok(output) if enough(&output.stdout) => return Ok(output.stdout),
                Ok(output) => format!("{}{}", output.stdout, output.stderr),
                Err(error) => error.to_string(),
            };
            if started.elapsed() > TRIES || !self.guest.console.is_open() {
                return Err(format!("{last}\n{}", self.guest.console.tail()));
            }
            thread::sleep(Duration::from_secs(2));
        }
    }

    /// Bytes of the other slot that were written since `place` of the log.
    fn slot_b_writes(&self, place: usize) -> u64 {
        let partitions = lab::partitions(&self.device).unwrap();
        let slot = partitions.iter().filter(|partition| partition.name.starts_with("root-b"));
        let slot: Vec<_> = slot.map(|partition| partition.extent.clone()).collect();
        let history = self.device.history();
        let written = history.written(place..history.len());
        let common = |a: &std::ops::Range<u64>, b: &std::ops::Range<u64>| {
            a.end.min(b.end).saturating_sub(a.start.max(b.start))
        };
        written.iter().flat_map(|write| slot.iter().map(move |slot| common(write, slot))).sum()
    }
}

/// P4 to P8, P11 to P13: what is refused touches nothing; what is bad is given up, with its reason; what is good stays.
pub(crate) fn only_a_good_release_stays(test: &str, arch: Arch) {
    let Some(node) = Node::start(test, arch) else { return };
    let mut checks = Checks::new(test);
    for (name, words) in [("stranger", "HC-U02"), ("older", "HC-U02")] {
        let place = node.device.place();
        let said =
            node.update(name, "--no-reboot").map(|output| format!("{}{}", output.stdout, output.stderr));
        let refused = match said {
            Ok(said) if said.contains(words) => {
                eprintln!("said: {said}");
                Ok(())
            }
            Ok(said) => Err(said),
            Err(error) => Err(error.to_string()),
        };
        checks.that(&format!("{name}: refused"), refused);
        checks.equal(
            &format!("{name}: bytes written to the other slot"),
            Ok(node.slot_b_writes(place).to_string()),
            "0",
        );
    }
    for (name, code) in
        [("panics", "U06"), ("hangs", "U06"), ("reboots", "U06"), ("fails", "U05"), ("mute", "U05")]
    {
        let started = Instant::now();
        let taken = node.update(name, "").map(drop);
        checks.record(&format!("{name}: is taken"), taken);
        let back = node.settles(|text| text.starts_with("10\n") && text.contains(code));
        eprintln!("timing: {name}: back after {} s", started.elapsed().as_secs());
        checks.that(&format!("{name}: the node is back on its release, and says {code}"), back.map(drop));
    }
    // A full state, and a line that breaks: neither is in the way of the good one.
    must(node.ssh.ask("fallocate -l $(df --output=avail -B1 /var | tail -n 1) /var/full || dd if=/dev/zero of=/var/full bs=1M || true"));
    node.site.be(Some(Ill::CutAfter(8 << 20)));
    checks.record("a line that breaks", node.update("good", "").map(drop));
    node.site.be(None);
    checks.record("good: is taken", node.update("good", "").map(drop));
    let stays = node.settles(|text| text.starts_with("20\n") && !text.contains("\"trial\""));
    eprintln!("timing: good: {} bytes after the line had broken", node.site.counts().bytes);
    checks.that("good: stays, with a full state", stays.map(drop));
    checks.that(
        "the disk's protocol held",
        match node.device.complaints() {
            complaints if complaints.is_empty() => Ok(()),
            complaints => Err(complaints.join("; ")),
        },
    );
    checks.finish();
}
