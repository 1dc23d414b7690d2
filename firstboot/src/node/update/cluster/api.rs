//! The port: all that is asked of the cluster, and a clock. `kube` is the real one; tests have a world of their own.

use std::collections::BTreeMap;

/// The namespace of [`LOCK`].
pub const NAMESPACE: &str = "hcimage-updates";
/// The `ConfigMap` that holds the locks: one line of data for each pool.
pub const LOCK: &str = "hcimage-updates";
/// The annotation of a Node that *we* closed to pods: since when, and for which release.
pub const MARK: &str = "hcimage.io/cordoned-for-update";
/// The label that puts nodes into a pool other than that of all agents. Nodes may set it themselves (`[cluster.labels]`).
pub const POOL: &str = "hc.home/pool";

/// Why the API did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// It cannot be asked.
    #[error("the cluster's API does not answer ({0})")]
    Away(String),
    /// It will not.
    #[error("the cluster's API answers {status} to {what}: {text}")]
    Refused {
        /// To what.
        what: &'static str,
        /// Such as 403.
        status: u16,
        /// In its words.
        text: String,
    },
    /// It says something else.
    #[error("the cluster's API answers {what} with something else: {text}")]
    Strange {
        /// To what.
        what: &'static str,
        /// What is wrong with it.
        text: String,
    },
}

impl ApiError {
    /// Whether it answered with this status.
    #[must_use]
    pub fn is(&self, status: u16) -> bool {
        matches!(self, Self::Refused { status: found, .. } if *found == status)
    }
}

/// This node, as the API has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Own {
    /// The version of the object, for changes that must not overwrite others'.
    pub version: String,
    /// Whether it is Ready.
    pub ready: bool,
    /// Whether no pods are sent to it.
    pub cordoned: bool,
    /// What [`MARK`] says.
    pub mark: Option<String>,
    /// What [`POOL`] says.
    pub pool: Option<String>,
}

/// A node, as a server sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// Its name.
    pub name: String,
    /// Whether it is Ready.
    pub ready: bool,
    /// Whether it is a server.
    pub server: bool,
    /// Whether it is a member of embedded etcd.
    pub etcd: bool,
    /// Whether etcd counts its vote, as far as k3s says.
    pub voter: Option<bool>,
}

/// A pod on this node.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The kind of what controls it, such as `ReplicaSet`.
    pub controller: Option<String>,
    /// Whether it mirrors a file of the kubelet.
    pub mirror: bool,
    /// Whether it has ended.
    pub finished: bool,
    /// Whether it is ending.
    pub ending: bool,
    /// Whether it is of a system-upgrade-controller's job: it may be the one that asked for this update.
    pub upgrade: bool,
}

/// What became of an eviction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evicted {
    /// The pod ends, or is no more.
    Going,
    /// A disruption budget says no, in the API's words.
    Refused(String),
}

/// The locks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Locks {
    /// The version of the object: a write with another one fails.
    pub version: String,
    /// By pool.
    pub entries: BTreeMap<String, String>,
    /// The API's time, in seconds since 1970: all nodes judge by the same clock.
    pub now: u64,
}

/// The cluster's API and a clock.
pub trait Api {
    /// This node.
    ///
    /// # Errors
    /// 404 when the cluster has forgotten it.
    fn own(&mut self) -> Result<Own, ApiError>;

    /// All nodes, this one among them (servers only: nodes may not look at each other).
    ///
    /// # Errors
    /// When the API does not say.
    fn peers(&mut self) -> Result<Vec<Peer>, ApiError>;

    /// The version of k3s that answers, where one may know.
    ///
    /// # Errors
    /// When the API does not answer.
    fn server_version(&mut self) -> Result<Option<String>, ApiError>;

    /// The pods of this node.
    ///
    /// # Errors
    /// When the API does not say.
    fn pods(&mut self) -> Result<Vec<Pod>, ApiError>;

    /// Asks a pod to go, as far as budgets let it.
    ///
    /// # Errors
    /// When the API does neither.
    fn evict(&mut self, pod: &Pod) -> Result<Evicted, ApiError>;

    /// Closes the node to pods and says why, or opens it and takes the word back, in one step.
    ///
    /// # Errors
    /// 409 when it is not of this version any more.
    fn cordon(&mut self, version: &str, mark: Option<&str>) -> Result<(), ApiError>;

    /// Reads the locks.
    ///
    /// # Errors
    /// 403 or 404 where the cluster has none.
    fn locks(&mut self) -> Result<Locks, ApiError>;

    /// Writes them.
    ///
    /// # Errors
    /// 409 when they are not of this version any more.
    fn write_locks(&mut self, locks: &Locks) -> Result<(), ApiError>;

    /// Seconds by a clock that nobody sets.
    fn uptime(&mut self) -> u64;

    /// Waits, in seconds.
    fn pause(&mut self, seconds: u64);
}
