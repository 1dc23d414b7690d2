//! Two machines on a cable of their own: a server and a node, both with the stand-in for k3s. One pair lives through all
//! the ways in which a join can fail, because a boot costs most of a minute.

use crate::{LONG, checks::Checks, image::Image, must, node};
use contract::Arch;
use qemu::{Link, Machine, PoweredOff, Running, Ssh};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const SERVER: &str = "10.77.0.1";
const NODE: &str = "10.77.0.2";
/// Pods need 4 GiB free on state.
const MEDIUM: u64 = 12 << 30;

/// A clock without a battery. From the first boot on: later ones begin where the one before was switched off.
const STOPPED: &str = "1970-01-01T00:00:00";

/// A machine with a cable.
pub(crate) fn machine(image: &Image, link: Link, memory: u32) -> Machine {
    image.machine().disk_size(MEDIUM).memory(memory).link(link)
}

/// A seed for one end of the cable.
pub(crate) fn seed(name: &str, address: &str, router: &str, cluster: &str) -> String {
    format!(
        "hostname = \"{name}\"\n\n[network]\ninterface = \"en*16\"\naddresses = [\"{address}/24\"]\n\
         gateway = \"{router}\"\n\n[cluster]\n{cluster}\nnode-ip = \"{address}\"\n"
    )
}

/// The first server of a cluster.
pub(crate) fn first_server() -> String {
    let token = "role = \"server\"\nallow-unpinned = true\ntoken = \"a-password-of-the-test-0123456789\"";
    seed("server", SERVER, NODE, token)
}

/// A node that knows a token.
pub(crate) fn agent(name: &str, token: &str) -> String {
    let cluster = format!("role = \"agent\"\nserver = \"https://{SERVER}:6443\"\ntoken = \"{token}\"");
    seed(name, NODE, SERVER, &cluster)
}

/// What the server does wrong.
fn switches(server: &Ssh, names: &[(&str, &str)]) {
    let mut script = "mkdir -p /var/lib/standin; rm -f /var/lib/standin/*; cd /var/lib/standin".to_owned();
    for (name, text) in names {
        script += &format!("; echo '{text}' > {name}");
    }
    must(server.ask(&script));
}

/// Has the node try again at once.
fn again(node: &Ssh) {
    must(node.ask("systemctl restart --no-block hcimage-join.service"));
}

/// Every row of the way into the cluster that two machines can provoke.
pub(crate) fn joins_and_says_why_not(test: &str) {
    let x86 = Arch::X86_64;
    let of = |profile: &str| Image::of(test, profile, x86, "HCIMAGE_CLUSTER_IMAGES");
    let (Some(server_image), Some(node_image)) = (of("k3s-server"), of("dnas-node")) else { return };
    let mut checks = Checks::new(test);
    let cable = tempfile::tempdir().unwrap();
    let (first, second) = Link::pair(cable.path());

    let off = must(machine(&server_image, first, 1024).prepare());
    node::seed(&server_image, &off, first_server().as_bytes());
    let mut server_guest = must(off.start());
    let node_machine = machine(&node_image, second.clone(), 1024).clock(STOPPED);
    let off = must(node_machine.kernel_words("cgroup_disable=memory").prepare());
    let unknown = format!("K10{}::server:x", "a".repeat(64));
    node::seed(&node_image, &off, agent("pi3", &unknown).as_bytes());
    let node_guest = must(off.start());
    let server = server_image.ssh(&server_guest);
    let node = node_image.ssh(&node_guest);

    must(node.wait(&node_guest.console, LONG));
    let part = ("join", "a kernel without the memory cgroup");
    node::part_says(&mut checks, &node, part, &["\"J03\"", "memory cgroup is off"]);
    must(server.wait(&server_guest.console, LONG));
    node::is_ready(&mut checks, &server, "the first server");
    let token = must(server.ask("cat /var/lib/rancher/k3s/server/node-token"));

    // The rest of its life with all cgroups, and with a clock that has stopped.
    let off = must(node_guest.power_cut());
    switches(&server, &[("refuse", "")]);
    let mut node_guest = must(off.kernel_words(None).clock(Some(STOPPED)).start());
    let node = node.moved_to(must(node_guest.port(22)));
    must(node.wait(&node_guest.console, LONG));
    let late = clock_error(&node).and_then(|seconds| match seconds {
        86_400.. => Ok(()),
        _ => Err(format!("it is only {seconds} s late")),
    });
    checks.that("the node's clock is late by more than a day", late);
    let cut = format!("K10{}::server:x", "a".repeat(61));
    node::reseed(&node, &agent("pi3", &cut));
    let words = ["token is cut off", "61 of 64 characters"];
    node::says(&mut checks, &node, "a token that is cut off", "HC-J01", &words);
    node::reseed(&node, &agent("pi3", token.trim()));
    of_the_server(&mut checks, &server, &node);
    of_the_clock(&mut checks, &node);
    of_the_node(&mut checks, &server, &node);
    both_are_reset(&mut checks, (&mut server_guest, &server), (&mut node_guest, &node));
    drop(node_guest);
    an_aarch64_node_joins(&mut checks, test, second, token.trim());
    checks.finish();
}

