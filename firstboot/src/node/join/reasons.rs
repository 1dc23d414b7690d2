//! Every reason for which a join stops, in its owner's words. The table of the joining guide is made of these.

use super::{
    facts::{ArtifactFault, AuthorityFault, Contact, Entry, Host, NodeState},
    order::Address,
};
use crate::node::{
    clock::{Clocks, Day},
    place,
    supervisor::{BundleError, Cidr, SupervisorError},
};
use contract::{Blame, Code, Reason};
use std::net::{IpAddr, SocketAddr};

fn reason(code: Code, area: &str, blame: Blame, text: impl Into<String>) -> Reason {
    Reason { code, area: area.to_owned(), text: text.into(), blame }
}

pub(super) fn other_name(was: &str, says: &str) -> Reason {
    let text = format!(
        "this card was joined as \"{was}\" but config says \"{says}\". Use \"hcnode reset-identity\" or fix the name."
    );
    reason(Code::J02, "name", Blame::Settings, text)
}

/// What is wrong with this machine, if anything.
pub(super) fn host(host: &Host) -> Option<Reason> {
    let kernel = |text: String| Some(reason(Code::J03, "kernel", Blame::Node, text));
    let storage = |text: String| Some(reason(Code::J03, "storage", Blame::Node, text));
    let absent = |wanted: &&str| !host.controllers.iter().any(|found| found == *wanted);
    if absent(&"memory") {
        return kernel(
            "memory cgroup is off. Add cgroup_enable=memory to cmdline.txt (hcimage images have it: was the file edited?)."
                .to_owned(),
        );
    }
    if let Some(wanted) = ["cpu", "cpuset", "pids"].iter().find(|wanted| absent(wanted)) {
        return kernel(format!("{wanted} cgroup is off; this kernel cannot limit what containers use."));
    }
    if let Some(module) = host.missing_modules.iter().find(|module| !BACKENDS.contains(&module.as_str())) {
        return kernel(format!(
            "module {module} is not in this image, containers need it. Build the image with overlay k3s."
        ));
    }
    if ["overlay", "tmpfs", "ramfs"].contains(&host.var.as_str()) {
        let kind = if host.var == "overlay" { "overlayfs" } else { &host.var };
        return storage(format!("/var is on {kind}, containers cannot start."));
    }
    if host.free < LEAST_FREE {
        let free = host.free >> 20;
        return storage(format!(
            "/var is full: {free} MiB are free, containers need 4096 MiB. Delete something, or use a larger disk."
        ));
    }
    if !host.rancher {
        return storage(
            "/etc/rancher is not kept over a restart; the cluster would not know this node again.".to_owned(),
        );
    }
    if host.root_maxkeys <= 10_000 {
        return kernel(format!(
            "kernel.keys.root_maxkeys is {}, containers need 1000000. Was the sysctl changed?",
            host.root_maxkeys
        ));
    }
    None
}

/// Modules that only some clusters need: known after J9.
const BACKENDS: [&str; 2] = ["vxlan", "wireguard"];

/// Whether this kernel can carry pods' traffic as the cluster does.
pub(super) fn backend(host: &Host, backend: &str) -> Option<Reason> {
    let module = BACKENDS.iter().find(|module| backend.starts_with(**module))?;
    let missing = host.missing_modules.iter().any(|missing| missing == module);
    let text = format!(
        "the cluster carries traffic of pods by {backend}, and module {module} is not in this image. Build the image with overlay k3s."
    );
    missing.then(|| reason(Code::J03, "kernel", Blame::Node, text))
}

/// A node with less room on /var than this does not join, in bytes.
pub(super) const LEAST_FREE: u64 = 4 << 30;

pub(super) fn no_k3s() -> Reason {
    reason(
        Code::J10,
        "config",
        Blame::Settings,
        "the seed asks for a cluster, and this image has no k3s. Write an image of the profile k3s-agent, k3s-server or dnas-node.",
    )
}

pub(super) fn no_carrier() -> Reason {
    reason(Code::J04, "network", Blame::Elsewhere, "no cable connected (no port has a carrier).")
}

pub(super) fn no_address(seconds: u64) -> Reason {
    let text = format!("cable connected but no address from DHCP for {seconds} s.");
    reason(Code::J04, "network", Blame::Elsewhere, text)
}

pub(super) fn no_route() -> Reason {
    reason(
        Code::J04,
        "network",
        Blame::Elsewhere,
        "no default route: the network named no router. k3s needs one; set gateway in the seed.",
    )
}

