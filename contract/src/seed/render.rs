//! A seed as a file for a person: what is set, and as a comment what could be.

use super::{Cluster, Identity, Network, Role, Seed, Wifi};
use std::fmt;

/// Joins what a table's lines are made of.
struct Page(String);

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Page {
    fn line(&mut self, text: &str) {
        self.0.push_str(text);
        self.0.push('\n');
    }

    /// `key = value`.
    fn set(&mut self, key: &str, value: impl Into<toml::Value>) {
        // A text with line ends, such as a private key, reads better in three quotes; it has no quotes itself.
        let value = value.into();
        let text = match value.as_str() {
            Some(text) if text.contains('\n') && !text.contains(['\'', '\r']) && printable(text) => {
                format!("'''\n{text}'''")
            }
            _ => value.to_string(),
        };
        self.line(&format!("{key} = {text}"));
    }

    fn list<T: ToString>(&mut self, key: &str, values: &[T]) {
        match values {
            [] => {}
            [one] => self.set(key, toml::Value::Array(vec![one.to_string().into()])),
            many => {
                self.line(&format!("{key} = ["));
                for value in many {
                    self.line(&format!("    {},", toml::Value::from(value.to_string())));
                }
                self.line("]");
            }
        }
    }

    /// A table that is not set, for whoever wants to.
    fn example(&mut self, text: &str) {
        for line in text.lines() {
            self.line(&format!("# {line}"));
        }
    }
}

fn printable(text: &str) -> bool {
    text.chars().all(|c| c == '\n' || !c.is_control())
}

pub(super) fn seed(seed: &Seed) -> String {
    let mut page = Page(String::new());
    page.line("# The settings of one node. Its place is the boot partition of the node's card, under the name homecloud.toml.");
    page.line("# Check it with `hcimage seed check`; every key is explained in docs/seed.md. It holds secrets until the node has");
    page.line("# started: keep it for yourself.");
    page.line("");
    match &seed.hostname {
        Some(name) => page.set("hostname", name.as_str()),
        None => page.example("hostname = \"nas1\""),
    }
    page.line("");
    page.line("[ssh]");
    page.line("# Who may log in (as root): lines of .pub files.");
    match seed.ssh.authorized_keys.as_slice() {
        [] => page.example("authorized-keys = [\"ssh-ed25519 AAAA… me@laptop\"]"),
        keys => page.list("authorized-keys", keys),
    }
    page.line("");
    network(&mut page, seed.network.as_ref());
    wifi(&mut page, &seed.wifi);
    if !seed.time.servers.is_empty() {
        page.line("[time]");
        page.list("servers", &seed.time.servers);
        page.line("");
    }
    if let Some(data) = &seed.data {
        page.line("[data]");
        page.line("# The disk's name in /dev/disk/by-id. Only an empty disk is ever formatted.");
        page.set("disk", data.disk.as_str());
        page.set("format", data.format);
        page.line("");
    }
    cluster(&mut page, seed.cluster.as_ref());
    if seed.status.page {
        page.line("[status]");
        page.line("# Everybody on the network may read how the node is, on port 80.");
        page.set("page", true);
        page.line("");
    }
    if let Some(found) = &seed.identity {
        identity(&mut page, found);
    }
    page.to_string()
}

fn network(page: &mut Page, network: Option<&Network>) {
    let Some(network) = network else {
        page.line("# Without this every wired port asks DHCP.");
        page.example(
            "[network]\naddresses = [\"192.168.1.20/24\"]\ngateway = \"192.168.1.1\"\ndns = [\"192.168.1.1\"]\n",
        );
        page.line("");
        return;
    };
    page.line("[network]");
    if let Some(interface) = &network.interface {
        page.set("interface", interface.as_str());
    }
    page.list("addresses", &network.addresses);
    if let Some(gateway) = network.gateway {
        page.set("gateway", gateway.to_string());
    }
    page.list("dns", &network.dns);
    page.line("");
}

fn wifi(page: &mut Page, networks: &[Wifi]) {
    for network in networks {
        page.line("[[wifi]]");
        page.set("ssid", network.ssid.as_str());
        if let Some(password) = &network.password {
            page.set("password", password.reveal());
        }
        page.set("country", network.country.as_str());
        if network.hidden {
            page.set("hidden", true);
        }
        page.line("");
    }
}

fn cluster(page: &mut Page, cluster: Option<&Cluster>) {
    let Some(cluster) = cluster else {
        page.line("# Without this the node is a NAS on its own.");
        page.example("[cluster]\nrole = \"agent\"\nserver = \"https://192.168.1.10\"\ntoken = \"K10…\"\n");
        page.line("");
        return;
    };
    page.line("[cluster]");
    page.set("role", if cluster.role == Role::Agent { "agent" } else { "server" });
    if let Some(server) = &cluster.server {
        page.set("server", server.as_str());
    }
    page.set("token", cluster.token.reveal());
    if cluster.allow_unpinned {
        page.line("# Any machine that answers at the server's address is given the token.");
        page.set("allow-unpinned", true);
    }
    if let Some(address) = cluster.node_ip {
        page.set("node-ip", address.to_string());
    }
    if let Some(address) = cluster.virtual_ip {
        page.set("virtual-ip", address.to_string());
    }
    page.list("tls-san", &cluster.tls_san);
    page.list("taints", &cluster.taints);
    page.line("");
    if !cluster.labels.is_empty() {
        page.line("[cluster.labels]");
        for (key, value) in &cluster.labels {
            page.set(&format!("\"{key}\""), value.as_str());
        }
        page.line("");
    }
}

fn identity(page: &mut Page, identity: &Identity) {
    page.line("# Who the node is to its cluster and its clients, from its escrow file: a new card goes on as the old one.");
    page.line("[identity]");
    page.set("name", identity.name.as_str());
    page.set("machine-id", identity.machine_id.as_str());
    if let Some(password) = &identity.node_password {
        page.set("node-password", password.reveal());
    }
    if let Some(key) = &identity.ssh_host_key {
        page.set("ssh-host-key", key.reveal());
    }
}

/// An escrow file.
pub(super) fn escrow(found: &Identity) -> String {
    let mut page = Page(
        "# The escrow of a node: with this file a new card goes on as this node (hcimage seed new --escrow FILE).\n\
         # Whoever has it can pass for the node: keep it like a key.\n\n"
            .to_owned(),
    );
    identity(&mut page, found);
    page.to_string()
}
