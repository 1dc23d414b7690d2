//! This machine, put together for an update.

use super::Failed;
use crate::node::{
    boot::Boot,
    health::ask,
    place,
    update::{
        policy, reasons,
        record::{Notes, Record},
        select::{Proof, Selection, Selector, real},
        slot::{Disk as _, Own},
        trial::{self, Situation},
    },
};
use contract::{
    Reason,
    update::{INSTALLED_PATH, Installed},
};
use std::{io, path::Path, process::Command, time::Duration};

/// This machine, as an update needs it.
pub(super) struct World {
    pub(super) boot: Boot,
    pub(super) installed: Installed,
    pub(super) disk: Own,
    pub(super) selector: Box<dyn Selector>,
    pub(super) notes: Notes,
    pub(super) record: Record,
}

impl World {
    /// Looks at the machine, and changes nothing.
    pub(super) fn find() -> Result<Self, Failed> {
        let named = |path: &str, error: io::Error| io::Error::new(error.kind(), format!("{path}: {error}"));
        let boot = Boot::load(Path::new(place::BOOT)).map_err(|error| named(place::BOOT, error))?;
        let text = std::fs::read(INSTALLED_PATH).map_err(|error| named(INSTALLED_PATH, error))?;
        let installed = Installed::parse(&text).map_err(io::Error::other)?;
        let disk = Own::find(&boot).map_err(reasons::not_ours)?;
        let selector = Box::new(real::selector(&boot).map_err(unreadable)?);
        let notes = Notes::in_folder(Path::new(place::UPDATE));
        let (record, warning) = notes.load();
        if let Some(warning) = warning {
            crate::node::say::warn(warning);
        }
        Ok(Self { boot, installed, disk, selector, notes, record })
    }

    pub(super) fn release(&self) -> String {
        format!("{} {}", self.installed.product, self.installed.version)
    }

    /// Whether this node may take updates at all: whom it believes, that its loader counts, that this boot is decided.
    pub(super) fn ready(&mut self) -> Result<Selection, Failed> {
        policy::trust(&self.installed).map_err(|why| reasons::refused("every bundle", why))?;
        match self.selector.canary().map_err(unreadable)? {
            Proof::Counts { .. } => {}
            Proof::Missing { why } => return Err(reasons::does_not_count(why).into()),
        }
        self.decided()
    }

    /// What the boot partition says, if this boot is decided: kept, or the last resort, which must be able to take a
    /// release that works.
    pub(super) fn decided(&mut self) -> Result<Selection, Failed> {
        let selection = self.selector.read().map_err(unreadable)?;
        let slot = self.boot.slot;
        let decided = match trial::situation(&selection, slot, false) {
            Situation::Kept => true,
            Situation::Last => Path::new(place::DECIDED).exists(),
            Situation::Counted | Situation::Trial => false,
        };
        if decided {
            return Ok(selection);
        }
        let found =
            selection.of(slot).map_or_else(|| "without a boot entry".to_owned(), |entry| entry.to_string());
        let why = format!(
            "the running release is not kept yet: slot {slot} is {found}; wait for hcimage-trial.service, which decides \
             within half an hour of each start"
        );
        Err(reasons::not_ours(why).into())
    }

    /// Keeps the notes; when that fails it is said, and nothing stops.
    pub(super) fn note(&self) {
        if let Some(warning) = self.notes.save(&self.record) {
            crate::node::say::warn(warning);
        }
    }

    /// The other slot could not be written.
    pub(super) fn unwritten(&self, why: impl std::fmt::Display) -> Reason {
        reasons::unwritten(self.disk.running().0.other(), why)
    }
}

/// The boot partition does not answer.
pub(super) fn unreadable(error: impl std::fmt::Display) -> Failed {
    Failed::Told(reasons::not_ours(error))
}

/// The version of k3s that this node runs, if it has one.
pub(super) fn k3s() -> Option<String> {
    let program = Path::new("/usr/bin/k3s");
    if !program.exists() {
        return None;
    }
    let mut command = Command::new(program);
    command.arg("--version").env_clear().env("HOME", "/");
    let said = ask::said(command, Duration::from_secs(30)).ok()?;
    said.lines().find_map(|line| line.strip_prefix("k3s version ")?.split(' ').next().map(str::to_owned))
}
