//! What was seen, in the order in which it is looked for. A fact that is missing was not looked for yet.

use crate::node::{
    clock::Clocks,
    supervisor::{Bundle, BundleError, Cidr, Cluster, NotUnderstood, Proof, SupervisorError},
};
use std::net::{IpAddr, SocketAddr};

/// What can be looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Look {
    /// J2, J3: this machine.
    Host,
    /// J4: its network.
    Network,
    /// J5: its clock.
    Clock,
    /// J6: the way to the server.
    Server,
    /// J7: the server's CA.
    Authority,
    /// J8: the server's certificate.
    Proof,
    /// J9: what the cluster says to our token.
    Cluster,
    /// A01: files that are not in the image.
    Artifacts,
    /// J11: k3s's unit, its files and its words.
    Unit,
    /// J12: the kubelet.
    Kubelet,
    /// S03: the server's API (servers).
    Api,
    /// J13: the Kubernetes node.
    Node,
    /// J14: the way of pods.
    Path,
}

/// What was seen in this boot.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// J2, J3.
    pub host: Option<Host>,
    /// J4.
    pub network: Option<Network>,
    /// J5.
    pub clocks: Option<Clocks>,
    /// Whether the clock was set in this boot.
    pub clock_set: bool,
    /// J6.
    pub server: Option<Contact>,
    /// J7.
    pub authority: Option<Result<Bundle, AuthorityFault>>,
    /// J8.
    pub proof: Option<Result<Proof, SupervisorError>>,
    /// J9.
    pub cluster: Option<Entry>,
    /// A01: the first file that could not be had.
    pub artifacts: Option<Result<(), ArtifactFault>>,
    /// J10: what was written in this boot, or why not.
    pub written: Option<Result<(), String>>,
    /// Before a change of k3s's version: the copy of the cluster's state.
    pub kept: Option<Result<(), String>>,
    /// J11: whether k3s was started in this boot.
    pub started: bool,
    /// J11.
    pub unit: Option<Unit>,
    /// J12.
    pub kubelet: Option<Kubelet>,
    /// S03: `None` within when it is well.
    pub api: Option<Result<(), String>>,
    /// J13.
    pub node: Option<Seen>,
    /// J14: how many of three attempts came through.
    pub path: Option<u8>,
    /// J15: whether the seed was erased; why not.
    pub burned: Option<Result<(), String>>,
    /// Since when the present trouble lasts, in seconds.
    pub waited: u64,
    /// How often it was looked again.
    pub tries: u32,
}

impl Facts {
    /// Forgets a fact and what was built on it, so that it is looked for again. What was done stays done.
    pub fn forget(&mut self, from: Look) {
        let keep = |look: Look| look < from;
        macro_rules! forget {
            ($($look:ident: $field:ident),*) => {$(if !keep(Look::$look) { self.$field = None; })*};
        }
        forget!(Host: host, Network: network, Clock: clocks, Server: server, Authority: authority, Proof: proof);
        forget!(Cluster: cluster, Artifacts: artifacts, Unit: unit, Kubelet: kubelet, Api: api, Node: node);
        forget!(Path: path);
        if !keep(Look::Artifacts) {
            self.written = None;
            self.kept = None;
        }
    }
}

/// This machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// The name under which the cluster knows the node, if it does.
    pub joined_as: Option<String>,
    /// Controllers of cgroup v2.
    pub controllers: Vec<String>,
    /// Modules that are neither loaded, built in, nor in the image.
    pub missing_modules: Vec<String>,
    /// The kind of file system of /var, such as `ext4`.
    pub var: String,
    /// What is free there, in bytes.
    pub free: u64,
    /// Whether /etc/rancher is writable and kept.
    pub rancher: bool,
    /// `kernel.keys.root_maxkeys`.
    pub root_maxkeys: u64,
    /// k3s itself.
    pub k3s: K3s,
    /// Until when the node's own certificate counts, if it has one: from and to.
    pub certificate: Option<(u64, u64)>,
}

/// k3s on this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum K3s {
    /// It is there, in this version.
    There(String),
    /// The node fetches it.
    Deferred,
    /// The image has none.
    Missing,
}

/// The network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// Whether any port has a carrier.
    pub carrier: bool,
    /// Addresses that are not of this machine alone.
    pub addresses: Vec<Cidr>,
    /// Through whom everything else is reached.
    pub gateway: Option<IpAddr>,
    /// The address from which the gateway is reached.
    pub own: Option<IpAddr>,
}

/// What came of knocking at the server's door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contact {
    /// Somebody there speaks as a supervisor. Its time is not proved.
    Pong {
        /// Where.
        address: SocketAddr,
        /// Its time, in seconds since 1970.
        claimed: Option<u64>,
    },
    /// Nobody knows the name.
    NotFound,
    /// Somebody there does not.
    Not {
        /// Where.
        address: SocketAddr,
        /// Why.
        error: SupervisorError,
    },
}

impl Contact {
    /// Where it was knocked.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Pong { address, .. } | Self::Not { address, .. } => Some(*address),
            Self::NotFound => None,
        }
    }
}

/// Why there is no CA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthorityFault {
    /// No answer.
    Away(SupervisorError),
    /// Another status than 200.
    Status(u16),
    /// Not ours, or none.
    Bundle(BundleError),
}

/// What the cluster says to our token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Welcome.
    Admitted(Cluster),
    /// Another status than 200.
    Status(u16),
    /// Something else.
    NotUnderstood(NotUnderstood),
    /// No answer.
    Away(SupervisorError),
}

/// A file that could not be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArtifactFault {
    /// Which.
    pub name: String,
    /// From whom, or nothing where no server was asked.
    pub host: String,
    /// Why.
    pub why: String,
    /// Whether this node is at fault: its disk is full, say.
    pub ours: bool,
}

/// k3s's unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unit {
    /// `active`, `activating`, `failed` …
    pub state: String,
    /// How many of the agent's files are there, of how many.
    pub files: (usize, usize),
    /// Images that were imported in this start.
    pub imported: usize,
    /// Archives of images that are to be imported.
    pub archives: usize,
    /// The last lines of its journal, the newest last.
    pub log: Vec<String>,
}

/// The kubelet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kubelet {
    /// It says that it is well.
    Well,
    /// It does not; what it says, or why it says nothing.
    Not(String),
}

/// The Kubernetes node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// As the API has it.
    Node(Box<NodeState>),
    /// The API does not know it.
    Unknown,
    /// The API was not to be asked.
    Away(String),
}

/// The Kubernetes node as the API has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeState {
    /// Whether it is ready.
    pub ready: bool,
    /// Why not.
    pub why: String,
    /// Whether its network is set up.
    pub network: bool,
    /// Its kubelet, such as `v1.34.3+k3s1`.
    pub version: String,
    /// The server's, if it said.
    pub server_version: Option<String>,
    /// Its own addresses.
    pub addresses: Vec<IpAddr>,
}
