//! What a node wants to know of its cluster: a few fields of `/v1-k3s/config`. The rest of that answer holds secrets;
//! it is not kept, and nothing of it is in an error.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, Serialize, de};
use std::{fmt, net::IpAddr, str::FromStr};

/// A network, such as `10.42.0.0/16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    /// An address in it.
    pub address: IpAddr,
    /// Bits that all its addresses share.
    pub length: u8,
}

/// What k3s uses unless it is told otherwise.
pub const PODS: Cidr = Cidr { address: IpAddr::V4(std::net::Ipv4Addr::new(10, 42, 0, 0)), length: 16 };
/// What k3s uses unless it is told otherwise.
pub const SERVICES: Cidr = Cidr { address: IpAddr::V4(std::net::Ipv4Addr::new(10, 43, 0, 0)), length: 16 };

impl Cidr {
    /// Whether the two have addresses in common.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let length = self.length.min(other.length);
        match (bits(self.address), bits(other.address)) {
            ((mine, width), (theirs, other)) if width == other => {
                let shift = u32::from(width) - u32::from(length.min(width));
                mine.checked_shr(shift) == theirs.checked_shr(shift)
            }
            _ => false,
        }
    }

    /// The same with the network's own address, which has no bits of hosts: `10.42.1.0/24` of `10.42.1.7/24`.
    #[must_use]
    pub fn network(&self) -> Self {
        let (number, width) = bits(self.address);
        let host = u32::from(width - self.length.min(width));
        let number = number.checked_shr(host).and_then(|net| net.checked_shl(host)).unwrap_or(0);
        let address = match self.address {
            IpAddr::V4(_) => IpAddr::V4(u32::try_from(number).unwrap_or(0).into()),
            IpAddr::V6(_) => IpAddr::V6(number.into()),
        };
        Self { address, length: self.length }
    }

    /// The network's first usable address: in the network of services, that of the API.
    #[must_use]
    pub fn first(&self) -> IpAddr {
        match self.network().address {
            IpAddr::V4(four) => IpAddr::V4((u32::from(four) | 1).into()),
            IpAddr::V6(long) => IpAddr::V6((u128::from(long) | 1).into()),
        }
    }
}

fn bits(address: IpAddr) -> (u128, u8) {
    match address {
        IpAddr::V4(four) => (u128::from(u32::from(four)), 32),
        IpAddr::V6(long) => (u128::from(long), 128),
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

/// A text that is no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a network is written like 10.42.0.0/16")]
pub struct NotANetwork;

impl FromStr for Cidr {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let (address, length) = text.split_once('/').ok_or(NotANetwork)?;
        let address = address.parse().map_err(|_| NotANetwork)?;
        let length = length.parse().map_err(|_| NotANetwork)?;
        if length > bits(address).1 { Err(NotANetwork) } else { Ok(Self { address, length }) }
    }
}

impl Serialize for Cidr {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Reads a network as Go's `net.IPNet` is written in JSON, address and Base64 of the mask, and as a text.
impl<'de> Deserialize<'de> for Cidr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Text(String),
            Go {
                #[serde(rename = "IP")]
                address: IpAddr,
                #[serde(rename = "Mask")]
                mask: String,
            },
        }
        match Form::deserialize(deserializer)? {
            Form::Text(text) => text.parse().map_err(de::Error::custom),
            Form::Go { address, mask } => {
                let mask = STANDARD.decode(mask).map_err(|_| de::Error::custom(NotANetwork))?;
                let ones: u32 = mask.iter().map(|byte| byte.count_ones()).sum();
                let solid = mask.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1));
                if mask.len() * 8 != usize::from(bits(address).1)
                    || solid.skip(ones as usize).any(|bit| bit == 1)
                {
                    return Err(de::Error::custom(NotANetwork));
                }
                Ok(Self { address, length: u8::try_from(ones).map_err(de::Error::custom)? })
            }
        }
    }
}

/// What a node wants to know of its cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// The networks of pods.
    #[serde(default)]
    pub pods: Vec<Cidr>,
    /// The networks of services.
    #[serde(default)]
    pub services: Vec<Cidr>,
    /// How pods of two nodes reach each other, such as `vxlan`.
    #[serde(default)]
    pub backend: String,
    /// Whether nodes give each other images.
    #[serde(default)]
    pub registry: bool,
}

/// The answer's own names of these fields. Source: k3s `pkg/daemons/config/types.go`, `CriticalControlArgs`.
#[derive(Deserialize)]
struct Wanted {
    #[serde(rename = "ClusterIPRange", default)]
    pod: Option<Cidr>,
    #[serde(rename = "ClusterIPRanges", default)]
    pods: Option<Vec<Cidr>>,
    #[serde(rename = "ServiceIPRange", default)]
    service: Option<Cidr>,
    #[serde(rename = "ServiceIPRanges", default)]
    services: Option<Vec<Cidr>>,
    #[serde(rename = "FlannelBackend", default)]
    backend: Option<String>,
    #[serde(rename = "EmbeddedRegistry", default)]
    registry: Option<bool>,
}

/// An answer that is none. It does not repeat any of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server's answer to /v1-k3s/config is not understood (line {line}, column {column})")]
pub struct NotUnderstood {
    /// Where, from 1.
    pub line: usize,
    /// Where, from 1.
    pub column: usize,
}

impl Cluster {
    /// Reads the answer of `/v1-k3s/config`.
    ///
    /// # Errors
    /// When it is not what k3s answers.
    pub fn parse(body: &[u8]) -> Result<Self, NotUnderstood> {
        let wanted: Wanted = serde_json::from_slice(body)
            .map_err(|error| NotUnderstood { line: error.line(), column: error.column() })?;
        let list = |several: Option<Vec<Cidr>>, one: Option<Cidr>| {
            several.filter(|list| !list.is_empty()).unwrap_or_else(|| one.into_iter().collect())
        };
        Ok(Self {
            pods: list(wanted.pods, wanted.pod),
            services: list(wanted.services, wanted.service),
            backend: wanted.backend.unwrap_or_default(),
            registry: wanted.registry.unwrap_or_default(),
        })
    }

    /// The networks of pods, or k3s's own where the server did not say.
    #[must_use]
    pub fn pods(&self) -> Vec<Cidr> {
        if self.pods.is_empty() { vec![PODS] } else { self.pods.clone() }
    }

    /// The networks of services, or k3s's own where the server did not say.
    #[must_use]
    pub fn services(&self) -> Vec<Cidr> {
        if self.services.is_empty() { vec![SERVICES] } else { self.services.clone() }
    }
}
