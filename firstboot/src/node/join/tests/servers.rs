//! What servers do beside agents: the first one, their own troubles, the copy before another version.

use super::*;

#[test]
fn the_first_server_asks_nobody_and_waits_for_the_time() {
    let mut first = cluster(Role::Server, None);
    first.token = Secret::new("short");
    let order = Order::check("nas", &first).unwrap();
    let (mut world, mut server) = World::new();
    assert!(world.follow(&order, &mut server, 60).unwrap());
    assert!(server.knocked.is_empty() && server.entered == 0);
    assert_eq!(world.started, ["k3s.service"]);
    let (_, last) = world.said.last().unwrap();
    assert_eq!(last.stage, Stage::Ready);
    assert_eq!(
        last.reason.as_ref().unwrap().to_string(),
        "HC-S05 backup: this cluster has no off-node copy of its token; if this disk dies it cannot be restored."
    );
    let (mut world, mut server) = World::new();
    (world.clocks.now, world.clocks.synchronized) = (0, false);
    assert!(!world.follow(&order, &mut server, 300).unwrap());
    let (at, reason) = &world.reasons()[0];
    assert_eq!((reason.code, *at), (Code::J05, 60));
    let (mut world, mut server) = World::new();
    world.api = Err("/readyz answers 500".to_owned());
    assert!(!world.follow(&order, &mut server, 300).unwrap());
    let (at, reason) = &world.reasons()[0];
    assert_eq!(
        reason.to_string(),
        "HC-S03 server: the API server of this node is not ready: /readyz answers 500."
    );
    assert!(*at >= 120);
}

#[test]
fn servers_say_their_own_troubles() {
    let order = Order::check("nas", &cluster(Role::Server, Some("https://nas.lan"))).unwrap();
    for (line, code, blame) in [
        ("critical configuration value mismatch: cluster-cidr", Code::S02, Blame::Settings),
        ("bootstrap data already found and encrypted with different token", Code::S01, Blame::Settings),
        (
            "Failed to promote learner: etcdserver: can only promote a learner member which is in sync",
            Code::S04,
            Blame::Elsewhere,
        ),
    ] {
        let (mut world, mut server) = World::new();
        log(&mut world, line);
        assert!(!world.follow(&order, &mut server, 60).unwrap());
        assert_eq!((world.reasons()[0].1.code, world.reasons()[0].1.blame), (code, blame), "{line}");
    }
}

#[test]
fn a_server_keeps_a_copy_before_another_version() {
    let order = Order::check("nas", &cluster(Role::Server, Some("https://nas.lan"))).unwrap();
    let (mut world, mut server) = World::new();
    assert!(world.follow(&order, &mut server, 60).unwrap());
    assert!(world.disk.copies.is_empty(), "nothing ran before");
    let disk = world.disk;
    let (mut world, mut server) = World::new();
    world.disk = disk.clone();
    world.host.k3s = K3s::There("v1.35.0+k3s1".to_owned());
    world.copy = Some("no space left on device");
    assert!(!world.follow(&order, &mut server, 300).unwrap());
    assert!(world.started.is_empty(), "the new version never touches what was not copied");
    assert_eq!(world.reasons()[0].1.code, Code::S05);
    world.copy = None;
    assert!(world.follow(&order, &mut server, 300).unwrap());
    assert_eq!(world.disk.copies, ["before-v1.35.0+k3s1-was-v1.34.3+k3s1"]);
    assert_eq!(world.disk.progress.copy.as_deref(), Some("before-v1.35.0+k3s1-was-v1.34.3+k3s1"));
    assert!(world.follow(&order, &mut server, 300).unwrap());
    assert_eq!(world.disk.copies.len(), 1);
}

/// P19: the slot from before never opens what a newer minor version wrote.
#[test]
fn an_older_k3s_is_not_started_on_a_newer_datastore() {
    let order = Order::check("nas", &cluster(Role::Server, Some("https://nas.lan"))).unwrap();
    let agent = Order::check("nas", &cluster(Role::Agent, Some("https://nas.lan"))).unwrap();
    for (order, before, now, starts) in [
        (&order, "v1.35.0+k3s1", "v1.34.3+k3s1", false),
        (&order, "v1.34.4+k3s1", "v1.34.3+k3s1", true),
        (&order, "v1.34.3+k3s2", "v1.34.3+k3s1", true),
        (&order, "unknown", "v1.34.3+k3s1", true),
        (&agent, "v1.35.0+k3s1", "v1.34.3+k3s1", true),
    ] {
        let (mut world, mut server) = World::new();
        world.disk.progress.k3s = Some(before.to_owned());
        world.host.k3s = K3s::There(now.to_owned());
        assert_eq!(world.follow(order, &mut server, 1200).unwrap(), starts, "{before} {now}");
        assert_eq!(!world.started.is_empty(), starts, "{before} {now}");
        if !starts {
            let reason = &world.reasons()[0].1;
            assert_eq!((reason.code, reason.blame), (Code::S05, Blame::Node));
            assert!(reason.text.contains(before) && reason.text.contains(now), "{reason}");
            assert!(world.disk.copies.is_empty(), "a copy of what it must not open helps nobody");
        }
    }
}
