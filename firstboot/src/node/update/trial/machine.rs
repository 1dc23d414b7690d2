//! This machine, as a trial sees it.

use super::Machine;
use crate::node::{
    file,
    health::{self, ask, gate::Verdict},
    place,
    update::{
        record::LINES,
        slot::{Chain, Device, Region as _},
    },
};
use std::{
    fs, io,
    path::Path,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

/// The gate's own limit: longer than every probe's deadline, shorter than the timer that restarts an undecided boot.
const GATE: Duration = Duration::from_secs(12 * 60);
/// How long the cluster may take to be reached as before.
const CLUSTER: Duration = Duration::from_secs(10 * 60);
const PAUSE: Duration = Duration::from_secs(10);
const PIECE: usize = 1 << 20;

/// This machine.
#[derive(Debug, Default)]
pub struct Real {
    cluster: Option<Instant>,
}

impl Machine for Real {
    fn read_root(&mut self) -> Result<u64, String> {
        let mapped = Chain::find().map_err(|error| format!("/sys: {error}"))?.mapped;
        let mut device = Device::read_only(&Path::new("/dev").join(&mapped))
            .map_err(|error| format!("{mapped}: {error}"))?;
        let (size, mut piece, mut at) = (device.size(), vec![0; PIECE], 0);
        while at < size {
            let part = usize::try_from(size - at).unwrap_or(PIECE).min(PIECE);
            device.read(at, &mut piece[..part]).map_err(|error| format!("{mapped} at byte {at}: {error}"))?;
            at += part as u64;
        }
        Ok(size / 4096)
    }

    fn try_state(&mut self) -> Result<(), String> {
        let path = Path::new(place::UPDATE).join("writable");
        match file::replace(&path, b"yes\n", 0o600).and_then(|()| file::remove(&path)) {
            // A full state is not the release's doing.
            Err(error)
                if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) =>
            {
                Ok(())
            }
            other => other.map_err(|error| format!("{}: {error}", path.display())),
        }
    }

    fn adapters(&mut self) -> usize {
        adapters()
    }

    fn gate(&mut self) -> Result<Verdict, String> {
        // In a thread of its own: a check that never comes back must not keep the node from going back.
        let (send, receive) = mpsc::channel();
        thread::spawn(move || {
            // Nobody listens any more after the limit.
            drop(send.send(health::verdict()));
        });
        match receive.recv_timeout(GATE) {
            Ok(verdict) => verdict.map_err(|error| error.to_string()),
            Err(_) => Err(format!("no answer in {} minutes", GATE.as_secs() / 60)),
        }
    }

    fn waits(&mut self) -> bool {
        let since = *self.cluster.get_or_insert_with(Instant::now);
        if since.elapsed() > CLUSTER {
            return false;
        }
        thread::sleep(PAUSE);
        true
    }

    fn keep_measure(&mut self) -> Result<(), String> {
        health::keep().map_err(|error| error.to_string())
    }

    fn last_lines(&mut self) -> String {
        let mut command = Command::new("/usr/bin/journalctl");
        command.args(["--boot", "--no-pager", "--output=short-monotonic", "--lines", &LINES.to_string()]);
        command.env_clear().env("LC_ALL", "C");
        ask::said(command, Duration::from_secs(30)).unwrap_or_else(|error| format!("journalctl: {error}\n"))
    }

    fn restart(&mut self) -> io::Result<()> {
        restart()
    }

    fn decided(&mut self) -> io::Result<()> {
        file::replace(Path::new(place::DECIDED), b"", 0o644)
    }
}

/// Network adapters: what has a device behind it.
#[must_use]
pub(in crate::node::update) fn adapters() -> usize {
    let Ok(entries) = fs::read_dir("/sys/class/net") else { return 0 };
    entries.filter(|entry| entry.as_ref().is_ok_and(|entry| entry.path().join("device").exists())).count()
}

/// Asks systemd to restart the machine, and does not wait for it.
///
/// # Errors
/// When systemd does not take the wish.
pub(in crate::node::update) fn restart() -> io::Result<()> {
    let mut command = Command::new("/usr/bin/systemctl");
    let status = command.args(["--no-block", "reboot"]).env_clear().stdin(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("systemctl reboot: {status}"))) }
}
