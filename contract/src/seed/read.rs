//! The tables of a seed, but for the cluster's.

use super::{
    DataDisk, FILE, Identity, Network, Secret, Seed, SeedError, Ssh, StatusPage, Time, Wifi, burn, cluster,
    problem::{Findings, shown},
    sheet::{self, Field, Section},
    ssh,
    value::{self, Subnet, Verdict},
};
use crate::Code;
use std::{collections::BTreeSet, net::IpAddr};
use toml::{Spanned, de::DeTable};

const KEYS: [&str; 9] =
    ["hostname", "ssh", "network", "wifi", "time", "data", "cluster", "status", "identity"];

pub(super) fn seed(bytes: &[u8]) -> Result<Seed, SeedError> {
    read(FILE, bytes, |findings, top| {
        top.only(findings, &KEYS);
        let name = top.text(findings, "hostname").filter(|field| hostname(findings, "hostname", *field));
        let ssh = top.section(findings, "ssh").map(|section| ssh(findings, section)).unwrap_or_default();
        let network = top.section(findings, "network").map(|section| network(findings, section));
        let own: Vec<IpAddr> =
            network.iter().flat_map(|(_, own)| own.iter().map(|own| own.address)).collect();
        let wifi = wifi(findings, top);
        let time = top.section(findings, "time").map(|section| time(findings, section)).unwrap_or_default();
        let data = top.section(findings, "data").and_then(|section| data(findings, section));
        let cluster =
            top.section(findings, "cluster").and_then(|section| cluster::read(findings, section, &own));
        let status =
            top.section(findings, "status").map(|section| status(findings, section)).unwrap_or_default();
        let identity = top.section(findings, "identity").and_then(|section| identity(findings, section));
        if let (Some(name), Some(identity)) = (name, &identity)
            && name.text != identity.name
        {
            let known = shown(&identity.name);
            let message = format!(
                "hostname is {} but [identity] is that of {known}: a node that keeps its identity keeps its name",
                shown(name.text)
            );
            findings.add_as(Code::J02, name.at, message);
        }
        let hostname = name.map(|name| name.text.to_owned());
        Seed {
            hostname,
            ssh,
            network: network.map(|(network, _)| network),
            wifi,
            time,
            data,
            cluster,
            status,
            identity,
        }
    })
}

/// An escrow file: the table `[identity]`, and nothing else.
pub(super) fn escrow(bytes: &[u8]) -> Result<Identity, SeedError> {
    let found = read("escrow", bytes, |findings, top| {
        top.only(findings, &["identity"]);
        if top.at_key("identity").is_none() {
            findings.add(
                0,
                "this is no escrow file: it has no table [identity]. `hcnode escrow` on the node prints one",
            );
        }
        top.section(findings, "identity").and_then(|section| identity(findings, section))
    })?;
    found.ok_or_else(|| {
        let problem =
            super::Problem { line: 1, column: 1, code: Code::J01, message: "no [identity]".to_owned() };
        SeedError { file: "escrow".to_owned(), problems: vec![problem] }
    })
}

/// Reads a file with `work`, and gives its value back if nothing was found wrong.
pub(super) fn read<T>(
    file: &str,
    bytes: &[u8],
    work: impl FnOnce(&mut Findings<'_>, Section<'_>) -> T,
) -> Result<T, SeedError> {
    let text = sheet::text(file, bytes)?;
    let mut findings = Findings::new(text);
    let table: Spanned<DeTable<'_>> = sheet::parse(text, &mut findings);
    if !findings.is_empty() {
        // What is left of a damaged file says little about what was meant.
        return findings.done(file, None).and_then(|none: Option<T>| {
            none.ok_or_else(|| SeedError { file: file.to_owned(), problems: Vec::new() })
        });
    }
    let value = work(&mut findings, Section::top(&table));
    findings.done(file, value)
}

