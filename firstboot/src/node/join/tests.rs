//! Every row of the way, provoked: what the owner reads, whose fault it is, whether the token was sent, and that the
//! node goes on by itself when the trouble is over.

mod rows;
mod servers;
mod wire;
mod world;

use super::{
    Order,
    facts::{AuthorityFault, Contact, Entry, Facts, Host, K3s, Kubelet, Look, Seen},
    k3s,
    next::{Step, next},
    progress::Progress,
    reasons,
};
use crate::node::clock::Clocks;
use crate::node::supervisor::{BundleError, Cluster, SupervisorError, tests::kit::NOW};
use contract::{
    Blame, Code, Digest, Stage,
    seed::{Role, Secret},
};
use proptest::prelude::*;
use rows::{Change, EARLY, LATE, log};
use world::{BUILT, World, address, cluster, order};

#[test]
fn every_row_says_what_it_should_and_nothing_is_sent_too_early() {
    for (late, rows) in [(false, EARLY), (true, LATE)] {
        for (expected, blame, change) in rows {
            let (mut world, mut server) = World::new();
            change(&mut world, &mut server);
            assert!(!world.follow(&order(), &mut server, 900).unwrap(), "{expected}: the node went on");
            let told = world.reasons();
            let (_, first) = told.first().unwrap_or_else(|| panic!("{expected}: nothing was said"));
            assert_eq!(first.to_string(), *expected);
            assert_eq!(first.blame, *blame, "{expected}");
            assert_eq!(server.entered > 0, late, "{expected}: the token was sent {} times", server.entered);
            assert!(
                !world.disk.burned && !world.disk.progress.joined || expected.contains("J14"),
                "{expected}"
            );
            for (_, part) in &world.said {
                assert!(!format!("{part:?}").contains("f00df00d"), "{expected}: the token was said");
                assert_ne!(part.stage, Stage::Ready, "{expected}");
            }
        }
    }
}

#[test]
fn a_server_that_is_fixed_is_joined_without_a_hand() {
    let faults: [Change; 7] = [
        |_, server| server.contact = Contact::NotFound,
        |_, server| server.contact = Contact::Not { address: address(), error: SupervisorError::Refused },
        |_, server| server.authority = Err(AuthorityFault::Bundle(BundleError::Empty)),
        |_, server| server.proof = Err(SupervisorError::Foreign),
        |_, server| server.entry = Entry::Status(401),
        |_, server| server.entry = Entry::Status(503),
        |_, server| server.entry = Entry::Away(SupervisorError::Silent),
    ];
    for (number, change) in faults.into_iter().enumerate() {
        let (mut world, mut server) = World::new();
        change(&mut world, &mut server);
        server.heals = 600;
        assert!(world.follow(&order(), &mut server, 1200).unwrap(), "fault {number}");
        let (at, last) = world.said.last().unwrap();
        assert_eq!((last.stage, last.reason.as_ref()), (Stage::Ready, None), "fault {number}");
        assert!(*at < 700, "fault {number}: seen at once, not after {at} s");
    }
}

#[test]
fn the_way_of_a_good_day() {
    let (mut world, mut server) = World::new();
    assert!(world.follow(&order(), &mut server, 60).unwrap());
    assert_eq!(world.started, ["k3s-agent.service"]);
    assert_eq!(server.entered, 1);
    assert!(world.disk.burned && world.disk.progress.joined && world.disk.progress.burned);
    assert_eq!(world.disk.name.as_deref(), Some("pi3"));
    assert_eq!(world.stepped, [0_u64; 0], "a clock that is right is left alone");
    assert!(world.reasons().is_empty());
}

#[test]
fn what_k3s_said_before_it_was_up_is_over() {
    let (mut world, mut server) = World::new();
    world.unit.log = vec!["level=error msg=\"Node password rejected, duplicate hostname\"".to_owned()];
    assert!(world.follow(&order(), &mut server, 60).unwrap());
    assert!(world.reasons().is_empty(), "{:?}", world.reasons());
}

#[test]
fn the_power_may_go_at_every_write() {
    for role in [Role::Agent, Role::Server] {
        let order = Order::check("pi3", &cluster(role, Some("https://nas.lan"))).unwrap();
        let (mut world, mut server) = World::new();
        assert!(world.follow(&order, &mut server, 60).unwrap());
        let all = world.writes;
        assert!(all >= 6, "{all} writes");
        for cut in 0..all {
            let (mut world, mut server) = World::new();
            world.cut = Some(cut);
            let went = world.follow(&order, &mut server, 60);
            let whole = matches!(went, Ok(true)) && world.disk.progress.burned;
            assert!(!whole, "cut at {cut}: nothing was cut");
            let disk = world.disk;
            let (mut world, mut server) = World::new();
            world.disk = disk;
            assert!(
                world.follow(&order, &mut server, 60).unwrap(),
                "cut at {cut}: the node did not come up again"
            );
            assert!(world.disk.burned && world.disk.progress.burned, "cut at {cut}");
            assert_eq!(world.disk.name.as_deref(), Some("pi3"), "cut at {cut}");
            assert_eq!(world.disk.files.len(), 2, "cut at {cut}");
        }
    }
}

