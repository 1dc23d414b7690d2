//! What the probes' results mean over time: what is still starting, what works, what does not.

use crate::node::part::Part;
use contract::{Blame, Code, Outcome, Probe, Reason, Stage};
use std::time::Duration;

/// A service that worked is given up after so many misses in a row: one may be a busy moment.
const MISSES: u32 = 3;
/// The first pause, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(30));

/// All probes, and how they went.
#[derive(Debug)]
pub struct Watch {
    tracks: Vec<Track>,
    /// Rounds since the picture changed last.
    quiet: u32,
}

#[derive(Debug)]
struct Track {
    probe: Probe,
    light: Light,
    misses: u32,
    found: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Light {
    /// Not yet passed, and its deadline is to come.
    Waiting,
    Green,
    Red,
}

impl Watch {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(probes: Vec<Probe>) -> Self {
        let track = |probe| Track { probe, light: Light::Waiting, misses: 0, found: None };
        Self { tracks: probes.into_iter().map(track).collect(), quiet: 0 }
    }

    /// The probes, in their order.
    pub fn probes(&self) -> impl Iterator<Item = &Probe> {
        self.tracks.iter().map(|track| &track.probe)
    }

    /// Takes the results of one round, in the order of [`Self::probes`]; `since` is the time since the first.
    pub fn take(&mut self, outcomes: &[Outcome], since: Duration) {
        let mut changed = false;
        for (track, outcome) in self.tracks.iter_mut().zip(outcomes) {
            changed |= track.take(outcome, since);
        }
        self.quiet = if changed { 0 } else { self.quiet.saturating_add(1) };
    }

    /// How health stands.
    #[must_use]
    pub fn part(&self) -> Part {
        let lit = |light| self.tracks.iter().filter(move |track| track.light == light);
        let red: Vec<&Track> = lit(Light::Red).collect();
        // What exactly is waited for is in the probes: consoles need not be told of each.
        let (stage, next) = match (red.is_empty(), lit(Light::Waiting).next()) {
            (false, _) => (Stage::Degraded, "see `hcnode status` and `journalctl -b -p warning` on the node"),
            (true, Some(_)) => (Stage::Starting, "services start"),
            (true, None) => (Stage::Ready, ""),
        };
        let probes = self.tracks.iter().map(Track::outcome).collect();
        Part { stage, reason: reason(&red), next: next.to_owned(), probes }
    }

    /// Whether every probe has passed or has had its time.
    #[must_use]
    pub fn settled(&self) -> bool {
        // One that has just missed once is between two lights.
        self.tracks.iter().all(|track| match track.light {
            Light::Waiting => false,
            Light::Green => track.misses == 0,
            Light::Red => true,
        })
    }

    /// How long to wait for the next round: short after a change or a first miss, longer while nothing happens.
    #[must_use]
    pub fn pause(&self) -> Duration {
        let (first, longest) = PAUSE;
        if self.tracks.iter().any(|track| track.light == Light::Green && track.misses > 0) {
            return first;
        }
        first.saturating_mul(1 << self.quiet.min(8)).min(longest)
    }
}

impl Track {
    /// Whether the light changed.
    fn take(&mut self, outcome: &Outcome, since: Duration) -> bool {
        self.found.clone_from(&outcome.found);
        self.misses = if outcome.passed { 0 } else { self.misses.saturating_add(1) };
        let in_time = since < Duration::from_secs(self.probe.deadline);
        let light = match (outcome.passed, self.light) {
            (true, _) => Light::Green,
            (false, Light::Waiting) if in_time => Light::Waiting,
            (false, Light::Green) if self.misses < MISSES => Light::Green,
            (false, _) => Light::Red,
        };
        std::mem::replace(&mut self.light, light) != light
    }

