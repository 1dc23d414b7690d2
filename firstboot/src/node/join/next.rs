//! What comes next on the way into the cluster: a function of what is asked for, what was reached and what was seen.
//!
//! The steps are asked in their order; the first that is not content says what is done. Nothing is remembered here,
//! so a node that lost its power takes the same way again and finds what it did.

use super::{
    facts::{AuthorityFault, Contact, Entry, Facts, K3s, Kubelet, Look, Seen},
    k3s,
    order::Order,
    progress::Progress,
    reasons,
};
use crate::node::{
    clock::{Advice, Verdict},
    supervisor::{Cluster, PODS, SERVICES},
};
use contract::{Reason, seed::Role};
use std::net::SocketAddr;

/// What is done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Look for a fact.
    Look(Look),
    /// Say what is wrong, wait, and look again from there on.
    Wait(Wait),
    /// Set the clock to this time, in seconds since 1970.
    SetClock(u64),
    /// Keep how far we came.
    Record(Progress),
    /// Keep a copy of the cluster's state, under this name.
    Copy(String),
    /// Write k3s's settings.
    Write(Vec<k3s::Text>),
    /// Start this unit, and do not wait for it.
    Start(&'static str),
    /// Erase the token from the card.
    Burn,
    /// All is done: look again at the node after a while.
    Rest,
}

/// A pause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// What is looked for again.
    pub look: Look,
    /// What is wrong; nothing while it is too early to say.
    pub reason: Option<Reason>,
    /// How long, in seconds.
    pub seconds: u64,
    /// What happens next, for people.
    pub next: &'static str,
}

/// A scene: what the steps are asked about.
struct Scene<'a> {
    order: &'a Order,
    progress: &'a Progress,
    facts: &'a Facts,
}

/// What comes next.
#[must_use]
pub fn next(order: &Order, progress: &Progress, facts: &Facts) -> Step {
    let scene = Scene { order, progress, facts };
    Scene::STEPS.iter().find_map(|step| step(&scene)).unwrap_or(Step::Rest)
}

fn pause(look: Look, reason: Reason, seconds: u64, next: &'static str) -> Option<Step> {
    Some(Step::Wait(Wait { look, reason: Some(reason), seconds, next }))
}

/// Longer pauses after more attempts, in seconds: 2, 4, 8 … up to `most`.
fn backoff(tries: u32, most: u64) -> u64 {
    1_u64.checked_shl(tries.saturating_add(1)).unwrap_or(most).min(most)
}

const LOOKS_AGAIN: &str = "the node looks again by itself";
const MEND_SEED: &str = "mend homecloud.toml on the card and restart the node";

