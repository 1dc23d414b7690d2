use super::*;
use contract::Check;
use std::{
    cell::Cell,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

/// A machine on which each check passes from its second on.
struct Fake {
    now: AtomicU64,
    from: BTreeMap<&'static str, u64>,
    questions: Mutex<Vec<usize>>,
}

impl Fake {
    fn answer(&self, name: &str) -> Result<(), String> {
        let now = self.now.load(Ordering::SeqCst);
        if now >= self.from[name] { Ok(()) } else { Err(format!("not at {now} s")) }
    }
}

impl Ask for Fake {
    fn units(&self, names: &[&str]) -> Vec<Result<(), String>> {
        self.questions.lock().unwrap().push(names.len());
        names.iter().map(|name| self.answer(name)).collect()
    }

    fn check(&self, check: &Check) -> Result<(), String> {
        match check {
            Check::File(name) => self.answer(name),
            other => Err(format!("{other:?}")),
        }
    }
}

fn probe(name: &'static str, deadline: u64, check: Check) -> Probe {
    Probe { overlay: "o".to_owned(), name: name.to_owned(), deadline, check }
}

#[test]
fn the_gate_waits_as_long_as_each_deadline_allows() {
    let unit = |name: &'static str, deadline| probe(name, deadline, Check::Unit(name.to_owned()));
    let file = |name: &'static str, deadline| probe(name, deadline, Check::File(name.to_owned()));
    let probes = [unit("at once", 9), file("slow", 60), unit("late", 30), file("never", 90)];
    let from = BTreeMap::from([("at once", 0), ("slow", 50), ("late", 40), ("never", u64::MAX)]);
    let fake = Fake { now: AtomicU64::new(0), from, questions: Mutex::default() };
    let rounds = Cell::new(0);
    let outcomes = patiently(
        &fake,
        &probes,
        || Duration::from_secs(fake.now.load(Ordering::SeqCst)),
        |pause| {
            rounds.set(rounds.get() + 1);
            fake.now.fetch_add(pause.as_secs(), Ordering::SeqCst);
        },
    );
    let seen: Vec<_> = outcomes.iter().map(|outcome| (outcome.passed, outcome.found.as_deref())).collect();
    assert_eq!(
        seen,
        [(true, None), (true, None), (false, Some("not at 29 s")), (false, Some("not at 89 s"))]
    );
    assert_eq!(rounds.get(), 90);
    // Both units in one question at first; what has passed is not asked again.
    let questions = fake.questions.lock().unwrap();
    assert_eq!((questions[0], questions[1], questions.len()), (2, 1, 30));
}

#[test]
fn a_node_that_works_passes_without_a_pause() {
    let fake = Fake { now: AtomicU64::new(0), from: BTreeMap::from([("x", 0)]), questions: Mutex::default() };
    let probes = [probe("x", 60, Check::File("x".to_owned()))];
    let outcomes = patiently(&fake, &probes, || Duration::ZERO, |_| panic!("nothing to wait for"));
    assert!(outcomes[0].passed);
    assert!(patiently(&fake, &[], || Duration::ZERO, |_| panic!("nothing to wait for")).is_empty());
}

#[test]
fn a_release_on_trial_does_not_become_the_measure_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("healthy.json");
    let measure = |release: &str, works| Measure {
        release: release.to_owned(),
        probes: BTreeMap::from([("o: x".to_owned(), works)]),
        ..Measure::default()
    };
    for (now, expected) in [
        (measure("nas 1", true), measure("nas 1", true)),
        (measure("nas 1", false), measure("nas 1", false)),
        (measure("nas 2", true), measure("nas 1", false)),
    ] {
        remember(&now, &path).unwrap();
        assert_eq!(Measure::load(&path).unwrap(), Some(expected));
    }
}
