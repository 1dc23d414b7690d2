//! The grammar of single values. Each function says what is wrong in words that can follow the key's name; none
//! repeats a secret.

use super::problem::shown;
use std::net::IpAddr;

/// `Ok`, or what is wrong.
pub(super) type Verdict<T = ()> = Result<T, String>;

/// A node's name. Source: RFC 1123 section 2.1, one label.
pub(super) fn hostname(name: &str) -> Verdict {
    if name.is_empty() {
        return Err("is empty: write a name, such as \"nas1\", or leave the line out".to_owned());
    }
    if name.contains('.') {
        let label = name.split('.').next().unwrap_or_default();
        return Err(format!("{} has a dot: write the first part alone, {}", shown(name), shown(label)));
    }
    let lower = name.to_ascii_lowercase();
    if lower != name && label(&lower) {
        return Err(format!("{} has capitals: write {}", shown(name), shown(&lower)));
    }
    if name.len() > 63 {
        return Err(format!("has {} characters, at most 63", name.len()));
    }
    if !label(name) {
        return Err(format!(
            "{} may have only a-z, 0-9 and hyphens, and begins and ends with a letter or digit",
            shown(name)
        ));
    }
    if ["localhost", "raspberrypi", "debian"].contains(&name) {
        return Err(format!(
            "{} is what every unnamed machine is called: choose a name of its own",
            shown(name)
        ));
    }
    Ok(())
}

fn label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// A DNS name of one or more labels, any case, with no dot at its end.
pub(super) fn dns_name(text: &str) -> bool {
    text.len() <= 253 && text.to_ascii_lowercase().split('.').all(label)
}

/// A name or an address.
pub(super) fn host(text: &str) -> Verdict {
    let address = text.parse::<IpAddr>();
    // What has digits and dots alone is meant to be an address.
    let number = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    match address {
        Ok(address) => usable(address),
        Err(_) if number || !dns_name(text) => {
            Err(format!("{} is neither a name nor an IP address", shown(text)))
        }
        Err(_) => Ok(()),
    }
}

/// An address that a machine of the network can have.
pub(super) fn usable(address: IpAddr) -> Verdict {
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    if address.is_unspecified() || address.is_loopback() || address.is_multicast() || broadcast {
        return Err(format!("{address} is not the address of a machine in a network"));
    }
    Ok(())
}

/// An IP address.
pub(super) fn address(text: &str) -> Verdict<IpAddr> {
    let address: IpAddr = text.parse().map_err(|_| {
        let hint = if text.contains('/') { " (without the prefix length)" } else { "" };
        format!("{} is no IP address{hint}", shown(text))
    })?;
    usable(address).map(|()| address)
}

/// An address with the length of its network's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Subnet {
    pub(super) address: IpAddr,
    length: u8,
}

impl Subnet {
    pub(super) fn parse(text: &str) -> Verdict<Self> {
        let Some((head, tail)) = text.split_once('/') else {
            return Err(match text.parse::<IpAddr>() {
                Ok(_) => format!("{} needs its prefix length: in most homes {text}/24", shown(text)),
                Err(_) => {
                    format!("{} is no IP address with a prefix length, such as 192.168.1.20/24", shown(text))
                }
            });
        };
        let address = address(head)?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let digits = !tail.is_empty() && tail.len() <= 3 && tail.bytes().all(|byte| byte.is_ascii_digit());
        let length = tail.parse::<u8>().ok().filter(|length| digits && (1..=bits).contains(length));
        let Some(length) = length else {
            return Err(format!("{} has a prefix length that is not 1 to {bits}", shown(text)));
        };
        let subnet = Self { address, length };
        let spare = bits - length;
        if address.is_ipv4() && spare >= 2 {
            let host = number(address) & low(spare);
            if host == 0 {
                return Err(format!("{} is the network itself, not an address in it", shown(text)));
            }
            if host == low(spare) {
                return Err(format!("{} is the network's broadcast address", shown(text)));
            }
        }
        Ok(subnet)
    }

