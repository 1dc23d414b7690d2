//! The seed: one node's settings, on the boot partition of its card, written by a person or by `hcimage seed new`.
//!
//! It is TOML, `homecloud.toml`, and may have been saved by any editor of Windows or macOS (a byte order mark and CRLF
//! are read). [`Seed::parse`] refuses what it does not know, with the line; the node and `hcimage seed check` use the
//! same function, so a file that passes on the laptop passes on the node.

mod burn;
mod cluster;
mod endpoint;
mod kubernetes;
pub mod preseed;
mod problem;
mod read;
mod render;
mod sheet;
mod ssh;
mod token;
mod value;

pub use endpoint::Endpoint;
pub use problem::{Problem, SeedError};
pub use ssh::{KeyError, public_key};
pub use token::{Credentials, Token, TokenError};

use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, net::IpAddr};

/// The seed's name on the boot partition.
pub const FILE: &str = "homecloud.toml";
/// The file that the official Raspberry Pi Imager writes there instead.
pub const PRESEED: &str = "rpi-preseed.toml";
/// Where the node writes what went wrong, for a laptop to read.
pub const REPORT: &str = "hc-report.txt";
/// No seed is larger than this, in bytes.
pub const LIMIT: usize = 64 << 10;

/// One node's settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Seed {
    /// The node's name: one label of RFC 1123, lower case. Without it the image's own name is used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Who may log in.
    pub ssh: Ssh,
    /// Addresses; without it every wired port asks DHCP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// Wireless networks, the preferred one first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub wifi: Vec<Wifi>,
    /// Time servers.
    pub time: Time,
    /// A disk for the data directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<DataDisk>,
    /// The cluster that the node belongs to; without it the node is a NAS on its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<Cluster>,
    /// The status page.
    pub status: StatusPage,
    /// Who the node was before its card was written again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
}

impl Seed {
    /// Reads a seed: TOML in UTF-8, with or without a byte order mark, with line ends of any system.
    ///
    /// A burned seed is read too; see [`Seed::is_burned`].
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its line. Nothing of a seed with a problem may be used.
    pub fn parse(bytes: &[u8]) -> Result<Self, SeedError> {
        read::seed(bytes)
    }

    /// The seed as a file that a person can edit, with its secrets. [`Seed::parse`] reads it back.
    #[must_use]
    pub fn render(&self) -> String {
        render::seed(self)
    }

    /// The same file with every secret overwritten, of the same length in bytes, to be written in its place. Works for
    /// the imager's preseed too.
    ///
    /// # Errors
    /// When the file is not TOML: then it holds nothing that was used.
    pub fn burned(bytes: &[u8]) -> Result<Vec<u8>, SeedError> {
        burn::burned(FILE, bytes)
    }

    /// Whether a secret of this seed was burned: it was used, and must not be imported as it is.
    #[must_use]
    pub fn is_burned(&self) -> bool {
        let identity = self.identity.iter();
        let identity =
            identity.flat_map(|identity| identity.node_password.iter().chain(&identity.ssh_host_key));
        let cluster = self.cluster.iter().map(|cluster| &cluster.token);
        let wifi = self.wifi.iter().filter_map(|wifi| wifi.password.as_ref());
        identity.chain(cluster).chain(wifi).any(Secret::is_burned)
    }

    /// The node's name: what the seed says, or the name of its former self.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.hostname.as_deref().or(self.identity.as_ref().map(|identity| identity.name.as_str()))
    }
}

impl Identity {
    /// Reads an escrow file, as `hcnode escrow` prints it: TOML with the table `[identity]`.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its line.
    pub fn parse(bytes: &[u8]) -> Result<Self, SeedError> {
        read::escrow(bytes)
    }

    /// The escrow file, with its secrets. [`Identity::parse`] reads it back.
    #[must_use]
    pub fn render(&self) -> String {
        render::escrow(self)
    }
}

/// Who may log in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Ssh {
    /// Public keys of root, as in `authorized_keys`.
    pub authorized_keys: Vec<String>,
}

/// A static address, or which port asks DHCP.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Network {
    /// The port's name or a glob; every wired one when missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// Addresses with their prefix length, such as `192.168.1.20/24`; DHCP when empty.
    pub addresses: Vec<String>,
    /// The router.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    /// Name servers.
    pub dns: Vec<IpAddr>,
}

/// One wireless network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Wifi {
    /// Its name, up to 32 bytes.
    pub ssid: String,
    /// A passphrase of 8 to 63 characters, or 64 hexadecimal digits of the key itself; an open network when missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// The country of use, two letters: which channels are allowed.
    pub country: String,
    /// Whether the network does not announce itself.
    #[serde(default)]
    pub hidden: bool,
}

/// Time servers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Time {
    /// Names or addresses, instead of the image's own.
    pub servers: Vec<String>,
}

/// A disk for the data directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DataDisk {
    /// Its name in `/dev/disk/by-id`.
    pub disk: String,
    /// Whether an empty disk is given a file system. One that holds anything is never formatted.
    #[serde(default)]
    pub format: bool,
}

/// The cluster that a node belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Cluster {
    /// What the node is there.
    pub role: Role,
    /// The supervisor's address, `https://HOST[:PORT]`; only the first server has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// The join token.
    pub token: Secret,
    /// Whether a token without the CA's hash may be used.
    #[serde(default)]
    pub allow_unpinned: bool,
    /// Labels of the Kubernetes node.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Taints, `KEY[=VALUE]:EFFECT`.
    #[serde(default)]
    pub taints: Vec<String>,
    /// The address that the node has in the cluster, where it has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_ip: Option<IpAddr>,
    /// Further names and addresses of the servers, for their certificate (servers only).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tls_san: Vec<String>,
    /// The address that the servers share (servers only; needs the overlay `keepalived`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub virtual_ip: Option<IpAddr>,
}

/// What a node is in its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Runs pods.
    Agent,
    /// Runs the control plane too. Without `server` it is the first one.
    Server,
}

/// The status page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct StatusPage {
    /// Whether anybody on the network may read it, on port 80.
    pub page: bool,
}

/// What makes a node the one that its cluster and its clients know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Identity {
    /// The node's name.
    pub name: String,
    /// Its machine id, 32 hexadecimal digits.
    pub machine_id: String,
    /// The password with which it was first seen by the cluster, `/etc/rancher/node/password`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_password: Option<Secret>,
    /// Its SSH host key, in OpenSSH's private format.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh_host_key: Option<Secret>,
}

/// A text that is never shown: `Debug` prints how long it is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Takes a text into custody.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself: to be written to its file or sent to its server, and nowhere else.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether this is what burning left.
    #[must_use]
    pub fn is_burned(&self) -> bool {
        burn::is_burned(&self.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} characters, not shown)", self.0.chars().count())
    }
}
