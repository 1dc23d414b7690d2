//! `hcnode update status`.

use super::world::{World, unreadable};
use crate::node::{
    place,
    update::{
        lock::Lock,
        progress::Progress,
        record::Failure,
        select::{Entry, Proof},
        slot::Disk as _,
    },
};
use contract::slots::Slot;
use serde::Serialize;
use std::{
    fmt::Write as _,
    io::{self, Write as _},
    path::Path,
};

/// How updates stand, for people and programs.
#[derive(Debug, Serialize)]
struct Status {
    /// What runs.
    release: String,
    slot: Slot,
    root: String,
    sequence: u64,
    /// Of the running slot and of the other one, in words.
    here: String,
    other: String,
    other_root: Option<String>,
    /// The slot that the loader takes next.
    next: Option<Slot>,
    /// The version that waits for its trial.
    staged: Option<String>,
    /// Whether the loader counts.
    counts: bool,
    proof: String,
    /// An update that is being written.
    running: Option<Progress>,
    channel: Option<String>,
    auto: bool,
    window: Option<String>,
    floor: u64,
    failures: Vec<Failure>,
    damage: Vec<String>,
}

pub(super) fn print(json: bool, log: bool) -> io::Result<()> {
    let mut world = World::find().map_err(|failed| match failed {
        super::Failed::Told(reason) => io::Error::other(reason.to_string()),
        super::Failed::Io(error) => error,
    })?;
    let text = if log {
        world
            .notes
            .lines()
            .unwrap_or_else(|| "no release was taken back, or its lines were lost\n".to_owned())
    } else {
        let status = look(&mut world)?;
        if json { serde_json::to_string(&status)? + "\n" } else { words(&status) }
    };
    io::stdout().write_all(text.as_bytes())
}

fn look(world: &mut World) -> io::Result<Status> {
    let wrong = |failed| match unreadable(failed) {
        super::Failed::Told(reason) => io::Error::other(reason.to_string()),
        super::Failed::Io(error) => error,
    };
    let selection = world.selector.read().map_err(wrong)?;
    let (counts, proof) = match world.selector.canary() {
        Ok(Proof::Counts { seen }) => (true, seen),
        Ok(Proof::Missing { why }) => (false, why),
        Err(error) => (false, error.to_string()),
    };
    let (slot, root) = world.disk.running();
    let entry = |entry: Option<Entry>| entry.map_or_else(|| "empty".to_owned(), |entry| entry.to_string());
    let other = selection.of(slot.other());
    let other_root = world.disk.named(slot.other()).ok().filter(|_| other.is_some());
    let running = match Lock::take(Path::new(place::UPDATE_LOCK))? {
        None => Progress::load()?,
        Some(_) => None,
    };
    Ok(Status {
        release: world.release(),
        slot,
        root: root.to_string(),
        sequence: world.installed.sequence,
        here: entry(selection.of(slot)),
        other: entry(other),
        other_root: other_root.map(|root| root.to_string()),
        next: selection.next,
        staged: world
            .record
            .staged
            .as_ref()
            .filter(|_| selection.next == Some(slot.other()))
            .map(|it| it.version.clone()),
        counts,
        proof,
        running,
        channel: world.installed.url.clone(),
        auto: world.installed.auto,
        window: world.installed.window.map(|window| window.to_string()),
        floor: super::super::policy::floor(&world.installed, world.record.floor),
        failures: world.record.failures.clone(),
        damage: selection.damage,
    })
}

fn words(status: &Status) -> String {
    let mut text = String::new();
    let mut line = |label: &str, value: &str| {
        writeln!(text, "{label:<12}{value}").expect("writing to a String does not fail");
    };
    let Status { slot, other_root, .. } = status;
    line("runs", &format!("{} in slot {slot}, {}", status.release, status.here));
    let other = other_root.as_ref().map_or(String::new(), |root| format!(", root {}", &root[..12]));
    line("other slot", &format!("{}{other}", status.other));
    if let Some(version) = &status.staged {
        line("staged", &format!("{version}: the next start tries it"));
    }
    if let Some(progress) = &status.running {
        line("writing", &format!("{}: {}", progress.release, progress.words()));
    }
    line(
        "next start",
        &status.next.map_or("nothing can be started".to_owned(), |next| format!("slot {next}")),
    );
    line(
        "boot loader",
        &if status.counts {
            format!("counts its tries ({})", status.proof)
        } else {
            format!("is not known to count: {}; see `hcnode update prove`", status.proof)
        },
    );
    let channel = status.channel.as_deref().unwrap_or("none: only `hcnode update --to`");
    let auto = match (status.auto, &status.window) {
        (false, _) => ", only when asked".to_owned(),
        (true, None) => ", by itself at any time".to_owned(),
        (true, Some(window)) => format!(", by itself, restarting between {window}"),
    };
    line("channel", &format!("{channel}{auto}"));
    for failure in status.failures.iter().rev() {
        line(
            "not kept",
            &format!("{} ({}): {}", failure.version, failure.code.name(), failure.why.join("; ")),
        );
    }
    for damage in &status.damage {
        line("damaged", &format!("{damage} (mended at the next start)"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::update::reasons::short;
    use contract::{Code, Digest};

    #[test]
    fn the_owner_sees_both_slots_and_why_a_release_did_not_stay() {
        let status = Status {
            release: "nas 1".to_owned(),
            slot: Slot::A,
            root: "aa".repeat(32),
            sequence: 7,
            here: "committed (generation 1)".to_owned(),
            other: "on trial (generation 2, 3 starts, 0 left)".to_owned(),
            other_root: Some("bb".repeat(32)),
            next: Some(Slot::A),
            staged: None,
            counts: true,
            proof: "systemd-boot 257".to_owned(),
            running: Some(Progress { release: "nas 3".into(), step: "fetching".into(), done: 1, of: 4 }),
            channel: None,
            auto: false,
            window: None,
            floor: 0,
            failures: vec![Failure {
                root: Digest([0xbb; 32]),
                version: "2".to_owned(),
                code: Code::U05,
                why: vec!["samba: smbd listens: connection refused".to_owned()],
            }],
            damage: Vec::new(),
        };
        let expected = "\
runs        nas 1 in slot a, committed (generation 1)
other slot  on trial (generation 2, 3 starts, 0 left), root bbbbbbbbbbbb
writing     nas 3: fetching: 25 %
next start  slot a
boot loader counts its tries (systemd-boot 257)
channel     none: only `hcnode update --to`, only when asked
not kept    2 (HC-U05): samba: smbd listens: connection refused
";
        assert_eq!(words(&status), expected);
        assert_eq!(short(&Digest([0xbb; 32])), "bbbbbbbbbbbb");
    }
}
