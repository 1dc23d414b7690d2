//! k3s as this node sets it up and hears it: its settings, and what its words in the journal mean. Pure.

use super::{facts::Entry, order::Order, reasons};
use contract::{Blame, Code, Reason, seed::Role};
use serde_json::{Map, Value, json};
use std::net::{IpAddr, SocketAddr};

/// Where the settings of this node are: after the image's own file, which it overrides.
pub const SETTINGS: &str = "/etc/rancher/k3s/config.yaml.d/50-hc.yaml";
/// Where the token is: k3s needs it at every start, for the CA's hash.
pub const TOKEN: &str = "/etc/rancher/k3s/token";
/// What an agent makes, in this order; below [`AGENT`].
pub const FILES: [&str; 7] = [
    "client-ca.crt",
    "server-ca.crt",
    "serving-kubelet.crt",
    "client-kubelet.crt",
    "client-kube-proxy.crt",
    "client-k3s-controller.crt",
    "kubelet.kubeconfig",
];
/// Where an agent keeps its files.
pub const AGENT: &str = "/var/lib/rancher/k3s/agent";
/// Where a server keeps its files.
pub const SERVER: &str = "/var/lib/rancher/k3s/server";

/// A file that is written: readable by root alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Text {
    /// Where.
    pub path: &'static str,
    /// What. It may be a secret, so it is not shown.
    pub text: String,
}

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({} bytes, not shown)", self.path, self.text.len())
    }
}

/// k3s's settings on this node: the token first, since the unit starts when the settings are there. The settings are
/// JSON, which is YAML.
#[must_use]
pub fn settings(order: &Order, server: Option<SocketAddr>, own: Option<IpAddr>) -> Vec<Text> {
    let mut settings = Map::new();
    let mut set = |key: &str, value: Value| {
        settings.insert(key.to_owned(), value);
    };
    match (&order.server, server) {
        // A name that everybody resolves stays a name: the server may move. One that only we resolve must not.
        (Some(name), at) => {
            let literal = name.host.parse::<IpAddr>().is_ok();
            let host = match at {
                Some(at) if literal || name.is_multicast() => at.to_string(),
                _ => format!("{}:{}", name.host, name.port),
            };
            set("server", json!(format!("https://{host}")));
        }
        (None, _) => set("cluster-init", json!(true)),
    }
    set("token-file", json!(TOKEN));
    set("node-name", json!(order.name));
    if let Some(own) = own {
        set("node-ip", json!(own.to_string()));
    }
    if !order.labels.is_empty() {
        let labels: Vec<_> = order.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        set("node-label+", json!(labels));
    }
    if !order.taints.is_empty() {
        set("node-taint+", json!(order.taints));
    }
    if order.role == Role::Server && !order.tls_san.is_empty() {
        set("tls-san+", json!(order.tls_san));
    }
    let settings = format!("{:#}\n", Value::Object(settings));
    vec![
        Text { path: TOKEN, text: format!("{}\n", order.token.reveal()) },
        Text { path: SETTINGS, text: settings },
    ]
}

/// A release of k3s: of `v1.34.3+k3s1` 34, 3 and 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release {
    /// The minor version of Kubernetes.
    pub minor: u32,
    /// Its patch.
    pub patch: u32,
    /// The number of k3s's own.
    pub build: u32,
}

impl Release {
    /// Reads one; none for what is no release of k3s 1.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (version, rest) = text.strip_prefix("v1.")?.split_once(['+', '-'])?;
        let (minor, patch) = version.split_once('.')?;
        let build = rest.rsplit_once("k3s")?.1;
        Some(Self { minor: minor.parse().ok()?, patch: patch.parse().ok()?, build: build.parse().ok()? })
    }

    /// Whether `now` is of an older minor version than `before`: one that must not open what that one wrote. What is
    /// no release of k3s cannot be compared.
    #[must_use]
    pub fn is_minor_back(before: &str, now: &str) -> bool {
        let (before, now) = (Self::parse(before), Self::parse(now));
        before.zip(now).is_some_and(|(before, now)| now.minor < before.minor)
    }
}

/// Only the newest lines are believed: what is older may be over.
const LINES: usize = 20;

/// What k3s's last words mean, if they mean something to the owner.
#[must_use]
pub fn words(order: &Order, joined: bool, at: Option<SocketAddr>, log: &[String]) -> Option<Reason> {
    log.iter().rev().take(LINES).find_map(|line| word(order, joined, at, line))
}

fn word(order: &Order, joined: bool, at: Option<SocketAddr>, line: &str) -> Option<Reason> {
    let has = |part: &str| line.contains(part);
    let server = order.server.as_ref();
    let ip = || at.map_or_else(|| "the server's address".to_owned(), |at| at.ip().to_string());
    let refused =
        |status: u16| server.and_then(|server| reasons::entry(server, at, &Entry::Status(status), 0));
    if has("token CA hash does not match") {
        let text = format!(
            "the machine at {} is NOT the cluster this card was made for (k3s compared its CA). Cluster reinstalled, or wrong address?",
            ip()
        );
        return Some(reasons::from_k3s(Code::J07, "trust", Blame::Elsewhere, text));
    }
    if has("Node password rejected") {
        return Some(reasons::name_taken(&order.name));
    }
    if has("cannot be enabled for") && has("snapshotter") {
        let text = "/var is on overlayfs, containers cannot start.";
        return Some(reasons::from_k3s(Code::J03, "storage", Blame::Node, text));
    }
    if has("failed to find") && has("cgroup") || has("cgroup controller not found") {
        let text = "memory cgroup is off. Add cgroup_enable=memory to cmdline.txt (hcimage images have it: was the file edited?).";
        return Some(reasons::from_k3s(Code::J03, "kernel", Blame::Node, text));
    }
    if has("no space left on device") {
        let text = "/var is full, containers cannot start. Delete something, or use a larger disk.";
        return Some(reasons::from_k3s(Code::J03, "storage", Blame::Node, text));
    }
    if has("critical configuration value mismatch") {
        let text =
            format!("this server's settings differ from those of the others: {}", after(line, "mismatch"));
        return Some(reasons::from_k3s(Code::S02, "server", Blame::Settings, text));
    }
    if has("encrypted with different token") {
        let text = "this disk holds a cluster that was made with another token. Give it that token, or reset the node.";
        return Some(reasons::from_k3s(Code::S01, "token", Blame::Settings, text));
    }
    if has("learner") && (has("promote") || has("in sync")) {
        return Some(reasons::learner());
    }
    if has("server is not ready") && (has("401") || has("not authorized") || has("Unauthorized")) {
        return if joined { Some(reasons::forgotten()) } else { refused(401) };
    }
    if has("server is not ready") && (has("403") || has("orbidden")) {
        return refused(403);
    }
    if has("server is not ready") && has("503") {
        return refused(503);
    }
    if has("failed to get CA certs") {
        let port = server.map_or(6443, |server| server.port);
        let text = format!("{} does not answer on port {port}. Is it switched on?", ip());
        return Some(reasons::from_k3s(Code::J06, "server", Blame::Elsewhere, text));
    }
    None
}

/// What follows a word in a line, without the quotation marks of logs.
fn after<'l>(line: &'l str, word: &str) -> &'l str {
    line.split_once(word).map_or(line, |(_, rest)| rest).trim_matches([':', ' ', '"'])
}