/// A node of another architecture, at the same end of the cable.
fn an_aarch64_node_joins(checks: &mut Checks, test: &str, end: Link, token: &str) {
    let Some(image) = Image::of(test, "dnas-node", Arch::Aarch64, "HCIMAGE_CLUSTER_IMAGES") else { return };
    let off = must(machine(&image, end, 1024).prepare());
    node::seed(&image, &off, agent("pi4", token).as_bytes());
    let guest = must(off.start());
    let ssh = image.ssh(&guest);
    must(ssh.wait(&guest.console, LONG));
    node::is_ready(checks, &ssh, "an aarch64 node");
}

/// Faults of the server, one after the other; the node gets in when there is none left.
fn of_the_server(checks: &mut Checks, server: &Ssh, node: &Ssh) {
    type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str, &'a [&'a str]);
    let rows: [Row<'_>; 7] = [
        (
            "a port that refuses",
            &[("refuse", "")],
            "HC-J06",
            &[SERVER, "refuses port 6443", "is k3s running there"],
        ),
        (
            "another cluster",
            &[("other-ca", "")],
            "HC-J07",
            &["is NOT the cluster this card was made for", "Stopped before sending the token"],
        ),
        (
            "a certificate of tomorrow",
            &[("cert-not-yet-valid", "")],
            "HC-J08",
            &["server certificate is not yet valid", "server clock", "node clock"],
        ),
        ("a token after its end", &[("expired-token", "")], "HC-J09", &["the cluster rejects this token"]),
        ("a token without the right", &[("forbidden", "")], "HC-J09", &["may not join nodes"]),
        ("a server that starts", &[("starting", "")], "HC-J09", &["server is starting"]),
        (
            "a LAN among the pods",
            &[("cluster-cidr", "10.77.0.0/16")],
            "HC-J04",
            &["10.77.0.0/24", "overlaps the pod network 10.77.0.0/16"],
        ),
    ];
    for (what, on, code, words) in rows {
        switches(server, on);
        again(node);
        node::says(checks, node, what, code, words);
    }
    // Down, and up again without anybody's help: the node finds out by itself.
    switches(server, &[("refuse", "")]);
    again(node);
    node::says(checks, node, "a server that is down", "HC-J06", &["refuses port 6443"]);
    switches(server, &[]);
    node::is_ready(checks, node, "the server is up again");
    checks.equal(
        "the cluster has the node",
        server.ask("k3s kubectl get nodes pi3 | tail -n 1 | cut -d' ' -f1,2"),
        "pi3 Ready",
    );
    checks.equal("k3s runs as a service", node.ask("systemctl is-active k3s-agent.service"), "active");
}

/// By how many seconds a node's clock and ours differ.
fn clock_error(node: &Ssh) -> Result<u64, String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let found = node.ask("date +%s").map_err(|error| error.to_string())?;
    found.trim().parse().map(|found: u64| found.abs_diff(now)).map_err(|error| error.to_string())
}

