//! What a node says of itself, and the seeds that it is given: on the card before it is switched on, or while it runs.

use crate::{LONG, checks::Checks, image::Image, must};
use contract::{Stage, Status};
use qemu::{Card, Error, PoweredOff, Result, Ssh, SshKey};
use std::{
    fs, thread,
    time::{Duration, Instant},
};

/// The name of the seed on the card.
pub(crate) const SEED: &str = "homecloud.toml";
/// Where the node writes what went wrong.
pub(crate) const REPORT: &str = "hc-report.txt";

/// Puts a seed on the card of a machine that is off.
pub(crate) fn seed(image: &Image, off: &PoweredOff, text: &[u8]) {
    must(Card::take(off.disk(), image.card()).and_then(|card| card.write(SEED, text)));
}

/// The public half of a key, as a seed holds it.
pub(crate) fn public(key: &SshKey) -> String {
    fs::read_to_string(key.file.with_extension("pub")).unwrap().trim().to_owned()
}

/// Writes a seed on the card of a node that runs, and has it read.
pub(crate) fn reseed(ssh: &Ssh, text: &str) {
    let script = "set -e; dev=$(sed -n s/^esp-device=//p /run/hcimage/boot); mkdir -p /run/card; \
                  mount -t vfat \"$dev\" /run/card; cat > /run/card/homecloud.toml; umount /run/card; \
                  systemctl restart hcimage-first-boot.service; systemctl restart --no-block hcimage-join.service";
    must(ssh.feed(script, text.as_bytes(), LONG).and_then(qemu::Output::success));
}

/// `hcnode status --json`.
pub(crate) fn status(ssh: &Ssh) -> std::result::Result<Status, String> {
    // Its exit code tells whether the node is ready: not asked here.
    let answer =
        ssh.run("hcnode status --json", Duration::from_secs(120)).map_err(|error| error.to_string())?;
    let text = answer.stdout;
    serde_json::from_str(&text)
        .map_err(|error| format!("hcnode status --json: {error}: {text}{}", answer.stderr))
}

/// Asks until `enough` of the status; else tells the last one.
fn until(
    ssh: &Ssh,
    limit: Duration,
    enough: impl Fn(&Status) -> bool,
) -> std::result::Result<Status, String> {
    let started = Instant::now();
    loop {
        let last = match status(ssh) {
            Ok(status) if enough(&status) => return Ok(status),
            Ok(status) => {
                let reason = status.reason.as_ref().map(ToString::to_string).unwrap_or_default();
                format!(
                    "after {:?}: {:?}, {reason:?}, next: {:?}",
                    started.elapsed(),
                    status.stage,
                    status.next
                )
            }
            Err(error) => error,
        };
        if started.elapsed() > limit {
            return Err(last);
        }
        thread::sleep(Duration::from_secs(1));
    }
}

/// How long a node may need to say something new: its own pauses between two attempts, and a slow guest.
const PATIENCE: Duration = Duration::from_secs(480);

/// Notes that the node comes to say `HC-…` with these words.
pub(crate) fn says(checks: &mut Checks, ssh: &Ssh, what: &str, code: &str, words: &[&str]) {
    let found = until(ssh, PATIENCE, |status| {
        status.reason.as_ref().is_some_and(|reason| {
            reason.code.name() == code && words.iter().all(|word| reason.text.contains(word))
        })
    });
    let told = found.map(|status| {
        if let Some(reason) = status.reason {
            eprintln!("said: {reason}");
        }
    });
    let wanted = format!("{what}: says {code} with {words:?}");
    checks.that(&wanted, told);
}

/// Notes that a service of hcnode comes to say these words in its own part of the status: where a probe tells of the same
/// fault, the status as a whole may name that one.
pub(crate) fn part_says(checks: &mut Checks, ssh: &Ssh, (part, what): (&str, &str), words: &[&str]) {
    let started = Instant::now();
    let told = loop {
        let last = match ssh.ask(&format!("cat /run/hcimage/parts/{part}.json")) {
            Ok(text) if words.iter().all(|word| text.contains(word)) => break Ok(()),
            Ok(text) => text,
            Err(error) => error.to_string(),
        };
        if started.elapsed() > PATIENCE {
            break Err(last);
        }
        thread::sleep(Duration::from_secs(1));
    };
    checks.that(&format!("{what}: {part} says {words:?}"), told);
}

/// Notes that the node comes to be ready.
pub(crate) fn is_ready(checks: &mut Checks, ssh: &Ssh, what: &str) {
    becomes_ready(checks, ssh, what, PATIENCE);
}

/// Notes that the node comes to be ready within `limit`.
pub(crate) fn becomes_ready(checks: &mut Checks, ssh: &Ssh, what: &str, limit: Duration) {
    let ready = until(ssh, limit, |status| status.stage == Stage::Ready);
    checks.that(&format!("{what}: ready"), ready.map(drop));
}

/// What makes the node the one that it is.
pub(crate) fn identity(ssh: &Ssh) -> Result<String> {
    let machine =
        ssh.ask("hostname; cat /etc/machine-id; cat /etc/rancher/node/password 2>/dev/null || true")?;
    Ok(format!("{machine}\n{}", ssh.host_key()?))
}

/// Logs in with a key, or says why not.
pub(crate) fn lets_in(ssh: &Ssh) -> std::result::Result<(), String> {
    match ssh.run("true", Duration::from_secs(120)) {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(output.stderr),
        Err(error) => Err(error.to_string()),
    }
}

/// Notes what a file of the card holds.
pub(crate) fn card_tells(checks: &mut Checks, what: &str, text: Result<String, Error>, words: &[&str]) {
    checks.that(
        what,
        match text {
            Ok(text) if words.iter().all(|word| text.contains(word)) => Ok(()),
            Ok(text) => Err(format!("{words:?} is not in: {text}")),
            Err(error) => Err(error.to_string()),
        },
    );
}
