//! P24: manners neither hang nor leave a node behind that takes no pods, whatever happens and wherever it happens.

use super::{
    Leave, Phase, Rejoin,
    api::{Own, Peer, Pod},
    lock::Entry,
    member::Member,
    policy::{Overdue, Policy},
    world::{NOW, World},
};
use contract::seed::Role;

fn abort() -> Policy {
    Policy { drain_seconds: 60, ..Policy::default() }
}

fn proceed() -> Policy {
    Policy { overdue: Overdue::Proceed, ..abort() }
}

fn member<'a>(world: &'a mut World, policy: &'a Policy, role: Role) -> Member<'a, World> {
    Member { api: world, name: "pi3", role, policy }
}

fn leave(world: &mut World, policy: &Policy, role: Role) -> Leave {
    member(world, policy, role).leave("nas 1.5")
}

fn entry(holder: &str, since: u64, until: u64) -> String {
    let release = "nas 1.5".to_owned();
    serde_json::to_string(&Entry { holder: holder.to_owned(), release, since, until }).unwrap()
}

fn stays(left: &Leave, words: &str) {
    match left {
        Leave::Stay(why) => assert!(why.contains(words), "{why}"),
        Leave::Free(done) => panic!("it left: {done:?}; expected `{words}`"),
    }
}

fn server(name: &str, ready: bool) -> Peer {
    Peer { name: name.to_owned(), ready, server: true, etcd: true, voter: Some(true) }
}

fn agent(name: &str) -> Peer {
    Peer { name: name.to_owned(), ready: true, ..Peer::default() }
}

#[test]
fn an_agent_leaves_and_comes_back_and_nothing_remains() {
    let mut world = World::with_pods(&["web", "db"]);
    world.slow.insert("db".to_owned(), 3);
    let policy = abort();
    assert_eq!(leave(&mut world, &policy, Role::Agent), Leave::Free(Vec::new()));
    let own = world.own.clone().unwrap();
    assert_eq!((own.cordoned, own.mark.as_deref()), (true, Some("nas 1.5")));
    assert!(world.pods.is_empty());
    assert!(world.lock("agents").contains("\"pi3\""));
    let others = "lock of nobody".to_owned();
    world.locks.as_mut().unwrap().insert("agents.slow".to_owned(), others.clone());
    // The new release starts: nothing is taken back before it is committed, and the lock is kept.
    let before = world.lock("agents");
    assert_eq!(member(&mut world, &policy, Role::Agent).reconcile(Phase::Trial), Rejoin::Done(Vec::new()));
    assert!(world.own.as_ref().unwrap().cordoned && world.lock("agents") > before);
    let Rejoin::Done(words) = member(&mut world, &policy, Role::Agent).rejoin() else { panic!() };
    assert_eq!(words, ["the node takes pods again", "the next node of the pool may go"]);
    assert!(world.is_clean());
    assert_eq!(world.lock("agents.slow"), others);
    assert_eq!(member(&mut world, &policy, Role::Agent).rejoin(), Rejoin::Done(Vec::new()));
}

#[test]
fn a_cordon_of_an_administrator_stays() {
    let own = Some(Own { cordoned: true, ready: true, ..Own::default() });
    let mut world = World { own, ..World::default() };
    let Leave::Free(words) = leave(&mut world, &abort(), Role::Agent) else { panic!() };
    assert!(words[0].contains("closed to pods before"), "{words:?}");
    assert_eq!(world.own.as_ref().unwrap().mark, None);
    member(&mut world, &abort(), Role::Agent).rejoin();
    assert!(world.own.as_ref().unwrap().cordoned);
}

#[test]
fn a_budget_that_refuses_ends_at_the_deadline_and_then_the_policy_decides() {
    let mut world = World::with_pods(&["web", "longhorn"]);
    world.held.insert("longhorn".to_owned());
    let began = world.uptime;
    let left = leave(&mut world, &abort(), Role::Agent);
    stays(&left, "not free of 1 pods within 60 s: default/longhorn: it would violate");
    assert!(world.uptime - began < 90, "{}", world.uptime - began);
    assert!(world.is_clean(), "{world:?}");

    let Leave::Free(words) = leave(&mut world, &proceed(), Role::Agent) else { panic!() };
    assert!(words[0].contains("default/longhorn") && words[0].contains("goes all the same"), "{words:?}");
    assert!(world.own.as_ref().unwrap().cordoned, "no new pods while it restarts");
}

