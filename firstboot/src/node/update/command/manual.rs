//! What only an owner asks for: going back, stopping, proving.

use super::{
    Failed, busy, tell,
    world::{World, unreadable},
};
use crate::node::{
    place, say,
    update::{
        apply,
        cluster::{Here, Leave, Neighbours},
        lock::Lock,
        reasons::{self, short},
        record::Staged,
        select::{Entry, TRIES},
        slot::Disk as _,
        trial,
    },
};
use std::path::Path;

/// Puts the kept other slot on trial.
pub(super) fn rollback(no_reboot: bool) -> Result<(), Failed> {
    let Some(_lock) = Lock::take(Path::new(place::UPDATE_LOCK))? else { return Err(busy()) };
    let mut world = World::find()?;
    let selection = world.decided()?;
    let (slot, before) = world.disk.running();
    let other = slot.other();
    match selection.of(other) {
        Some(Entry::Committed { .. }) => {}
        found => {
            let found = found.map_or_else(|| "empty".to_owned(), |entry| entry.to_string());
            let why = format!(
                "there is nothing to go back to: slot {other} is {found}, and only a kept one starts again"
            );
            return Err(reasons::not_ours(why).into());
        }
    }
    let root = world.disk.named(other).map_err(reasons::not_ours)?;
    say::tell(format_args!("checking slot {other} (root {})", short(&root)));
    apply::check_slot(&world.disk, &root).map_err(|error| {
        reasons::not_ours(format!("slot {other} is not whole any more, so it is not started: {error}"))
    })?;
    let reach = Here::new(|| ()).look();
    let (version, adapters) = (short(&root), trial::adapters());
    world.record.staged =
        Some(Staged { slot: other, root, version, reach, adapters, before, rollback: true });
    world.note();
    world.selector.arm(other, TRIES).map_err(|error| world.unwritten(error))?;
    restart(&world, &format!("root {}", short(&root)), no_reboot)
}

/// Stops what runs, and takes what is staged out of the choice.
pub(super) fn cancel() -> Result<(), Failed> {
    // A trial is nothing to stop: without a decision the node restarts.
    World::find()?.decided()?;
    let (_lock, stopped) = Lock::take_over(Path::new(place::UPDATE_LOCK))?;
    if stopped {
        say::tell("the update that was being written is stopped; what it wrote is used by the next one");
    }
    let mut world = World::find()?;
    let selection = world.decided()?;
    let other = world.boot.slot.other();
    match selection.of(other) {
        Some(Entry::Trial { left: 1.., .. }) => {
            world.selector.disarm(other).map_err(unreadable)?;
            world.record.staged = None;
            world.note();
            say::tell(format_args!(
                "slot {other} is not tried at the next start; {} runs on",
                world.release()
            ));
        }
        Some(Entry::Committed { .. } | Entry::Trial { left: 0, .. }) | None if !stopped => {
            say::tell("nothing is staged, and no update is being written");
        }
        Some(_) | None => {}
    }
    tell(None, "");
    Ok(())
}

/// Counts the running slot at the next start.
pub(super) fn prove() -> Result<(), Failed> {
    let Some(_lock) = Lock::take(Path::new(place::UPDATE_LOCK))? else { return Err(busy()) };
    let mut world = World::find()?;
    let selection = world.decided()?;
    if let Some(Entry::Trial { left: 1.., .. }) = selection.of(world.boot.slot.other()) {
        let why =
            "a release waits for its restart: restart the node, or cancel it first: `hcnode update cancel`";
        return Err(reasons::not_ours(why).into());
    }
    world.record.proving = true;
    world.note();
    world.selector.arm(world.boot.slot, TRIES).map_err(unreadable)?;
    say::tell(
        "restart the node once: `systemctl reboot`. If the boot loader counts, `hcnode update status` says so then",
    );
    Ok(())
}

/// Restarts into what is staged, when the cluster lets the node go.
pub(super) fn restart(world: &World, release: &str, no_reboot: bool) -> Result<(), Failed> {
    let next = format!("{release} is staged: the next start tries it");
    if no_reboot {
        say::tell(format_args!("{next} (`hcnode update cancel` takes that back)"));
        tell(None, &next);
        return Ok(());
    }
    match Here::new(|| ()).leave(release) {
        Leave::Free(lines) => lines.iter().for_each(say::tell),
        Leave::Stay(why) => {
            say::tell(format_args!("{next}, and it does not restart now: {why}"));
            tell(None, &format!("{next}; not now: {why}"));
            return Ok(());
        }
    }
    say::tell(format_args!(
        "restarting into {release}; if it does not work, {} comes back by itself",
        world.release()
    ));
    tell(None, "the node restarts to try another release");
    Ok(trial::restart()?)
}
