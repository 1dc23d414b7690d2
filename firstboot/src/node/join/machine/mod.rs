//! The real machine. Each part touches one thing and decides nothing.

mod copy;
mod door;
mod host;
mod kube;
mod network;
mod unit;

pub use door::Door;
pub(crate) use kube::kubelet;
pub(crate) use network::look as network;

use super::{
    facts::{ArtifactFault, Host, Kubelet, Network, Seen, Unit},
    k3s::Text,
    order::Order,
    port::Machine,
    progress::Progress,
};
use crate::node::{
    artifact::{self, ArtifactError, Web},
    card,
    clock::Clocks,
    file,
    part::Part,
    place, say,
    supervisor::Cidr,
};
use contract::Deferred;
use rustix::time::{ClockId, Timespec};
use std::{
    io,
    path::Path,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// The part's name.
const PART: &str = "join";
/// Its time is that of the image, which is the clock's floor.
const RELEASE: &str = "/usr/lib/os-release";
/// timesyncd touches it when the clock is right.
const SAVED: &str = "/var/lib/systemd/timesync/clock";
/// It is there when a time server has set the clock in this boot.
const SYNCHRONIZED: &str = "/run/systemd/timesync/synchronized";

/// Made by the owner (or a tool of theirs) when the cluster's token is kept somewhere else.
const COPIED_OFF: &str = "/var/lib/hcimage/off-node-copy";

/// Puts a copy of the cluster's state back, while k3s does not run.
pub(super) fn put_back(name: &str) -> io::Result<()> {
    for unit in ["k3s.service", "k3s-agent.service"] {
        let state = unit::look(unit)?.state;
        if state != "inactive" && state != "failed" {
            return Err(io::Error::other(format!("{unit} is {state}: systemctl stop {unit} first")));
        }
    }
    copy::put_back(name, &mut || ())
}

/// This machine.
pub struct Real<A> {
    began: Instant,
    version: Option<String>,
    /// Called while something takes long.
    alive: A,
    /// Whether nothing may be changed.
    dry: bool,
}

impl<A: FnMut()> Real<A> {
    /// The machine that this runs on. `dry`: it is looked at and not changed.
    pub fn new(alive: A, dry: bool) -> Self {
        Self { began: Instant::now(), version: None, alive, dry }
    }
}

fn now() -> u64 {
    // A clock before 1970 is none.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn changed(path: &str) -> io::Result<Option<u64>> {
    match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
        Ok(meta) => {
            let since = meta.modified()?.duration_since(UNIX_EPOCH).map_err(io::Error::other)?;
            Ok(Some(since.as_secs()))
        }
    }
}

impl<A: FnMut()> Machine for Real<A> {
    fn host(&mut self, _order: &Order) -> io::Result<Host> {
        host::look(&mut self.version)
    }

    fn network(&mut self) -> io::Result<Network> {
        network::look()
    }

    fn clocks(&mut self) -> io::Result<Clocks> {
        Ok(Clocks {
            now: now(),
            floor: changed(RELEASE)?.unwrap_or(0),
            saved: changed(SAVED)?,
            synchronized: Path::new(SYNCHRONIZED).exists(),
        })
    }

    fn set_clock(&mut self, to: u64) -> io::Result<()> {
        if self.dry {
            return Ok(());
        }
        let tv_sec = i64::try_from(to).map_err(io::Error::other)?;
        Ok(rustix::time::clock_settime(ClockId::Realtime, Timespec { tv_sec, tv_nsec: 0 })?)
    }

    fn artifacts(&mut self) -> Result<(), ArtifactFault> {
        let broken = |name: &str, why: String| ArtifactFault {
            name: name.to_owned(),
            host: String::new(),
            why,
            ours: true,
        };
        let list = host::deferred().map_err(|error| broken("the list of artifacts", error.to_string()))?;
        let name = list.first().map_or_else(String::new, |first| first.name.clone());
        let mut web = Web::new(&mut self.alive);
        artifact::ensure(&list, Path::new(Deferred::FOLDER), &mut web).map_err(|error| match error {
            ArtifactError::Away { host, why } => ArtifactFault { name, host, why, ours: false },
            other => broken(&name, other.to_string()),
        })
    }

    fn write(&mut self, files: &[Text]) -> io::Result<()> {
        for Text { path, text } in files {
            file::replace(Path::new(path), text.as_bytes(), 0o600)?;
            if file::read(Path::new(path))?.as_deref() != Some(text.as_bytes()) {
                return Err(io::Error::other(format!("{path} does not hold what was written to it")));
            }
        }
        Ok(())
    }

    fn copy(&mut self, name: &str) -> io::Result<()> {
        copy::keep(name, &mut self.alive)
    }

    fn start(&mut self, unit: &str) -> io::Result<()> {
        unit::start(unit)
    }

    fn unit(&mut self, unit: &str) -> io::Result<Unit> {
        unit::look(unit)
    }

    fn kubelet(&mut self) -> Kubelet {
        kube::kubelet()
    }

    fn api(&mut self) -> Result<(), String> {
        kube::api(now())
    }

    fn node(&mut self, name: &str) -> Seen {
        kube::node(name, now())
    }

    fn path(&mut self, services: &[Cidr]) -> u8 {
        services.first().map_or(0, |services| kube::path(services.first()))
    }

    fn burn(&mut self) -> Result<(), String> {
        match card::burn_seed() {
            Ok(None) => Ok(()),
            Ok(Some(untrimmed)) => {
                say::note(format_args!(
                    "the token was overwritten; older copies could not be trimmed: {untrimmed}"
                ));
                Ok(())
            }
            Err(error) => Err(error.to_string()),
        }
    }

    fn copied_off(&mut self) -> io::Result<bool> {
        Path::new(COPIED_OFF).try_exists()
    }

    fn progress(&mut self) -> io::Result<Progress> {
        let Some(text) = file::read(Path::new(place::JOIN))? else { return Ok(Progress::default()) };
        Ok(serde_json::from_slice(&text).unwrap_or_else(|error| {
            say::warn(format_args!("{} is damaged ({error}): the way begins anew", place::JOIN));
            Progress::default()
        }))
    }

    fn record(&mut self, progress: &Progress) -> io::Result<()> {
        if self.dry {
            return Ok(());
        }
        file::replace(Path::new(place::JOIN), &serde_json::to_vec_pretty(progress)?, 0o600)
    }

    fn record_name(&mut self, name: &str) -> io::Result<()> {
        if self.dry {
            return Ok(());
        }
        file::replace(Path::new(place::JOINED_AS), format!("{name}\n").as_bytes(), 0o600)
    }

    fn say(&mut self, part: &Part) -> io::Result<()> {
        if self.dry { Ok(()) } else { part.write(PART) }
    }

    fn pause(&mut self, seconds: u64) {
        for _ in 0..seconds {
            (self.alive)();
            thread::sleep(Duration::from_secs(1));
        }
    }

    fn uptime(&mut self) -> u64 {
        self.began.elapsed().as_secs()
    }
}