/// The first of the node's networks that is also one of the cluster's.
pub(super) fn overlap(lan: &[Cidr], pods: &[Cidr], services: &[Cidr]) -> Option<Reason> {
    let kinds = [("pod", pods), ("service", services)];
    let mut pairs = kinds.into_iter().flat_map(|(kind, nets)| nets.iter().map(move |net| (kind, net)));
    pairs.find_map(|(kind, net)| {
        let lan = lan.iter().find(|lan| lan.overlaps(net))?;
        let text = format!("your LAN {} overlaps the {kind} network {net}.", lan.network());
        Some(reason(Code::J04, "network", Blame::Settings, text))
    })
}

pub(super) fn no_time(clocks: &Clocks) -> Reason {
    let text =
        format!("node says {} and no time server answers. Check the network or set [time].", Day(clocks.now));
    reason(Code::J05, "clock", Blame::Elsewhere, text)
}

pub(super) fn server_in_the_past(server: u64, clocks: &Clocks) -> Reason {
    let text = format!(
        "server says {}, but this image was built on {}. Set the server's clock.",
        Day(server),
        Day(clocks.floor)
    );
    reason(Code::J05, "clock", Blame::Elsewhere, text)
}

/// `nas.lan (192.168.1.10)`, or the address alone.
fn place(server: &Address, address: Option<SocketAddr>) -> String {
    match address {
        Some(found) if found.ip().to_string() != server.host => format!("{} ({})", server.host, found.ip()),
        _ => server.host.clone(),
    }
}

/// Why the server was not reached.
pub(super) fn contact(server: &Address, contact: &Contact) -> Option<Reason> {
    let who = place(server, contact.address());
    let text = match contact {
        Contact::Pong { .. } => return None,
        Contact::NotFound => format!("{who}: name not found. Check the name, or write the server's address."),
        Contact::Not { error, .. } => away(&who, server.port, error),
    };
    Some(reason(Code::J06, "server", Blame::Elsewhere, text))
}

fn away(who: &str, port: u16, error: &SupervisorError) -> String {
    match error {
        SupervisorError::Refused => {
            format!("{who} refuses port {port} - is k3s running there / firewall open?")
        }
        SupervisorError::Silent => format!("{who} does not answer on port {port}. Is it switched on?"),
        SupervisorError::Broken(why) => format!("{who} does not answer on port {port} ({why})."),
        other => format!("{who} answers on port {port}, but not as a k3s server: {other}."),
    }
}

/// The first four digits of a hash, for people.
fn short(hash: &contract::Digest) -> String {
    hash.to_string().chars().take(4).collect::<String>() + ".."
}

pub(super) fn authority(server: &Address, at: Option<SocketAddr>, fault: &AuthorityFault) -> Reason {
    let who = place(server, at);
    match fault {
        AuthorityFault::Away(error) => {
            reason(Code::J06, "server", Blame::Elsewhere, away(&who, server.port, error))
        }
        AuthorityFault::Status(status) => reason(
            Code::J06,
            "server",
            Blame::Elsewhere,
            format!("{who} answers {status} to /cacerts; a k3s server would answer with its CA."),
        ),
        AuthorityFault::Bundle(BundleError::Mismatch { found, expected }) => {
            let ip = at.map_or_else(|| server.host.clone(), |at| at.ip().to_string());
            let text = format!(
                "the machine at {ip} is NOT the cluster this card was made for (CA {} expected {}). Stopped before sending the token. Cluster reinstalled, or wrong address?",
                short(found),
                short(expected)
            );
            reason(Code::J07, "trust", Blame::Elsewhere, text)
        }
        AuthorityFault::Bundle(error) => {
            let text = format!("{who} sends no CA: {error}. Stopped before sending the token.");
            reason(Code::J07, "trust", Blame::Elsewhere, text)
        }
    }
}