    /// Whether this address lies in the network.
    pub(super) fn holds(&self, other: IpAddr) -> bool {
        if self.address.is_ipv4() != other.is_ipv4() {
            return false;
        }
        let spare = if other.is_ipv4() { 32 } else { 128 } - self.length;
        number(self.address) & !low(spare) == number(other) & !low(spare)
    }
}

fn low(bits: u8) -> u128 {
    1u128.checked_shl(bits.into()).map_or(u128::MAX, |top| top - 1)
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_bits().into(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// A network port's name or a glob of it. Source: `dev_valid_name` of the kernel, `Name=` of systemd.network(5).
pub(super) fn interface(text: &str) -> Verdict {
    let known = |c: char| c.is_ascii_alphanumeric() || "-_.*?[]".contains(c);
    if text.is_empty() || text.len() > 15 || !text.chars().all(known) || text.starts_with('-') {
        return Err(format!(
            "{} is not the name of a network port, such as \"end0\", or a pattern such as \"en*\"",
            shown(text)
        ));
    }
    if text == "lo" || text == "." || text == ".." {
        return Err(format!("{} is not a port to a network", shown(text)));
    }
    Ok(())
}

/// A wireless network's name, 1 to 32 bytes.
pub(super) fn ssid(text: &str) -> Verdict {
    match text.len() {
        1..=32 => Ok(()),
        0 => Err("is empty: write the network's name".to_owned()),
        found => Err(format!("has {found} bytes, and the name of a wireless network has at most 32")),
    }
}

/// A wireless network's passphrase or key. Source: IEEE 802.11, annex J.4.
pub(super) fn wifi_password(text: &str) -> Verdict {
    let key = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if key {
        return Ok(());
    }
    if !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Err("has a character that no passphrase may have (only those of a US keyboard)".to_owned());
    }
    match text.len() {
        8..=63 => Ok(()),
        found => Err(format!(
            "has {found} characters: a passphrase has 8 to 63, a key 64 hexadecimal digits. For an open network leave the line out"
        )),
    }
}

/// A country of ISO 3166, two capitals.
pub(super) fn country(text: &str) -> Verdict {
    let letters = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_alphabetic());
    if letters && text.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Ok(());
    }
    let hint = if letters { format!(": write \"{}\"", text.to_ascii_uppercase()) } else { String::new() };
    Err(format!("{} is not a country's two capitals, such as \"DE\"{hint}", shown(text)))
}

/// A disk's name in `/dev/disk/by-id`.
pub(super) fn disk(text: &str) -> Verdict {
    let example = "such as \"ata-Samsung_SSD_870_S5Y2NJ0R\" (look with: ls /dev/disk/by-id)";
    if let Some(name) = text.strip_prefix("/dev/disk/by-id/") {
        return Err(format!("needs the name alone, without the folder: write {}", shown(name)));
    }
    if text.contains('/') {
        return Err(format!(
            "{} is a path: write the disk's name in /dev/disk/by-id, {example}",
            shown(text)
        ));
    }
    let known = |c: char| c.is_ascii_alphanumeric() || "#+-.:=@_\\".contains(c);
    if text.is_empty() || text.len() > 255 || !text.chars().all(known) {
        return Err(format!("{} is not a disk's name in /dev/disk/by-id, {example}", shown(text)));
    }
    // All of udev's names begin with the bus and a hyphen.
    if !text.contains('-') {
        return Err(format!(
            "{} may be another disk after the next boot: write its name in /dev/disk/by-id, {example}",
            shown(text)
        ));
    }
    Ok(())
}

/// A machine id. Source: machine-id(5).
pub(super) fn machine_id(text: &str) -> Verdict {
    let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if text.len() != 32 || !text.bytes().all(hex) || text.bytes().all(|byte| byte == b'0') {
        return Err(format!(
            "has {} characters, and a machine id is 32 of 0-9 and a-f",
            text.chars().count()
        ));
    }
    Ok(())
}
