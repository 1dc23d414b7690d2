//! J12 to J14 and S03: the kubelet and the Kubernetes API, as this node's own certificates let it ask.

use crate::node::{
    file,
    join::{
        facts::{Kubelet, NodeState, Seen},
        k3s,
    },
    supervisor::{Bundle, Client, ClientKey, plain},
};
use serde::Deserialize;
use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
    path::Path,
    time::Duration,
};

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// The kubelet's word on itself.
const HEALTH: u16 = 10248;
/// Where an agent reaches the API, unless its kubeconfig says otherwise.
const API: u16 = 6444;
/// A server's own API.
const SUPERVISOR: u16 = 6443;

pub(super) fn kubelet() -> Kubelet {
    match plain(SocketAddr::new(LOCAL, HEALTH), "/healthz", Duration::from_secs(5)) {
        Ok(answer) if answer.status == 200 => Kubelet::Well,
        Ok(answer) => Kubelet::Not(format!("it answers {}", answer.status)),
        Err(error) => Kubelet::Not(error.to_string()),
    }
}

fn must(path: &Path) -> io::Result<Vec<u8>> {
    let missing = || io::Error::other(format!("{} is not there yet", path.display()));
    file::read(path)?.ok_or_else(missing)
}

/// Asks an API on this machine as whoever these files say.
fn ask(
    port: u16,
    path: &str,
    ca: &Path,
    certificate: &Path,
    key: &Path,
    now: u64,
) -> io::Result<(u16, Vec<u8>)> {
    let bundle = Bundle::unpinned(&must(ca)?, now).map_err(io::Error::other)?;
    let key = ClientKey { certificates: must(certificate)?, key: must(key)? };
    let client = Client::new(SocketAddr::new(LOCAL, port));
    let answer = client.pinned(&bundle, now).api(path, &key).map_err(io::Error::other)?;
    Ok((answer.status, answer.body))
}

pub(super) fn api(now: u64) -> Result<(), String> {
    let tls = Path::new(k3s::SERVER).join("tls");
    let answer = ask(
        SUPERVISOR,
        "/readyz",
        &tls.join("server-ca.crt"),
        &tls.join("client-admin.crt"),
        &tls.join("client-admin.key"),
        now,
    );
    match answer {
        Ok((200, _)) => Ok(()),
        Ok((status, _)) => Err(format!("/readyz answers {status}")),
        Err(error) => Err(error.to_string()),
    }
}

pub(super) fn node(name: &str, now: u64) -> Seen {
    let agent = Path::new(k3s::AGENT);
    let look = || -> io::Result<Seen> {
        let port = port(&String::from_utf8_lossy(&must(&agent.join("kubelet.kubeconfig"))?));
        let ask = |path: &str| {
            let file = |name| agent.join(name);
            ask(
                port,
                path,
                &file("server-ca.crt"),
                &file("client-kubelet.crt"),
                &file("client-kubelet.key"),
                now,
            )
        };
        let state = match ask(&format!("/api/v1/nodes/{name}"))? {
            (200, body) => state(&body)?,
            (404, _) => return Ok(Seen::Unknown),
            (status, _) => return Ok(Seen::Away(format!("it answers {status}"))),
        };
        let server_version = match ask("/version")? {
            (200, body) => Some(serde_json::from_slice::<Version>(&body)?.git_version),
            // Not every role may ask; then nothing is said of versions.
            _ => None,
        };
        Ok(Seen::Node(Box::new(NodeState { server_version, ..state })))
    };
    look().unwrap_or_else(|error| Seen::Away(error.to_string()))
}

/// The port in the line `server: https://127.0.0.1:6444` of a kubeconfig.
fn port(kubeconfig: &str) -> u16 {
    let server = kubeconfig.lines().find_map(|line| line.trim().strip_prefix("server:"));
    let port = server.and_then(|url| url.trim().trim_matches('"').rsplit(':').next()?.parse().ok());
    port.unwrap_or(API)
}

#[derive(Deserialize)]
struct Version {
    #[serde(rename = "gitVersion")]
    git_version: String,
}

#[derive(Deserialize)]
struct Node {
    status: Status,
}

#[derive(Deserialize)]
struct Status {
    #[serde(default)]
    conditions: Vec<Condition>,
    #[serde(default)]
    addresses: Vec<Address>,
    #[serde(rename = "nodeInfo")]
    node: Facts,
}

#[derive(Deserialize)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
struct Address {
    #[serde(rename = "type")]
    kind: String,
    address: String,
}

#[derive(Deserialize)]
struct Facts {
    #[serde(rename = "kubeletVersion")]
    kubelet_version: String,
}

/// What the API's answer says of the node.
fn state(body: &[u8]) -> io::Result<NodeState> {
    let Node { status } = serde_json::from_slice(body)?;
    let find = |kind: &str| status.conditions.iter().find(|condition| condition.kind == kind);
    let ready = find("Ready");
    let why = ready.map_or_else(
        || "the kubelet has not reported yet".to_owned(),
        |ready| match ready.message.is_empty() {
            true => ready.reason.clone(),
            false => format!("{} {}", ready.reason, ready.message).trim().to_owned(),
        },
    );
    let own = status.addresses.iter().filter(|address| address.kind == "InternalIP");
    Ok(NodeState {
        ready: ready.is_some_and(|ready| ready.status == "True"),
        why,
        network: find("NetworkUnavailable").is_none_or(|condition| condition.status == "False"),
        version: status.node.kubelet_version,
        server_version: None,
        addresses: own.filter_map(|address| address.address.parse().ok()).collect(),
    })
}

/// Three attempts to reach the API as pods do.
pub(super) fn path(address: IpAddr) -> u8 {
    let reach = || TcpStream::connect_timeout(&SocketAddr::new(address, 443), Duration::from_secs(3)).is_ok();
    (0..3).map(|_| u8::from(reach())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_as_the_api_has_it() {
        let body = br#"{"kind":"Node","status":{"conditions":[
            {"type":"MemoryPressure","status":"False"},
            {"type":"Ready","status":"False","reason":"KubeletNotReady","message":"container runtime network not ready: NetworkPluginNotReady"}],
            "addresses":[{"type":"InternalIP","address":"192.168.1.20"},{"type":"Hostname","address":"pi3"}],
            "nodeInfo":{"kubeletVersion":"v1.34.3+k3s1"}}}"#;
        let found = state(body).unwrap();
        assert!(!found.ready && found.network && found.why.contains("NetworkPluginNotReady"));
        assert_eq!(found.addresses, ["192.168.1.20".parse::<IpAddr>().unwrap()]);
        assert!(state(b"{}").is_err());
    }

    #[test]
    fn the_port_of_a_kubeconfig() {
        assert_eq!(port("clusters:\n- cluster:\n    server: https://127.0.0.1:7444\n"), 7444);
        assert_eq!(port(""), API);
    }
}
