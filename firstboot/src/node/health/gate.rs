//! May this release stay? Measured against what worked before it came, and only for what this node can be blamed for.

use super::Parts;
use crate::node::{file, part::Part};
use contract::{Blame, Code, Outcome, Stage};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::Path,
};

/// What worked, and what did not, in a release that was committed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measure {
    /// Which release: profile and version.
    pub release: String,
    /// Every probe, by overlay and name, and whether it passed.
    pub probes: BTreeMap<String, bool>,
    /// Faults of the node itself that its services told of.
    #[serde(default)]
    pub faults: BTreeSet<Code>,
}

/// What the gate says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Why the release must go: one line each.
    pub failed: Vec<String>,
    /// What does not work either, and does not count: one line each, with the cause.
    pub excused: Vec<String>,
}

impl Verdict {
    /// Whether the release may stay.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.failed.is_empty()
    }
}

impl Measure {
    /// The measure that today's results are for tomorrow.
    #[must_use]
    pub fn of(release: String, now: &[Outcome], parts: &Parts) -> Self {
        let probes = now.iter().map(|outcome| (key(outcome), outcome.passed)).collect();
        Self { release, probes, faults: faults(parts).collect() }
    }

    /// Reads it, if the node has one.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn load(path: &Path) -> io::Result<Option<Self>> {
        let named = |error| io::Error::other(format!("{}: {error}; remove it to start anew", path.display()));
        file::read(path)?.map(|text| serde_json::from_slice(&text).map_err(named)).transpose()
    }

    /// Writes it, whole or not at all.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        super::save(path, &serde_json::to_vec_pretty(self)?)
    }
}

/// Judges `now`. Without a measure everything must work. A probe that is new has to pass; one that did not pass before
/// is excused. Of what the services say, only faults of this node count: that a server does not answer, or that a token
/// has expired, is nothing that an older release would do better.
#[must_use]
pub fn gate(before: Option<&Measure>, now: &[Outcome], parts: &Parts) -> Verdict {
    let mut verdict = Verdict::default();
    for outcome in now.iter().filter(|outcome| !outcome.passed) {
        let key = key(outcome);
        let line = format!("{key}: {}", outcome.found.as_deref().unwrap_or("does not pass"));
        match before.and_then(|measure| measure.probes.get(&key)) {
            Some(false) => verdict.excused.push(format!("{line} (nor did it before this release)")),
            _ => verdict.failed.push(line),
        }
    }
    for (service, part) in others(parts) {
        let Some(reason) = &part.reason else { continue };
        let line = format!("{service}: {reason}");
        if reason.blame != Blame::Node {
            verdict.excused.push(format!("{line} (not this node's fault)"));
        } else if before.is_some_and(|measure| measure.faults.contains(&reason.code)) {
            verdict.excused.push(format!("{line} (so it was before this release)"));
        } else {
            verdict.failed.push(line);
        }
    }
    verdict
}

/// What services other than health say while they are not ready. Health's own reason is its probes, which are judged
/// one by one; the reason of one that is ready is a warning.
fn others(parts: &Parts) -> impl Iterator<Item = (&str, &Part)> {
    let parts = parts.iter().map(|(service, part)| (service.as_str(), part));
    parts.filter(|(service, part)| *service != "health" && part.stage != Stage::Ready)
}

/// Faults of the node itself.
fn faults(parts: &Parts) -> impl Iterator<Item = Code> {
    let reasons = others(parts).filter_map(|(_, part)| part.reason.as_ref());
    reasons.filter(|reason| reason.blame == Blame::Node).map(|reason| reason.code)
}

