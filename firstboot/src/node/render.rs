//! From settings to the files below /run that the image's services read: a function of values, the same at every boot.
//! /etc is never written.

use super::{
    disk::{self, DataPlace},
    place,
};
use contract::{
    Blame, Code, Reason, Seed,
    seed::{Network, Wifi},
};
use std::net::IpAddr;

/// Every file that [`render`] may make is in one of these folders or is one of these files.
pub const HOSTS: &str = "/run/hcimage/hosts";
const KEYS: &str = "/run/hcimage/ssh/authorized_keys.d/root";
const WIFI: &str = "/run/hcimage/wpa_supplicant.conf";
const NETWORK: &str = "/run/systemd/network";
const TIME: &str = "/run/systemd/timesyncd.conf.d/50-hcimage.conf";
/// The wired ports, as in the image's own `20-wired.network`.
const WIRED: &str = "en* eth* end*";

/// A file below /run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFile {
    /// Its path.
    pub path: String,
    /// Its content.
    pub text: String,
    /// Its mode; it is root's.
    pub mode: u32,
}

/// What is known of this node beside its settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Its name.
    pub name: String,
    /// Whether the image can do Wi-Fi.
    pub wifi: bool,
    /// What shall be at the data directory.
    pub data: DataPlace,
}

/// What settings become.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rendered {
    /// The files, in the order of their paths.
    pub files: Vec<RunFile>,
    /// Settings that this image cannot carry out.
    pub reasons: Vec<Reason>,
}

/// The files for `seed`, or for a node without one.
#[must_use]
pub fn render(seed: &Seed, facts: &Facts) -> Rendered {
    let mut out = Rendered::default();
    out.add(HOSTS, hosts(seed.network.as_ref(), &facts.name), 0o644);
    if !seed.ssh.authorized_keys.is_empty() {
        out.add(KEYS, seed.ssh.authorized_keys.join("\n") + "\n", 0o644);
    }
    if let Some(network) = &seed.network {
        out.add(&format!("{NETWORK}/10-hcimage.network"), wired(network), 0o644);
    }
    if !seed.time.servers.is_empty() {
        // The empty line forgets the image's own.
        out.add(TIME, format!("[Time]\nNTP=\nNTP={}\n", seed.time.servers.join(" ")), 0o644);
    }
    match (seed.wifi.as_slice(), facts.wifi) {
        ([], _) => {}
        (networks, true) => {
            out.add(WIFI, supplicant(networks), 0o600);
            out.add(&format!("{NETWORK}/30-hcimage-wifi.network"), wireless(), 0o644);
        }
        ([first, ..], false) => out.reasons.push(no_wifi(&first.ssid)),
    }
    if seed.status.page {
        out.add(place::PAGE, String::new(), 0o644);
    }
    if let Some(address) = seed.cluster.as_ref().and_then(|cluster| cluster.virtual_ip) {
        out.add(place::VIRTUAL_IP, format!("{address}\n"), 0o644);
    }
    if let Some(text) = disk::mount_unit(&facts.data) {
        out.add(disk::UNIT_FILE, text, 0o644);
    }
    out.files.sort_by(|a, b| a.path.cmp(&b.path));
    out
}

impl Rendered {
    fn add(&mut self, path: &str, text: String, mode: u32) {
        self.files.push(RunFile { path: path.to_owned(), text, mode });
    }
}

fn hosts(network: Option<&Network>, name: &str) -> String {
    let own =
        network.and_then(|network| network.addresses.first()).and_then(|address| address.split('/').next());
    format!(
        "127.0.0.1 localhost\n{} {name}\n::1 localhost ip6-localhost ip6-loopback\n\
         ff02::1 ip6-allnodes\nff02::2 ip6-allrouters\n",
        own.unwrap_or("127.0.1.1")
    )
}

fn wired(network: &Network) -> String {
    let Network { interface, addresses, gateway, dns } = network;
    let matched = match interface {
        Some(name) => format!("Name={name}"),
        None => format!("Name={WIRED}\nType=ether"),
    };
    let fixed = !addresses.is_empty();
    let mut text = format!(
        "[Match]\n{matched}\n\n[Link]\nRequiredForOnline=routable\n\n[Network]\nDHCP={}\nIPv6AcceptRA=yes\nLLMNR=no\n\
         MulticastDNS=no\n",
        if fixed { "no" } else { "yes" }
    );
    let lines = |key: &str, values: &[String]| {
        values.iter().map(|value| format!("{key}={value}\n")).collect::<String>()
    };
    text += &lines("Address", addresses);
    text += &lines("Gateway", &gateway.iter().map(IpAddr::to_string).collect::<Vec<_>>());
    text += &lines("DNS", &dns.iter().map(IpAddr::to_string).collect::<Vec<_>>());
    if !fixed {
        text += &dhcp(dns.is_empty());
    }
    text
}

/// A server on the network must not rename the node.
fn dhcp(dns: bool) -> String {
    let dns = if dns { "yes" } else { "no" };
    ["DHCPv4", "DHCPv6"]
        .map(|part| format!("\n[{part}]\nUseDomains=yes\nUseHostname=no\nUseDNS={dns}\n"))
        .concat()
}

fn wireless() -> String {
    "[Match]\nType=wlan\n\n[Network]\nDHCP=yes\nIPv6AcceptRA=yes\nLLMNR=no\nMulticastDNS=no\nIgnoreCarrierLoss=5s\n"
        .to_owned()
        + &dhcp(true).replace("UseDomains=yes\n", "UseDomains=yes\nRouteMetric=2048\n")
}

/// wpa_supplicant.conf(5). Names are written in hexadecimal digits, so no quote in them ends anything.
fn supplicant(networks: &[Wifi]) -> String {
    let country = networks.first().map_or("", |wifi| wifi.country.as_str());
    let mut text = format!("ctrl_interface=/run/wpa_supplicant\ncountry={country}\n");
    for (index, Wifi { ssid, password, hidden, .. }) in networks.iter().enumerate() {
        let name: String = ssid.bytes().map(|byte| format!("{byte:02x}")).collect();
        let secret = match password.as_ref().map(|password| password.reveal()) {
            None => "key_mgmt=NONE".to_owned(),
            Some(key) if key.len() == 64 => format!("key_mgmt=WPA-PSK\n\tpsk={key}"),
            Some(phrase) => format!("key_mgmt=WPA-PSK SAE\n\tieee80211w=1\n\tpsk=\"{phrase}\""),
        };
        let priority = networks.len() - index;
        text += &format!(
            "network={{\n\tssid={name}\n\tscan_ssid={}\n\tpriority={priority}\n\t{secret}\n}}\n",
            u8::from(*hidden)
        );
    }
    text
}

fn no_wifi(ssid: &str) -> Reason {
    let text = format!(
        "this image has no Wi-Fi, so the settings for `{ssid}` are kept but not used: connect a cable, or take an image with Wi-Fi"
    );
    Reason { code: Code::J04, area: "network".to_owned(), text, blame: Blame::Settings }
}

#[cfg(test)]
mod tests;
