//! From what each service says to what the node says.

use super::facts::Facts;
use crate::node::part::Part;
use contract::{Blame, Code, Reason, Stage, Status};
use std::{cmp::Reverse, collections::BTreeMap};

/// The services that every node has: before they have spoken the node is not further than this.
const EXPECTED: [(&str, Stage); 2] = [("first-boot", Stage::FirstBoot), ("health", Stage::Starting)];

/// Puts the parts together. The stage is the worst: a part that is degraded, or else the one that is least far. One
/// reason is told, the one that has to be mended first: a fault of the node, of its settings, of a service, elsewhere.
#[must_use]
pub fn combine(parts: &BTreeMap<String, Part>, facts: Facts) -> Status {
    let Facts { name, addresses, release, slot, at, uptime: _ } = facts;
    let stage = stage(parts);
    let told = parts
        .iter()
        .filter_map(|(service, part)| Some((rank(service, part, part.reason.as_ref()?), part)))
        .min_by_key(|(rank, _)| *rank)
        .map(|(_, part)| part);
    let speaker = told.or_else(|| parts.values().find(|part| part.stage == stage && !part.next.is_empty()));
    let next = speaker.map(|part| part.next.as_str()).filter(|next| !next.is_empty());
    Status {
        name,
        addresses,
        release,
        slot,
        stage,
        reason: told.and_then(|part| part.reason.clone()),
        next: next.unwrap_or_else(|| otherwise(stage)).to_owned(),
        probes: parts.values().flat_map(|part| part.probes.iter().cloned()).collect(),
        at,
    }
}

fn stage(parts: &BTreeMap<String, Part>) -> Stage {
    if parts.values().any(|part| part.stage == Stage::Degraded) {
        return Stage::Degraded;
    }
    let silent =
        EXPECTED.iter().filter(|(service, _)| !parts.contains_key(*service)).map(|(_, stage)| *stage);
    parts.values().map(|part| part.stage).chain(silent).min().unwrap_or(Stage::FirstBoot)
}

/// The lowest is told. Among faults of one kind: what is worse, then what comes first on the way.
fn rank<'a>(service: &'a str, part: &Part, reason: &Reason) -> (bool, u8, Reverse<Stage>, Code, &'a str) {
    let blame = match (reason.blame, reason.code) {
        // A probe sees that something is wrong; who knows why comes first.
        (Blame::Node, Code::P01) => 2,
        (Blame::Node, _) => 0,
        (Blame::Settings, _) => 1,
        (Blame::Elsewhere, _) => 3,
    };
    // Of a part that is ready it is a warning.
    (part.stage == Stage::Ready, blame, Reverse(part.stage), reason.code, service)
}

