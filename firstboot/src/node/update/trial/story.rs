//! The story of one boot, from what the boot partition says to what is done about it.

use super::{Machine, Other, Situation, other, situation};
use crate::node::update::{
    cluster::{Fault, Neighbours, Phase, Reach, Rejoin},
    reasons,
    record::{Failure, Notes, Record, Staged},
    select::{Entry, SelectError, Selection, Selector, Truth},
};
use contract::{Code, Digest, Reason, slots::Slot};

/// What is known of this boot.
#[derive(Clone, Debug)]
pub struct Boot {
    /// The slot that runs.
    pub slot: Slot,
    /// Its root hash.
    pub root: Digest,
    /// What it calls itself, such as `nas 20260905-081320-0123abcd`.
    pub release: String,
    /// The floor that its image names.
    pub floor: u64,
    /// The root hash that the partition table gives the other slot, if it can be read.
    pub other: Option<Digest>,
}

/// How a boot ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// What was found.
    pub situation: Situation,
    /// Whether the machine restarts now.
    pub restarts: bool,
    /// What the owner should know; a warning, unless the code is U07.
    pub reason: Option<Reason>,
    /// What was done, one line each.
    pub said: Vec<String>,
    /// The cluster could not be asked: what this node left there is to be taken back later.
    pub later: bool,
}

/// Decides this boot.
///
/// # Errors
/// When the boot partition cannot be read or does not take the decision: the service tries again, and a boot on trial
/// that is never decided is restarted by its timer.
pub fn settle(
    boot: &Boot,
    selector: &mut dyn Selector,
    machine: &mut dyn Machine,
    neighbours: &mut dyn Neighbours,
    notes: &Notes,
) -> Result<End, SelectError> {
    let (record, warning) = notes.load();
    let mut said: Vec<String> = warning.into_iter().collect();
    // First of all: the proof is in this boot's variables alone.
    let proof = match selector.canary() {
        Ok(proof) => format!("{proof:?}"),
        Err(error) => format!("whether the loader counts is not known: {error}"),
    };
    let selection = selector.read()?;
    let staged = record.staged.as_ref().is_some_and(|staged| staged.root == boot.root);
    let situation = match situation(&selection, boot.slot, record.proving) {
        // An update whose way back was lost meanwhile: not the first start of a node.
        Situation::Counted if staged && !record.proving => Situation::Last,
        found => found,
    };
    said.push(format!("slot {}: {situation:?}; {proof}", boot.slot));
    let mut story = Story { boot, selector, machine, neighbours, notes, record, said, later: false };
    let (restarts, reason) = match situation {
        Situation::Kept => (false, story.kept(&selection)?),
        Situation::Counted => (false, story.counted()?),
        Situation::Trial => story.trial()?,
        Situation::Last => (false, story.last(&selection)?),
    };
    Ok(End { situation, restarts, reason, later: story.later && !restarts, said: story.said })
}

struct Story<'s> {
    boot: &'s Boot,
    selector: &'s mut dyn Selector,
    machine: &'s mut dyn Machine,
    neighbours: &'s mut dyn Neighbours,
    notes: &'s Notes,
    record: Record,
    said: Vec<String>,
    later: bool,
}

