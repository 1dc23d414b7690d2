//! The table `[cluster]`.

use super::{
    Cluster, Credentials, Endpoint, Role, Secret, Token, burn, kubernetes,
    problem::{Findings, shown},
    sheet::{Field, Section},
    value,
};
use crate::{Code, suggest::did_you_mean};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

const KEYS: [&str; 9] =
    ["role", "server", "token", "allow-unpinned", "labels", "taints", "node-ip", "tls-san", "virtual-ip"];

/// Reads the table; `own` are the node's static addresses.
pub(super) fn read(findings: &mut Findings<'_>, section: Section<'_>, own: &[IpAddr]) -> Option<Cluster> {
    section.only(findings, &KEYS);
    let role = section.needed(findings, "role", "\"agent\"").and_then(|field| role(findings, field));
    let server = section.text(findings, "server").filter(|field| endpoint(findings, *field, own));
    let named = section.at_key("server").is_some();
    if role == Some(Role::Agent) && !named {
        findings.add(section.at, "an agent needs the server that it joins: server = \"https://NAME\"");
    }
    let allow_unpinned = section.flag(findings, "allow-unpinned").unwrap_or(false);
    let token = section.needed(findings, "token", "\"K10…\"");
    if let (Some(field), Some(role)) = (token, role) {
        check_token(findings, field, &Asked { role, first: role == Role::Server && !named, allow_unpinned });
    }
    let labels = labels(findings, section);
    let taints = taints(findings, section);
    let node_ip = address(findings, section, "node-ip");
    let tls_san = section.texts(findings, "tls-san");
    for field in &tls_san {
        if let Err(why) = value::host(field.text) {
            findings.add(field.at, format!("tls-san: {why}"));
        }
    }
    let virtual_ip = address(findings, section, "virtual-ip");
    for key in ["tls-san", "virtual-ip"] {
        if let (Some(Role::Agent), Some(at)) = (role, section.at_key(key)) {
            findings.add(at, format!("{key} is for servers, and this node is an agent: take the line out"));
        }
    }
    if let (Some(shared), Some(at)) = (virtual_ip, section.at_key("virtual-ip"))
        && (own.contains(&shared) || node_ip == Some(shared))
    {
        findings.add(
            at,
            format!("virtual-ip {shared} is this node's own address: the servers share another one"),
        );
    }
    Some(Cluster {
        role: role?,
        server: server.map(|field| field.text.to_owned()),
        token: Secret::new(token?.text),
        allow_unpinned,
        labels,
        taints,
        node_ip,
        tls_san: tls_san.iter().map(|field| field.text.to_owned()).collect(),
        virtual_ip,
    })
}

fn role(findings: &mut Findings<'_>, field: Field<'_>) -> Option<Role> {
    match field.text {
        "agent" => Some(Role::Agent),
        "server" => Some(Role::Server),
        other => {
            let hint = did_you_mean(other, ["agent", "server"]);
            findings
                .add(field.at, format!("role must be \"agent\" or \"server\", not {}{hint}", shown(other)));
            None
        }
    }
}

fn endpoint(findings: &mut Findings<'_>, field: Field<'_>, own: &[IpAddr]) -> bool {
    match Endpoint::parse(field.text) {
        Ok(endpoint) => {
            let itself = endpoint.address().is_some_and(|address| own.contains(&address));
            if itself {
                findings.add(
                    field.at,
                    "server is this node's own address: write another server's; only the first server has none",
                );
            }
            !itself
        }
        Err(why) => {
            findings.add(field.at, format!("server {why}"));
            false
        }
    }
}

/// What a token has to open.
struct Asked {
    role: Role,
    /// The first server of a cluster.
    first: bool,
    allow_unpinned: bool,
}

fn check_token(findings: &mut Findings<'_>, field: Field<'_>, asked: &Asked) {
    /// A password that can be guessed opens the cluster to everybody on the network.
    const SHORTEST: usize = 8;
    if burn::is_burned(field.text) {
        return;
    }
    let token = match Token::parse(&Secret::new(field.text)) {
        Ok(token) => token,
        Err(why) => return findings.add(field.at, format!("{why}.")),
    };
    if asked.first {
        if token.ca.is_some() {
            return findings.add_as(
                Code::S01,
                field.at,
                "the first server makes the cluster's CA itself, so its token cannot name one: give a password of your own \
                 (hcimage seed new makes one), or name the server that this one joins",
            );
        }
    } else if token.ca.is_none() && !asked.allow_unpinned {
        return findings.add(
            field.at,
            "token does not name the cluster's CA (it does not begin with K10), so any machine that answers at the \
             server's address would be given it. Copy the whole line from \"hcnode token\" on a server, or accept this with \
             allow-unpinned = true",
        );
    }
    match &token.credentials {
        Credentials::Bootstrap(_) if asked.role == Role::Server => findings.add(
            field.at,
            "token is a bootstrap token, which lets agents in only: a server needs the servers' token",
        ),
        Credentials::Password(password) if token.ca.is_none() && password.reveal().len() < SHORTEST => {
            let found = password.reveal().len();
            findings.add(
                field.at,
                format!(
                    "token has {found} characters and could be guessed: use {SHORTEST} or more, better 32"
                ),
            );
        }
        _ => {}
    }
}

fn labels(findings: &mut Findings<'_>, section: Section<'_>) -> BTreeMap<String, String> {
    let Some(table) = section.section(findings, "labels") else { return BTreeMap::new() };
    let mut labels = BTreeMap::new();
    let advice = "write \"hc.home/role\" = \"nas\", both in quotes (a key with a dot needs them)";
    for (key, text) in table.pairs(findings, advice) {
        if let Err(why) = kubernetes::key(key.text) {
            findings.add(key.at, format!("label {why}"));
        } else if let Err(why) = kubernetes::reserved(key.text) {
            findings.add_as(Code::J10, key.at, why);
        } else if let Err(why) = kubernetes::value(text.text) {
            findings.add(text.at, format!("label {}: the value {why}", shown(key.text)));
        }
        labels.insert(key.text.to_owned(), text.text.to_owned());
    }
    labels
}

fn taints(findings: &mut Findings<'_>, section: Section<'_>) -> Vec<String> {
    let fields = section.texts(findings, "taints");
    let mut seen = BTreeSet::new();
    for field in &fields {
        match kubernetes::taint(field.text) {
            Ok(taint) if !seen.insert(taint) => {
                findings.add(field.at, format!("taint {} is there twice with this effect", shown(taint.0)));
            }
            Ok(_) => {}
            Err(why) => findings.add(field.at, format!("taint {why}")),
        }
    }
    fields.iter().map(|field| field.text.to_owned()).collect()
}

fn address(findings: &mut Findings<'_>, section: Section<'_>, key: &str) -> Option<IpAddr> {
    let field = section.text(findings, key)?;
    match value::address(field.text) {
        Ok(address) => Some(address),
        Err(why) => {
            findings.add(field.at, format!("{key} {why}"));
            None
        }
    }
}
