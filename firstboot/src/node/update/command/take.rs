//! `hcnode update`: from an offer to a restart.

use super::{
    Failed, Take, busy,
    manual::restart,
    tell,
    world::{World, k3s, unreadable},
};
use crate::node::{
    health::{self, ask},
    part::Part,
    place, say,
    update::{
        apply::{self, Apply, ApplyError},
        cluster::{Here, Neighbours},
        lock::Lock,
        policy::{self, Node, Wish},
        progress::Teller,
        reasons,
        record::Staged,
        slot::Disk as _,
        source::{Ranges, Sleep, Source, SourceError, Stick, Web},
        trial,
    },
};
use contract::{
    Code, Digest,
    bundle::Head,
    update::{Channel, SMALL_MAX, SignedPermit},
};
use std::{io, path::Path, process::Command, time::Duration};

/// Times that a bundle which changes under the reader is begun anew.
const ANEW: usize = 3;

pub(super) fn take(wish: &Take) -> Result<(), Failed> {
    let Some(_lock) = Lock::take(Path::new(place::UPDATE_LOCK))? else { return Err(busy()) };
    let mut world = World::find()?;
    world.ready()?;
    let Some(place) = offer(&world, wish)? else { return Ok(()) };
    let mut last = None;
    for _ in 0..ANEW {
        match attempt(&mut world, wish, &place) {
            Err(Ended::Changed(error)) => {
                say::note(format_args!("{place}: {error}; beginning anew, what was written stays"));
                last = Some(error);
            }
            Err(Ended::Failed(failed)) => return Err(failed),
            Ok(Outcome::Nothing) => return Ok(()),
            Ok(Outcome::Staged(release)) => return go(&world, wish, &release),
        }
    }
    Err(match last {
        Some(error) => reasons::unreachable(&place, error).into(),
        None => busy(),
    })
}

/// Where the bundle is; none when there is nothing to do.
fn offer(world: &World, wish: &Take) -> Result<Option<String>, Failed> {
    if let Some(to) = &wish.to {
        return Ok(Some(to.clone()));
    }
    let installed = &world.installed;
    if wish.by_itself && !installed.auto {
        say::note("this image does not update itself (`[update] auto` of its profile)");
        return Ok(None);
    }
    let Some(base) = &installed.url else {
        if wish.by_itself {
            say::note("this image names no channel for updates");
            return Ok(None);
        }
        let why = "this image names no channel (`[update] url` of its profile): name a bundle with `--to URL` or `--to FILE`";
        return Err(reasons::not_ours(why).into());
    };
    let url = format!("{}/{}", base.trim_end_matches('/'), installed.channel_name());
    let text = Web::default().small(&url, SMALL_MAX).map_err(|why| reasons::unreachable(&url, why))?;
    let channel = Channel::parse(&text).map_err(|error| reasons::refused(&url, error))?;
    if channel.root_hash == world.boot.root {
        reached();
        say::tell(format_args!("{} is what {url} offers: nothing to do", world.release()));
        return Ok(None);
    }
    let turned_down = world.record.failure(&channel.root_hash);
    if let Some(failure) = turned_down.filter(|_| wish.by_itself) {
        say::note(format_args!(
            "{} {} did not stay ({})",
            installed.product,
            channel.version,
            failure.code.name()
        ));
        return Ok(None);
    }
    reached();
    if wish.by_itself && !channel.admits(&identity(world)) {
        let why = if channel.halt { "its roll-out is stopped" } else { "it is not this node's turn yet" };
        say::note(format_args!("{} {}: {why}", installed.product, channel.version));
        return Ok(None);
    }
    let folder = url.rsplit_once('/').map_or(base.as_str(), |(folder, _)| folder);
    Ok(Some(format!("{folder}/{}", channel.bundle)))
}

/// The channel answers again: a warning that it does not is over. Others stay.
fn reached() {
    let part = Part::read_in(Path::new(place::PARTS), "update").ok().flatten();
    if part.and_then(|part| part.reason).is_some_and(|reason| reason.code == Code::U01) {
        tell(None, "");
    }
}

/// What is this node's own and does not change: its machine id, hashed.
fn identity(world: &World) -> Digest {
    let id = std::fs::read(place::MACHINE_ID).unwrap_or_else(|_| world.boot.state.clone().into_bytes());
    Digest::of_fields([&b"hcimage update wave"[..], &id])
}

enum Outcome {
    Nothing,
    Staged(String),
}

enum Ended {
    Changed(SourceError),
    Failed(Failed),
}

impl<F: Into<Failed>> From<F> for Ended {
    fn from(failed: F) -> Self {
        Self::Failed(failed.into())
    }
}

fn open(wish: &Take, place: &str) -> Result<Box<dyn Source>, SourceError> {
    let lower = place.to_ascii_lowercase();
    if lower.starts_with("http://") || lower.starts_with("https://") {
        return Ok(Box::new(Ranges::new(place.to_owned(), Web::default(), Sleep, wish.max_bytes)));
    }
    Ok(Box::new(Stick::open(Path::new(place))?))
}

