//! What the image or the operator says of manners: two small files, of which the operator's wins.

use crate::node::file;
use serde::Deserialize;
use std::{io, path::Path};

/// What the image says.
const IMAGE: &str = "/usr/lib/hcimage/update-cluster.json";
/// What the operator of this node says.
const OWN: &str = "/var/lib/hcimage/update-cluster.json";

/// What is done when manners do not come to an end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Overdue {
    /// The node stays, takes everything back and tries again later.
    #[default]
    Abort,
    /// It goes all the same.
    Proceed,
}

/// How a node leaves.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Policy {
    /// How long pods are given to go, in seconds: 10 to 3600.
    pub drain_seconds: u64,
    /// How long the pool waits for a node that does not come back, in seconds: 900 to 86400, and longer than a drain.
    pub lock_seconds: u64,
    /// What is done when pods do not go, the cluster cannot be asked, has no locks, or pauses without this server.
    pub overdue: Overdue,
}

impl Default for Policy {
    fn default() -> Self {
        Self { drain_seconds: 300, lock_seconds: 3600, overdue: Overdue::Abort }
    }
}

impl Policy {
    /// Whether the node goes all the same.
    #[must_use]
    pub fn proceeds(&self) -> bool {
        self.overdue == Overdue::Proceed
    }

    /// Reads one.
    ///
    /// # Errors
    /// In words, when a key or a value is not one.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let policy: Self = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        if !(10..=3600).contains(&policy.drain_seconds) {
            return Err(format!("drain-seconds is {}, expected 10 to 3600", policy.drain_seconds));
        }
        let least = policy.drain_seconds.max(600) + 300;
        if !(least..=86_400).contains(&policy.lock_seconds) {
            return Err(format!("lock-seconds is {}, expected {least} to 86400", policy.lock_seconds));
        }
        Ok(policy)
    }

    /// This node's.
    ///
    /// # Errors
    /// When a file is there and is not understood.
    pub fn load() -> io::Result<Self> {
        for path in [OWN, IMAGE] {
            if let Some(text) = file::read(Path::new(path))? {
                return Self::parse(&text).map_err(|why| io::Error::other(format!("{path}: {why}")));
            }
        }
        Ok(Self::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_whole_or_refused() {
        assert_eq!(Policy::parse(b"{}"), Ok(Policy::default()));
        let own = Policy::parse(br#"{"overdue":"proceed","drain-seconds":60}"#).unwrap();
        assert!(own.proceeds() && own.drain_seconds == 60 && own.lock_seconds == 3600);
        for (text, why) in [
            (&br#"{"drain":1}"#[..], "unknown field `drain`"),
            (br#"{"overdue":"maybe"}"#, "unknown variant `maybe`"),
            (br#"{"drain-seconds":0}"#, "drain-seconds is 0, expected 10 to 3600"),
            (br#"{"lock-seconds":600}"#, "lock-seconds is 600, expected 900 to 86400"),
            (br#"{"drain-seconds":3600}"#, "lock-seconds is 3600, expected 3900 to 86400"),
        ] {
            assert!(Policy::parse(text).unwrap_err().contains(why), "{why}");
        }
    }
}