/// Whether a field's value is right; says what is not.
fn right(findings: &mut Findings<'_>, key: &str, field: Field<'_>, verdict: fn(&str) -> Verdict) -> bool {
    match verdict(field.text) {
        Ok(()) => true,
        Err(why) => {
            findings.add(field.at, format!("{key} {why}"));
            false
        }
    }
}

pub(super) fn hostname(findings: &mut Findings<'_>, key: &str, field: Field<'_>) -> bool {
    let verdict = value::hostname(field.text);
    if let Err(why) = &verdict {
        findings.add_as(Code::J02, field.at, format!("{key} {why}"));
    }
    verdict.is_ok()
}

fn ssh(findings: &mut Findings<'_>, section: Section<'_>) -> Ssh {
    section.only(findings, &["authorized-keys"]);
    Ssh { authorized_keys: keys(findings, section, "authorized-keys") }
}

/// Public keys.
pub(super) fn keys(findings: &mut Findings<'_>, section: Section<'_>, key: &str) -> Vec<String> {
    let fields = section.texts(findings, key);
    for (index, field) in fields.iter().enumerate() {
        if let Err(why) = ssh::public_key(field.text) {
            findings.add(field.at, format!("SSH key {} {why}", index + 1));
        }
    }
    fields.iter().map(|field| field.text.trim().to_owned()).collect()
}

fn network(findings: &mut Findings<'_>, section: Section<'_>) -> (Network, Vec<Subnet>) {
    section.only(findings, &["interface", "addresses", "gateway", "dns"]);
    let interface = section.text(findings, "interface");
    if let Some(field) = interface {
        right(findings, "interface", field, value::interface);
    }
    let fields = section.texts(findings, "addresses");
    let mut subnets: Vec<Subnet> = Vec::new();
    for field in &fields {
        match Subnet::parse(field.text) {
            Ok(subnet) if subnets.iter().any(|known| known.address == subnet.address) => {
                findings.add(field.at, format!("address {} is there twice", subnet.address));
            }
            Ok(subnet) => subnets.push(subnet),
            Err(why) => findings.add(field.at, format!("address {why}")),
        }
    }
    let gateway = section.text(findings, "gateway").and_then(|field| {
        let gateway = value::address(field.text);
        let why = match &gateway {
            Err(why) => why.clone(),
            // Wrong addresses have been told already; nothing can be compared with them.
            Ok(_) if subnets.len() < fields.len() => return gateway.ok(),
            Ok(gateway) => match reachable(*gateway, &subnets) {
                Ok(()) => return Some(*gateway),
                Err(why) => why,
            },
        };
        findings.add(field.at, format!("gateway {why}"));
        None
    });
    let mut dns = Vec::new();
    for field in section.texts(findings, "dns") {
        match value::address(field.text) {
            Ok(address) => dns.push(address),
            Err(why) => findings.add(field.at, format!("dns {why}")),
        }
    }
    let network = Network {
        interface: interface.map(|field| field.text.to_owned()),
        addresses: fields.iter().map(|field| field.text.to_owned()).collect(),
        gateway,
        dns,
    };
    (network, subnets)
}

fn reachable(gateway: IpAddr, subnets: &[Subnet]) -> Verdict {
    let local = matches!(gateway, IpAddr::V6(v6) if v6.is_unicast_link_local());
    if subnets.is_empty() {
        return Err("needs addresses beside it: with DHCP the network names the router itself".to_owned());
    }
    if subnets.iter().any(|subnet| subnet.address == gateway) {
        return Err(format!("{gateway} is this node's own address: write the router's"));
    }
    if local || subnets.iter().any(|subnet| subnet.holds(gateway)) {
        return Ok(());
    }
    Err(format!("{gateway} is in none of the networks of addresses: a node reaches its router directly"))
}

