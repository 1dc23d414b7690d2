//! How far the node came, kept over power cuts: one small file that is replaced whole.

use crate::node::supervisor::Cluster;
use contract::Digest;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// How far the node came on its way into the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// For which order: another one begins anew.
    pub order: Option<Digest>,
    /// Where the server was found.
    pub server: Option<SocketAddr>,
    /// What the cluster said of itself.
    pub cluster: Option<Cluster>,
    /// The version of k3s that ran here last, for copies of the cluster's state before another one.
    pub k3s: Option<String>,
    /// The last copy of the cluster's state: before which version, and where.
    pub copy: Option<String>,
    /// Whether the Kubernetes node was once ready.
    pub joined: bool,
    /// Whether the token was erased from the card.
    pub burned: bool,
}

impl Progress {
    /// The same for this order: what another one came to does not count for it, but what ran here does.
    #[must_use]
    pub fn for_order(self, order: Digest) -> Self {
        if self.order == Some(order) {
            return self;
        }
        Self { order: Some(order), k3s: self.k3s, copy: self.copy, ..Self::default() }
    }
}
