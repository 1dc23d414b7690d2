//! Loads drivers for the devices that are there, once each.

use crate::{
    error::InitError,
    log::Log,
    modules::{Index, Order},
    sysfs,
};
use rustix::{io::Errno, system::finit_module};
use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

/// Names of modules that are always loaded, one a line.
const ALWAYS: &str = "/etc/hcinit/modules";

/// Modules without which no image boots.
const NEEDED: [&str; 3] = ["dm_verity", "erofs", "ext4"];

/// Buses whose many devices never have a driver that matters here.
const SKIPPED: [&str; 8] =
    ["clockevents", "clocksource", "container", "cpu", "event_source", "machinecheck", "memory", "workqueue"];

/// The drivers of this machine.
#[derive(Debug)]
pub struct Drivers<'l> {
    log: &'l Log,
    dir: PathBuf,
    index: Index,
    tried: BTreeSet<String>,
    seen: BTreeSet<String>,
    loaded: usize,
}

impl<'l> Drivers<'l> {
    /// The modules that the initrd carries for kernel `release`.
    pub fn open(release: &str, log: &'l Log) -> Result<Self, InitError> {
        let dir = Path::new("/usr/lib/modules").join(release);
        let read = |name: &str| read_text(&dir.join(name));
        let index = Index::parse(
            &read("modules.dep")?,
            &read("modules.alias")?,
            &optional(read("modules.softdep"))?,
            &optional(read("modules.builtin"))?,
        );
        Ok(Self { log, dir, index, tried: BTreeSet::new(), seen: BTreeSet::new(), loaded: 0 })
    }

    /// Loads what the initrd always loads; fails when one of those without which nothing boots cannot be loaded.
    pub fn load_always(&mut self) -> Result<(), InitError> {
        let list = read_text(Path::new(ALWAYS))?;
        let listed = list.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        for name in listed.chain(NEEDED) {
            let needed = NEEDED.contains(&name.replace('-', "_").as_str());
            let outcome = self.load(name);
            match outcome {
                Err(reason) if needed => return Err(InitError::Module { name: name.to_owned(), reason }),
                Err(reason) => self.log.warn(format_args!("module {name}: {reason}; going on without it")),
                Ok(()) => {}
            }
        }
        self.log.step(format_args!("loaded {} of {} modules from the list", self.loaded, self.index.len()));
        Ok(())
    }

    /// Loads drivers for devices that were not there before; returns how many modules that made.
    pub fn pass(&mut self) -> Result<usize, InitError> {
        let before = self.loaded;
        for modalias in self.new_devices().map_err(InitError::io("list the devices in", "/sys/bus"))? {
            let drivers: Vec<String> = self.index.drivers(&modalias).map(str::to_owned).collect();
            for name in drivers {
                if let Err(reason) = self.load(&name) {
                    self.log.warn(format_args!("module {name} for {modalias}: {reason}; going on without it"));
                }
            }
        }
        Ok(self.loaded - before)
    }

    /// Number of modules loaded until now.
    #[must_use]
    pub fn loaded(&self) -> usize {
        self.loaded
    }

    fn new_devices(&mut self) -> io::Result<Vec<String>> {
        let mut found = Vec::new();
        let bus = Path::new("/sys/bus");
        for name in sysfs::names(bus)? {
            if SKIPPED.contains(&name.as_str()) {
                continue;
            }
            let devices = bus.join(&name).join("devices");
            for device in sysfs::names(&devices)? {
                // A device may have no modalias, or may be gone by now.
                let Ok(modalias) = fs::read_to_string(devices.join(device).join("modalias")) else { continue };
                let modalias = modalias.trim();
                if !modalias.is_empty() && self.seen.insert(modalias.to_owned()) {
                    found.push(modalias.to_owned());
                }
            }
        }
        Ok(found)
    }

    /// Loads a module and what it needs. A module that finds no hardware is no fault.
    fn load(&mut self, name: &str) -> Result<(), String> {
        let steps = match self.index.order(name) {
            Order::Builtin => return Ok(()),
            Order::Unknown => return Err("the initrd does not carry it".to_owned()),
            Order::Load(steps) => steps,
        };
        let count = steps.len();
        for (position, step) in steps.into_iter().enumerate() {
            if !self.tried.insert(step.name.to_owned()) {
                continue;
            }
            match insert(&self.dir.join(step.path)) {
                Ok(()) => self.loaded += 1,
                Err(error) if error.raw_os_error() == Some(Errno::NODEV.raw_os_error()) => {}
                Err(error) if position + 1 == count => return Err(error.to_string()),
                Err(error) => self.log.warn(format_args!("module {}, wanted by {name}: {error}", step.name)),
            }
        }
        Ok(())
    }
}

fn insert(path: &Path) -> io::Result<()> {
    match finit_module(File::open(path)?, c"", 0) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn read_text(path: &Path) -> Result<String, InitError> {
    fs::read_to_string(path).map_err(InitError::io("read", path))
}

/// An absent file is an empty one; any other error stays one.
fn optional(read: Result<String, InitError>) -> Result<String, InitError> {
    match read {
        Err(InitError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        other => other,
    }
}