#[test]
fn a_pod_that_does_not_end_is_waited_for_until_the_deadline() {
    let mut world = World::with_pods(&["slow"]);
    world.slow.insert("slow".to_owned(), 1000);
    stays(&leave(&mut world, &abort(), Role::Agent), "default/slow are ending, and take longer");
    assert!(world.is_clean());
}

#[test]
fn what_comes_back_with_the_node_is_not_waited_for() {
    let mut world = World::with_pods(&["flannel", "bare", "static", "done", "plan"]);
    world.held = world.pods.iter().map(|pod| pod.name.clone()).collect();
    let change: [fn(&mut Pod); 5] = [
        |pod| pod.controller = Some("DaemonSet".to_owned()),
        |pod| pod.controller = None,
        |pod| pod.mirror = true,
        |pod| pod.finished = true,
        |pod| pod.upgrade = true,
    ];
    world.pods.iter_mut().zip(change).for_each(|(pod, change)| change(pod));
    assert_eq!(leave(&mut world, &abort(), Role::Agent), Leave::Free(Vec::new()));
}

#[test]
fn one_node_of_a_pool_goes_at_a_time() {
    let mut world = World::default();
    let held = entry("pi4", NOW, NOW + 3600);
    world.locks.as_mut().unwrap().insert("agents".to_owned(), held.clone());
    stays(&leave(&mut world, &proceed(), Role::Agent), "pi4 of the pool `agents` is being updated");
    assert_eq!(world.lock("agents"), held, "what is another's stays");
    assert!(!world.own.as_ref().unwrap().cordoned);

    // Another pool is free.
    world.own.as_mut().unwrap().pool = Some("slow".to_owned());
    assert_eq!(leave(&mut world, &abort(), Role::Agent), Leave::Free(Vec::new()));
    assert!(world.lock("agents.slow").contains("pi3"));
    // And the holder's own restart does not lock it out.
    assert_eq!(leave(&mut world, &abort(), Role::Agent), Leave::Free(Vec::new()));
}

#[test]
fn a_holder_that_died_is_waited_for_once() {
    let mut world = World::default();
    world.locks.as_mut().unwrap().insert("agents".to_owned(), entry("pi4", NOW - 4000, NOW - 400));
    let Leave::Free(words) = leave(&mut world, &abort(), Role::Agent) else { panic!() };
    assert!(words[0].contains("pi4 took the lock") && words[0].contains("did not come back"), "{words:?}");
    assert!(world.lock("agents").contains("\"pi3\""));
}

#[test]
fn whoever_writes_first_wins_and_the_other_looks_again() {
    let mut world = World { races: 2, ..World::default() };
    assert_eq!(leave(&mut world, &abort(), Role::Agent), Leave::Free(Vec::new()));
    let mut world = World { races: 5, ..World::default() };
    stays(&leave(&mut world, &abort(), Role::Agent), "others wrote the lock");
    assert!(world.is_clean());
}

#[test]
fn a_cluster_without_locks_is_told_how_to_get_them() {
    let mut world = World { locks: None, ..World::default() };
    stays(&leave(&mut world, &abort(), Role::Agent), "hcimage-updates.yaml");
    let Leave::Free(words) = leave(&mut world, &proceed(), Role::Agent) else { panic!() };
    assert!(words[0].contains("goes all the same"));
    assert!(world.own.as_ref().unwrap().cordoned);
    assert!(matches!(member(&mut world, &abort(), Role::Agent).rejoin(), Rejoin::Done(_)));
    assert!(world.is_clean());
}

#[test]
fn a_server_goes_only_while_the_others_carry_on() {
    for (peers, policy, expected) in [
        (vec![server("pi3", true)], abort(), ""),
        (vec![server("pi3", true), agent("pi4")], abort(), ""),
        (vec![server("pi3", true), server("b", true), server("c", true)], abort(), ""),
        (vec![server("pi3", true), server("b", false), server("c", true)], abort(), "b is not Ready"),
        (vec![server("pi3", true), server("b", false), server("c", true)], proceed(), "b is not Ready"),
        (vec![server("pi3", true), server("b", true)], abort(), "etcd has 2 members"),
        (vec![server("pi3", true), server("b", true)], proceed(), ""),
    ] {
        let mut world = World { peers: peers.clone(), ..World::default() };
        let left = leave(&mut world, &policy, Role::Server);
        if expected.is_empty() {
            assert!(matches!(left, Leave::Free(_)), "{peers:?}: {left:?}");
            assert!(world.lock("servers").contains("\"pi3\""));
        } else {
            stays(&left, expected);
            assert!(world.is_clean());
        }
    }
}

