//! How one service of hcnode stands: what it writes, and `status` reads.

use contract::{Outcome, Reason, Stage};
use serde::{Deserialize, Serialize};

/// How one service stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Where it is on its way.
    pub stage: Stage,
    /// Why it does not go on, when it does not.
    #[serde(default)]
    pub reason: Option<Reason>,
    /// What the node does next, or what its owner should do.
    #[serde(default)]
    pub next: String,
    /// Results of probes (health only).
    #[serde(default)]
    pub probes: Vec<Outcome>,
}