    fn outcome(&self) -> Outcome {
        let passed = self.light == Light::Green;
        let found = if passed { None } else { self.found.clone() };
        Outcome { overlay: self.probe.overlay.clone(), name: self.probe.name.clone(), passed, found }
    }
}

fn reason(red: &[&Track]) -> Option<Reason> {
    let first = red.first()?;
    let found = first.found.as_deref().unwrap_or("no answer");
    let more = match red.len() {
        1 => String::new(),
        count => format!(" (and {} more)", count - 1),
    };
    let text = format!("\"{}\" does not hold: {found}{more}", first.probe.name);
    Some(Reason { code: Code::P01, area: first.probe.overlay.clone(), text, blame: Blame::Node })
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::Check;

    fn probe(overlay: &str, deadline: u64) -> Probe {
        let check = Check::Unit(format!("{overlay}.service"));
        Probe { overlay: overlay.to_owned(), name: format!("{overlay} runs"), deadline, check }
    }

    fn results(watch: &Watch, passed: &[bool]) -> Vec<Outcome> {
        let outcome = |(probe, passed): (&Probe, &bool)| Outcome {
            overlay: probe.overlay.clone(),
            name: probe.name.clone(),
            passed: *passed,
            found: (!passed).then(|| "inactive".to_owned()),
        };
        watch.probes().zip(passed).map(outcome).collect()
    }

    #[test]
    fn lights_change_when_they_should() {
        use Stage::{Degraded, Ready, Starting};
        // Rounds: seconds, whether samba (60 s) and nfs (90 s) pass; then the stage, whether all is settled, and the
        // seconds until the next round.
        #[rustfmt::skip]
        let story = [
            (0,   false, false, Starting, false, 4),
            (4,   false, false, Starting, false, 8),
            (12,  true,  false, Starting, false, 2),
            (14,  true,  false, Starting, false, 4),
            (89,  true,  false, Starting, false, 8),
            (97,  true,  false, Degraded, true,  2),   // nfs had its time
            (99,  true,  false, Degraded, true,  4),
            (103, true,  true,  Ready,    true,  2),
            (105, true,  true,  Ready,    true,  4),
            (109, false, true,  Ready,    false, 2),   // a first miss: asked again soon
            (111, false, true,  Ready,    false, 2),
            (113, false, true,  Degraded, true,  2),
            (115, false, true,  Degraded, true,  4),
            (119, true,  true,  Ready,    true,  2),
        ];
        let mut watch = Watch::new(vec![probe("samba", 60), probe("nfs", 90)]);
        for (at, samba, nfs, stage, settled, pause) in story {
            watch.take(&results(&watch, &[samba, nfs]), Duration::from_secs(at));
            let part = watch.part();
            assert_eq!(part.stage, stage, "at {at} s");
            assert_eq!(part.reason.is_some(), stage == Degraded, "at {at} s");
            assert_eq!(watch.settled(), settled, "at {at} s");
            assert_eq!(watch.pause(), Duration::from_secs(pause), "at {at} s");
        }
    }

    #[test]
    fn quiet_rounds_are_thirty_seconds_apart() {
        let mut watch = Watch::new(vec![probe("samba", 60)]);
        for _ in 0..1000 {
            watch.take(&results(&watch, &[true]), Duration::from_secs(1));
        }
        assert_eq!(watch.pause(), Duration::from_secs(30));
    }

    #[test]
    fn the_reason_names_the_probe_and_what_was_found() {
        let mut watch = Watch::new(vec![probe("samba", 1), probe("nfs", 1)]);
        watch.take(&results(&watch, &[false, false]), Duration::from_secs(1));
        let part = watch.part();
        assert_eq!(
            part.reason.unwrap().to_string(),
            "HC-P01 samba: \"samba runs\" does not hold: inactive (and 1 more)"
        );
        assert_eq!(part.probes[1].found.as_deref(), Some("inactive"));
    }

    #[test]
    fn a_node_without_probes_is_ready() {
        let mut watch = Watch::new(Vec::new());
        watch.take(&[], Duration::ZERO);
        assert_eq!(watch.part().stage, Stage::Ready);
        assert!(watch.settled());
    }
}
