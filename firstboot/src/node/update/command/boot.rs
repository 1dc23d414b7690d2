//! `hcnode update trial`: the service at every boot.

use super::{Failed, tell, world::World};
use crate::node::{
    place, say,
    update::{
        cluster::{Here, Neighbours as _, Phase, Rejoin},
        lock::Lock,
        slot::Disk as _,
        trial::{self, Real},
    },
};
use contract::Reason;
use std::{io, path::Path, thread, time::Duration};

/// Pause between two attempts to reach the cluster.
const AGAIN: Duration = Duration::from_secs(60);

pub(super) fn decide() -> Result<(), Failed> {
    let Some(lock) = Lock::take(Path::new(place::UPDATE_LOCK))? else { return Err(super::busy()) };
    let mut world = World::find()?;
    let (slot, root) = world.disk.running();
    let other = world.disk.named(slot.other()).map_err(|error| say::warn(&error)).ok();
    let boot = trial::Boot { slot, root, release: world.release(), floor: world.installed.floor, other };
    let (mut machine, mut here) = (Real::default(), Here::new(|| ()));
    let end = trial::settle(&boot, world.selector.as_mut(), &mut machine, &mut here, &world.notes)
        .map_err(|error| io::Error::other(format!("this boot could not be decided: {error}")))?;
    end.said.iter().for_each(say::note);
    if let Some(reason) = &end.reason {
        say::warn(reason);
    }
    tell(end.reason.clone(), next(end.restarts, end.reason.as_ref()));
    // The boot is decided; others may take an update meanwhile.
    drop((world, lock));
    if end.later {
        rejoin(&mut here);
    }
    Ok(())
}

/// Asks until the cluster answers: a node must not stay cordoned because its server was away for a moment.
fn rejoin(here: &mut Here<'_>) {
    loop {
        thread::sleep(AGAIN);
        // Not while an update takes leave of the cluster.
        let Ok(Some(_lock)) = Lock::take(Path::new(place::UPDATE_LOCK)) else { continue };
        match here.reconcile(Phase::Settled) {
            Rejoin::Done(lines) => return lines.iter().for_each(say::note),
            Rejoin::Later(_) => {}
        }
    }
}

fn next(restarts: bool, reason: Option<&Reason>) -> &'static str {
    match (restarts, reason) {
        (true, _) => "the node restarts into the release from before",
        (false, Some(_)) => "see `hcnode update status`",
        (false, None) => "",
    }
}
