//! A cluster of values for scenario tests: nodes, pods with budgets, locks, a clock, and failures at a chosen question.

use super::api::{Api, ApiError, Evicted, Locks, Own, Peer, Pod};
use std::collections::{BTreeMap, BTreeSet};

/// 2026-06-15.
pub(super) const NOW: u64 = 1_781_481_600;

#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) own: Option<Own>,
    pub(super) peers: Vec<Peer>,
    pub(super) pods: Vec<Pod>,
    /// Pods whose budget refuses.
    pub(super) held: BTreeSet<String>,
    /// Pods that end only after so many looks.
    pub(super) slow: BTreeMap<String, u32>,
    /// None: the cluster has no such object.
    pub(super) locks: Option<BTreeMap<String, String>>,
    /// Somebody else writes before our write, so many times.
    pub(super) races: u32,
    /// From this question on the API is away.
    pub(super) away_from: Option<u32>,
    /// How often it was asked.
    pub(super) asked: u32,
    pub(super) uptime: u64,
    pub(super) version: u64,
}

impl Default for World {
    fn default() -> Self {
        Self {
            own: Some(Own { ready: true, version: "1".to_owned(), ..Own::default() }),
            peers: Vec::new(),
            pods: Vec::new(),
            held: BTreeSet::new(),
            slow: BTreeMap::new(),
            locks: Some(BTreeMap::new()),
            races: 0,
            away_from: None,
            asked: 0,
            uptime: 100,
            version: 1,
        }
    }
}

fn refused(status: u16) -> ApiError {
    ApiError::Refused { what: "a question", status, text: "so it is".to_owned() }
}

impl World {
    pub(super) fn with_pods(names: &[&str]) -> Self {
        let pod = |name: &&str| Pod {
            namespace: "default".to_owned(),
            name: (*name).to_owned(),
            controller: Some("ReplicaSet".to_owned()),
            ..Pod::default()
        };
        Self { pods: names.iter().map(pod).collect(), ..Self::default() }
    }

    pub(super) fn lock(&self, pool: &str) -> String {
        self.locks.as_ref().and_then(|locks| locks.get(pool)).cloned().unwrap_or_default()
    }

    /// Nothing of ours remains.
    pub(super) fn is_clean(&self) -> bool {
        let own = self.own.as_ref().is_none_or(|own| own.mark.is_none() && !own.cordoned);
        own && self.locks.iter().flatten().all(|(_, entry)| !entry.contains("\"pi3\""))
    }

    /// Every question takes a second, and may be the one at which the API goes.
    fn question(&mut self) -> Result<(), ApiError> {
        self.uptime += 1;
        self.asked += 1;
        match self.away_from {
            Some(from) if self.asked >= from => Err(ApiError::Away("no answer within 10 s".to_owned())),
            _ => Ok(()),
        }
    }

    fn raced(&mut self) -> bool {
        let raced = self.races > 0;
        self.races = self.races.saturating_sub(1);
        self.version += u64::from(raced);
        raced
    }
}

impl Api for World {
    fn own(&mut self) -> Result<Own, ApiError> {
        self.question()?;
        let version = self.version.to_string();
        self.own.clone().map(|own| Own { version, ..own }).ok_or_else(|| refused(404))
    }

    fn peers(&mut self) -> Result<Vec<Peer>, ApiError> {
        self.question()?;
        Ok(self.peers.clone())
    }

    fn server_version(&mut self) -> Result<Option<String>, ApiError> {
        self.question()?;
        Ok(Some("v1.34.3+k3s1".to_owned()))
    }

    fn pods(&mut self) -> Result<Vec<Pod>, ApiError> {
        self.question()?;
        for pod in self.pods.iter_mut().filter(|pod| pod.ending) {
            let looks = self.slow.entry(pod.name.clone()).or_default();
            *looks = looks.saturating_sub(1);
        }
        let slow = &self.slow;
        self.pods.retain(|pod| !pod.ending || slow.get(&pod.name).is_some_and(|looks| *looks > 0));
        Ok(self.pods.clone())
    }

    fn evict(&mut self, pod: &Pod) -> Result<Evicted, ApiError> {
        self.question()?;
        if self.held.contains(&pod.name) {
            return Ok(Evicted::Refused("it would violate the pod's disruption budget".to_owned()));
        }
        for found in self.pods.iter_mut().filter(|found| found.name == pod.name) {
            found.ending = true;
        }
        Ok(Evicted::Going)
    }

    fn cordon(&mut self, version: &str, mark: Option<&str>) -> Result<(), ApiError> {
        self.question()?;
        if self.raced() || version != self.version.to_string() {
            return Err(refused(409));
        }
        let own = self.own.as_mut().ok_or_else(|| refused(404))?;
        own.cordoned = mark.is_some();
        own.mark = mark.map(str::to_owned);
        self.version += 1;
        Ok(())
    }

    fn locks(&mut self) -> Result<Locks, ApiError> {
        self.question()?;
        let entries = self.locks.clone().ok_or_else(|| refused(403))?;
        Ok(Locks { version: self.version.to_string(), entries, now: NOW + self.uptime })
    }

    fn write_locks(&mut self, locks: &Locks) -> Result<(), ApiError> {
        self.question()?;
        if self.raced() || locks.version != self.version.to_string() {
            return Err(refused(409));
        }
        self.locks = Some(locks.entries.clone());
        self.version += 1;
        Ok(())
    }

    fn uptime(&mut self) -> u64 {
        self.uptime
    }

    fn pause(&mut self, seconds: u64) {
        self.uptime += seconds;
    }
}
