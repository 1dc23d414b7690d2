//! A card with a seed becomes a node with a name: a seed with faults first, then a good one, resets, and power cuts at the
//! steps of the first boot.

use crate::{LONG, checks::Checks, image::Image, must, node};
use contract::Arch;
use qemu::{Card, PoweredOff, Ssh, SshKey};
use std::{env, time::Duration};

/// A password that must not be left on the card.
const PASSPHRASE: &str = "battery-horse-staple";

/// When the power goes in the first boot of hcnode: after a line of the console, and a while.
const CUTS: [(&str, u64); 6] = [
    ("ready, starting", 0),
    ("Welcome to", 500),
    ("hcimage-first-boot", 0),
    ("hcimage-first-boot", 150),
    ("hcimage-first-boot", 500),
    ("Reached target", 2500),
];

/// How often: each reset and each cut is a boot. `HCIMAGE_SOAK` asks for all of them.
fn soak(few: usize, all: usize) -> usize {
    let count = if env::var_os("HCIMAGE_SOAK").is_some() { all } else { few };
    eprintln!("timing: {count} of {all} (HCIMAGE_SOAK runs all)");
    count
}

/// A seed with a name and a key.
fn seed(name: &str, key: &SshKey) -> String {
    format!(
        "# written by a test\nhostname = \"{name}\"\n\n[ssh]\nauthorized-keys = [\"{}\"]\n",
        node::public(key)
    )
}

/// The same with a secret: a wireless network, which this image cannot use, and says so.
fn secret_seed(name: &str, key: &SshKey) -> String {
    let wifi = format!("\n[[wifi]]\nssid = \"home\"\npassword = \"{PASSPHRASE}\"\ncountry = \"DE\"\n");
    seed(name, key) + &wifi
}

/// Faults in a seed are told with their line on every channel while the node is reachable; mended, the node is ready, and
/// stays who it is.
pub(crate) fn a_card_becomes_a_node(test: &str, arch: Arch, resets: (usize, usize)) {
    let Some(image) = Image::find(test, arch) else { return };
    let mut checks = Checks::new(test);
    let home = tempfile::tempdir().unwrap();
    let key = must(SshKey::make(home.path()));
    let off = must(image.machine().prepare());
    // As an editor of Windows saves it: a byte order mark, CRLF.
    let faulty = format!("\u{feff}{}", seed("nas-with-seed", &key).replace("hostname", "hostnam"));
    node::seed(&image, &off, faulty.replace('\n', "\r\n").as_bytes());

    let mut guest = must(off.start());
    let ssh = image.ssh(&guest);
    must(ssh.wait(&guest.console, LONG));
    node::says(&mut checks, &ssh, "a seed with a fault", "HC-J01", &["line 2", "hostname"]);
    checks.record("the console says so too", guest.console.expect("HC-J01", LONG));
    let off = must(guest.shut_down(LONG));
    let card = must(Card::take(off.disk(), image.card()));
    let report = card.read(node::REPORT);
    node::card_tells(&mut checks, "the card tells of the fault", report, &["HC-J01", "line 2"]);
    must(card.write(node::SEED, seed("nas-with-seed", &key).as_bytes()));

    let mut guest = must(off.start());
    let built_in = ssh.moved_to(must(guest.port(22)));
    must(built_in.wait(&guest.console, LONG));
    let ssh = must(Ssh::new(must(guest.port(22)), &key));
    checks.that("the seed's key lets in", node::lets_in(&ssh));
    checks.equal("the seed's name is the node's", ssh.ask("hostname"), "nas-with-seed");
    node::is_ready(&mut checks, &ssh, "a good seed");
    checks.record("the console shows the name", guest.console.expect("nas-with-seed", LONG));
    let before = must(node::identity(&ssh));
    for count in 1..=soak(resets.0, resets.1) {
        guest.console.skip();
        must(guest.qmp.reset());
        must(guest.console.expect_any(&["Linux version", "systemd[1]:"], LONG));
        must(ssh.wait(&guest.console, LONG));
        checks.equal(&format!("the same node after reset {count}"), node::identity(&ssh), &before);
    }
    node::is_ready(&mut checks, &ssh, "after the resets");
    let off = must(guest.shut_down(LONG));
    let card = must(Card::take(off.disk(), image.card()));
    node::card_tells(&mut checks, "the seed stays", card.read(node::SEED), &["nas-with-seed"]);
    checks.finish();
}

/// Wherever hcnode's first boot is cut off, the next one carries the seed out.
pub(crate) fn survives_power_cuts(test: &str) {
    let Some(image) = Image::find(test, Arch::X86_64) else { return };
    let mut checks = Checks::new(test);
    let home = tempfile::tempdir().unwrap();
    let key = must(SshKey::make(home.path()));
    // The spread ones are the ones that are always tried.
    let order = [3, 1, 4, 0, 2, 5];
    for (line, later) in order.into_iter().take(soak(2, CUTS.len())).map(|at| CUTS[at]) {
        let cut = format!("cut {later} ms after `{line}`");
        let off = must(image.machine().prepare());
        node::seed(&image, &off, secret_seed("cut-off", &key).as_bytes());
        let mut guest = must(off.start());
        must(guest.console.expect(line, LONG));
        std::thread::sleep(Duration::from_millis(later));
        let guest = must(guest.power_cut().and_then(PoweredOff::start));
        let ssh = must(Ssh::new(must(guest.port(22)), &key));
        checks.record(&format!("{cut}: the seed's key lets in"), ssh.wait(&guest.console, LONG));
        checks.equal(&format!("{cut}: the seed's name"), ssh.ask("hostname"), "cut-off");
        node::says(&mut checks, &ssh, &cut, "HC-J04", &["this image has no Wi-Fi"]);
        let off = must(guest.shut_down(LONG));
        let card = must(Card::take(off.disk(), image.card()));
        let left = card.holds(PASSPHRASE.as_bytes()).map(|left| left.to_string());
        checks.equal(&format!("{cut}: the secret is left on the card"), left, "false");
        let rest = card.read(node::SEED);
        node::card_tells(&mut checks, &format!("{cut}: the seed stays"), rest, &["cut-off", "ssid"]);
    }
    checks.finish();
}