fn wifi(findings: &mut Findings<'_>, top: Section<'_>) -> Vec<Wifi> {
    let mut names = BTreeSet::new();
    let mut networks = Vec::new();
    for section in top.sections(findings, "wifi") {
        section.only(findings, &["ssid", "password", "country", "hidden"]);
        let ssid = section.needed(findings, "ssid", "\"My network\"");
        if let Some(field) = ssid
            && right(findings, "ssid", field, value::ssid)
            && !names.insert(field.text)
        {
            findings.add(field.at, format!("ssid {} is there twice", shown(field.text)));
        }
        let password = section.text(findings, "password");
        if let Some(field) = password
            && !burn::is_burned(field.text)
        {
            right(findings, "password", field, value::wifi_password);
        }
        let country = section.needed(findings, "country", "\"DE\"");
        if let Some(field) = country {
            right(findings, "country", field, value::country);
        }
        let hidden = section.flag(findings, "hidden").unwrap_or(false);
        if let (Some(ssid), Some(country)) = (ssid, country) {
            networks.push(Wifi {
                ssid: ssid.text.to_owned(),
                password: password.map(|field| Secret::new(field.text)),
                country: country.text.to_owned(),
                hidden,
            });
        }
    }
    networks
}

fn time(findings: &mut Findings<'_>, section: Section<'_>) -> Time {
    section.only(findings, &["servers"]);
    let servers = section.texts(findings, "servers");
    for field in &servers {
        right(findings, "time server", *field, value::host);
    }
    Time { servers: servers.iter().map(|field| field.text.to_owned()).collect() }
}

fn data(findings: &mut Findings<'_>, section: Section<'_>) -> Option<DataDisk> {
    section.only(findings, &["disk", "format"]);
    let disk = section.needed(findings, "disk", "\"ata-Samsung_SSD_870_S5Y2NJ0R\"");
    if let Some(field) = disk {
        right(findings, "disk", field, value::disk);
    }
    let format = section.flag(findings, "format").unwrap_or(false);
    Some(DataDisk { disk: disk?.text.to_owned(), format })
}

fn status(findings: &mut Findings<'_>, section: Section<'_>) -> StatusPage {
    section.only(findings, &["page"]);
    StatusPage { page: section.flag(findings, "page").unwrap_or(false) }
}

fn identity(findings: &mut Findings<'_>, section: Section<'_>) -> Option<Identity> {
    section.only(findings, &["name", "machine-id", "node-password", "ssh-host-key"]);
    let name = section.needed(findings, "name", "\"nas1\"");
    if let Some(field) = name {
        hostname(findings, "name", field);
    }
    let machine_id = section.needed(findings, "machine-id", "\"0123…\"");
    if let Some(field) = machine_id {
        right(findings, "machine-id", field, value::machine_id);
    }
    let node_password = section.text(findings, "node-password");
    if let Some(field) = node_password
        && (field.text.is_empty() || !field.text.bytes().all(|byte| byte.is_ascii_graphic()))
    {
        findings.add(field.at, "node-password is empty or damaged: take it from the escrow file again");
    }
    let ssh_host_key = section.lines(findings, "ssh-host-key");
    if let Some(field) = ssh_host_key
        && !burn::is_burned(field.text)
        && !private_key(field.text)
    {
        findings.add(
            field.at,
            "ssh-host-key is not a whole private key of OpenSSH (-----BEGIN OPENSSH PRIVATE KEY----- and so on): take it \
             from the escrow file again",
        );
    }
    Some(Identity {
        name: name?.text.to_owned(),
        machine_id: machine_id?.text.to_owned(),
        node_password: node_password.map(|field| Secret::new(field.text)),
        // An editor of Windows may have changed the line ends.
        ssh_host_key: ssh_host_key.map(|field| Secret::new(field.text.replace("\r\n", "\n"))),
    })
}

fn private_key(text: &str) -> bool {
    const HEAD: &str = "-----BEGIN OPENSSH PRIVATE KEY-----";
    const TAIL: &str = "-----END OPENSSH PRIVATE KEY-----";
    let text = text.trim();
    let body = text.strip_prefix(HEAD).and_then(|rest| rest.strip_suffix(TAIL));
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=\r\n".contains(&byte);
    body.is_some_and(|body| body.len() > 64 && body.bytes().all(known))
}
