//! A cluster for tests of others: it answers what it is told to, and remembers what it was asked.

use super::{Leave, Neighbours, Phase, Reach, Rejoin};

/// Neighbours that do as they are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pretended {
    /// What `look` answers.
    pub reach: Reach,
    /// What `keep_datastore` answers.
    pub kept: Result<Option<String>, String>,
    /// What `leave` answers.
    pub leave: Leave,
    /// What `rejoin` and `reconcile` answer.
    pub rejoin: Rejoin,
    /// What was asked, in order: `look`, `keep FROM TO`, `leave RELEASE`, `rejoin`, `reconcile PHASE`.
    pub asked: Vec<String>,
}

impl Default for Pretended {
    /// A node without a cluster.
    fn default() -> Self {
        Self {
            reach: Reach::default(),
            kept: Ok(None),
            leave: Leave::Free(Vec::new()),
            rejoin: Rejoin::Done(Vec::new()),
            asked: Vec::new(),
        }
    }
}

impl Neighbours for Pretended {
    fn look(&mut self) -> Reach {
        self.asked.push("look".to_owned());
        self.reach.clone()
    }

    fn keep_datastore(&mut self, from: Option<&str>, to: Option<&str>) -> Result<Option<String>, String> {
        self.asked.push(format!("keep {} {}", from.unwrap_or("-"), to.unwrap_or("-")));
        self.kept.clone()
    }

    fn leave(&mut self, release: &str) -> Leave {
        self.asked.push(format!("leave {release}"));
        self.leave.clone()
    }

    fn rejoin(&mut self) -> Rejoin {
        self.asked.push("rejoin".to_owned());
        self.rejoin.clone()
    }

    fn reconcile(&mut self, phase: Phase) -> Rejoin {
        self.asked.push(format!("reconcile {phase:?}"));
        self.rejoin.clone()
    }
}