fn attempt(world: &mut World, wish: &Take, place: &str) -> Result<Outcome, Ended> {
    let slot = world.boot.slot.other();
    let ended = |error: ApplyError| match error {
        ApplyError::Source(error @ SourceError::Changed { .. }) => Ended::Changed(error),
        error => Ended::Failed(error.reason(place, slot).into()),
    };
    let mut source = open(wish, place).map_err(|error| ended(error.into()))?;
    let trust = policy::trust(&world.installed).map_err(|why| reasons::refused(place, why))?;
    let head = apply::head(source.as_mut(), trust).map_err(ended)?;
    let release = policy::describe(&head.header);
    match judge(world, wish, &head).map_err(|why| reasons::refused(place, why))? {
        policy::Take::Yes => {}
        policy::Take::Runs => {
            say::tell(format_args!("{release} is what runs: nothing to do"));
            return Ok(Outcome::Nothing);
        }
    }
    if apply::is_staged(&world.disk, world.selector.as_mut(), &head).map_err(ended)? {
        return Ok(Outcome::Staged(release));
    }
    let mut here = Here::new(|| ());
    let kept = here.keep_datastore(k3s().as_deref(), head.header.k3s.as_deref());
    match kept {
        Ok(lines) => lines.iter().for_each(say::tell),
        Err(why) => return Err(reasons::not_ours(why).into()),
    }
    let mut teller = Teller::new(&release, |line| say::tell(line));
    say::tell(format_args!("{release} goes to slot {slot}"));
    let World { disk, selector, .. } = &mut *world;
    let mut apply = Apply {
        disk,
        selector: selector.as_mut(),
        source: source.as_mut(),
        tell: &mut teller,
        allowed: wish.max_bytes,
    };
    let figures = apply.write(&head).map_err(ended)?;
    say::tell(format_args!(
        "slot {slot} is written and verified: {:.1} MiB fetched, {} blocks unpacked, {} copied, {} were there",
        figures.fetched as f64 / f64::from(1 << 20),
        figures.unpacked,
        figures.copied,
        figures.present
    ));
    // What works now is the measure of the trial; what ran last is, when it cannot be kept.
    if let Err(error) = health::keep() {
        say::warn(format_args!(
            "what works now could not be noted: {error}; the trial goes by what was noted before"
        ));
    }
    let before = world.disk.running().1;
    world.record.staged = Some(Staged {
        slot,
        root: head.header.root.root_hash,
        version: head.header.version.clone(),
        reach: here.look(),
        adapters: trial::adapters(),
        before,
        rollback: false,
    });
    world.note();
    let World { disk, selector, .. } = &mut *world;
    apply::stage(disk, selector.as_mut(), &head).map_err(ended)?;
    Ok(Outcome::Staged(release))
}

fn judge(world: &World, wish: &Take, head: &Head) -> Result<policy::Take, String> {
    let room = world.disk.room(world.boot.slot.other()).map_err(|error| error.to_string())?;
    let turned_down = world.record.turned_down();
    let permit = wish.permit.as_ref().map(|path| {
        let text = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        SignedPermit::parse(&text).map_err(|error| error.to_string())
    });
    let permit = permit.transpose()?;
    let node = Node {
        installed: &world.installed,
        running: world.boot.root,
        floor: world.record.floor,
        room,
        turned_down: &turned_down,
    };
    let permit = permit.as_ref().zip(head.trust.as_ref());
    let wish = Wish { by_itself: wish.by_itself, again: wish.again, permit };
    policy::judge(&head.header, &node, wish).map_err(|refusal| refusal.to_string())
}

/// The restart: at once for a person, in the window for the timer.
fn go(world: &World, wish: &Take, release: &str) -> Result<(), Failed> {
    if let (true, Some(window)) = (wish.by_itself, world.installed.window) {
        let minute = minute_of_day().map_err(unreadable)?;
        if !window.holds(minute) {
            say::note(format_args!("{release} is staged; the node restarts between {window}"));
            tell(None, &format!("{release} is staged: the node restarts between {window}"));
            return Ok(());
        }
    }
    restart(world, release, wish.no_reboot)
}

/// The minute of the day by the node's own time zone. Only about when to restart: nothing is refused for it.
fn minute_of_day() -> io::Result<u16> {
    let mut command = Command::new("/usr/bin/date");
    command.arg("+%H:%M").env_clear().env("LC_ALL", "C");
    let said = ask::said(command, Duration::from_secs(10))?;
    let parts = said
        .trim()
        .split_once(':')
        .and_then(|(hour, minute)| Some(hour.parse::<u16>().ok()? * 60 + minute.parse::<u16>().ok()?));
    parts.ok_or_else(|| io::Error::other(format!("date says `{}`", said.trim())))
}
