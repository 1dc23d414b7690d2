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
    ffi::CStr,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

/// Names of modules that are always loaded, one a line.
const ALWAYS: &str = "/etc/hcinit/modules";

/// The kernel ends every module's loading by waiting for all disks that are still being looked for, half a second with
/// an empty AHCI controller. What drives no device asks it not to.
const NO_WAITING: &CStr = c"async_probe=1";

/// Modules without which no image boots.
const NEEDED: [&str; 3] = ["dm_verity", "erofs", "ext4"];

/// Buses whose many devices never have a driver that matters here. What ACPI describes is on the platform bus too.
const SKIPPED: [&str; 11] = [
    "acpi",
    "clockevents",
    "clocksource",
    "container",
    "cpu",
    "event_source",
    "machinecheck",
    "memory",
    "pnp",
    "serio",
    "workqueue",
];

/// The modules that the initrd carries.
#[derive(Debug)]
pub struct Drivers<'l> {
    log: &'l Log,
    dir: PathBuf,
    index: Index,
}

impl<'l> Drivers<'l> {
    /// The modules for kernel `release`.
    pub fn open(release: &str, log: &'l Log) -> Result<Self, InitError> {
        let dir = Path::new("/usr/lib/modules").join(release);
        let read = |name: &str| read_text(&dir.join(name));
        let index = Index::parse(
            &read("modules.dep")?,
            &read("modules.alias")?,
            &optional(read("modules.softdep"))?,
            &optional(read("modules.builtin"))?,
        );
        Ok(Self { log, dir, index })
    }

    /// Loads what the initrd always loads; fails when one of those without which nothing boots cannot be loaded.
    pub fn load_always(&self) -> Result<(), InitError> {
        let list = read_text(Path::new(ALWAYS))?;
        let listed = list.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let mut loader = Loader::new(self, NO_WAITING);
        for name in listed.chain(NEEDED) {
            let needed = NEEDED.contains(&name.replace('-', "_").as_str());
            match loader.load(name) {
                Err(reason) if needed => return Err(InitError::Module { name: name.to_owned(), reason }),
                Err(reason) => self.log.warn(format_args!("module {name}: {reason}; going on without it")),
                Ok(()) => {}
            }
        }
        let (loaded, carried) = (loader.loaded, self.index.len());
        self.log.step(format_args!("modules: {loaded} of the initrd's {carried} loaded from its list"));
        Ok(())
    }
}

/// Loads modules, each at most once.
#[derive(Debug)]
struct Loader<'d> {
    drivers: &'d Drivers<'d>,
    options: &'static CStr,
    tried: BTreeSet<String>,
    loaded: usize,
}

impl<'d> Loader<'d> {
    fn new(drivers: &'d Drivers<'_>, options: &'static CStr) -> Self {
        Self { drivers, options, tried: BTreeSet::new(), loaded: 0 }
    }

    /// Loads a module and what it needs. A module that finds no hardware is no fault.
    fn load(&mut self, name: &str) -> Result<(), String> {
        let Drivers { log, dir, index } = self.drivers;
        let steps = match index.order(name) {
            Order::Builtin => return Ok(()),
            Order::Unknown => return Err("the initrd does not carry it".to_owned()),
            Order::Load(steps) => steps,
        };
        let count = steps.len();
        for (position, step) in steps.into_iter().enumerate() {
            if !self.tried.insert(step.name.to_owned()) || is_live(step.name) {
                continue;
            }
            match insert(&dir.join(step.path), self.options) {
                Ok(()) => self.loaded += 1,
                Err(error) if error.raw_os_error() == Some(Errno::NODEV.raw_os_error()) => {}
                Err(error) if position + 1 == count => return Err(error.to_string()),
                Err(error) => log.warn(format_args!("module {}, wanted by {name}: {error}", step.name)),
            }
        }
        Ok(())
    }
}

/// Loads drivers for the devices that are there.
#[derive(Debug)]
pub struct Coldplug<'d> {
    loader: Loader<'d>,
    seen: BTreeSet<String>,
}

impl<'d> Coldplug<'d> {
    /// With no device seen yet.
    #[must_use]
    pub fn new(drivers: &'d Drivers<'_>) -> Self {
        Self { loader: Loader::new(drivers, c""), seen: BTreeSet::new() }
    }

    /// Loads drivers for devices that were not there before; returns how many modules that made.
    pub fn pass(&mut self) -> Result<usize, InitError> {
        let before = self.loader.loaded;
        let Drivers { log, index, .. } = self.loader.drivers;
        for modalias in self.new_devices().map_err(InitError::io("list the devices in", "/sys/bus"))? {
            for name in index.drivers(&modalias) {
                if let Err(reason) = self.loader.load(name) {
                    log.warn(format_args!("module {name} for {modalias}: {reason}; going on without it"));
                }
            }
        }
        Ok(self.loader.loaded - before)
    }

    /// Number of modules loaded until now.
    #[must_use]
    pub fn loaded(&self) -> usize {
        self.loader.loaded
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
                let Ok(modalias) = fs::read_to_string(devices.join(device).join("modalias")) else {
                    continue;
                };
                let modalias = modalias.trim();
                if !modalias.is_empty() && self.seen.insert(modalias.to_owned()) {
                    found.push(modalias.to_owned());
                }
            }
        }
        Ok(found)
    }
}

/// Whether the kernel has this module already: another thread may have been faster, and loading it again costs as
/// much as the first time.
fn is_live(name: &str) -> bool {
    fs::read_to_string(format!("/sys/module/{name}/initstate")).is_ok_and(|state| state.trim() == "live")
}

fn insert(path: &Path, options: &CStr) -> io::Result<()> {
    match finit_module(File::open(path)?, options, 0) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(Errno::NOENT) => {
            Err(io::Error::other("the kernel misses a symbol or an algorithm that it needs"))
        }
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
