//! Making a lock: choice of packages, then what only the packages themselves can tell: the newest date, and
//! the users and groups for which ids are needed.

use crate::{
    config::{Described, Lock},
    error::Failure,
    pipeline::{
        packages, resolve,
        tree::{self, Additions},
        unpack::Unpacking,
    },
    printer::Printer,
    settings::Workshop,
};
use ::tree::effects::accounts::{Ledger, allocate};
use contract::{Arch, Epoch};
use disk::erofs::PackSettings;
use std::{collections::BTreeMap, fs};

/// Makes and writes the lock of a profile: versions of `old` are kept where they still exist, but for those of
/// `renew`; ids of `old` are kept whatever happens.
pub(crate) fn relock(
    workshop: &Workshop,
    described: &Described,
    old: Option<&Lock>,
    renew: &[String],
    printer: &Printer,
) -> Result<Lock, Failure> {
    let keep = |arch: Arch| {
        let known = old.and_then(|old| old.packages.get(&arch)).into_iter().flatten();
        let kept = known.filter(|(name, _)| !renew.contains(name));
        kept.map(|(name, locked)| (name.clone(), locked.version.clone())).collect::<BTreeMap<_, _>>()
    };
    let choice = resolve::choose(workshop, described, &keep, printer)?;
    let mut lock = Lock {
        profile: described.profile.name.clone(),
        request: resolve::request_digest(described),
        snapshot: choice.snapshot,
        epoch: Epoch(0),
        users: old.map(|old| old.users.clone()).unwrap_or_default(),
        groups: old.map(|old| old.groups.clone()).unwrap_or_default(),
        packages: choice.packages,
        artifacts: described.pins(),
    };
    for arch in Arch::ALL {
        packages::fetch(workshop, &lock, arch, printer)?;
        learn(workshop, described, &mut lock, arch, printer)?;
    }
    let file = workshop.project.lock_file(&lock.profile);
    let partial = file.with_extension("lock.partial");
    let written = fs::write(&partial, lock.render()).and_then(|()| fs::rename(&partial, &file));
    if written.is_err() && partial.exists() {
        fs::remove_file(&partial).map_err(Failure::file("remove", &partial))?;
    }
    written.map_err(Failure::file("write", &partial))?;
    Ok(lock)
}

/// Adds to the lock what the packages of one architecture tell.
fn learn(
    workshop: &Workshop,
    described: &Described,
    lock: &mut Lock,
    arch: Arch,
    printer: &Printer,
) -> Result<(), Failure> {
    let image = &described.profile.image;
    let rules = tree::drop_rules(described)?;
    let settings = PackSettings::new(image.level, image.extent)?;
    let unpacking = Unpacking { cache: &workshop.cache, settings, rules: &rules };
    let locked = packages::of(lock, arch)?;
    let (unpacked, bodies) = printer.stage("unpack", |stage| packages::unpack(&unpacking, locked, stage))?;
    let newest = unpacked.iter().map(|package| package.newest).max().unwrap_or(0);
    lock.epoch = lock.epoch.max(Epoch(newest));
    let assembly = tree::assembly(described, lock, arch, &unpacked, &Additions::default(), "lock")?;
    let needed = ::tree::needed(&assembly, &bodies)?;
    let mut ledger = Ledger { users: lock.users.clone(), groups: lock.groups.clone() };
    allocate(&needed, &mut ledger).map_err(|error| Failure::refused(error.to_string()))?;
    (lock.users, lock.groups) = (ledger.users, ledger.groups);
    Ok(())
}
