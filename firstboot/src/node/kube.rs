//! The Kubernetes API as this machine reaches it: with the node's own certificate, or on a server with that of its
//! administrator. Every question has [`PATIENCE`](super::supervisor::PATIENCE) seconds.

use super::{
    file,
    join::k3s,
    supervisor::{Answer, Bundle, Client, ClientKey, Question},
};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

/// Where an agent reaches the API, unless its kubeconfig says otherwise.
const API: u16 = 6444;
/// A server's own API.
const SUPERVISOR: u16 = 6443;

/// A way to the API: a port of this machine, and who one is there.
#[derive(Clone, Debug)]
pub struct Door {
    port: u16,
    ca: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

impl Door {
    /// As this node: what a kubelet may do (its own Node, its own pods, and what the cluster grants to all nodes).
    ///
    /// # Errors
    /// When the node has no kubeconfig yet.
    pub fn node() -> io::Result<Self> {
        let agent = Path::new(k3s::AGENT);
        let port = port(&String::from_utf8_lossy(&must(&agent.join("kubelet.kubeconfig"))?));
        Ok(Self {
            port,
            ca: agent.join("server-ca.crt"),
            certificate: agent.join("client-kubelet.crt"),
            key: agent.join("client-kubelet.key"),
        })
    }

    /// As the administrator of this server: it may do everything.
    #[must_use]
    pub fn admin() -> Self {
        let tls = Path::new(k3s::SERVER).join("tls");
        Self {
            port: SUPERVISOR,
            ca: tls.join("server-ca.crt"),
            certificate: tls.join("client-admin.crt"),
            key: tls.join("client-admin.key"),
        }
    }

    /// Asks. Certificates are judged at the time `now`, in seconds since 1970.
    ///
    /// # Errors
    /// When a file is missing, or nobody who is of the cluster's CA answers in time.
    pub fn ask(&self, question: Question<'_>, now: u64) -> io::Result<Answer> {
        let bundle = Bundle::unpinned(&must(&self.ca)?, now).map_err(io::Error::other)?;
        let key = ClientKey { certificates: must(&self.certificate)?, key: must(&self.key)? };
        let client = Client::new(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), self.port));
        client.pinned(&bundle, now).api(question, &key).map_err(io::Error::other)
    }
}

fn must(path: &Path) -> io::Result<Vec<u8>> {
    let missing = || io::Error::other(format!("{} is not there yet", path.display()));
    file::read(path)?.ok_or_else(missing)
}

/// The port in the line `server: https://127.0.0.1:6444` of a kubeconfig.
fn port(kubeconfig: &str) -> u16 {
    let server = kubeconfig.lines().find_map(|line| line.trim().strip_prefix("server:"));
    let port = server.and_then(|url| url.trim().trim_matches('"').rsplit(':').next()?.parse().ok());
    port.unwrap_or(API)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_of_a_kubeconfig() {
        assert_eq!(port("clusters:\n- cluster:\n    server: https://127.0.0.1:7444\n"), 7444);
        assert_eq!(port(""), API);
    }
}
