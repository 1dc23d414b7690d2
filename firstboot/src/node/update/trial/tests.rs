use super::*;
use crate::node::update::{
    cluster::{Leave, Neighbours, Phase, Reach, Rejoin},
    record::{Failure, Notes, Record, Staged},
    select::{Selector as _, fake::FakeSelector},
};
use contract::{Code, Digest};

const A: Digest = Digest([0xaa; 32]);
const B: Digest = Digest([0xbb; 32]);

/// A machine by script.
#[derive(Default)]
struct Fake {
    root: Option<&'static str>,
    state: Option<&'static str>,
    adapters: usize,
    gate: Option<Result<Vec<&'static str>, &'static str>>,
    reach: Reach,
    done: Vec<&'static str>,
}

impl Machine for Fake {
    fn read_root(&mut self) -> Result<u64, String> {
        self.root.map_or(Ok(100), |why| Err(why.to_owned()))
    }
    fn try_state(&mut self) -> Result<(), String> {
        self.state.map_or(Ok(()), |why| Err(why.to_owned()))
    }
    fn adapters(&mut self) -> usize {
        self.adapters
    }
    fn gate(&mut self) -> Result<Verdict, String> {
        self.done.push("gate");
        let failed = self.gate.clone().unwrap_or(Ok(Vec::new())).map_err(str::to_owned)?;
        Ok(Verdict { failed: failed.into_iter().map(str::to_owned).collect(), excused: Vec::new() })
    }
    fn waits(&mut self) -> bool {
        false
    }
    fn keep_measure(&mut self) -> Result<(), String> {
        self.done.push("measure");
        Ok(())
    }
    fn last_lines(&mut self) -> String {
        "smbd: cannot bind\n".to_owned()
    }
    fn restart(&mut self) -> io::Result<()> {
        self.done.push("restart");
        Ok(())
    }
    fn decided(&mut self) -> io::Result<()> {
        self.done.push("decided");
        Ok(())
    }
}

#[derive(Default)]
struct Alone(Vec<String>, Reach);

impl Neighbours for Alone {
    fn look(&mut self) -> Reach {
        self.1.clone()
    }
    fn keep_datastore(&mut self, _: Option<&str>, _: Option<&str>) -> Result<Option<String>, String> {
        Ok(None)
    }
    fn leave(&mut self, _: &str) -> Leave {
        Leave::Free(Vec::new())
    }
    fn rejoin(&mut self) -> Rejoin {
        self.0.push("rejoin".to_owned());
        Rejoin::Done(Vec::new())
    }
    fn reconcile(&mut self, phase: Phase) -> Rejoin {
        self.0.push(format!("{phase:?}"));
        Rejoin::Later("no route".to_owned())
    }
}

fn committed(generation: u64) -> Option<Entry> {
    Some(Entry::Committed { generation })
}

fn tried(left: u8, done: u8) -> Option<Entry> {
    Some(Entry::Trial { generation: 2, left, done })
}

/// A node that runs `slot` with these entries; both kernels can be started.
fn node(a: Option<Entry>, b: Option<Entry>) -> FakeSelector {
    let mut selector = FakeSelector::flashed(b"one");
    selector.entries = [a, b];
    selector.kernels[1] = b.map(|_| (b"two".to_vec(), true));
    selector
}

fn boot(slot: Slot) -> Boot {
    let (root, other) = if slot == Slot::A { (A, B) } else { (B, A) };
    Boot { slot, root, release: format!("nas {slot}"), floor: 7, other: Some(other) }
}

fn staged() -> Record {
    let reach = Reach { member: true, api: true, network: true, ..Reach::default() };
    let before = A;
    let staged = Staged {
        slot: Slot::B,
        root: B,
        version: "2".to_owned(),
        reach,
        adapters: 1,
        before,
        rollback: false,
    };
    Record { staged: Some(staged), ..Record::default() }
}

struct Played {
    end: End,
    record: Record,
    log: Vec<String>,
    done: Vec<&'static str>,
    asked: Vec<String>,
    lines: Option<String>,
}

fn play(boot: &Boot, selector: &mut FakeSelector, mut machine: Fake, record: &Record) -> Played {
    let dir = tempfile::tempdir().unwrap();
    let notes = Notes::in_folder(dir.path());
    assert_eq!(notes.save(record), None);
    let mut alone = Alone(Vec::new(), machine.reach.clone());
    let end = settle(boot, selector, &mut machine, &mut alone, &notes).unwrap();
    let (record, log) = (notes.load().0, selector.log.clone());
    Played { end, record, log, done: machine.done, asked: alone.0, lines: notes.lines() }
}

fn well() -> Fake {
    let reach = Reach { member: true, api: true, network: true, ..Reach::default() };
    Fake { adapters: 1, reach, ..Fake::default() }
}

