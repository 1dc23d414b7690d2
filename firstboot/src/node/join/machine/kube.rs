//! J12 to J14 and S03: the kubelet and the Kubernetes API, as this node's own certificates let it ask.

use crate::node::{
    join::facts::{Kubelet, NodeState, Seen},
    kube::Door,
    supervisor::{Answer, Question, plain},
};
use serde::Deserialize;
use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// The kubelet's word on itself.
const HEALTH: u16 = 10248;

pub(crate) fn kubelet() -> Kubelet {
    match plain(SocketAddr::new(LOCAL, HEALTH), "/healthz", Duration::from_secs(5)) {
        Ok(answer) if answer.status == 200 => Kubelet::Well,
        Ok(answer) => Kubelet::Not(format!("it answers {}", answer.status)),
        Err(error) => Kubelet::Not(error.to_string()),
    }
}

pub(super) fn api(now: u64) -> Result<(), String> {
    match Door::admin().ask(Question::get("/readyz"), now) {
        Ok(Answer { status: 200, .. }) => Ok(()),
        Ok(Answer { status, .. }) => Err(format!("/readyz answers {status}")),
        Err(error) => Err(error.to_string()),
    }
}

pub(super) fn node(name: &str, now: u64) -> Seen {
    let look = || -> io::Result<Seen> {
        let door = Door::node()?;
        let ask = |path: &str| door.ask(Question::get(path), now);
        let state = match ask(&format!("/api/v1/nodes/{name}"))? {
            Answer { status: 200, body, .. } => state(&body)?,
            Answer { status: 404, .. } => return Ok(Seen::Unknown),
            Answer { status, .. } => return Ok(Seen::Away(format!("it answers {status}"))),
        };
        let server_version = match ask("/version")? {
            Answer { status: 200, body, .. } => Some(serde_json::from_slice::<Version>(&body)?.git_version),
            // Not every role may ask; then nothing is said of versions.
            _ => None,
        };
        Ok(Seen::Node(Box::new(NodeState { server_version, ..state })))
    };
    look().unwrap_or_else(|error| Seen::Away(error.to_string()))
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
}
