//! Takes step after step. It decides nothing: what comes next is [`next`]'s.

use super::{
    facts::{AuthorityFault, Entry, Facts, Look},
    next::{Step, Wait, next},
    order::Order,
    port::{Machine, Supervisor, aim},
    progress::Progress,
};
use crate::node::{part::Part, say, supervisor::SupervisorError};
use contract::{Reason, Stage, seed::Role};
use std::io;

/// How often a node that is ready is looked at again, in seconds.
const REST: u64 = 30;

/// The way of one node.
pub struct Way<'p, M, S> {
    order: Order,
    machine: &'p mut M,
    server: &'p mut S,
    progress: Progress,
    facts: Facts,
    /// What is waited for, and since when.
    trouble: Option<(Look, &'static str, u64)>,
    said: Option<Part>,
}

impl<'p, M: Machine, S: Supervisor> Way<'p, M, S> {
    /// Begins, or goes on where the last boot came to.
    ///
    /// # Errors
    /// When what was kept cannot be read.
    pub fn begin(order: Order, machine: &'p mut M, server: &'p mut S) -> io::Result<Self> {
        let progress = machine.progress()?;
        Ok(Self { order, machine, server, progress, facts: Facts::default(), trouble: None, said: None })
    }

    /// What was seen up to now.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// What the next step will be.
    #[must_use]
    pub fn peek(&self) -> Step {
        next(&self.order, &self.progress, &self.facts)
    }

    /// Takes one step, and says which it was.
    ///
    /// # Errors
    /// When this machine cannot be looked at, or does not keep what it is given.
    pub fn step(&mut self) -> io::Result<Step> {
        let step = self.peek();
        match &step {
            Step::Look(look) => self.look(*look)?,
            Step::Wait(wait) => self.wait(wait)?,
            Step::SetClock(to) => {
                self.machine.set_clock(*to)?;
                say::note(format_args!(
                    "the clock was set by the server's time, to {}",
                    crate::node::clock::Minute(*to)
                ));
                self.facts.clock_set = true;
                // The way to here was judged by that time already.
                self.facts.clocks = Some(self.machine.clocks()?);
            }
            Step::Record(progress) => {
                if progress.joined && !self.progress.joined {
                    self.machine.record_name(&self.order.name)?;
                }
                self.machine.record(progress)?;
                self.progress = progress.clone();
            }
            Step::Copy(name) => {
                let copied = self.machine.copy(name);
                self.facts.kept = Some(copied.map_err(|error| error.to_string()));
                if self.facts.kept == Some(Ok(())) {
                    let progress = Progress { copy: Some(name.clone()), ..self.progress.clone() };
                    self.machine.record(&progress)?;
                    self.progress = progress;
                }
            }
            Step::Write(files) => {
                let written = self.machine.write(files);
                self.facts.written = Some(written.map_err(|error| error.to_string()));
            }
            Step::Start(unit) => {
                self.say(None, "k3s is starting")?;
                self.machine.start(unit)?;
                self.facts.started = true;
            }
            Step::Burn => {
                let burned = self.machine.burn();
                self.facts.burned = Some(burned);
            }
            Step::Rest => self.rest()?,
        }
        Ok(step)
    }

    fn look(&mut self, look: Look) -> io::Result<()> {
        let aim = aim(&self.facts);
        let bundle = self.facts.authority.as_ref().and_then(|found| found.clone().ok());
        let nowhere = || SupervisorError::Broken("the server was not found".to_owned());
        let (order, facts) = (&self.order, &mut self.facts);
        match look {
            Look::Host => facts.host = Some(self.machine.host(order)?),
            Look::Network => facts.network = Some(self.machine.network()?),
            Look::Clock => facts.clocks = Some(self.machine.clocks()?),
            Look::Server => {
                if let Some(server) = &order.server {
                    facts.server = Some(self.server.knock(server));
                }
            }
            Look::Authority => {
                let found = aim.map_or_else(
                    || Err(AuthorityFault::Away(nowhere())),
                    |(address, at)| self.server.authority(address, order, at),
                );
                facts.authority = Some(found);
            }
            Look::Proof => {
                let proof = match (aim, &bundle) {
                    (Some((address, at)), Some(bundle)) => self.server.prove(address, bundle, at),
                    _ => Err(nowhere()),
                };
                facts.proof = Some(proof);
            }
            Look::Cluster => {
                let entry = match (aim, &bundle) {
                    (Some((address, at)), Some(bundle)) => self.server.enter(address, bundle, at, order),
                    _ => Entry::Away(nowhere()),
                };
                facts.cluster = Some(entry);
            }
            Look::Artifacts => {
                facts.artifacts = Some(self.machine.artifacts());
                if facts.artifacts == Some(Ok(())) {
                    // k3s may be there only now.
                    facts.host = Some(self.machine.host(order)?);
                }
            }
            Look::Unit => facts.unit = Some(self.machine.unit(order.unit())?),
            Look::Kubelet => facts.kubelet = Some(self.machine.kubelet()),
            Look::Api => facts.api = Some(self.machine.api()),
            Look::Node => facts.node = Some(self.machine.node(&order.name)),
            Look::Path => {
                let services = self.progress.cluster.clone().unwrap_or_default().services();
                facts.path = Some(self.machine.path(&services));
            }
        }
        Ok(())
    }

    fn wait(&mut self, wait: &Wait) -> io::Result<()> {
        let now = self.machine.uptime();
        let since = match self.trouble {
            Some((look, next, since)) if (look, next) == (wait.look, wait.next) => since,
            _ => {
                self.facts.tries = 0;
                self.trouble = Some((wait.look, wait.next, now));
                now
            }
        };
        self.say(wait.reason.clone(), wait.next)?;
        self.machine.pause(wait.seconds);
        self.facts.forget(wait.look);
        self.facts.tries = self.facts.tries.saturating_add(1);
        self.facts.waited = self.machine.uptime().saturating_sub(since);
        Ok(())
    }

    fn rest(&mut self) -> io::Result<()> {
        self.trouble = None;
        (self.facts.tries, self.facts.waited) = (0, 0);
        let (reason, next) = match &self.facts.burned {
            Some(Err(why)) => (Some(super::reasons::not_burned(why)), ""),
            _ if self.order.role == Role::Server && !self.machine.copied_off()? => {
                (Some(super::reasons::single_copy()), super::reasons::COPY_OFF)
            }
            _ => (None, ""),
        };
        let part = Part { stage: Stage::Ready, reason, next: next.to_owned(), probes: Vec::new() };
        self.tell(part)?;
        self.machine.pause(REST);
        self.facts.forget(Look::Unit);
        Ok(())
    }

    fn say(&mut self, reason: Option<Reason>, next: &str) -> io::Result<()> {
        // A member that stops working is no newcomer.
        let stage = if self.progress.joined { Stage::Degraded } else { Stage::Joining };
        let stage = if reason.is_none() { Stage::Joining } else { stage };
        self.tell(Part { stage, reason, next: next.to_owned(), probes: Vec::new() })
    }

    fn tell(&mut self, part: Part) -> io::Result<()> {
        if self.said.as_ref() != Some(&part) {
            if let Some(reason) = &part.reason {
                say::warn(reason);
            } else {
                say::note(format_args!("{:?} {}", part.stage, part.next));
            }
            self.machine.say(&part)?;
            self.said = Some(part);
        }
        Ok(())
    }
}