#[test]
fn a_board_without_a_clock_takes_its_server_s_time_once() {
    for (now, saved, floor) in [(0, None, BUILT), (BUILT, None, BUILT), (5, Some(BUILT + 100), BUILT)] {
        let (mut world, mut server) = World::new();
        world.clocks = crate::node::clock::Clocks { now, floor, saved, synchronized: false };
        assert!(world.follow(&order(), &mut server, 60).unwrap(), "at {now}");
        assert_eq!(world.stepped, [NOW + 7], "at {now}");
        assert_eq!(server.judged, [NOW + 7], "certificates are judged by the claimed time");
        assert!(world.reasons().is_empty());
    }
}

#[test]
fn a_member_starts_without_asking_and_with_an_expired_token() {
    let (mut world, mut server) = World::new();
    assert!(world.follow(&order(), &mut server, 60).unwrap());
    let disk = world.disk;
    let again = |change: Change| {
        let (mut world, mut server) = World::new();
        world.disk = disk.clone();
        world.host.certificate = Some((BUILT, NOW + 1000));
        server.entry = Entry::Status(401);
        change(&mut world, &mut server);
        let rested = world.follow(&order(), &mut server, 900).unwrap();
        (world, server, rested)
    };
    let (world, server, rested) = again(|_, _| ());
    assert!(rested && server.knocked.is_empty() && server.entered == 0);
    assert_eq!(world.started.len(), 1);
    // Its certificate ran out on the shelf: it needs a token that counts.
    let (world, server, rested) = again(|world, _| world.host.certificate = Some((BUILT, NOW - 1)));
    assert!(!rested && server.entered > 0);
    assert_eq!(world.reasons()[0].1.code, Code::J09);
    // Its Node was deleted.
    let (world, _, rested) = again(|world, _| {
        log(world, "Waiting to retrieve agent configuration; server is not ready: 401 Unauthorized")
    });
    assert!(!rested);
    assert_eq!(
        world.reasons()[0].1.to_string(),
        "HC-J09 token: the cluster has forgotten this node, and rejects its old token. Make a new one: hcnode token, on a server."
    );
    assert_eq!(world.said.iter().map(|(_, part)| part.stage).next_back(), Some(Stage::Degraded));
}

#[test]
fn another_seed_begins_anew_and_another_name_is_refused() {
    let (mut world, mut server) = World::new();
    assert!(world.follow(&order(), &mut server, 60).unwrap());
    world.host.certificate = Some((BUILT, NOW + 1000));
    let mut other = cluster(Role::Agent, Some("https://nas.lan"));
    other.token = Secret::new(format!("K10{}::node:other", "77c2".repeat(16)));
    assert!(world.follow(&Order::check("pi3", &other).unwrap(), &mut server, 60).unwrap());
    assert_eq!(server.entered, 2);
    assert!(!world.follow(&Order::check("pi4", &other).unwrap(), &mut server, 60).unwrap());
    assert_eq!(world.reasons()[0].1.code, Code::J02);
}

#[test]
fn the_cluster_s_real_networks_are_compared_too() {
    let (mut world, mut server) = World::new();
    let pods = vec!["192.168.0.0/16".parse().unwrap()];
    server.entry = Entry::Admitted(Cluster { pods, ..Cluster::default() });
    assert!(!world.follow(&order(), &mut server, 120).unwrap());
    assert_eq!(
        world.reasons()[0].1.to_string(),
        "HC-J04 network: your LAN 192.168.1.0/24 overlaps the pod network 192.168.0.0/16."
    );
    assert!(world.started.is_empty());
}

#[test]
fn a_seed_that_cannot_be_erased_is_told_and_tried_again() {
    let (mut world, mut server) = World::new();
    world.burn = Err("the card is write-protected".to_owned());
    assert!(world.follow(&order(), &mut server, 60).unwrap());
    let (_, last) = world.said.last().unwrap();
    assert_eq!(last.stage, Stage::Ready);
    let reason = last.reason.as_ref().unwrap();
    assert_eq!(
        reason.to_string(),
        "HC-J15 warning: could not erase the token from the card (the card is write-protected); it expires by itself if it has a time limit, else keep the card as you keep a key."
    );
    world.burn = Ok(());
    assert!(world.follow(&order(), &mut server, 60).unwrap());
    assert!(world.disk.burned);
}