impl Story<'_> {
    /// The usual boot: mend what is damaged, and tell what became of the other slot.
    fn kept(&mut self, selection: &Selection) -> Result<Option<Reason>, SelectError> {
        self.decided();
        self.repair(true)?;
        let found = other(selection, self.boot.slot);
        let reason = match found {
            Other::TakenBack | Other::UsedUp => Some(self.did_not_stay(selection, found)),
            Other::Nothing | Other::Kept | Other::Staged => None,
        };
        if found != Other::Staged {
            self.record.staged = None;
            let rejoined = self.neighbours.reconcile(Phase::Settled);
            self.rejoined(rejoined);
        }
        self.remember();
        Ok(reason)
    }

    /// The first start of all, or a proof.
    fn counted(&mut self) -> Result<Option<Reason>, SelectError> {
        self.selector.commit(self.boot.slot)?;
        self.decided();
        self.said.push(format!("slot {} is kept: the boot loader counted this start", self.boot.slot));
        self.repair(true)?;
        self.remember();
        Ok(None)
    }

    /// A release on trial.
    fn trial(&mut self) -> Result<(bool, Option<Reason>), SelectError> {
        let rejoined = self.neighbours.reconcile(Phase::Trial);
        self.rejoined(rejoined);
        let failed = self.judge();
        if failed.is_empty() {
            self.keep()?;
            return Ok((false, None));
        }
        // The notes first: on a restart in between the counter goes on, and the next boot judges again.
        let version = self.version_here();
        let reason = reasons::taken_back(&version, "the release from before", &failed);
        self.record.failed(Failure { root: self.boot.root, version, code: Code::U05, why: failed });
        self.note();
        let lines = self.machine.last_lines();
        self.said.extend(self.notes.save_lines(&lines));
        self.selector.give_up(self.boot.slot)?;
        self.restart();
        Ok((true, Some(reason)))
    }

    /// Nothing to go back to: it runs on, and is kept when it passes.
    fn last(&mut self, selection: &Selection) -> Result<Option<Reason>, SelectError> {
        // Nobody restarts the machine for this: there is nothing better to start.
        self.decided();
        let failed = self.judge();
        if !failed.is_empty() {
            self.note();
            return Ok(Some(reasons::last_resort(&self.boot.release, &failed)));
        }
        if matches!(selection.of(self.boot.slot), Some(Entry::Trial { .. })) {
            self.keep()?;
        } else {
            self.repair(true)?;
            self.remember();
        }
        Ok(None)
    }

    /// T0: the slot itself. T1: services. T2: the cluster. Why the release must go, one line each.
    fn judge(&mut self) -> Vec<String> {
        match self.machine.read_root() {
            Ok(blocks) => self.said.push(format!("all {blocks} blocks of the root are readable")),
            Err(why) => return vec![format!("the root cannot be read: {why}")],
        }
        if let Err(why) = self.machine.try_state() {
            return vec![format!("state cannot be written: {why}")];
        }
        let mut failed: Vec<String> = Vec::new();
        match self.machine.gate() {
            Ok(verdict) => {
                self.said.extend(verdict.excused.into_iter().map(|line| format!("excused: {line}")));
                failed.extend(verdict.failed);
            }
            Err(why) => failed.push(format!("the health gate did not answer: {why}")),
        }
        // After the gate, which has its patience: early in a boot the kernel still looks for hardware.
        let staged = self.staged_here();
        let (before, now) = (staged.as_ref().map_or(0, |it| it.adapters), self.machine.adapters());
        if before > 0 && now == 0 {
            failed
                .push(format!("the kernel finds no network adapter, and found {before} before this release"));
        }
        if let (true, Some(staged)) = (failed.is_empty(), staged) {
            failed.extend(self.cluster(&staged.reach));
        }
        failed
    }

    /// Whether the cluster is reached as before, once it had its time: what the release is to blame for.
    fn cluster(&mut self, before: &Reach) -> Option<String> {
        loop {
            let fault = self.neighbours.look().blame(before);
            let last = fault == Fault::None || !self.machine.waits();
            match fault {
                Fault::None => return None,
                Fault::Elsewhere(line) if last => {
                    self.said.push(format!("excused: {line}"));
                    return None;
                }
                Fault::Ours(line) if last => return Some(line),
                Fault::Elsewhere(_) | Fault::Ours(_) => {}
            }
        }
    }

    /// The one sector by which a release stays; then what follows from it, each of which may be lost.
    fn keep(&mut self) -> Result<(), SelectError> {
        self.selector.commit(self.boot.slot)?;
        self.decided();
        self.said.push(format!("slot {} is kept: {} works", self.boot.slot, self.boot.release));
        self.repair(true)?;
        if let Err(why) = self.machine.keep_measure() {
            self.said.push(format!("what works now could not be noted: {why}"));
        }
        if let Some(staged) = self.staged_here().filter(|staged| staged.rollback) {
            // The owner went back: the release that was left is not taken again by itself.
            let why = vec![format!("its owner went back from it to {}", self.boot.release)];
            let version = reasons::short(&staged.before);
            self.record.failed(Failure { root: staged.before, version, code: Code::U02, why });
        }
        self.record.staged = None;
        self.record.failures.retain(|failure| failure.root != self.boot.root);
        self.remember();
        let rejoined = self.neighbours.rejoin();
        self.rejoined(rejoined);
        Ok(())
    }

    /// The other slot was tried and does not run: why, and never again by itself.
    fn did_not_stay(&mut self, selection: &Selection, found: Other) -> Reason {
        let known = self.boot.other.and_then(|root| self.record.failure(&root).cloned());
        let release = &self.boot.release;
        if let Some(failure) = known.filter(|failure| failure.code == Code::U05) {
            return reasons::taken_back(&failure.version, release, &failure.why);
        }
        let root = self.boot.other;
        let staged = self.record.staged.as_ref().filter(|staged| Some(staged.root) == root);
        let known = root.and_then(|root| self.record.failure(&root)).map(|failure| failure.version.clone());
        let version = staged.map(|staged| staged.version.clone()).or(known);
        let version = version.or_else(|| root.map(|root| reasons::short(&root)));
        let version = version.unwrap_or_else(|| "in the other slot".to_owned());
        let tries = match selection.of(self.boot.slot.other()) {
            Some(Entry::Trial { done, .. }) => done,
            _ => 0,
        };
        let (code, why) = match found {
            Other::UsedUp => (Code::U06, vec![format!("it did not come up in {tries} tries")]),
            _ => (Code::U05, Vec::new()),
        };
        if let Some(root) = root {
            self.record.failed(Failure { root, version: version.clone(), code, why });
        }
        match found {
            Other::UsedUp => reasons::never_came_up(&version, release, tries),
            _ => reasons::taken_back(&version, release, &[]),
        }
    }

    fn repair(&mut self, kept: bool) -> Result<(), SelectError> {
        let done = self.selector.repair(&Truth { running: self.boot.slot, kept })?;
        self.said.extend(done);
        Ok(())
    }

    /// What a kept boot leaves in the notes.
    fn remember(&mut self) {
        self.record.kept = Some(self.boot.root);
        self.record.floor = self.record.floor.max(self.boot.floor);
        self.record.proving = false;
        self.note();
    }

    fn note(&mut self) {
        self.said.extend(self.notes.save(&self.record));
    }

    fn staged_here(&self) -> Option<Staged> {
        self.record.staged.clone().filter(|staged| staged.root == self.boot.root)
    }

    fn version_here(&self) -> String {
        self.staged_here().map_or_else(|| self.boot.release.clone(), |staged| staged.version)
    }

    fn rejoined(&mut self, rejoined: Rejoin) {
        self.later = matches!(rejoined, Rejoin::Later(_));
        match rejoined {
            Rejoin::Done(lines) => self.said.extend(lines),
            Rejoin::Later(why) => self.said.push(format!("the cluster is told later: {why}")),
        }
    }

    fn decided(&mut self) {
        if let Err(error) = self.machine.decided() {
            self.said.push(format!("cannot mark this boot as decided: {error}"));
        }
    }

    fn restart(&mut self) {
        if let Err(error) = self.machine.restart() {
            // The slot is given up: whoever restarts the machine, the timer at the latest, starts the other one.
            self.said.push(format!("cannot restart the node: {error}; its timer does"));
        }
    }
}
