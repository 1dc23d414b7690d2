//! The manners of a node that is in a cluster, over the port. What is done is marked where it is done, first the lock,
//! then the node; it is taken back in the other order, so that what a power cut leaves is found and taken back too.

use super::{
    Leave, Phase, Rejoin,
    api::{Api, ApiError, Evicted, Locks, Own, Pod},
    drain, lock,
    policy::Policy,
    quorum::{self, Quorum},
};
use contract::seed::Role;

/// So often a write that somebody else was faster with is tried again.
const TRIES: usize = 5;
/// Between two looks at pods that are going, in seconds.
const LOOK: u64 = 5;
/// The pool of servers, whatever their labels say: quorum is one.
const SERVERS: &str = "servers";
/// The pool of agents without a label.
const AGENTS: &str = "agents";

/// A node of a cluster.
pub struct Member<'a, A> {
    /// The cluster.
    pub api: &'a mut A,
    /// Its name there.
    pub name: &'a str,
    /// What it is there.
    pub role: Role,
    /// How it leaves.
    pub policy: &'a Policy,
}

impl<A: Api> Member<'_, A> {
    /// Before a restart into `release`.
    pub fn leave(&mut self, release: &str) -> Leave {
        let mut words = Vec::new();
        match self.go(release, &mut words) {
            Ok(()) => Leave::Free(words),
            Err(why) => Leave::Stay(match self.take_back(&mut Vec::new()) {
                Ok(()) => why,
                Err(error) => format!("{why} (what was begun is taken back as soon as it can be: {error})"),
            }),
        }
    }

    /// After the commit, and where no restart is due.
    pub fn rejoin(&mut self) -> Rejoin {
        let mut words = Vec::new();
        match self.take_back(&mut words) {
            Ok(()) => Rejoin::Done(words),
            Err(error) => Rejoin::Later(error.to_string()),
        }
    }

    /// At a boot.
    pub fn reconcile(&mut self, phase: Phase) -> Rejoin {
        match phase {
            Phase::Settled => self.rejoin(),
            Phase::Trial => match self.renew() {
                Ok(words) => Rejoin::Done(words),
                Err(error) => Rejoin::Later(error.to_string()),
            },
        }
    }

    fn go(&mut self, release: &str, words: &mut Vec<String>) -> Result<(), String> {
        let own = match self.api.own() {
            Ok(own) => own,
            Err(error) => return self.all_the_same(error.to_string(), words),
        };
        let pool = self.pool(&own);
        match self.take_lock(&pool, release, words) {
            Ok(()) => {}
            Err(Refusal::Held(why)) => return Err(why),
            Err(Refusal::Unknown(why)) => self.all_the_same(why, words)?,
        }
        if self.role == Role::Server {
            let peers = match self.api.peers() {
                Ok(peers) => peers,
                Err(error) => return self.all_the_same(error.to_string(), words),
            };
            match quorum::without(self.name, &peers) {
                Quorum::Survives => {}
                Quorum::Pauses(why) => self.all_the_same(why, words)?,
                Quorum::Lost(why) => return Err(why),
            }
            if quorum::is_alone(self.name, &peers) {
                words.push("this node is the whole cluster: its pods stop and start with it".to_owned());
                return Ok(());
            }
        }
        if let Err(error) = self.close(release, words) {
            return self.all_the_same(error.to_string(), words);
        }
        self.drain(words)
    }

    /// What is not known or not done is a reason to stay, unless the operator said otherwise.
    fn all_the_same(&self, why: String, words: &mut Vec<String>) -> Result<(), String> {
        if self.policy.proceeds() {
            words.push(format!("{why}; the node goes all the same, as it is set to"));
            return Ok(());
        }
        Err(why)
    }

    fn pool(&self, own: &Own) -> String {
        match (self.role, &own.pool) {
            (Role::Server, _) => SERVERS.to_owned(),
            (Role::Agent, Some(pool)) if !pool.is_empty() => format!("agents.{pool}"),
            (Role::Agent, _) => AGENTS.to_owned(),
        }
    }

    fn take_lock(&mut self, pool: &str, release: &str, words: &mut Vec<String>) -> Result<(), Refusal> {
        for _ in 0..TRIES {
            let locks = self.api.locks().map_err(|error| Refusal::of(&error))?;
            let found = locks.entries.get(pool).map(String::as_str);
            let (entry, over) = match lock::claim(
                found,
                self.name,
                release,
                locks.now,
                self.policy.lock_seconds,
            ) {
                lock::Claim::Take(entry, over) => (entry, over),
                lock::Claim::Held { holder, left } => {
                    return Err(Refusal::Held(format!(
                        "{holder} of the pool `{pool}` is being updated, and one node goes at a time: at the latest in {} min this one may",
                        left.div_ceil(60)
                    )));
                }
            };
            let text = serde_json::to_string(&entry).map_err(|error| Refusal::Unknown(error.to_string()))?;
            let mut entries = locks.entries.clone();
            entries.insert(pool.to_owned(), text);
            match self.api.write_locks(&Locks { entries, ..locks }) {
                Ok(()) => {
                    words.extend(over);
                    return Ok(());
                }
                Err(error) if error.is(409) => {}
                Err(error) => return Err(Refusal::of(&error)),
            }
        }
        Err(Refusal::Held(format!("others wrote the lock of the pool `{pool}` {TRIES} times meanwhile")))
    }

    /// Closes the node to pods, unless somebody else has: theirs stays theirs.
    fn close(&mut self, release: &str, words: &mut Vec<String>) -> Result<(), ApiError> {
        self.again(|member| {
            let own = member.api.own()?;
            match (own.cordoned, &own.mark) {
                (true, Some(_)) => return Ok(()),
                (true, None) => {
                    words.push("the node was closed to pods before, and stays so afterwards".to_owned());
                    return Ok(());
                }
                (false, _) => {}
            }
            member.api.cordon(&own.version, Some(release))
        })
    }

    /// Sends the pods away, until the deadline.
    fn drain(&mut self, words: &mut Vec<String>) -> Result<(), String> {
        let deadline = self.api.uptime().saturating_add(self.policy.drain_seconds);
        let mut last = String::from("they were not asked");
        loop {
            let left: Result<Vec<Pod>, _> = self.api.pods();
            let left: Option<Vec<Pod>> = match left {
                Ok(pods) => Some(pods.into_iter().filter(drain::goes).collect()),
                Err(error) => {
                    last = error.to_string();
                    None
                }
            };
            if left.as_ref().is_some_and(Vec::is_empty) {
                return Ok(());
            }
            let mut ending = 0_usize;
            for pod in left.iter().flatten() {
                if self.api.uptime() >= deadline {
                    break;
                }
                if pod.ending {
                    ending += 1;
                    continue;
                }
                match self.api.evict(pod) {
                    Ok(Evicted::Going) => ending += 1,
                    Ok(Evicted::Refused(why)) => last = format!("{}: {why}", drain::named([pod])),
                    Err(error) => last = format!("{}: {error}", drain::named([pod])),
                }
            }
            if let Some(left) = &left
                && ending == left.len()
            {
                last = format!("{} are ending, and take longer than that", drain::named(left));
            }
            if self.api.uptime() >= deadline {
                let left = left.map_or_else(String::new, |left| format!(" of {} pods", left.len()));
                let why =
                    format!("the node was not free{left} within {} s: {last}", self.policy.drain_seconds);
                return self.all_the_same(why, words);
            }
            self.api.pause(LOOK);
        }
    }

    /// Opens the node if we closed it, and then releases the lock if it is ours.
    fn take_back(&mut self, words: &mut Vec<String>) -> Result<(), ApiError> {
        let own = match self.api.own() {
            Ok(own) => Some(own),
            // The cluster has forgotten this node: of the node nothing remains.
            Err(error) if error.is(404) => None,
            Err(error) => return Err(error),
        };
        if own.as_ref().is_some_and(|own| own.mark.is_some()) {
            self.again(|member| {
                let own = member.api.own()?;
                if own.mark.is_none() { Ok(()) } else { member.api.cordon(&own.version, None) }
            })?;
            words.push("the node takes pods again".to_owned());
        }
        let released = self.again(|member| {
            let locks = match member.api.locks() {
                Ok(locks) => locks,
                Err(error) if error.is(403) || error.is(404) => return Ok(false),
                Err(error) => return Err(error),
            };
            let mut entries = locks.entries.clone();
            // Of every pool: this node may have been in another one.
            entries.retain(|_, entry| !lock::is_mine(Some(entry), member.name));
            if entries == locks.entries {
                return Ok(false);
            }
            member.api.write_locks(&Locks { entries, ..locks }).map(|()| true)
        })?;
        if released {
            words.push("the next node of the pool may go".to_owned());
        }
        Ok(())
    }

    /// Keeps the lock for a release that is on trial.
    fn renew(&mut self) -> Result<Vec<String>, ApiError> {
        let own = self.api.own()?;
        let pool = self.pool(&own);
        let release = own.mark.unwrap_or_else(|| "a trial".to_owned());
        let mut words = Vec::new();
        match self.take_lock(&pool, &release, &mut words) {
            Ok(()) => {}
            // It was away for longer than the pool waits, and another node goes now: nothing is to be done about it.
            Err(Refusal::Held(why) | Refusal::Unknown(why)) => words.push(why),
        }
        Ok(words)
    }

    /// Tries again while somebody else was faster.
    fn again<T>(&mut self, mut act: impl FnMut(&mut Self) -> Result<T, ApiError>) -> Result<T, ApiError> {
        let mut tried = act(self);
        for _ in 1..TRIES {
            match &tried {
                Err(error) if error.is(409) => tried = act(self),
                _ => break,
            }
        }
        tried
    }
}

/// Why a node has no lock.
enum Refusal {
    /// Another one has it.
    Held(String),
    /// That cannot be known.
    Unknown(String),
}

impl Refusal {
    fn of(error: &ApiError) -> Self {
        if error.is(403) || error.is(404) {
            return Self::Unknown(
                "this cluster has no lock for updates: apply /usr/lib/hcimage/manifests/hcimage-updates.yaml of a server's image there (kubectl apply -f)"
                    .to_owned(),
            );
        }
        Self::Unknown(error.to_string())
    }
}
