//! What a node says of itself: `hcnode status --json`, the status page, the console. Holds no secret.

use crate::{Reason, slots::Slot};
use serde::{Deserialize, Serialize};

/// The state of a node at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The node's name.
    pub name: String,
    /// Its addresses, with the interface, such as `192.168.1.20 (eth0)`.
    pub addresses: Vec<String>,
    /// The running release: profile and version.
    pub release: String,
    /// The running slot.
    pub slot: Option<Slot>,
    /// Where the node is on its way.
    pub stage: Stage,
    /// Why it does not go on, when it does not.
    pub reason: Option<Reason>,
    /// What its owner should do next, or what the node does next.
    pub next: String,
    /// The services' probes.
    pub probes: Vec<Outcome>,
    /// When this was true, in seconds since 1970 by the node's clock.
    pub at: u64,
}

/// Where a node is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Settings are read and carried out.
    FirstBoot,
    /// Services start.
    Starting,
    /// The node is on its way into the cluster.
    Joining,
    /// All that was asked for works.
    Ready,
    /// Something that worked, or should, does not.
    Degraded,
}

/// A probe's last result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The overlay that declares it.
    pub overlay: String,
    /// What holds when it passes.
    pub name: String,
    /// Whether it passed.
    pub passed: bool,
    /// What was found instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
}
