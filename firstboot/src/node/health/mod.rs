//! Whether the node works: the overlays' probes, asked once for a person, once for the gate behind an update, and
//! continuously for [`super::status`].
//!
//! Decisions: [`gate`], [`watch`]. Ports: [`ask`], [`http`]. What passed last in the running release is kept in
//! [`place::HEALTHY`], so that the gate asks for what the update broke and not for what was broken before.

pub mod ask;
pub mod gate;
pub mod http;
pub mod table;
pub mod watch;

use super::{file, notify, part::Part, place, say, status::facts};
use ask::{Ask, Machine};
use contract::{Outcome, Probe};
use gate::Measure;
use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};
use watch::Watch;

/// How long the gate waits between two rounds.
const ROUND: Duration = Duration::from_secs(1);

/// What `hcnode health` is asked to do.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct Options {
    /// Wait for every probe as long as its deadline allows, then judge this release against what worked before
    #[arg(long, conflicts_with = "serve")]
    gate: bool,
    /// With --gate: when it passes, what works now is what the next update is measured against
    #[arg(long, requires = "gate")]
    keep: bool,
    /// Ask for ever and leave the results for `hcnode status` (a service does this)
    #[arg(long)]
    serve: bool,
    /// For a program instead of a person
    #[arg(long, conflicts_with = "serve")]
    json: bool,
}

/// `hcnode health`: 0 when the node works (with `--gate`: when the release may stay), 1 when it does not, 2 when
/// that could not be found out.
#[must_use]
pub fn run(options: Options) -> ExitCode {
    let done = probes().and_then(|probes| match options {
        Options { serve: true, .. } => serve(probes),
        Options { gate: true, keep, json, .. } => judged(&probes, keep, json),
        Options { json, .. } => once(&probes, json),
    });
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let said = if options.serve { say::warn } else { say::tell };
            said(format!("health: {error}"));
            ExitCode::from(2)
        }
    }
}

/// The probes of this image.
fn probes() -> io::Result<Vec<Probe>> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", place::PROBES));
    let text = std::fs::read(place::PROBES).map_err(named)?;
    serde_json::from_slice(&text).map_err(io::Error::other).map_err(named)
}

fn once(probes: &[Probe], json: bool) -> io::Result<bool> {
    let outcomes = ask::round(&Machine, &probes.iter().collect::<Vec<_>>());
    let text = if json { serde_json::to_string(&outcomes)? + "\n" } else { table::outcomes(&outcomes) };
    io::stdout().write_all(text.as_bytes())?;
    Ok(outcomes.iter().all(|outcome| outcome.passed))
}

/// What the gate says of this release, once every probe has passed or had its time.
///
/// # Errors
/// When the probes, the services' own words or the measure cannot be read.
pub fn verdict() -> io::Result<gate::Verdict> {
    weighed(&probes()?).map(|(_, _, verdict)| verdict)
}

/// What works now is what the next release is measured against.
///
/// # Errors
/// When it cannot be found out or written.
pub fn keep() -> io::Result<()> {
    let probes = probes()?;
    let outcomes = ask::round(&Machine, &probes.iter().collect::<Vec<_>>());
    let parts = super::status::parts::read(Path::new(place::PARTS))?;
    Measure::of(facts::release(), &outcomes, &parts).save(Path::new(place::HEALTHY))
}

fn weighed(probes: &[Probe]) -> io::Result<(Vec<Outcome>, Parts, gate::Verdict)> {
    let started = Instant::now();
    let outcomes = patiently(&Machine, probes, || started.elapsed(), thread::sleep);
    let parts = super::status::parts::read(Path::new(place::PARTS))?;
    let verdict = gate::gate(Measure::load(Path::new(place::HEALTHY))?.as_ref(), &outcomes, &parts);
    Ok((outcomes, parts, verdict))
}

fn judged(probes: &[Probe], keep: bool, json: bool) -> io::Result<bool> {
    let (outcomes, parts, verdict) = weighed(probes)?;
    let text =
        if json { serde_json::to_string(&verdict)? + "\n" } else { table::verdict(&outcomes, &verdict) };
    io::stdout().write_all(text.as_bytes())?;
    if keep && verdict.passes() {
        Measure::of(facts::release(), &outcomes, &parts).save(Path::new(place::HEALTHY))?;
    }
    Ok(verdict.passes())
}

/// The last result of each probe: it passed, or did not within its deadline.
fn patiently(
    ask: &dyn Ask,
    probes: &[Probe],
    elapsed: impl Fn() -> Duration,
    wait: impl Fn(Duration),
) -> Vec<Outcome> {
    let mut results: BTreeMap<usize, Outcome> = BTreeMap::new();
    loop {
        let due: Vec<usize> = (0..probes.len())
            .filter(|index| match results.get(index) {
                None => true,
                Some(last) => !last.passed && elapsed() < Duration::from_secs(probes[*index].deadline),
            })
            .collect();
        if due.is_empty() {
            return results.into_values().collect();
        }
        let asked: Vec<&Probe> = due.iter().map(|index| &probes[*index]).collect();
        results.extend(due.into_iter().zip(ask::round(ask, &asked)));
        if results.values().any(|outcome| !outcome.passed) {
            wait(ROUND);
        }
    }
}

/// Asks for ever. Ends only when its part cannot be written, and systemd starts it again.
fn serve(probes: Vec<Probe>) -> io::Result<bool> {
    let started = Instant::now();
    let release = facts::release();
    let mut watch = Watch::new(probes);
    let (mut said, mut kept) = (None, None);
    loop {
        let outcomes = ask::round(&Machine, &watch.probes().collect::<Vec<_>>());
        watch.take(&outcomes, started.elapsed());
        let part = watch.part();
        if said.as_ref() != Some(&part) {
            part.write("health")?;
            if said.replace(part).is_none() {
                notify::ready()?;
            }
        }
        if watch.settled() {
            let parts = super::status::parts::read(Path::new(place::PARTS))?;
            let measure = Measure::of(release.clone(), &outcomes, &parts);
            if kept.as_ref() != Some(&measure) {
                remember(&measure, Path::new(place::HEALTHY))?;
                kept = Some(measure);
            }
        }
        notify::alive()?;
        thread::sleep(watch.pause());
    }
}

/// Keeps the measure of the release that was committed. Another release that runs on trial does not become the
/// measure by itself: that is for the gate, with `--keep`.
fn remember(measure: &Measure, path: &Path) -> io::Result<()> {
    match Measure::load(path)? {
        Some(before) if before.release != measure.release || before == *measure => Ok(()),
        _ => measure.save(path),
    }
}

/// Writes what nobody may lose to `path`, readable by root alone.
fn save(path: &Path, bytes: &[u8]) -> io::Result<()> {
    file::replace(path, bytes, 0o600)
}

/// What each service said, by its name.
type Parts = BTreeMap<String, Part>;

#[cfg(test)]
mod tests;