#[test]
fn every_pair_of_entries_has_its_meaning() {
    use Situation::{Counted, Kept, Last, Trial};
    #[rustfmt::skip]
    let cases = [
        // What runs (A), the other (B), whether a proof was asked for.
        (committed(1), None,         false, Kept,    Other::Nothing),
        (committed(1), committed(2), false, Kept,    Other::Kept),
        (committed(1), tried(3, 0),  false, Kept,    Other::Staged),
        (committed(1), tried(1, 2),  false, Kept,    Other::Staged),
        (committed(1), tried(0, 3),  false, Kept,    Other::UsedUp),
        (committed(1), tried(0, 1),  false, Kept,    Other::TakenBack),
        (tried(2, 1),  None,         false, Counted, Other::Nothing),
        (tried(2, 1),  committed(1), true,  Counted, Other::Kept),
        (tried(2, 1),  committed(1), false, Trial,   Other::Kept),
        (tried(0, 3),  committed(1), false, Trial,   Other::Kept),
        (tried(0, 3),  tried(0, 3),  false, Last,    Other::UsedUp),
        (tried(0, 3),  tried(2, 1),  false, Last,    Other::Staged),
        (None,         None,         false, Last,    Other::Nothing),
        (None,         committed(2), false, Last,    Other::Kept),
        (None,         tried(0, 3),  false, Last,    Other::UsedUp),
    ];
    for (a, b, proving, expected, beside) in cases {
        let selection = Selection { a, b, ..Selection::default() };
        assert_eq!(situation(&selection, Slot::A, proving), expected, "{a:?} {b:?}");
        assert_eq!(other(&selection, Slot::A), beside, "{a:?} {b:?}");
    }
}

#[test]
fn the_first_start_is_kept_without_a_gate() {
    let mut selector = node(tried(2, 1), None);
    let played = play(&boot(Slot::A), &mut selector, Fake::default(), &Record::default());
    assert_eq!((played.log, played.done), (vec!["commit a".to_owned()], vec!["decided"]));
    assert_eq!((played.record.kept, played.record.floor, played.end.reason), (Some(A), 7, None));
}

#[test]
fn a_release_that_works_is_kept_and_raises_the_floor_afterwards() {
    let mut selector = node(committed(1), tried(2, 1));
    let played = play(&boot(Slot::B), &mut selector, well(), &staged());
    assert_eq!((played.log, played.done), (vec!["commit b".to_owned()], vec!["gate", "decided", "measure"]));
    assert_eq!(played.asked, ["Trial", "rejoin"]);
    assert!(!played.end.restarts && played.end.reason.is_none());
    assert_eq!(played.record, Record { floor: 7, kept: Some(B), ..Record::default() });
    assert_eq!(selector.next(), Some(Slot::B));
}

#[test]
fn a_release_that_fails_is_given_up_with_its_reason() {
    let outage = Reach { member: true, network: true, ..Reach::default() };
    let broken = Reach { door: true, ..outage.clone() };
    #[rustfmt::skip]
    let cases = [
        (Fake { root: Some("input/output error"), ..well() },           Some("the root cannot be read: input/output error")),
        (Fake { state: Some("read-only file system"), ..well() },       Some("state cannot be written: read-only")),
        (Fake { adapters: 0, ..well() },                                Some("finds no network adapter, and found 1 before")),
        (Fake { gate: Some(Ok(vec!["samba: smbd: refused"])), ..well() }, Some("samba: smbd: refused")),
        (Fake { gate: Some(Err("no answer in 15 minutes")), ..well() }, Some("the health gate did not answer: no answer in 15")),
        (Fake { reach: broken, ..well() },                              Some("although a server opens its door")),
        // P14: nobody is reached, so the release is not to blame.
        (Fake { reach: outage, ..well() },                              None),
    ];
    for (machine, expected) in cases {
        let mut selector = node(committed(1), tried(0, 3));
        let played = play(&boot(Slot::B), &mut selector, machine, &staged());
        let Some(expected) = expected else {
            assert_eq!(played.log, ["commit b"]);
            assert!(played.end.said.iter().any(|line| line.contains("excused: ")), "{:?}", played.end.said);
            continue;
        };
        assert_eq!(
            (&played.log[..], played.end.restarts),
            (&["give up b".to_owned()][..], true),
            "{expected}"
        );
        assert_eq!(played.done.last(), Some(&"restart"));
        assert!(!played.done.contains(&"decided"), "its timer must still bring it back");
        let failure = &played.record.failures[0];
        assert_eq!((failure.root, failure.code, failure.version.as_str()), (B, Code::U05, "2"));
        assert!(failure.why[0].contains(expected), "{failure:?}");
        assert_eq!(played.lines.as_deref(), Some("smbd: cannot bind\n"));
        // Back on the old slot it is told, and never tried again by itself.
        selector.log.clear();
        let back = play(&boot(Slot::A), &mut selector, well(), &played.record);
        let reason = back.end.reason.unwrap().to_string();
        assert!(reason.starts_with("HC-U05") && reason.contains(expected), "{reason}");
        assert!(reason.contains("release 2") && reason.contains("nas a runs again"), "{reason}");
        assert_eq!((back.record.turned_down()[0].0, back.end.restarts), (B, false));
        assert_eq!((&back.asked[..], back.end.later), (&["Settled".to_owned()][..], true));
    }
}

