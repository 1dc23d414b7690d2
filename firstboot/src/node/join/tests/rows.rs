//! The rows: what is wrong, what is said, whose fault it is.

use super::world::{BUILT, Server, World, address, node};
use crate::node::{
    join::facts::{ArtifactFault, AuthorityFault, Contact, Entry, K3s, Kubelet, NodeState, Seen, Unit},
    supervisor::{BundleError, Cluster, Proof, SupervisorError, tests::kit::NOW},
};
use contract::{Blame, Digest};

pub(super) type Change = fn(&mut World, &mut Server);

/// A row: what is wrong, what is said, whose fault it is.
pub(super) type Row = (&'static str, Blame, Change);

fn digest(start: &str) -> Digest {
    format!("{start}{}", "0".repeat(64 - start.len())).parse().unwrap()
}

pub(super) fn log(world: &mut World, line: &str) {
    world.unit =
        Unit { state: "activating".to_owned(), files: (2, 7), log: vec![line.to_owned()], ..Unit::default() };
    world.kubelet = Kubelet::Not("refused".to_owned());
}

/// Before the token is sent.
pub(super) const EARLY: &[Row] = &[
    (
        "HC-J02 name: this card was joined as \"pi2\" but config says \"pi3\". Use \"hcnode reset-identity\" or fix the name.",
        Blame::Settings,
        |world, _| world.host.joined_as = Some("pi2".to_owned()),
    ),
    (
        "HC-J03 kernel: memory cgroup is off. Add cgroup_enable=memory to cmdline.txt (hcimage images have it: was the file edited?).",
        Blame::Node,
        |world, _| world.host.controllers.retain(|name| name != "memory"),
    ),
    (
        "HC-J03 kernel: pids cgroup is off; this kernel cannot limit what containers use.",
        Blame::Node,
        |world, _| world.host.controllers.retain(|name| name != "pids"),
    ),
    (
        "HC-J03 kernel: module br_netfilter is not in this image, containers need it. Build the image with overlay k3s.",
        Blame::Node,
        |world, _| world.host.missing_modules = vec!["br_netfilter".to_owned()],
    ),
    ("HC-J03 storage: /var is on overlayfs, containers cannot start.", Blame::Node, |world, _| {
        world.host.var = "overlay".to_owned();
    }),
    (
        "HC-J03 storage: /var is full: 12 MiB are free, containers need 4096 MiB. Delete something, or use a larger disk.",
        Blame::Node,
        |world, _| world.host.free = 12 << 20,
    ),
    (
        "HC-J03 storage: /etc/rancher is not kept over a restart; the cluster would not know this node again.",
        Blame::Node,
        |world, _| world.host.rancher = false,
    ),
    (
        "HC-J03 kernel: kernel.keys.root_maxkeys is 200, containers need 1000000. Was the sysctl changed?",
        Blame::Node,
        |world, _| world.host.root_maxkeys = 200,
    ),
    (
        "HC-J10 config: the seed asks for a cluster, and this image has no k3s. Write an image of the profile k3s-agent, k3s-server or dnas-node.",
        Blame::Settings,
        |world, _| world.host.k3s = K3s::Missing,
    ),
    ("HC-J04 network: no cable connected (no port has a carrier).", Blame::Elsewhere, |world, _| {
        world.network.carrier = false;
        world.network.addresses.clear();
    }),
    ("HC-J04 network: cable connected but no address from DHCP for 60 s.", Blame::Elsewhere, |world, _| {
        world.network.addresses.clear();
    }),
    (
        "HC-J04 network: no default route: the network named no router. k3s needs one; set gateway in the seed.",
        Blame::Elsewhere,
        |world, _| world.network.gateway = None,
    ),
    (
        "HC-J04 network: your LAN 10.42.1.0/24 overlaps the pod network 10.42.0.0/16.",
        Blame::Settings,
        |world, _| world.network.addresses = vec!["10.42.1.20/24".parse().unwrap()],
    ),
    (
        "HC-J04 network: your LAN 10.43.0.0/24 overlaps the service network 10.43.0.0/16.",
        Blame::Settings,
        |world, _| world.network.addresses = vec!["10.43.0.9/24".parse().unwrap()],
    ),
    (
        "HC-J05 clock: node says 1970-01-01 and no time server answers. Check the network or set [time].",
        Blame::Elsewhere,
        |world, server| {
            (world.clocks.now, world.clocks.synchronized) = (42, false);
            server.proof = Ok(Proof { date: None, certificate: None });
        },
    ),
    (
        "HC-J05 clock: server says 2001-09-09, but this image was built on 2026-02-19. Set the server's clock.",
        Blame::Elsewhere,
        |world, server| {
            world.clocks.synchronized = false;
            server.proof = Ok(Proof { date: Some(1_000_000_000), certificate: None });
        },
    ),
    (
        "HC-J06 server: nas.lan (192.168.1.10) refuses port 6443 - is k3s running there / firewall open?",
        Blame::Elsewhere,
        |_, server| server.contact = Contact::Not { address: address(), error: SupervisorError::Refused },
    ),
    (
        "HC-J06 server: nas.lan (192.168.1.10) does not answer on port 6443. Is it switched on?",
        Blame::Elsewhere,
        |_, server| server.contact = Contact::Not { address: address(), error: SupervisorError::Silent },
    ),
    (
        "HC-J06 server: nas.lan: name not found. Check the name, or write the server's address.",
        Blame::Elsewhere,
        |_, server| server.contact = Contact::NotFound,
    ),
    (
        "HC-J06 server: nas.lan (192.168.1.10) answers on port 6443, but not as a k3s server: it answers 404 to /ping.",
        Blame::Elsewhere,
        |_, server| {
            let error = SupervisorError::Strange("it answers 404 to /ping".to_owned());
            server.contact = Contact::Not { address: address(), error };
        },
    ),
    (
        "HC-J07 trust: the machine at 192.168.1.10 is NOT the cluster this card was made for (CA 3f9a.. expected 77c2..). Stopped before sending the token. Cluster reinstalled, or wrong address?",
        Blame::Elsewhere,
        |_, server| {
            let mismatch = BundleError::Mismatch { found: digest("3f9a"), expected: digest("77c2") };
            server.authority = Err(AuthorityFault::Bundle(mismatch));
        },
    ),
    (
        "HC-J07 trust: nas.lan (192.168.1.10) sends no CA: the answer holds no certificate. Stopped before sending the token.",
        Blame::Elsewhere,
        |_, server| server.authority = Err(AuthorityFault::Bundle(BundleError::Empty)),
    ),
    (
        "HC-J06 server: nas.lan (192.168.1.10) answers 503 to /cacerts; a k3s server would answer with its CA.",
        Blame::Elsewhere,
        |_, server| server.authority = Err(AuthorityFault::Status(503)),
    ),
    (
        "HC-J08 tls: server certificate is not yet valid (server clock 2026-06-15, node clock 2026-02-19); it counts from 2026-02-19 on.",
        Blame::Elsewhere,
        |world, server| {
            world.clocks.now = BUILT;
            let (not_before, not_after) = (BUILT + 1000, NOW);
            server.proof = Err(SupervisorError::Time { not_before, not_after, at: BUILT });
        },
    ),
    (
        "HC-J08 tls: server certificate has expired on 2026-02-19 (server clock 2026-06-15, node clock 2026-06-15).",
        Blame::Elsewhere,
        |_, server| server.proof = Err(SupervisorError::Time { not_before: 0, not_after: BUILT, at: NOW }),
    ),
    (
        "HC-J08 tls: nas.lan (192.168.1.10) shows the cluster's CA, but its own certificate is not signed by it. Stopped before sending the token. Is another machine using this address?",
        Blame::Elsewhere,
        |_, server| server.proof = Err(SupervisorError::Foreign),
    ),
    (
        "HC-J08 tls: server certificate is for nas.lan, not for 127.0.0.1 as those of k3s are. Stopped before sending the token.",
        Blame::Elsewhere,
        |_, server| server.proof = Err(SupervisorError::Name { names: vec!["nas.lan".to_owned()] }),
    ),
];

/// When the token was sent, and after.
pub(super) const LATE: &[Row] = &[
    (
        "HC-J09 token: the cluster rejects this token (expired, or rotated). Make a new one: hcnode token, on a server.",
        Blame::Settings,
        |_, server| server.entry = Entry::Status(401),
    ),
    ("HC-J09 token: token is valid but may not join nodes.", Blame::Settings, |_, server| {
        server.entry = Entry::Status(403);
    }),
    ("HC-J09 server: server is starting, waiting (1 min).", Blame::Elsewhere, |_, server| {
        server.entry = Entry::Status(503);
    }),
    (
        "HC-J09 server: nas.lan (192.168.1.10) answers 500 to /v1-k3s/config.",
        Blame::Elsewhere,
        |_, server| {
            server.entry = Entry::Status(500);
        },
    ),
    (
        "HC-J03 kernel: the cluster carries traffic of pods by wireguard-native, and module wireguard is not in this image. Build the image with overlay k3s.",
        Blame::Node,
        |world, server| {
            world.host.missing_modules = vec!["wireguard".to_owned()];
            let backend = "wireguard-native".to_owned();
            server.entry = Entry::Admitted(Cluster { backend, ..Cluster::default() });
        },
    ),
    (
        "HC-A01 artifact: k3s is not in this image, and cannot be fetched from github.com: no route to host. It is tried again; everything else works meanwhile.",
        Blame::Elsewhere,
        |world, _| {
            world.host.k3s = K3s::Deferred;
            let (name, host, why) =
                ("k3s".to_owned(), "github.com".to_owned(), "no route to host".to_owned());
            world.artifacts = Err(ArtifactFault { name, host, why, ours: false });
        },
    ),
    ("HC-A01 artifact: k3s cannot be kept here: no space left on device.", Blame::Node, |world, _| {
        let why = "no space left on device".to_owned();
        world.artifacts = Err(ArtifactFault { name: "k3s".to_owned(), host: String::new(), why, ours: true });
    }),
    ("HC-J10 config: k3s's settings cannot be written: read-only file system.", Blame::Node, |world, _| {
        world.write = Some("read-only file system")
    }),
    (
        "HC-J11 identity: the cluster already knows another machine called \"pi3\". Re-flash with its escrow (hcimage seed new --escrow FILE), or remove it there: kubectl delete node pi3.",
        Blame::Settings,
        |world, _| {
            log(
                world,
                "level=error msg=\"Node password rejected, duplicate hostname or contents of '/etc/rancher/node/password' may not match server node-passwd entry\"",
            );
        },
    ),
    (
        "HC-J07 trust: the machine at 192.168.1.10 is NOT the cluster this card was made for (k3s compared its CA). Cluster reinstalled, or wrong address?",
        Blame::Elsewhere,
        |world, _| log(world, "token CA hash does not match the Cluster CA certificate hash: a != b"),
    ),
    (
        "HC-J06 server: 192.168.1.10 does not answer on port 6443. Is it switched on?",
        Blame::Elsewhere,
        |world, _| {
            log(
                world,
                "Failed to validate connection to cluster at https://127.0.0.1:6444: failed to get CA certs: EOF",
            )
        },
    ),
    ("HC-J03 storage: /var is on overlayfs, containers cannot start.", Blame::Node, |world, _| {
        log(
            world,
            "\"overlayfs\" snapshotter cannot be enabled for \"/var/lib/rancher/k3s/agent/containerd\"",
        );
    }),
    (
        "HC-J03 kernel: memory cgroup is off. Add cgroup_enable=memory to cmdline.txt (hcimage images have it: was the file edited?).",
        Blame::Node,
        |world, _| log(world, "level=fatal msg=\"failed to find memory cgroup (v2)\""),
    ),
    (
        "HC-J03 storage: /var is full, containers cannot start. Delete something, or use a larger disk.",
        Blame::Node,
        |world, _| log(world, "write /var/lib/rancher/k3s/data: no space left on device"),
    ),
    (
        "HC-J09 token: the cluster rejects this token (expired, or rotated). Make a new one: hcnode token, on a server.",
        Blame::Settings,
        |world, _| {
            log(
                world,
                "Waiting to retrieve agent configuration; server is not ready: https://127.0.0.1:6444/v1-k3s/config: 401 Unauthorized",
            )
        },
    ),
    (
        "HC-J11 k3s: k3s-agent.service does not get on: 2 of 7 files after 180 s. It says: thinking",
        Blame::Node,
        |world, _| log(world, "thinking"),
    ),
    ("HC-J12 runtime: still importing images (7 of 12).", Blame::Node, |world, _| {
        (world.unit.imported, world.unit.archives) = (7, 12);
        world.unit.state = "activating".to_owned();
        world.kubelet = Kubelet::Not("refused".to_owned());
    }),
    ("HC-J12 runtime: kubelet keeps exiting: failed to run Kubelet: swap is on", Blame::Node, |world, _| {
        world.unit.log = vec!["failed to run Kubelet: swap is on".to_owned()];
        world.kubelet = Kubelet::Not("refused".to_owned());
    }),
    (
        "HC-J13 ready: joined, but not Ready: KubeletNotReady NetworkPluginNotReady (flannel: udp 8472 blocked?)",
        Blame::Node,
        |world, _| {
            let why = "KubeletNotReady NetworkPluginNotReady".to_owned();
            world.node = Seen::Node(Box::new(NodeState { ready: false, why, ..node() }));
        },
    ),
    (
        "HC-J13 ready: joined, but the node's network is not set up (NetworkUnavailable).",
        Blame::Node,
        |world, _| world.node = Seen::Node(Box::new(NodeState { network: false, ..node() })),
    ),
    (
        "HC-J13 ready: joined, but the cluster has the address 10.0.2.15 for this node, not 192.168.1.20.",
        Blame::Node,
        |world, _| {
            world.node =
                Seen::Node(Box::new(NodeState { addresses: vec!["10.0.2.15".parse().unwrap()], ..node() }));
        },
    ),
    (
        "HC-J13 ready: this node's k3s 1.35 is newer than the server's 1.34. Update the servers first.",
        Blame::Elsewhere,
        |world, _| {
            world.node = Seen::Node(Box::new(NodeState { version: "v1.35.0+k3s1".to_owned(), ..node() }))
        },
    ),
    (
        "HC-J13 ready: this node's k3s 1.30 is more than three versions older than the server's 1.34. Update this node.",
        Blame::Node,
        |world, _| {
            world.node = Seen::Node(Box::new(NodeState { version: "v1.30.9+k3s1".to_owned(), ..node() }))
        },
    ),
    ("HC-J13 ready: the cluster has no node \"pi3\" although the kubelet runs.", Blame::Node, |world, _| {
        world.node = Seen::Unknown;
    }),
    (
        "HC-J13 ready: the cluster's API cannot be asked for this node: the connection was refused.",
        Blame::Elsewhere,
        |world, _| world.node = Seen::Away("the connection was refused".to_owned()),
    ),
    (
        "HC-J14 overlay: pods on this node cannot reach the API service; UDP 8472 to 192.168.1.10 seems filtered.",
        Blame::Elsewhere,
        |world, _| world.path = 2,
    ),
];
