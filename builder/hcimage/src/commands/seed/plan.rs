//! What a node does with its settings, in words for its owner. No secret is in any of them.

use contract::{
    Seed,
    seed::{Cluster, Credentials, Endpoint, Network, Role, Token},
};
use std::net::IpAddr;

/// Names and what they stand for.
pub(super) fn rows(seed: &Seed) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    let mut row = |name: &str, value: String| rows.push((name.to_owned(), value));
    row("name", seed.name().map_or_else(|| "the image's own".to_owned(), ToOwned::to_owned));
    row("log in", login(&seed.ssh.authorized_keys));
    row("network", seed.network.as_ref().map_or_else(|| "every wired port asks DHCP".to_owned(), network));
    for wifi in &seed.wifi {
        let lock = if wifi.password.is_some() { "with password" } else { "open" };
        let hidden = if wifi.hidden { ", hidden" } else { "" };
        row("wireless", format!("{} ({lock}{hidden}, {})", wifi.ssid, wifi.country));
    }
    if !seed.time.servers.is_empty() {
        row("time", format!("from {}", seed.time.servers.join(", ")));
    }
    if let Some(data) = &seed.data {
        let format = if data.format { "given a file system if it is empty" } else { "never formatted" };
        row("data disk", format!("{}, {format}", data.disk));
    }
    match &seed.cluster {
        None => row("cluster", "none: a NAS on its own".to_owned()),
        Some(cluster) => rows.extend(cluster_rows(cluster)),
    }
    let mut row = |name: &str, value: String| rows.push((name.to_owned(), value));
    if seed.status.page {
        row("status page", "for everybody on the network, on port 80".to_owned());
    }
    if let Some(identity) = &seed.identity {
        let also = [
            (identity.node_password.is_some(), "its place in the cluster"),
            (identity.ssh_host_key.is_some(), "its SSH host key"),
        ];
        let also: String = also.iter().filter(|(has, _)| *has).map(|(_, what)| format!(", {what}")).collect();
        row("identity", format!("goes on as {}: its machine id{also}", identity.name));
    }
    rows
}

fn login(keys: &[String]) -> String {
    let comment =
        |key: &String| key.splitn(3, ' ').nth(2).unwrap_or("a key without a comment").trim().to_owned();
    match keys {
        [] => "nobody".to_owned(),
        keys => {
            format!("root, with the SSH key of {}", keys.iter().map(comment).collect::<Vec<_>>().join(", "))
        }
    }
}

fn network(network: &Network) -> String {
    let port = network.interface.as_deref().unwrap_or("every wired port");
    let mut text = match network.addresses.as_slice() {
        [] => format!("{port} asks DHCP"),
        addresses => format!("{port} has {}", addresses.join(", ")),
    };
    if let Some(gateway) = network.gateway {
        text.push_str(&format!(", router {gateway}"));
    }
    if !network.dns.is_empty() {
        let dns: Vec<_> = network.dns.iter().map(ToString::to_string).collect();
        text.push_str(&format!(", name servers {}", dns.join(", ")));
    }
    text
}

fn cluster_rows(cluster: &Cluster) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    let mut row = |name: &str, value: String| rows.push((name.to_owned(), value));
    let place = match (&cluster.role, &cluster.server) {
        (Role::Agent, server) => format!("agent of {}", server.as_deref().unwrap_or("nobody")),
        (Role::Server, Some(server)) => format!("server, joins {server}"),
        (Role::Server, None) => "first server of a new cluster".to_owned(),
    };
    row("cluster", place);
    if cluster.token.is_burned() {
        row("token", "burned: the one that the node keeps".to_owned());
    } else if let Ok(token) = Token::parse(&cluster.token) {
        let kind = match token.credentials {
            Credentials::Password(_) => "the cluster's own",
            Credentials::Bootstrap(_) => "one for agents that expires",
        };
        let pin = token.ca.map_or_else(
            || "names no CA".to_owned(),
            |ca| format!("only for the cluster with CA {}…", &ca.to_string()[..12]),
        );
        row("token", format!("{kind}, {pin}"));
    }
    if let Some(address) = cluster.node_ip {
        row("node address", address.to_string());
    }
    if let Some(address) = cluster.virtual_ip {
        row("shared address", format!("{address} (needs the overlay keepalived)"));
    }
    if !cluster.tls_san.is_empty() {
        row("also known as", cluster.tls_san.join(", "));
    }
    if !cluster.labels.is_empty() {
        let labels: Vec<_> = cluster.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        row("labels", labels.join(", "));
    }
    if !cluster.taints.is_empty() {
        row("taints", cluster.taints.join(", "));
    }
    rows
}

/// What is allowed and may still not be meant.
pub(super) fn warnings(seed: &Seed) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut warn = |when: bool, text: String| {
        if when {
            warnings.push(text);
        }
    };
    warn(seed.ssh.authorized_keys.is_empty(), "there is no SSH key: nobody can log in".to_owned());
    warn(
        seed.name().is_none(),
        "there is no hostname: every node of this image has the same name on the network".to_owned(),
    );
    for wifi in seed.wifi.iter().filter(|wifi| wifi.password.is_none()) {
        warn(true, format!("wireless network {} is open: everybody nearby can be on it", wifi.ssid));
    }
    if let Some(cluster) = &seed.cluster {
        for text in of_cluster(seed, cluster) {
            warn(true, text);
        }
    }
    warnings
}

fn of_cluster(seed: &Seed, cluster: &Cluster) -> Vec<String> {
    let mut warnings = Vec::new();
    let addresses = seed.network.iter().flat_map(|network| &network.addresses);
    let own: Vec<IpAddr> = addresses
        .filter_map(|text| text.split('/').next().and_then(|address| address.parse().ok()))
        .collect();
    if cluster.allow_unpinned {
        warnings.push(
            "allow-unpinned: any machine that answers at the server's address is given the token".to_owned(),
        );
    }
    let server = cluster.server.as_deref().and_then(|server| Endpoint::parse(server).ok());
    if server.is_some_and(|server| server.host.ends_with(".local")) {
        warnings.push(
            "the server has a .local name: the node looks it up itself, and it must stay the same machine"
                .to_owned(),
        );
    }
    if cluster.role == Role::Server && own.is_empty() {
        warnings.push(
            "a server needs an address that stays: give it one here, or a fixed one in the router".to_owned(),
        );
    }
    for address in own.iter().chain(&cluster.node_ip) {
        if let IpAddr::V4(v4) = address
            && matches!(v4.octets(), [10, 42 | 43, ..])
        {
            warnings.push(format!(
                "{address} is in the networks that k3s uses for pods and services, 10.42/16 and 10.43/16"
            ));
        }
    }
    if let Some(address) = cluster.node_ip
        && !own.is_empty()
        && !own.contains(&address)
    {
        warnings.push(format!("node-ip {address} is none of the node's addresses"));
    }
    if seed.identity.as_ref().is_some_and(|identity| identity.node_password.is_none()) {
        warnings.push(
            "[identity] has no node-password: a cluster that knows this node will take it for another machine".to_owned(),
        );
    }
    warnings
}
