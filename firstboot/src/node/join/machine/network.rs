//! J4: ports, addresses and the way out.

use crate::node::{join::facts::Network, supervisor::Cidr};
use if_addrs::IfAddr;
use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
};

/// Interfaces that k3s makes are not the node's own.
const OTHERS: [&str; 7] = ["lo", "cni", "flannel", "veth", "kube-", "docker", "nerdctl"];

pub(crate) fn look() -> io::Result<Network> {
    let own = |name: &str| !OTHERS.iter().any(|other| name.starts_with(other));
    let found = if_addrs::get_if_addrs()?.into_iter().filter(|interface| own(&interface.name));
    let found: Vec<(String, Cidr)> = found
        .map(|interface| {
            let (address, length) = match &interface.addr {
                IfAddr::V4(four) => (IpAddr::V4(four.ip), four.prefixlen),
                IfAddr::V6(long) => (IpAddr::V6(long.ip), long.prefixlen),
            };
            (interface.name, Cidr { address, length })
        })
        .filter(|(_, net)| !is_local(net.address))
        .collect();
    let route = default_four(&fs::read_to_string("/proc/net/route")?).or(default_six());
    let mut carrier = false;
    for entry in fs::read_dir("/sys/class/net")? {
        let path = entry?.path();
        carrier |= path.join("device").exists() && is_up(&path);
    }
    let on_way = route.as_ref().and_then(|(name, gateway)| {
        let same = |net: &Cidr| net.address.is_ipv4() == gateway.is_ipv4();
        found.iter().find(|(port, net)| port == name && same(net)).map(|(_, net)| net.address)
    });
    Ok(Network {
        carrier,
        addresses: found.into_iter().map(|(_, net)| net).collect(),
        gateway: route.map(|(_, gateway)| gateway),
        own: on_way,
    })
}

fn is_up(port: &Path) -> bool {
    // A port that is down has no answer to this question: that is no carrier.
    fs::read_to_string(port.join("carrier")).is_ok_and(|text| text.trim() == "1")
}

fn is_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(four) => four.is_loopback() || four.is_link_local() || four.is_unspecified(),
        IpAddr::V6(long) => long.is_loopback() || long.is_unicast_link_local() || long.is_unspecified(),
    }
}

/// The port and gateway of the best default route in `/proc/net/route`: addresses are hexadecimal, the first byte last.
fn default_four(text: &str) -> Option<(String, IpAddr)> {
    let routes = text.lines().skip(1).filter_map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        let [name, target, gateway, flags, _, _, metric, mask, ..] = words.as_slice() else { return None };
        let flags = u32::from_str_radix(flags, 16).ok()?;
        let gateway = Ipv4Addr::from(u32::from_str_radix(gateway, 16).ok()?.swap_bytes());
        // 1: up, 2: through a gateway.
        let good = *target == "00000000" && *mask == "00000000" && flags & 3 == 3;
        let metric: u32 = metric.parse().ok()?;
        good.then(|| (metric, ((*name).to_owned(), IpAddr::V4(gateway))))
    });
    routes.min_by_key(|(metric, _)| *metric).map(|(_, route)| route)
}

fn default_six() -> Option<(String, IpAddr)> {
    // A kernel without IPv6 has no such file, and no such route.
    let text = fs::read_to_string("/proc/net/ipv6_route").ok()?;
    text.lines().find_map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        let [target, length, _, _, gateway, .., name] = words.as_slice() else { return None };
        let gateway = Ipv6Addr::from(u128::from_str_radix(gateway, 16).ok()?);
        let all = target.bytes().all(|digit| digit == b'0') && *length == "00";
        (all && !gateway.is_unspecified()).then(|| ((*name).to_owned(), IpAddr::V6(gateway)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_route_with_the_least_metric() {
        let head = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n";
        let wifi = "wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n";
        let wired = "eth0\t00000000\tFE01A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n";
        let lan = "eth0\t0001A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n";
        let route = default_four(&format!("{head}{wifi}{lan}{wired}"));
        assert_eq!(route, Some(("eth0".to_owned(), "192.168.1.254".parse().unwrap())));
        assert_eq!(default_four(&format!("{head}{lan}")), None);
        assert_eq!(default_four(""), None);
    }
}