#[test]
fn local_never_reaches_k3s() {
    for (url, at, expected) in [
        ("https://nas.local", Some(address()), "https://192.168.1.10:6443"),
        ("https://NAS.local.:7443", Some(address()), "https://192.168.1.10:6443"),
        ("https://nas.lan:7443", Some(address()), "https://nas.lan:7443"),
        ("https://192.168.1.10", Some(address()), "https://192.168.1.10:6443"),
        ("https://[fd00::1]", Some("[fd00::1]:6443".parse().unwrap()), "https://[fd00::1]:6443"),
    ] {
        let order = Order::check("pi3", &cluster(Role::Agent, Some(url))).unwrap();
        let files = k3s::settings(&order, at, None);
        let settings: serde_json::Value = serde_json::from_str(&files[1].text).unwrap();
        assert_eq!(settings["server"], expected);
        assert!(!files[1].text.contains(".local"), "{url}");
    }
}

#[test]
fn k3s_s_settings_and_its_token() {
    let mut asked = cluster(Role::Agent, Some("https://nas.lan"));
    asked.labels.insert("hc.home/room".to_owned(), "attic".to_owned());
    asked.taints.push("hc.home/slow=yes:NoSchedule".to_owned());
    let order = Order::check("pi3", &asked).unwrap();
    let files = k3s::settings(&order, Some(address()), Some("192.168.1.20".parse().unwrap()));
    assert_eq!((files[0].path, files[1].path), (k3s::TOKEN, k3s::SETTINGS), "the token is there first");
    assert_eq!(files[0].text, format!("K10{}::node:f00df00df00df00d\n", "77c2".repeat(16)));
    let expected = serde_json::json!({
        "server": "https://nas.lan:6443",
        "token-file": "/etc/rancher/k3s/token",
        "node-name": "pi3",
        "node-ip": "192.168.1.20",
        "node-label+": ["hc.home/room=attic"],
        "node-taint+": ["hc.home/slow=yes:NoSchedule"],
    });
    assert_eq!(serde_json::from_str::<serde_json::Value>(&files[1].text).unwrap(), expected);
    assert!(!format!("{files:?} {order:?}").contains("f00df00d"), "the token is not shown");
    let mut first = cluster(Role::Server, None);
    first.token = Secret::new("short");
    first.tls_san = vec!["nas.local".to_owned()];
    first.virtual_ip = Some("192.168.1.9".parse().unwrap());
    let order = Order::check("nas", &first).unwrap();
    let text = &k3s::settings(&order, None, None)[1].text;
    let settings: serde_json::Value = serde_json::from_str(text).unwrap();
    assert_eq!(settings["cluster-init"], true);
    assert_eq!(settings["tls-san+"], serde_json::json!(["nas.local", "192.168.1.9"]));
}

#[test]
fn orders_that_their_owner_must_mend() {
    let agent = || cluster(Role::Agent, Some("https://nas.lan"));
    let hash = "77c2".repeat(16);
    let with = |token: String| contract::seed::Cluster { token: Secret::new(token), ..agent() };
    let cases = [
        (
            "pi3",
            with(format!("K10{}::node:x", &hash[3..])),
            "HC-J01 config: token is cut off (CA hash has 61 of 64 characters). Copy the whole line from \"hcnode token\" on a server",
        ),
        (
            "pi3",
            with("short".to_owned()),
            "HC-J01 config: token has no CA hash, so this node could not tell its cluster from a stranger. Copy the whole line from \"hcnode token\" on a server, or write allow-unpinned = true.",
        ),
        (
            "pi3",
            cluster(Role::Agent, Some("http://nas.lan")),
            "HC-J01 config: server is \"http://nas.lan\", expected https://HOST or https://HOST:PORT.",
        ),
        (
            "pi3",
            cluster(Role::Agent, None),
            "HC-J01 config: an agent needs a server. Write server = \"https://HOST\" below [cluster].",
        ),
        (
            "nas",
            contract::seed::Cluster {
                role: Role::Server,
                ..with(format!("K10{hash}::abcdef.0123456789abcdef"))
            },
            "HC-J01 config: this token lets agents in only; a server needs the server's own token.",
        ),
        (
            "raspberrypi",
            agent(),
            "HC-J02 name: \"raspberrypi\" is every machine's name; two of them cannot be in one cluster. Set hostname in the seed.",
        ),
        (
            "pi3",
            contract::seed::Cluster {
                labels: [("node-role.kubernetes.io/worker".to_owned(), "true".to_owned())].into(),
                ..agent()
            },
            "HC-J10 config: label \"node-role.kubernetes.io/worker\" is reserved and would stop k3s; use \"hc.home/role\".",
        ),
    ];
    for (name, cluster, expected) in cases {
        let reason = Order::check(name, &cluster).unwrap_err();
        assert_eq!(reason.to_string(), expected);
        assert_eq!(reason.blame, Blame::Settings);
    }
    let unpinned = contract::seed::Cluster { allow_unpinned: true, ..with("short".to_owned()) };
    assert!(Order::check("pi3", &unpinned).is_ok());
    let fine =
        contract::seed::Cluster { labels: [("notk8s.io/x".to_owned(), String::new())].into(), ..agent() };
    assert!(Order::check("pi3", &fine).is_ok(), "another's domain that ends alike");
}