/// A clock that began in 1970 is right once the pinned server has told the time.
fn of_the_clock(checks: &mut Checks, node: &Ssh) {
    let right = clock_error(node).and_then(|seconds| match seconds {
        ..300 => Ok(()),
        _ => Err(format!("it differs by {seconds} s")),
    });
    checks.that("the clock is the server's", right);
}

/// Faults of the node, and a name that is taken.
fn of_the_node(checks: &mut Checks, server: &Ssh, node: &Ssh) {
    must(
        node.ask(
            "free=$(df --output=avail -B1 /var | tail -n 1); fallocate -l $((free - (1 << 30))) /var/full",
        ),
    );
    again(node);
    node::says(checks, node, "a full disk", "HC-J03", &["/var is full", "containers need 4096 MiB"]);
    must(node.ask("rm /var/full"));
    again(node);
    node::is_ready(checks, node, "a disk with room again");

    // Another machine with the name: this one, without what the cluster knows it by.
    must(node.ask("systemctl stop hcimage-join.service k3s-agent.service; hcnode reset-identity --yes"));
    let token = must(server.ask("cat /var/lib/rancher/k3s/server/node-token"));
    node::reseed(node, &agent("pi3", token.trim()));
    node::says(
        checks,
        node,
        "a name that is taken",
        "HC-J11",
        &["the cluster already knows another machine called \"pi3\"", "kubectl delete node pi3"],
    );
    must(server.ask("k3s kubectl delete node pi3"));
    // By itself it looks again only after a while: this fault waits for a person.
    again(node);
    node::is_ready(checks, node, "once the other one is deleted");
}

/// A node keeps its place in the cluster over a reset of both machines.
fn both_are_reset(checks: &mut Checks, server: (&mut Running, &Ssh), node: (&mut Running, &Ssh)) {
    let before = must(node::identity(node.1));
    let mut guests = [server, node];
    for (guest, _) in &mut guests {
        guest.console.skip();
        must(guest.qmp.reset());
    }
    for (guest, ssh) in &mut guests {
        must(guest.console.expect_any(&["Linux version", "systemd[1]:"], LONG));
        must(ssh.wait(&guest.console, LONG));
    }
    for (_, ssh) in &guests {
        node::is_ready(checks, ssh, "after a reset of both");
    }
    checks.equal("it is the same node", node::identity(guests[1].1), &before);
}

/// A node whose k3s is fetched later serves files meanwhile, and says what it waits for.
pub(crate) fn serves_before_the_cluster(test: &str) {
    let Some(image) = Image::of(test, "dnas-node", Arch::X86_64, "HCIMAGE_DEFERRED_IMAGES") else { return };
    let mut checks = Checks::new(test);
    let cable = tempfile::tempdir().unwrap();
    let (_, end) = Link::pair(cable.path());
    let off = must(machine(&image, end, 1024).prepare());
    let token = format!("K10{}::server:x", "a".repeat(64));
    node::seed(&image, &off, agent("dnas", &token).as_bytes());
    let guest = must(PoweredOff::start(off));
    let ssh = image.ssh(&guest);
    must(ssh.wait(&guest.console, LONG));
    crate::shares::smb(&mut checks, &guest, &ssh);
    crate::shares::nfs(&mut checks, &guest, &ssh);
    let told = (0..60).find_map(|_| {
        let reason = node::status(&ssh).ok().and_then(|status| status.reason);
        let known =
            reason.filter(|reason| matches!(reason.code.name().as_str(), "HC-J04" | "HC-J06" | "HC-A01"));
        if known.is_none() {
            std::thread::sleep(Duration::from_secs(2));
        }
        known
    });
    checks.that(
        "and says what it waits for",
        match told {
            Some(reason) => {
                eprintln!("said: {reason}");
                Ok(())
            }
            None => Err(format!("{:?}", node::status(&ssh))),
        },
    );
    crate::shares::nfs_still_serves(&mut checks, &guest, &ssh);
    checks.finish();
}