#[test]
fn a_cluster_of_one_node_is_not_drained_into_itself() {
    let mut world = World { peers: vec![server("pi3", true)], ..World::with_pods(&["longhorn"]) };
    world.held.insert("longhorn".to_owned());
    let Leave::Free(words) = leave(&mut world, &abort(), Role::Server) else { panic!() };
    assert!(words[0].contains("the whole cluster"), "{words:?}");
    assert!(!world.own.as_ref().unwrap().cordoned);
    member(&mut world, &abort(), Role::Server).rejoin();
    assert!(world.is_clean());
}

/// The API goes at every question that there is, once for ever and once until the next boot.
#[test]
fn the_api_may_go_at_any_question() {
    for role in [Role::Agent, Role::Server] {
        let peers = vec![server("pi3", true), server("b", true), server("c", true)];
        let fresh = || World { peers: peers.clone(), ..World::with_pods(&["web"]) };
        let mut whole = fresh();
        leave(&mut whole, &abort(), role);
        for question in 1..=whole.asked {
            let mut world = World { away_from: Some(question), ..fresh() };
            let began = world.uptime;
            let left = leave(&mut world, &abort(), role);
            stays(&left, "does not answer");
            assert!(world.uptime - began < 120, "question {question} took {} s", world.uptime - began);
            assert!(matches!(member(&mut world, &abort(), role).rejoin(), Rejoin::Later(_)));
            world.away_from = None;
            assert!(matches!(member(&mut world, &abort(), role).reconcile(Phase::Settled), Rejoin::Done(_)));
            assert!(world.is_clean(), "question {question}: {world:?}");

            let mut world = World { away_from: Some(question), ..fresh() };
            let left = leave(&mut world, &proceed(), role);
            assert!(matches!(left, Leave::Free(_)), "question {question}: {left:?}");
        }
    }
}

/// The power goes after every single question: the next boot finds what is ours, on whichever slot it is.
#[test]
fn the_power_may_go_after_any_question() {
    let fresh = || World::with_pods(&["web", "db"]);
    let mut whole = fresh();
    leave(&mut whole, &abort(), Role::Agent);
    for question in 1..=whole.asked + 1 {
        // What is behind the cut never happens: the API is asked no more.
        let mut world = World { away_from: Some(question), ..fresh() };
        leave(&mut world, &proceed(), Role::Agent);
        world.away_from = None;
        let mut trial = world.clone();
        assert!(matches!(member(&mut trial, &abort(), Role::Agent).reconcile(Phase::Trial), Rejoin::Done(_)));
        assert!(trial.lock("agents").contains("\"pi3\""), "a release on trial keeps the lock");
        assert!(matches!(member(&mut trial, &abort(), Role::Agent).rejoin(), Rejoin::Done(_)));
        assert!(trial.is_clean(), "question {question}: {trial:?}");
        assert!(matches!(
            member(&mut world, &abort(), Role::Agent).reconcile(Phase::Settled),
            Rejoin::Done(_)
        ));
        assert!(world.is_clean(), "question {question}: {world:?}");
    }
}

#[test]
fn a_trial_that_lost_its_lock_says_so_and_goes_on() {
    let mut world = World::default();
    world.locks.as_mut().unwrap().insert("agents".to_owned(), entry("pi4", NOW, NOW + 3600));
    let Rejoin::Done(words) = member(&mut world, &abort(), Role::Agent).reconcile(Phase::Trial) else {
        panic!()
    };
    assert!(words[0].contains("pi4"), "{words:?}");
}

#[test]
fn a_node_that_the_cluster_has_forgotten_has_nothing_to_take_back() {
    let mut world = World { own: None, ..World::default() };
    assert_eq!(member(&mut world, &abort(), Role::Agent).rejoin(), Rejoin::Done(Vec::new()));
    stays(&leave(&mut world, &abort(), Role::Agent), "404");
}