#[test]
fn roles_send_their_own_user() {
    let user = |role| Order::check("pi3", &cluster(role, Some("https://nas.lan"))).unwrap().user();
    assert_eq!((user(Role::Agent), user(Role::Server)), ("node", "server"));
}

proptest! {
    /// Whatever was seen, in whatever order: the token is sent to nobody who did not prove who it is, k3s starts with
    /// settings that are on disk, and the seed is erased when the node is in its cluster.
    #[test]
    fn the_laws_hold_in_every_state(choice in proptest::collection::vec(0_usize..4, 14), order_known: bool, joined: bool) {
        let (world, server) = World::new();
        let pick = |index: usize| choice[index];
        let order = order();
        let progress = Progress { order: order_known.then(|| order.id()), joined, ..Progress::default() };
        let mismatch = || AuthorityFault::Bundle(BundleError::Empty);
        let facts = Facts {
            host: (pick(0) > 0).then(|| Host {
                certificate: (pick(0) == 2).then_some((BUILT, NOW + 9)),
                ..world.host.clone()
            }),
            network: (pick(1) > 0).then(|| world.network.clone()),
            clocks: (pick(2) > 0).then_some(Clocks { now: if pick(2) == 1 { 0 } else { NOW }, ..world.clocks }),
            clock_set: pick(2) == 3,
            server: [None, Some(Contact::NotFound), Some(server.contact.clone()), Some(server.contact.clone())][pick(3)].clone(),
            authority: [None, Some(Err(mismatch())), Some(server.authority.clone()), Some(server.authority.clone())][pick(4)].clone(),
            proof: [None, Some(Err(SupervisorError::Foreign)), Some(server.proof.clone()), Some(server.proof.clone())][pick(5)].clone(),
            cluster: [None, Some(Entry::Status(401)), Some(server.entry.clone()), Some(server.entry.clone())][pick(6)].clone(),
            artifacts: (pick(7) > 0).then_some(Ok(())),
            written: [None, Some(Err("full".to_owned())), Some(Ok(())), Some(Ok(()))][pick(8)].clone(),
            started: pick(9) > 1,
            unit: (pick(10) > 0).then(|| world.unit.clone()),
            kubelet: [None, Some(Kubelet::Not(String::new())), Some(Kubelet::Well), Some(Kubelet::Well)][pick(11)].clone(),
            node: [None, Some(Seen::Unknown), Some(world.node.clone()), Some(world.node.clone())][pick(12)].clone(),
            path: [None, Some(2), Some(3), Some(3)][pick(13)],
            ..Facts::default()
        };
        let step = next(&order, &progress, &facts);
        let admitted = matches!(facts.cluster, Some(Entry::Admitted(_)));
        let proved = matches!((&facts.authority, &facts.proof), (Some(Ok(_)), Some(Ok(_))));
        let known = joined && order_known && facts.host.as_ref().is_some_and(|host| host.certificate.is_some());
        match step {
            Step::Look(Look::Cluster) => prop_assert!(proved),
            Step::Write(_) => prop_assert!(proved && admitted || known),
            Step::Start(_) => prop_assert!(facts.written == Some(Ok(())) && !facts.started),
            Step::Burn => prop_assert!(facts.node == Some(world.node.clone()) && facts.path == Some(3) && progress.joined),
            _ => {}
        }
    }
}

/// The real door against real TLS, with the decisions between.
#[test]
fn versions() {
    for (text, expected) in
        [("v1.34.3+k3s1", Some(34)), ("1.9", Some(9)), ("v1.34-rc1", Some(34)), ("v2.0", None), ("", None)]
    {
        assert_eq!(reasons::minor(text), expected, "{text}");
    }
}