#[test]
fn one_that_never_spoke_is_told_of_even_without_notes() {
    let mut selector = node(committed(1), tried(0, 3));
    let played = play(&boot(Slot::A), &mut selector, well(), &staged());
    let reason = played.end.reason.unwrap().to_string();
    assert!(reason.starts_with("HC-U06 update: release 2 was started 3 times"), "{reason}");
    assert_eq!(played.record.failures[0].code, Code::U06);
    let again = play(&boot(Slot::A), &mut selector, well(), &played.record).end.reason.unwrap().to_string();
    assert!(again.starts_with("HC-U06 update: release 2"), "{again}");
    let mut selector = node(committed(1), tried(0, 3));
    let lost = play(&boot(Slot::A), &mut selector, well(), &Record::default()).end.reason.unwrap();
    assert!(lost.to_string().contains("release bbbbbbbbbbbb was started 3 times"), "{lost}");
    let mut selector = node(committed(1), tried(0, 1));
    let lost = play(&boot(Slot::A), &mut selector, well(), &Record::default()).end.reason.unwrap();
    assert!(lost.to_string().contains("reason was lost with the node's notes"), "{lost}");
}

#[test]
fn the_last_slot_runs_on_whatever_its_checks_say() {
    let sick = || Fake { gate: Some(Ok(vec!["samba: refused"])), ..well() };
    let mut selector = node(tried(0, 3), tried(0, 3));
    let played = play(&boot(Slot::A), &mut selector, sick(), &Record::default());
    let reason = played.end.reason.unwrap().to_string();
    assert!(reason.starts_with("HC-U07") && reason.contains("samba: refused"), "{reason}");
    assert_eq!((played.log.len(), played.done), (0, vec!["decided", "gate"]));
    assert!(!played.end.restarts);
    // When it works after all it is kept.
    let played = play(&boot(Slot::A), &mut selector, well(), &Record::default());
    assert_eq!((&played.log[..], played.end.reason), (&["commit a".to_owned()][..], None));
    // Without any entry it gets one back once it passes.
    let mut selector = node(None, tried(0, 3));
    let played = play(&boot(Slot::A), &mut selector, well(), &Record::default());
    assert_eq!((selector.entries[0], played.end.restarts), (committed(1), false));
}

#[test]
fn an_update_whose_way_back_was_lost_is_judged_and_stays_up() {
    let mut selector = node(None, tried(2, 1));
    let sick = Fake { gate: Some(Ok(vec!["samba: refused"])), ..well() };
    let played = play(&boot(Slot::B), &mut selector, sick, &staged());
    assert_eq!((played.end.situation, played.end.restarts), (Situation::Last, false));
    assert!(played.end.reason.unwrap().to_string().starts_with("HC-U07"));
    let played = play(&boot(Slot::B), &mut selector, well(), &staged());
    assert_eq!((&played.log[..], played.end.reason), (&["commit b".to_owned()][..], None));
}

#[test]
fn a_slot_that_its_owner_went_back_to_turns_the_other_one_down() {
    let mut record = staged();
    record.staged = record.staged.map(|staged| Staged { slot: Slot::B, rollback: true, ..staged });
    record.failed(Failure { root: B, version: "2".to_owned(), code: Code::U05, why: Vec::new() });
    let mut selector = node(committed(1), tried(2, 1));
    let played = play(&boot(Slot::B), &mut selector, well(), &record);
    assert_eq!(played.record.turned_down(), [(A, "its owner went back from it to nas b".to_owned())]);
}

#[test]
fn a_medium_that_takes_no_decision_is_an_error_to_try_again() {
    for (entries, machine) in [
        ((committed(1), tried(2, 1)), well()),
        ((committed(1), tried(2, 1)), Fake { root: Some("x"), ..well() }),
    ] {
        let mut selector = node(entries.0, entries.1);
        selector.fails_at = Some(0);
        let dir = tempfile::tempdir().unwrap();
        let (mut machine, mut alone) = (machine, Alone::default());
        let notes = Notes::in_folder(dir.path());
        settle(&boot(Slot::B), &mut selector, &mut machine, &mut alone, &notes).unwrap_err();
        assert!(!machine.done.contains(&"decided") && !machine.done.contains(&"restart"));
        assert!(selector.read().unwrap().of(Slot::A) == committed(1));
    }
}