/// Why the server did not prove who it is.
pub(super) fn proof(
    server: &Address,
    at: Option<SocketAddr>,
    claimed: Option<u64>,
    clocks: &Clocks,
    error: &SupervisorError,
) -> Reason {
    let who = place(server, at);
    let tls = |text: String| reason(Code::J08, "tls", Blame::Elsewhere, text);
    let both = || {
        let server = claimed.map_or_else(|| "unknown".to_owned(), |claimed| Day(claimed).to_string());
        format!("(server clock {server}, node clock {})", Day(clocks.now))
    };
    match error {
        SupervisorError::Time { not_before, at, .. } if at < not_before => tls(format!(
            "server certificate is not yet valid {}; it counts from {} on.",
            both(),
            Day(*not_before)
        )),
        SupervisorError::Time { not_after, .. } => {
            tls(format!("server certificate has expired on {} {}.", Day(*not_after), both()))
        }
        SupervisorError::Foreign => tls(format!(
            "{who} shows the cluster's CA, but its own certificate is not signed by it. Stopped before sending the token. Is another machine using this address?"
        )),
        SupervisorError::Name { names } => tls(format!(
            "server certificate is for {}, not for 127.0.0.1 as those of k3s are. Stopped before sending the token.",
            names.join(", ")
        )),
        other => reason(Code::J06, "server", Blame::Elsewhere, away(&who, server.port, other)),
    }
}

/// What the cluster says to our token, when it does not let us in. `waited` in seconds.
pub(super) fn entry(server: &Address, at: Option<SocketAddr>, entry: &Entry, waited: u64) -> Option<Reason> {
    let token = |text: String| Some(reason(Code::J09, "token", Blame::Settings, text));
    let server_fault = |text: String| Some(reason(Code::J09, "server", Blame::Elsewhere, text));
    match entry {
        Entry::Admitted(_) => None,
        Entry::Status(401) => token(
            "the cluster rejects this token (expired, or rotated). Make a new one: hcnode token, on a server.".to_owned(),
        ),
        Entry::Status(403) => token("token is valid but may not join nodes.".to_owned()),
        Entry::Status(503) => {
            server_fault(format!("server is starting, waiting ({} min).", waited.div_ceil(60).max(1)))
        }
        Entry::Status(other) => {
            server_fault(format!("{} answers {other} to /v1-k3s/config.", place(server, at)))
        }
        Entry::NotUnderstood(error) => server_fault(format!("{}: {error}.", place(server, at))),
        Entry::Away(error) => {
            let text = away(&place(server, at), server.port, error);
            Some(reason(Code::J06, "server", Blame::Elsewhere, text))
        }
    }
}

pub(super) fn artifact(fault: &ArtifactFault) -> Reason {
    let ArtifactFault { name, host, why, ours } = fault;
    if *ours {
        return reason(Code::A01, "artifact", Blame::Node, format!("{name} cannot be kept here: {why}."));
    }
    let text = format!(
        "{name} is not in this image, and cannot be fetched from {host}: {why}. It is tried again; everything else works meanwhile."
    );
    reason(Code::A01, "artifact", Blame::Elsewhere, text)
}

pub(super) fn not_written(why: &str) -> Reason {
    reason(Code::J10, "config", Blame::Node, format!("k3s's settings cannot be written: {why}."))
}

pub(super) fn not_kept(why: &str) -> Reason {
    let text = format!(
        "k3s has another version now, and the copy of the cluster's state that must come first failed: {why}. k3s is not started."
    );
    reason(Code::S05, "backup", Blame::Node, text)
}

/// What helps a server that came back from a newer k3s.
pub(super) const OLDER_NEXT: &str = "hcnode update --to RELEASE with that k3s; or, only on a cluster's only server: hcnode restore-datastore --only-server";

/// A server must not open what a newer minor version of k3s wrote.
pub(super) fn older_k3s(before: &str, now: &str, copy: Option<&str>) -> Reason {
    let copy = copy.map_or_else(
        || "There is no copy from before".to_owned(),
        |copy| format!("The copy from before is {}/{copy}", place::COPIES),
    );
    let text = format!(
        "k3s {before} ran on this server and has changed its datastore; this release has {now}, which must not open it. k3s is not started. {copy}."
    );
    reason(Code::S05, "datastore", Blame::Node, text)
}

pub(super) fn name_taken(name: &str) -> Reason {
    let text = format!(
        "the cluster already knows another machine called \"{name}\". Re-flash with its escrow (hcimage seed new --escrow FILE), or remove it there: kubectl delete node {name}."
    );
    reason(Code::J11, "identity", Blame::Settings, text)
}

pub(super) fn forgotten() -> Reason {
    let text = "the cluster has forgotten this node, and rejects its old token. Make a new one: hcnode token, on a server.";
    reason(Code::J09, "token", Blame::Settings, text.to_owned())
}