fn otherwise(stage: Stage) -> &'static str {
    match stage {
        Stage::FirstBoot => "settings are read and carried out",
        Stage::Starting => "services start",
        Stage::Joining => "the node is on its way into the cluster",
        Stage::Ready => "nothing to do",
        Stage::Degraded => "see `hcnode status` on the node",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::{Outcome, slots::Slot};
    use std::time::Duration;

    fn facts() -> Facts {
        Facts {
            name: "nas".to_owned(),
            addresses: vec!["192.168.1.20 (eth0)".to_owned()],
            release: "nas 1".to_owned(),
            slot: Some(Slot::A),
            at: 1_700_000_000,
            uptime: Duration::from_secs(9),
        }
    }

    fn part(stage: Stage, reason: Option<(Code, Blame)>, next: &str) -> Part {
        let reason =
            reason.map(|(code, blame)| Reason { code, area: "area".into(), text: "text".into(), blame });
        Part { stage, reason, next: next.to_owned(), probes: Vec::new() }
    }

    #[test]
    fn the_worst_stage_and_the_first_reason_win() {
        use Blame::{Elsewhere, Node, Settings};
        use Stage::{Degraded, FirstBoot, Joining, Ready, Starting};
        let fine = |service| (service, part(Ready, None, ""));
        #[rustfmt::skip]
        let cases = [
            ("nobody spoke yet", vec![], FirstBoot, None, "settings are read and carried out"),
            ("settings are carried out", vec![("first-boot", part(FirstBoot, None, "waits for the card"))],
                FirstBoot, None, "waits for the card"),
            ("health has not spoken", vec![fine("first-boot")], Starting, None, "services start"),
            ("services start", vec![fine("first-boot"), ("health", part(Starting, None, "waits until smb listens"))],
                Starting, None, "waits until smb listens"),
            ("a NAS on its own", vec![fine("first-boot"), fine("health")], Ready, None, "nothing to do"),
            ("on its way", vec![fine("first-boot"), fine("health"), ("join", part(Joining, None, ""))],
                Joining, None, "the node is on its way into the cluster"),
            ("the server is down", vec![fine("first-boot"), fine("health"), ("join", part(Joining, Some((Code::J06, Elsewhere)), "asks again in 30 s"))],
                Joining, Some(Code::J06), "asks again in 30 s"),
            ("all is in", vec![fine("first-boot"), fine("health"), fine("join")], Ready, None, "nothing to do"),
            ("the seed has a fault, the server is down too", vec![
                ("first-boot", part(Degraded, Some((Code::J01, Settings)), "mend line 7")), fine("health"),
                ("join", part(Joining, Some((Code::J06, Elsewhere)), "asks again"))],
                Degraded, Some(Code::J01), "mend line 7"),
            ("who knows why comes before a probe", vec![
                ("first-boot", part(Degraded, Some((Code::J01, Settings)), "mend line 7")),
                ("health", part(Degraded, Some((Code::P01, Node)), "see the journal")),
                ("join", part(Joining, Some((Code::J03, Node)), "mend the kernel"))],
                Degraded, Some(Code::J03), "mend the kernel"),
            ("a service of the node before the server", vec![
                fine("first-boot"), ("health", part(Degraded, Some((Code::P01, Node)), "see the journal")),
                ("join", part(Joining, Some((Code::J06, Elsewhere)), "asks again"))],
                Degraded, Some(Code::P01), "see the journal"),
            ("a warning of one that is ready comes last", vec![
                fine("first-boot"), fine("health"), ("join", part(Ready, Some((Code::J15, Node)), "erase it")),
                ("seed", part(Joining, Some((Code::J06, Elsewhere)), "asks again"))],
                Joining, Some(Code::J06), "asks again"),
            ("a warning is told", vec![fine("first-boot"), fine("health"), ("join", part(Ready, Some((Code::J15, Node)), "erase it"))],
                Ready, Some(Code::J15), "erase it"),
            ("the earlier step of two", vec![
                fine("first-boot"), fine("health"), ("a", part(Joining, Some((Code::J06, Elsewhere)), "six")),
                ("b", part(Joining, Some((Code::J04, Elsewhere)), "four"))],
                Joining, Some(Code::J04), "four"),
            ("a reason without a next step", vec![
                fine("first-boot"), fine("health"), ("join", part(Degraded, Some((Code::J11, Settings)), ""))],
                Degraded, Some(Code::J11), "see `hcnode status` on the node"),
        ];
        for (what, parts, stage, code, next) in cases {
            let parts = parts.into_iter().map(|(service, part)| (service.to_owned(), part)).collect();
            let status = combine(&parts, facts());
            let told = status.reason.map(|reason| reason.code);
            assert_eq!((status.stage, told, status.next.as_str()), (stage, code, next), "{what}");
        }
    }

    #[test]
    fn probes_and_facts_go_through() {
        let outcome =
            Outcome { overlay: "ssh".into(), name: "ssh listens".into(), passed: true, found: None };
        let health = Part { probes: vec![outcome.clone()], ..part(Stage::Ready, None, "") };
        let status = combine(&BTreeMap::from([("health".to_owned(), health)]), facts());
        assert_eq!(status.probes, [outcome]);
        assert_eq!((status.name.as_str(), status.slot, status.at), ("nas", Some(Slot::A), 1_700_000_000));
    }
}