impl Scene<'_> {
    /// The way, in its order.
    const STEPS: [fn(&Self) -> Option<Step>; 15] = [
        Self::begin,
        Self::host,
        Self::network,
        Self::clock,
        Self::server,
        Self::authority,
        Self::proof,
        Self::cluster,
        Self::artifacts,
        Self::settings,
        Self::start,
        Self::unit,
        Self::ready,
        Self::path,
        Self::finish,
    ];

    fn begin(&self) -> Option<Step> {
        let id = self.order.id();
        (self.progress.order != Some(id)).then(|| Step::Record(self.progress.clone().for_order(id)))
    }

    /// J2, J3.
    fn host(&self) -> Option<Step> {
        let Some(host) = &self.facts.host else { return Some(Step::Look(Look::Host)) };
        let name = &self.order.name;
        if let Some(was) = host.joined_as.as_ref().filter(|was| *was != name) {
            return pause(Look::Host, reasons::other_name(was, name), 60, MEND_SEED);
        }
        if let Some(reason) = reasons::host(host) {
            return pause(Look::Host, reason, 60, LOOKS_AGAIN);
        }
        (host.k3s == K3s::Missing)
            .then(|| pause(Look::Host, reasons::no_k3s(), 3600, "write another image to the card"))
            .flatten()
    }

    /// J4.
    fn network(&self) -> Option<Step> {
        let Some(network) = &self.facts.network else { return Some(Step::Look(Look::Network)) };
        let waited = self.facts.waited;
        // A network needs a moment to come up; what is said in it would be wrong a second later.
        let patient = |moment: u64, reason: Reason| {
            let reason = (waited >= moment).then_some(reason);
            Some(Step::Wait(Wait { look: Look::Network, reason, seconds: 2, next: "check cable and router" }))
        };
        if network.addresses.is_empty() {
            return match network.carrier {
                true => patient(60, reasons::no_address(waited)),
                false => patient(10, reasons::no_carrier()),
            };
        }
        if network.gateway.is_none() {
            return patient(60, reasons::no_route());
        }
        // The cluster's own networks are known after J9, and from the last time.
        let known = self.admitted().or(self.progress.cluster.as_ref());
        let (pods, services) =
            known.map_or_else(|| (vec![PODS], vec![SERVICES]), |known| (known.pods(), known.services()));
        let overlap = reasons::overlap(&network.addresses, &pods, &services);
        overlap
            .and_then(|reason| pause(Look::Network, reason, 30, "give your LAN another range of addresses"))
    }

    /// J5, as far as it goes without a server.
    fn clock(&self) -> Option<Step> {
        let Some(clocks) = &self.facts.clocks else { return Some(Step::Look(Look::Clock)) };
        if !self.order.is_first() || clocks.advice() == Advice::Keep {
            return None;
        }
        // Nobody to ask but time servers.
        let reason = (self.facts.waited >= 60).then(|| reasons::no_time(clocks));
        Some(Step::Wait(Wait { look: Look::Clock, reason, seconds: 5, next: LOOKS_AGAIN }))
    }

    /// Whether a node that was a member before has all that it needs to become one again without asking: its own
    /// certificate, and a clock to judge others by.
    fn known(&self) -> bool {
        let Facts { host: Some(host), clocks: Some(clocks), .. } = self.facts else { return false };
        let counts = host.certificate.is_some_and(|(from, until)| (from..=until).contains(&clocks.now));
        self.progress.joined && counts && clocks.plausible()
    }

    /// Whether the server is asked before k3s is started.
    fn asks(&self) -> bool {
        !self.order.is_first() && !self.known()
    }

    /// J6.
    fn server(&self) -> Option<Step> {
        let server = self.order.server.as_ref()?;
        // A name that only we resolve may have another address today.
        if !self.asks() && !server.is_multicast() {
            return None;
        }
        let Some(contact) = &self.facts.server else { return Some(Step::Look(Look::Server)) };
        let reason = reasons::contact(server, contact)?;
        if self.known() && self.facts.waited >= 60 {
            return None;
        }
        pause(Look::Server, reason, backoff(self.facts.tries, 15), LOOKS_AGAIN)
    }

    fn claimed(&self) -> Option<u64> {
        match self.facts.server {
            Some(Contact::Pong { claimed, .. }) => claimed,
            _ => None,
        }
    }

    fn address(&self) -> Option<SocketAddr> {
        self.facts.server.as_ref().and_then(Contact::address).or(self.progress.server)
    }

    /// J7.
    fn authority(&self) -> Option<Step> {
        let server = self.order.server.as_ref().filter(|_| self.asks())?;
        match &self.facts.authority {
            None => Some(Step::Look(Look::Authority)),
            Some(Ok(_)) => None,
            Some(Err(fault)) => {
                let reason = reasons::authority(server, self.address(), fault);
                let seconds = if matches!(fault, AuthorityFault::Bundle(_)) { 60 } else { 15 };
                // From J6 on: the next one there may be the right one.
                pause(
                    Look::Server,
                    reason,
                    seconds,
                    "check the server's address; the node looks again by itself",
                )
            }
        }
    }

    /// J8, and J5 with what the server said.
    fn proof(&self) -> Option<Step> {
        let server = self.order.server.as_ref().filter(|_| self.asks())?;
        let clocks = self.facts.clocks.as_ref()?;
        let proof = match &self.facts.proof {
            None => return Some(Step::Look(Look::Proof)),
            Some(Ok(proof)) => proof,
            Some(Err(error)) => {
                let reason = reasons::proof(server, self.address(), self.claimed(), clocks, error);
                return pause(Look::Clock, reason, 30, LOOKS_AGAIN);
            }
        };
        match proof.date.map(|date| (date, clocks.compare(date))) {
            // It was set, and is still not where it should be: a time server disagrees, and wins.
            Some((_, Verdict::Step(_))) if self.facts.clock_set => None,
            Some((_, Verdict::Step(to))) => Some(Step::SetClock(to)),
            Some((date, Verdict::Refuse)) => {
                pause(Look::Clock, reasons::server_in_the_past(date, clocks), 30, LOOKS_AGAIN)
            }
            None if !clocks.plausible() => pause(Look::Clock, reasons::no_time(clocks), 30, LOOKS_AGAIN),
            Some((_, Verdict::Keep)) | None => None,
        }
    }

    fn admitted(&self) -> Option<&Cluster> {
        match &self.facts.cluster {
            Some(Entry::Admitted(cluster)) => Some(cluster),
            _ => None,
        }
    }

    /// J9.
    fn cluster(&self) -> Option<Step> {
        let server = self.order.server.as_ref().filter(|_| self.asks())?;
        let Some(entry) = &self.facts.cluster else { return Some(Step::Look(Look::Cluster)) };
        if let Some(reason) = reasons::entry(server, self.address(), entry, self.facts.waited) {
            let (look, seconds) = match entry {
                Entry::Status(503) => (Look::Cluster, 5),
                Entry::Status(401 | 403) => (Look::Server, 60),
                _ => (Look::Server, 15),
            };
            return pause(look, reason, seconds, LOOKS_AGAIN);
        }
        if let (Some(host), Some(cluster)) = (&self.facts.host, self.admitted())
            && let Some(reason) = reasons::backend(host, &cluster.backend)
        {
            return pause(Look::Host, reason, 600, "write another image to the card");
        }
        let reached =
            Progress { server: self.address(), cluster: self.admitted().cloned(), ..self.progress.clone() };
        (*self.progress != reached).then_some(Step::Record(reached))
    }

    /// A01.
    fn artifacts(&self) -> Option<Step> {
        match &self.facts.artifacts {
            None => Some(Step::Look(Look::Artifacts)),
            Some(Ok(())) => None,
            Some(Err(fault)) => {
                let seconds = backoff(self.facts.tries.saturating_add(2), 300);
                pause(Look::Artifacts, reasons::artifact(fault), seconds, LOOKS_AGAIN)
            }
        }
    }

    /// J10, and the copy of a server's state that comes before another version of k3s.
    fn settings(&self) -> Option<Step> {
        match &self.facts.written {
            Some(Ok(())) => {}
            Some(Err(why)) => return pause(Look::Artifacts, reasons::not_written(why), 30, LOOKS_AGAIN),
            None => {
                let own = self.order.node_ip.or(self.facts.network.as_ref().and_then(|network| network.own));
                return Some(Step::Write(k3s::settings(self.order, self.address(), own)));
            }
        }
        let K3s::There(version) = &self.facts.host.as_ref()?.k3s else { return None };
        if self.progress.k3s.as_ref() == Some(version) || self.facts.started {
            return None;
        }
        if let (Role::Server, Some(before)) = (self.order.role, &self.progress.k3s) {
            if k3s::Release::is_minor_back(before, version) {
                let reason = reasons::older_k3s(before, version, self.progress.copy.as_deref());
                return pause(Look::Host, reason, 600, reasons::OLDER_NEXT);
            }
            match &self.facts.kept {
                None => return Some(Step::Copy(format!("before-{version}-was-{before}"))),
                Some(Err(why)) => return pause(Look::Artifacts, reasons::not_kept(why), 60, LOOKS_AGAIN),
                Some(Ok(())) => {}
            }
        }
        Some(Step::Record(Progress { k3s: Some(version.clone()), ..self.progress.clone() }))
    }

    fn start(&self) -> Option<Step> {
        (!self.facts.started).then_some(Step::Start(self.order.unit()))
    }

    /// J11, J12.
    fn unit(&self) -> Option<Step> {
        let Some(unit) = &self.facts.unit else { return Some(Step::Look(Look::Unit)) };
        let waited = self.facts.waited;
        if self.facts.kubelet == Some(Kubelet::Well) {
            return None;
        }
        // What k3s said before it was up is over.
        if unit.state == "active" && self.facts.kubelet.is_none() {
            return Some(Step::Look(Look::Kubelet));
        }
        if let Some(reason) = k3s::words(self.order, self.progress.joined, self.address(), &unit.log) {
            return pause(Look::Unit, reason, 10, LOOKS_AGAIN);
        }
        let last = unit.log.last().map_or("nothing", String::as_str);
        let (there, all) = unit.files;
        if there < all || self.facts.kubelet.is_none() && unit.state != "active" && there == 0 {
            let stuck = waited >= 60 * (there as u64 + 1);
            let reason = stuck.then(|| reasons::unit_stuck(self.order.unit(), unit.files, waited, last));
            return Some(Step::Wait(Wait { look: Look::Unit, reason, seconds: 2, next: "k3s is starting" }));
        }
        let Some(kubelet) = &self.facts.kubelet else { return Some(Step::Look(Look::Kubelet)) };
        let Kubelet::Not(why) = kubelet else { return None };
        let patience = 300 + 60 * unit.archives as u64;
        // Once k3s is up it has imported them, and its words of that may be gone.
        let reason = if unit.state == "activating" && unit.imported < unit.archives {
            Some(reasons::importing(unit.imported, unit.archives))
        } else {
            (waited >= patience).then(|| reasons::kubelet(if unit.log.is_empty() { why } else { last }))
        };
        Some(Step::Wait(Wait { look: Look::Unit, reason, seconds: 3, next: "containers are starting" }))
    }

    /// S03 and J13.
    fn ready(&self) -> Option<Step> {
        if self.order.role == Role::Server {
            match &self.facts.api {
                None => return Some(Step::Look(Look::Api)),
                Some(Ok(())) => {}
                Some(Err(why)) => {
                    let reason = (self.facts.waited >= 120).then(|| reasons::api(why));
                    let next = "the API server is starting";
                    return Some(Step::Wait(Wait { look: Look::Unit, reason, seconds: 3, next }));
                }
            }
        }
        let Some(seen) = &self.facts.node else { return Some(Step::Look(Look::Node)) };
        let own = self.order.node_ip.or(self.facts.network.as_ref().and_then(|network| network.own));
        let reason = match seen {
            Seen::Away(why) => reasons::node_away(why),
            Seen::Unknown => reasons::node_unknown(&self.order.name),
            Seen::Node(state) => match reasons::node(state, own) {
                Some(reason) => reason,
                None => {
                    let reached = Progress { joined: true, ..self.progress.clone() };
                    return (*self.progress != reached).then_some(Step::Record(reached));
                }
            },
        };
        // A node that has just registered is not ready for a moment.
        let reason = (self.facts.waited >= 60).then_some(reason);
        Some(Step::Wait(Wait { look: Look::Unit, reason, seconds: 5, next: "the node becomes ready" }))
    }

    /// J14.
    fn path(&self) -> Option<Step> {
        match self.facts.path {
            None => Some(Step::Look(Look::Path)),
            Some(3..) => None,
            Some(_) => {
                let server = self.address().map(|address| address.ip());
                let reason = (self.facts.waited >= 60).then(|| reasons::path(server));
                let next = "the network of pods comes up";
                Some(Step::Wait(Wait { look: Look::Unit, reason, seconds: 5, next }))
            }
        }
    }

    /// J15.
    fn finish(&self) -> Option<Step> {
        match (&self.facts.burned, self.progress.burned) {
            (None, false) => Some(Step::Burn),
            (Some(Ok(())), false) => Some(Step::Record(Progress { burned: true, ..self.progress.clone() })),
            // Said once (the driver keeps it), not a reason to stop.
            _ => None,
        }
    }
}