pub(super) fn unit_stuck(unit: &str, files: (usize, usize), seconds: u64, last: &str) -> Reason {
    let (there, all) = files;
    let text = format!("{unit} does not get on: {there} of {all} files after {seconds} s. It says: {last}");
    reason(Code::J11, "k3s", Blame::Node, text)
}

/// A reason that k3s's own words gave.
pub(super) fn from_k3s(code: Code, area: &str, blame: Blame, text: impl Into<String>) -> Reason {
    reason(code, area, blame, text)
}

pub(super) fn importing(imported: usize, archives: usize) -> Reason {
    let text = format!("still importing images ({imported} of {archives}).");
    reason(Code::J12, "runtime", Blame::Node, text)
}

pub(super) fn kubelet(last: &str) -> Reason {
    reason(Code::J12, "runtime", Blame::Node, format!("kubelet keeps exiting: {last}"))
}

pub(super) fn node_away(why: &str) -> Reason {
    let text = format!("the cluster's API cannot be asked for this node: {why}.");
    reason(Code::J13, "ready", Blame::Elsewhere, text)
}

pub(super) fn node_unknown(name: &str) -> Reason {
    let text = format!("the cluster has no node \"{name}\" although the kubelet runs.");
    reason(Code::J13, "ready", Blame::Node, text)
}

/// What is wrong with the Kubernetes node, if anything.
pub(super) fn node(state: &NodeState, own: Option<IpAddr>) -> Option<Reason> {
    let ready = |blame, text: String| Some(reason(Code::J13, "ready", blame, text));
    if !state.ready {
        let hint =
            if state.why.contains("NetworkPluginNotReady") { " (flannel: udp 8472 blocked?)" } else { "" };
        return ready(Blame::Node, format!("joined, but not Ready: {}{hint}", state.why));
    }
    if !state.network {
        return ready(
            Blame::Node,
            "joined, but the node's network is not set up (NetworkUnavailable).".to_owned(),
        );
    }
    if let Some(own) = own.filter(|own| !state.addresses.is_empty() && !state.addresses.contains(own)) {
        let theirs = state.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let text = format!("joined, but the cluster has the address {theirs} for this node, not {own}.");
        return ready(Blame::Node, text);
    }
    let (ours, theirs) = (minor(&state.version)?, minor(state.server_version.as_deref()?)?);
    if ours > theirs {
        let text = format!(
            "this node's k3s 1.{ours} is newer than the server's 1.{theirs}. Update the servers first."
        );
        return ready(Blame::Elsewhere, text);
    }
    if theirs - ours > 3 {
        let text = format!(
            "this node's k3s 1.{ours} is more than three versions older than the server's 1.{theirs}. Update this node."
        );
        return ready(Blame::Node, text);
    }
    None
}

/// The minor version: 34 of `v1.34.3+k3s1`.
pub(super) fn minor(version: &str) -> Option<u32> {
    version.trim_start_matches('v').strip_prefix("1.")?.split(['.', '+', '-']).next()?.parse().ok()
}

pub(super) fn path(server: Option<IpAddr>) -> Reason {
    let text = match server {
        Some(server) => {
            format!("pods on this node cannot reach the API service; UDP 8472 to {server} seems filtered.")
        }
        None => "pods on this node cannot reach the API service.".to_owned(),
    };
    reason(Code::J14, "overlay", Blame::Elsewhere, text)
}

pub(super) fn not_burned(why: &str) -> Reason {
    let text = format!(
        "could not erase the token from the card ({why}); it expires by itself if it has a time limit, else keep the card as you keep a key."
    );
    reason(Code::J15, "warning", Blame::Node, text)
}

pub(super) fn api(why: &str) -> Reason {
    reason(Code::S03, "server", Blame::Node, format!("the API server of this node is not ready: {why}."))
}

/// What to do about [`single_copy`]: it is said until the mark is there.
pub(super) const COPY_OFF: &str = "copy /var/lib/rancher/k3s/server/token to a safe place elsewhere, then: touch /var/lib/hcimage/off-node-copy";

/// What holds on servers, and is worth a word: nothing of it stops the node.
pub(super) fn single_copy() -> Reason {
    reason(
        Code::S05,
        "backup",
        Blame::Settings,
        "this cluster has no off-node copy of its token; if this disk dies it cannot be restored.",
    )
}

pub(super) fn learner() -> Reason {
    reason(
        Code::S04,
        "server",
        Blame::Elsewhere,
        "this server is still a learner in etcd: it does not count as one of those that may fail.",
    )
}
