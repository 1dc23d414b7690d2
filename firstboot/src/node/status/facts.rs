//! What the status says of the machine itself.

use crate::node::{boot::Boot, place};
use contract::slots::Slot;
use std::{
    fs,
    net::IpAddr,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

const OS_RELEASE: &str = "/usr/lib/os-release";
const UPTIME: &str = "/proc/uptime";

/// What the status says of the machine itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The host name.
    pub name: String,
    /// Addresses by which others reach the node: `192.168.1.20 (eth0)`.
    pub addresses: Vec<String>,
    /// Profile and version.
    pub release: String,
    /// The running slot, when `hcinit` said so.
    pub slot: Option<Slot>,
    /// Seconds since 1970.
    pub at: u64,
    /// Time since the kernel started.
    pub uptime: Duration,
}

/// Asks the machine. A status that lacks a fact is better than none: what cannot be found out stays empty.
#[must_use]
pub fn gather() -> Facts {
    Facts {
        name: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        addresses: addresses(if_addrs::get_if_addrs().unwrap_or_default()),
        release: release(),
        slot: Boot::load(Path::new(place::BOOT)).ok().map(|boot| boot.slot),
        at: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
        uptime: uptime(&fs::read_to_string(UPTIME).unwrap_or_default()),
    }
}

/// The running release, as the image names itself.
#[must_use]
pub fn release() -> String {
    release_of(&fs::read_to_string(OS_RELEASE).unwrap_or_default())
}

fn release_of(os_release: &str) -> String {
    let value = |key: &str| {
        let line = os_release.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
        Some(line.trim_matches('"')).filter(|value| !value.is_empty())
    };
    match (value("IMAGE_ID"), value("IMAGE_VERSION")) {
        (Some(id), Some(version)) => format!("{id} {version}"),
        (id, version) => id.or(version).unwrap_or("unknown").to_owned(),
    }
}

/// Whether others reach the node by this port of it: not loopback, not the ports of pods.
#[must_use]
pub fn outward(interface: &str) -> bool {
    const INSIDE: [&str; 9] =
        ["lo", "cni", "flannel", "veth", "kube-", "cali", "docker", "dummy", "nodelocaldns"];
    !INSIDE.iter().any(|prefix| interface.starts_with(prefix))
}

/// For people: IPv4 first, and no addresses that need an interface to be written behind them.
fn addresses(interfaces: Vec<if_addrs::Interface>) -> Vec<String> {
    let useful = |ip: &IpAddr| match ip {
        IpAddr::V4(ip) => !ip.is_loopback() && !ip.is_link_local(),
        IpAddr::V6(ip) => !ip.is_loopback() && !ip.is_unicast_link_local(),
    };
    let mut found: Vec<(IpAddr, String)> = interfaces
        .into_iter()
        .map(|interface| (interface.ip(), interface.name))
        .filter(|(ip, name)| outward(name) && useful(ip))
        .collect();
    found.sort();
    found.dedup();
    found.into_iter().map(|(ip, name)| format!("{ip} ({name})")).collect()
}

/// The first number of `/proc/uptime`: seconds with hundredths.
fn uptime(text: &str) -> Duration {
    let seconds = text.split(['.', ' ']).next().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use if_addrs::{IfAddr, IfOperStatus, Ifv4Addr, Ifv6Addr, Interface};

    fn interface(name: &str, ip: &str) -> Interface {
        let addr = match ip.parse().unwrap() {
            IpAddr::V4(ip) => {
                IfAddr::V4(Ifv4Addr { ip, netmask: [255; 4].into(), prefixlen: 24, broadcast: None })
            }
            IpAddr::V6(ip) => {
                IfAddr::V6(Ifv6Addr { ip, netmask: [0; 16].into(), prefixlen: 64, broadcast: None })
            }
        };
        Interface { name: name.to_owned(), addr, index: None, oper_status: IfOperStatus::Up, is_p2p: false }
    }

    #[test]
    fn only_addresses_that_others_can_use_are_shown() {
        let found = addresses(vec![
            interface("lo", "127.0.0.1"),
            interface("wlan0", "fd00::20"),
            interface("eth0", "fe80::1"),
            interface("eth0", "192.168.1.20"),
            interface("cni0", "10.42.1.1"),
            interface("flannel.1", "10.42.1.0"),
            interface("veth12ab", "10.42.1.9"),
            interface("eth0", "169.254.3.4"),
            interface("eth0", "192.168.1.20"),
        ]);
        assert_eq!(found, ["192.168.1.20 (eth0)", "fd00::20 (wlan0)"]);
    }

    #[test]
    fn the_image_names_itself() {
        for (text, expected) in [
            ("NAME=\"Debian\"\nIMAGE_ID=\"nas-x86_64\"\nIMAGE_VERSION=\"1.2\"\n", "nas-x86_64 1.2"),
            ("IMAGE_VERSION=7\n", "7"),
            ("IMAGE_ID=\nIMAGE_IDS=x\n", "unknown"),
        ] {
            assert_eq!(release_of(text), expected, "{text}");
        }
    }

    #[test]
    fn time_since_the_start_is_read() {
        assert_eq!(uptime("350735.47 234388.90\n"), Duration::from_secs(350_735));
        assert_eq!(uptime(""), Duration::ZERO);
        assert!(gather().uptime > Duration::ZERO);
    }
}
