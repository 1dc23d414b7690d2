//! Where a cluster's server listens.

use super::{problem::shown, value};
use std::{fmt, net::IpAddr};

/// The supervisor's address, from `https://HOST[:PORT]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// A DNS name in lower case, or an IP address without brackets. May end in `.local`, which only the node's own
    /// resolver understands: k3s is never given such a name.
    pub host: String,
    /// The port, 6443 when not written.
    pub port: u16,
}

impl Endpoint {
    /// The supervisor's port when none is written.
    pub const PORT: u16 = 6443;

    /// Reads `https://HOST[:PORT]`.
    ///
    /// # Errors
    /// What is wrong, in words that can follow the key's name.
    pub fn parse(text: &str) -> Result<Self, String> {
        let example = "write https://NAME or https://ADDRESS, with :PORT where it is not 6443";
        let Some(rest) = text.strip_prefix("https://") else {
            if text.starts_with("http://") {
                return Err(format!(
                    "begins with http://, and the token would be readable on its way: {example}"
                ));
            }
            return Err(format!("{} does not begin with https://: {example}", shown(text)));
        };
        if rest.contains('@') {
            return Err(format!("has a user or a token in it: {example}; the token has a line of its own"));
        }
        if rest.contains(['/', '?', '#']) {
            return Err(format!("{} has something after the host: {example}", shown(text)));
        }
        let (host, port) = match rest.strip_prefix('[') {
            Some(rest) => {
                let (host, tail) =
                    rest.split_once(']').ok_or_else(|| format!("{} has no closing bracket", shown(text)))?;
                if !host.contains(':') {
                    return Err(format!("{} has brackets, which only IPv6 addresses have", shown(text)));
                }
                let port = match tail {
                    "" => None,
                    tail => Some(tail.strip_prefix(':').unwrap_or(tail)),
                };
                (host, port)
            }
            None if rest.matches(':').count() > 1 => {
                return Err(format!(
                    "{} needs brackets around its IPv6 address: https://[{rest}]",
                    shown(text)
                ));
            }
            None => rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port))),
        };
        if host.is_empty() {
            return Err(format!("{} has no host: {example}", shown(text)));
        }
        value::host(host)?;
        if host.eq_ignore_ascii_case("localhost") {
            return Err("is this node itself: write the server's name or address".to_owned());
        }
        let port = match port {
            None => Self::PORT,
            Some(digits) if digits.len() <= 5 && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().ok().filter(|port| *port != 0).ok_or_else(|| no_port(digits))?
            }
            Some(digits) => return Err(no_port(digits)),
        };
        Ok(Self { host: host.to_ascii_lowercase(), port })
    }

    /// The address, when the host is one and not a name.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

fn no_port(text: &str) -> String {
    format!("{} is no port (1 to 65535)", shown(text))
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') {
            write!(f, "https://[{host}]:{port}")
        } else {
            write!(f, "https://{host}:{port}")
        }
    }
}
