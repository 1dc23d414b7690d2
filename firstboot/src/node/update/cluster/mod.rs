//! Manners of a node in its cluster: before it restarts into another release it takes its pool's lock, sends its pods
//! away and asks whether the cluster can do without it; afterwards it takes all of that back. Nothing of it is kept on
//! the node: what this node did is marked where it did it, so that every boot can put right what a power cut left.
//!
//! [`Neighbours`] is what the update asks for. It never hangs: every question has a time limit, and all of `leave` has one.

pub mod api;
mod datastore;
mod drain;
pub mod fake;
mod here;
mod kube;
pub mod lock;
pub mod member;
mod outage;
pub mod policy;
pub mod quorum;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod world;

pub use here::Here;

use serde::{Deserialize, Serialize};

/// What an update asks of the cluster around the node. A node without a cluster answers [`Leave::Free`] and
/// [`Rejoin::Done`] at once.
pub trait Neighbours {
    /// How the node and its cluster reach each other now: kept before a restart, and compared after it (see
    /// [`Reach::blame`]).
    fn look(&mut self) -> Reach;

    /// Before a release with another k3s is staged: on a server the datastore is kept. `from` and `to` are versions as
    /// k3s writes them, such as `v1.34.3+k3s1`; none where the release has no k3s. The words say what was kept, if
    /// anything had to be.
    ///
    /// # Errors
    /// With the reason for which the release must not be staged now.
    fn keep_datastore(&mut self, from: Option<&str>, to: Option<&str>) -> Result<Option<String>, String>;

    /// Before the restart into `release`, whose name is shown to people. Takes minutes at most (the drain's deadline
    /// and some questions). With [`Leave::Stay`] everything was taken back, or is by the next
    /// [`Neighbours::reconcile`].
    fn leave(&mut self, release: &str) -> Leave;

    /// After the commit: pods may come back, and the next node of the pool may go.
    fn rejoin(&mut self) -> Rejoin;

    /// At every boot, and again as long as the answer is [`Rejoin::Later`]: what this node left behind fits the phase
    /// that it is in.
    fn reconcile(&mut self, phase: Phase) -> Rejoin;
}

/// Where the update of this node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// No restart is due and no release is on trial: nothing of ours may remain.
    Settled,
    /// A release is on trial: the node keeps its pool's lock and no pods come until it is committed.
    Trial,
}

/// Whether the node may restart now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leave {
    /// It may. What was done, one line each; empty where there was nothing to do.
    Free(Vec<String>),
    /// Not now: why, and what to do, in one sentence for people. To be asked again later.
    Stay(String),
}

/// Whether everything is taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejoin {
    /// Nothing of ours remains (or in [`Phase::Trial`]: what has to remain does). What was done, one line each.
    Done(Vec<String>),
    /// Not yet, and why: the cluster cannot be asked now. To be tried again in a minute; no reason to hold a commit
    /// back.
    Later(String),
}

/// How the node and its cluster reach each other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reach {
    /// Whether the node is in a cluster at all.
    pub member: bool,
    /// Whether the API answered this node's own question.
    pub api: bool,
    /// Whether the API has this node as Ready; none where it did not answer.
    pub ready: Option<bool>,
    /// Whether the kubelet says that it is well.
    pub kubelet: bool,
    /// Whether any server other than this node opens its door (`/ping`, without any right), asked past k3s's own
    /// balancer. Always true for a server that is the only one.
    pub door: bool,
    /// Whether there is a network at all: a carrier, an address of ours and a way out.
    pub network: bool,
}

/// Whose fault it is that a node is not what it was before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is worse than before.
    None,
    /// The cluster's or the network's: the release is not to be taken back for it.
    Elsewhere(String),
    /// The release's: it worked before, others work, and this node does not.
    Ours(String),
}