fn key(outcome: &Outcome) -> String {
    format!("{}: {}", outcome.overlay, outcome.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::Reason;

    fn outcome(overlay: &str, passed: bool) -> Outcome {
        let found = (!passed).then(|| "inactive".to_owned());
        Outcome { overlay: overlay.to_owned(), name: "works".to_owned(), passed, found }
    }

    fn join(stage: Stage, reason: Option<(Code, Blame)>) -> Parts {
        let reason = reason.map(|(code, blame)| Reason {
            code,
            area: "area".to_owned(),
            text: "text".to_owned(),
            blame,
        });
        let part = Part { stage, reason, next: String::new(), probes: Vec::new() };
        Parts::from([("join".to_owned(), part)])
    }

    fn before(smb: bool, fault: Option<Code>) -> Measure {
        let probes = [("samba: works".to_owned(), smb), ("k3s: works".to_owned(), true)];
        Measure { release: "nas 1".to_owned(), probes: probes.into(), faults: fault.into_iter().collect() }
    }

    #[test]
    fn only_what_the_release_broke_counts() {
        use Blame::{Elsewhere, Node, Settings};
        let joined = || join(Stage::Ready, None);
        let works = before(true, None);
        #[rustfmt::skip]
        let cases = [
            ("all works, nothing known",      None,                            true,  true,  joined(), 0, 0),
            ("nothing known, all must work",  None,                            false, true,  joined(), 1, 0),
            ("all works still",               Some(works.clone()),             true,  true,  joined(), 0, 0),
            ("the release broke samba",       Some(works.clone()),             false, true,  joined(), 1, 0),
            ("samba was broken before",       Some(before(false, None)),       false, true,  joined(), 0, 1),
            ("samba was mended",              Some(before(false, None)),       true,  true,  joined(), 0, 0),
            ("a new probe must pass",         Some(Measure::default()),        false, true,  joined(), 1, 0),
            ("pods cannot run any more",      Some(works.clone()),             true,  false, joined(), 1, 0),
            ("no cluster was asked for",      Some(works.clone()),             true,  true,  Parts::new(), 0, 0),
            ("on its way into the cluster",   Some(works.clone()), true,  true,  join(Stage::Joining, None), 0, 0),
            ("the server is down",            Some(works.clone()), true,  true,  join(Stage::Joining, Some((Code::J06, Elsewhere))), 0, 1),
            ("the server went away",          Some(works.clone()), true,  true,  join(Stage::Degraded, Some((Code::J06, Elsewhere))), 0, 1),
            ("the token has expired",         Some(works.clone()), true,  true,  join(Stage::Joining, Some((Code::J09, Settings))), 0, 1),
            ("a dead server excuses no samba", Some(works.clone()), false, true, join(Stage::Joining, Some((Code::J06, Elsewhere))), 1, 1),
            ("the kernel lost its cgroups",   Some(works.clone()), true,  true,  join(Stage::Joining, Some((Code::J03, Node))), 1, 0),
            ("it never had them",             Some(before(true, Some(Code::J03))), true, true, join(Stage::Joining, Some((Code::J03, Node))), 0, 1),
            ("a warning of one that is in",   Some(works.clone()), true,  true,  join(Stage::Ready, Some((Code::J15, Node))), 0, 0),
        ];
        for (what, before, smb, k3s, parts, failed, excused) in cases {
            let verdict = gate(before.as_ref(), &[outcome("samba", smb), outcome("k3s", k3s)], &parts);
            assert_eq!(
                (verdict.failed.len(), verdict.excused.len()),
                (failed, excused),
                "{what}: {verdict:?}"
            );
            assert_eq!(verdict.passes(), failed == 0, "{what}");
        }
    }

    #[test]
    fn lines_name_the_probe_and_what_was_found() {
        let parts = join(Stage::Joining, Some((Code::J06, Blame::Elsewhere)));
        let verdict = gate(None, &[outcome("samba", false), outcome("k3s", true)], &parts);
        assert_eq!(verdict.failed, ["samba: works: inactive"]);
        assert_eq!(verdict.excused, ["join: HC-J06 area: text (not this node's fault)"]);
    }

    #[test]
    fn a_measure_is_kept_and_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("healthy.json");
        assert_eq!(Measure::load(&path).unwrap(), None);
        let parts = join(Stage::Degraded, Some((Code::J03, Blame::Node)));
        let measure =
            Measure::of("nas 1".to_owned(), &[outcome("samba", true), outcome("k3s", true)], &parts);
        assert_eq!(measure, before(true, Some(Code::J03)));
        measure.save(&path).unwrap();
        assert_eq!(Measure::load(&path).unwrap(), Some(measure));
        std::fs::write(&path, "[").unwrap();
        assert!(Measure::load(&path).unwrap_err().to_string().contains("healthy.json"));
    }
}
