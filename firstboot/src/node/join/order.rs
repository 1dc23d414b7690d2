//! What the owner asked for, checked once at the door.

use contract::{
    Blame, Code, Digest, Reason,
    seed::{Cluster, Credentials, Role, Secret, Token},
};
use std::{collections::BTreeMap, fmt, net::IpAddr};

/// The port of a supervisor that names none.
const PORT: u16 = 6443;

/// A place in a cluster, as asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The node's name.
    pub name: String,
    /// What it is to be.
    pub role: Role,
    /// The server to join; none for the first server.
    pub server: Option<Address>,
    /// The token as it was given: a secret.
    pub token: Secret,
    /// The CA's hash in the token.
    pub ca: Option<Digest>,
    /// Who the node is to the server.
    pub credentials: Credentials,
    /// Labels of the Kubernetes node.
    pub labels: BTreeMap<String, String>,
    /// Its taints.
    pub taints: Vec<String>,
    /// Its address in the cluster, where the owner chose it.
    pub node_ip: Option<IpAddr>,
    /// Further names of the servers (servers only).
    pub tls_san: Vec<String>,
}

/// A supervisor's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// A name or an address.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Address {
    /// Reads `https://HOST[:PORT]`.
    #[must_use]
    pub fn parse(url: &str) -> Option<Self> {
        let rest = url.strip_prefix("https://")?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match rest.strip_prefix('[') {
            Some(long) => {
                let (host, port) = long.split_once(']')?;
                host.parse::<std::net::Ipv6Addr>().ok()?;
                (host, port.strip_prefix(':').or(port.is_empty().then_some("6443"))?)
            }
            None => rest.split_once(':').unwrap_or((rest, "6443")),
        };
        let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':');
        let good = !host.is_empty() && host.len() <= 253 && host.bytes().all(known);
        let port = port.parse().ok().filter(|port| *port != 0);
        good.then_some(Self { host: host.to_ascii_lowercase(), port: port? })
    }

    /// Whether it is a name of multicast DNS: k3s must never see one, since its resolver does not know them.
    #[must_use]
    pub fn is_multicast(&self) -> bool {
        self.host.trim_end_matches('.').ends_with(".local")
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)?;
        if self.port == PORT { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

impl Order {
    /// Checks what the seed asks of a node of this name.
    ///
    /// # Errors
    /// With what its owner must mend.
    pub fn check(name: &str, cluster: &Cluster) -> Result<Self, Reason> {
        let wrong = |text: String| Reason {
            code: Code::J01,
            area: "config".to_owned(),
            text,
            blame: Blame::Settings,
        };
        let token = Token::parse(&cluster.token).map_err(|error| wrong(error.to_string()))?;
        let server = cluster.server.as_deref().map(|url| {
            Address::parse(url).ok_or_else(|| {
                wrong(format!("server is \"{url}\", expected https://HOST or https://HOST:PORT."))
            })
        });
        let server = server.transpose()?;
        if cluster.role == Role::Agent && server.is_none() {
            return Err(wrong(
                "an agent needs a server. Write server = \"https://HOST\" below [cluster].".to_owned(),
            ));
        }
        if server.is_some() && token.ca.is_none() && !cluster.allow_unpinned {
            return Err(wrong(
                "token has no CA hash, so this node could not tell its cluster from a stranger. Copy the whole line from \"hcnode token\" on a server, or write allow-unpinned = true."
                    .to_owned(),
            ));
        }
        if cluster.role == Role::Server && matches!(token.credentials, Credentials::Bootstrap(_)) {
            return Err(wrong(
                "this token lets agents in only; a server needs the server's own token.".to_owned(),
            ));
        }
        let order = Self {
            name: name.to_owned(),
            role: cluster.role,
            server,
            token: cluster.token.clone(),
            ca: token.ca,
            credentials: token.credentials,
            labels: cluster.labels.clone(),
            taints: cluster.taints.clone(),
            node_ip: cluster.node_ip,
            tls_san: cluster
                .tls_san
                .iter()
                .cloned()
                .chain(cluster.virtual_ip.map(|ip| ip.to_string()))
                .collect(),
        };
        order.check_names()?;
        Ok(order)
    }

    fn check_names(&self) -> Result<(), Reason> {
        if ["localhost", "raspberrypi", "debian"].contains(&self.name.as_str()) {
            return Err(Reason {
                code: Code::J02,
                area: "name".to_owned(),
                text: format!(
                    "\"{}\" is every machine's name; two of them cannot be in one cluster. Set hostname in the seed.",
                    self.name
                ),
                blame: Blame::Settings,
            });
        }
        let reserved = self.labels.keys().find(|label| {
            let domain = label.split_once('/').map_or("", |(domain, _)| domain);
            ["kubernetes.io", "k8s.io"].iter().any(|owned| {
                domain == *owned || domain.strip_suffix(owned).is_some_and(|rest| rest.ends_with('.'))
            })
        });
        reserved.map_or(Ok(()), |label| {
            let own = label.split_once('/').map_or(label.as_str(), |(_, name)| name);
            let own = if label == "node-role.kubernetes.io/worker" { "role" } else { own };
            Err(Reason {
                code: Code::J10,
                area: "config".to_owned(),
                text: format!("label \"{label}\" is reserved and would stop k3s; use \"hc.home/{own}\"."),
                blame: Blame::Settings,
            })
        })
    }

    /// Whether this node begins the cluster.
    #[must_use]
    pub fn is_first(&self) -> bool {
        self.role == Role::Server && self.server.is_none()
    }

    /// The user that k3s sends for this role, whatever the token says.
    #[must_use]
    pub fn user(&self) -> &'static str {
        match self.role {
            Role::Agent => "node",
            Role::Server => "server",
        }
    }

    /// The unit of this role.
    #[must_use]
    pub fn unit(&self) -> &'static str {
        match self.role {
            Role::Agent => "k3s-agent.service",
            Role::Server => "k3s.service",
        }
    }

    /// What tells one order from another: a seed that changes any of it begins the way anew.
    #[must_use]
    pub fn id(&self) -> Digest {
        let server = self.server.as_ref().map(ToString::to_string).unwrap_or_default();
        let fields =
            [self.name.as_bytes(), self.user().as_bytes(), server.as_bytes(), self.token.reveal().as_bytes()];
        Digest::of_fields(fields)
    }
}
