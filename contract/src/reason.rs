//! Why a node is not where it should be, in words for its owner. One vocabulary for the console, the report on the
//! card, the status page, the journal and mDNS.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A step of the way into the cluster, or another part of the node that can fail. The code is stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Code {
    /// The node's own disk.
    J00,
    /// The seed.
    J01,
    /// Names.
    J02,
    /// The kernel and storage of this machine.
    J03,
    /// The network.
    J04,
    /// The clock.
    J05,
    /// The way to the server.
    J06,
    /// Whether it is our server.
    J07,
    /// Its certificate.
    J08,
    /// The token.
    J09,
    /// The settings of k3s.
    J10,
    /// The node's identity in the cluster.
    J11,
    /// Containers and the kubelet.
    J12,
    /// The Kubernetes node.
    J13,
    /// The network of pods.
    J14,
    /// After the join.
    J15,
    /// The first server's token.
    S01,
    /// A joining server.
    S02,
    /// The server's API.
    S03,
    /// Its place in etcd.
    S04,
    /// What is needed to restore the cluster.
    S05,
    /// A part of the image that is fetched by the node.
    A01,
    /// A service on this node (a probe).
    P01,
    /// An update's source cannot be reached, or breaks off.
    U01,
    /// The update was refused: not for this node, not signed by whom it trusts, too old, or damaged.
    U02,
    /// The other slot could not be written, or does not read back as it was written.
    U03,
    /// The boot loader does not count tries on this machine, so that a bad update could not be taken back.
    U04,
    /// The new release came up, failed its health gate and was taken back.
    U05,
    /// The new release did not come up; the tries ran out and the boot loader took the old one.
    U06,
    /// Neither slot is sound: the last good one runs, and needs its owner.
    U07,
}

/// Why something does not go on: shown as `HC-J07 trust: the machine at … is NOT the cluster …`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// The step.
    pub code: Code,
    /// The part at fault in one word, such as `trust`, `network`, `token`.
    pub area: String,
    /// What happened, both values, what to do. Holds no secret.
    pub text: String,
    /// Whose fault it is: only a fault of this node may cost a release its place.
    pub blame: Blame,
}

/// Where a fault lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Blame {
    /// This node: its image, its kernel, its disk.
    Node,
    /// What its owner wrote.
    Settings,
    /// Something else: the server, the cable, the power.
    Elsewhere,
}

impl Code {
    /// The stable name, such as `HC-J07`.
    #[must_use]
    pub fn name(self) -> String {
        format!("HC-{self:?}")
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.code.name(), self.area, self.text)
    }
}
