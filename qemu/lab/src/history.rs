//! What was written, in order, and what a power cut at any moment of it could have left.
//!
//! The model of the medium: a sector (512 bytes) is written whole or not at all. What was written before a flush that was
//! answered is there. Of what was written since, any sectors may be there, in any combination.

use crate::{
    Medium,
    layers::{BASE, Id, Layers, SECTOR, ZERO},
};
use std::{
    collections::{BTreeMap, hash_map::DefaultHasher},
    fmt,
    hash::{Hash as _, Hasher as _},
    io,
    ops::Range,
};

/// Bytes that share a stamp of their last change.
const STRETCH: u64 = 1 << 20;

/// One event of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// Sectors from `at` on were written; their bytes begin at `from` of the log, or are zero.
    Write { at: u64, count: u32, from: Id },
    /// Everything before it is on the medium.
    Flush,
    /// A test's note.
    Mark(String),
}

impl Op {
    fn id(from: Id, nth: u32) -> Id {
        if from == ZERO { ZERO } else { from + nth }
    }
}

/// All that was written to a device up to a moment.
#[derive(Clone)]
pub struct History {
    pub(crate) layers: Layers,
    pub(crate) ops: Vec<Op>,
    pub(crate) size: u64,
}

/// What was written between two flushes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Epoch {
    /// Every event before this one is on the medium.
    pub flushed: usize,
    /// The writes since, by their place in the log, each with its number of sectors.
    pub pending: Vec<(usize, u32)>,
}

/// Some sectors of one write that reached the medium.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The write's place in the log.
    pub op: usize,
    /// Which of its sectors.
    pub sectors: Range<u32>,
}

/// A power cut: what had been flushed, and what else made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Every event before this one is on the medium.
    pub flushed: usize,
    /// What else is, in the order of the log.
    pub kept: Vec<Kept>,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "flushed before {}, then", self.flushed)?;
        let mut whole = self.kept.as_slice();
        if whole.len() > 6 {
            write!(f, " {} more and", whole.len() - 6)?;
            whole = &whole[whole.len() - 6..];
        }
        for Kept { op, sectors } in whole {
            write!(f, " {op}[{}..{}]", sectors.start, sectors.end)?;
        }
        Ok(())
    }
}

impl History {
    /// The number of events so far; a place in the log.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// Whether nothing happened.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// The place of the last note `mark`.
    #[must_use]
    pub fn position(&self, mark: &str) -> Option<usize> {
        self.ops.iter().rposition(|op| matches!(op, Op::Mark(text) if text == mark))
    }

    /// The epochs of a stretch of the log. What was pending when it began is pending in the first one.
    #[must_use]
    pub fn epochs(&self, range: Range<usize>) -> Vec<Epoch> {
        let start = self.ops[..range.start].iter().rposition(|op| *op == Op::Flush).unwrap_or(0);
        let mut epochs = Vec::new();
        let mut epoch = Epoch { flushed: start, pending: Vec::new() };
        for (place, op) in self.ops.iter().enumerate().take(range.end).skip(start) {
            match op {
                Op::Write { count, .. } => epoch.pending.push((place, *count)),
                Op::Flush if place > range.start => {
                    epochs.push(std::mem::replace(
                        &mut epoch,
                        Epoch { flushed: place + 1, pending: Vec::new() },
                    ));
                }
                Op::Flush | Op::Mark(_) => {}
            }
        }
        epochs.push(epoch);
        epochs
    }

    /// Which bytes of the medium a stretch of the log writes, merged and sorted.
    #[must_use]
    pub fn written(&self, range: Range<usize>) -> Vec<Range<u64>> {
        let mut extents: Vec<Range<u64>> = self.ops[range]
            .iter()
            .filter_map(|op| match op {
                Op::Write { at, count, .. } => Some(at * SECTOR..(at + u64::from(*count)) * SECTOR),
                _ => None,
            })
            .collect();
        extents.sort_by_key(|extent| extent.start);
        let mut merged: Vec<Range<u64>> = Vec::new();
        for extent in extents {
            match merged.last_mut() {
                Some(last) if last.end >= extent.start => last.end = last.end.max(extent.end),
                _ => merged.push(extent),
            }
        }
        merged
    }

    /// Number of writes and of flushes in a stretch of the log.
    #[must_use]
    pub fn counts(&self, range: Range<usize>) -> (usize, usize) {
        let ops = &self.ops[range];
        let flushes = ops.iter().filter(|op| **op == Op::Flush).count();
        (ops.iter().filter(|op| matches!(op, Op::Write { .. })).count(), flushes)
    }

    /// The state after the first `end` events, all of them on the medium.
    #[must_use]
    pub fn at(&self, end: usize) -> State {
        self.cut(&Cut { flushed: end, kept: Vec::new() })
    }

    /// The state that one cut leaves.
    #[must_use]
    pub fn cut(&self, cut: &Cut) -> State {
        let mut state = self.start();
        state.forward(&self.ops, cut.flushed);
        state.over = self.over(cut);
        state
    }

    /// Visits the states of `cuts`, those that are early in the log first.
    pub fn walk(&self, mut cuts: Vec<Cut>, mut visit: impl FnMut(&Cut, &State)) {
        cuts.sort_by_key(|cut| cut.flushed);
        let mut state = self.start();
        for cut in cuts {
            state.forward(&self.ops, cut.flushed);
            state.over = self.over(&cut);
            visit(&cut, &state);
        }
    }

    fn start(&self) -> State {
        State {
            layers: self.layers.clone(),
            index: vec![BASE; usize::try_from(self.size.div_ceil(SECTOR)).unwrap_or(0)],
            stamps: vec![0; usize::try_from(self.size.div_ceil(STRETCH)).unwrap_or(0)],
            over: BTreeMap::new(),
            size: self.size,
            done: 0,
        }
    }

    fn over(&self, cut: &Cut) -> BTreeMap<u64, Id> {
        let mut over = BTreeMap::new();
        for Kept { op, sectors } in &cut.kept {
            let Some(Op::Write { at, from, .. }) = self.ops.get(*op) else { continue };
            over.extend(sectors.clone().map(|nth| (at + u64::from(nth), Op::id(*from, nth))));
        }
        over
    }
}

/// What a power cut left: a medium like any other. It holds no bytes, only where they are.
#[derive(Clone)]
pub struct State {
    layers: Layers,
    index: Vec<Id>,
    /// For each stretch, the last event that changed it.
    stamps: Vec<usize>,
    over: BTreeMap<u64, Id>,
    size: u64,
    done: usize,
}

impl State {
    fn forward(&mut self, ops: &[Op], to: usize) {
        for (place, op) in ops.iter().enumerate().take(to).skip(self.done) {
            let Op::Write { at, count, from } = op else { continue };
            for nth in 0..*count {
                if let Some(id) =
                    self.index.get_mut(usize::try_from(at + u64::from(nth)).unwrap_or(usize::MAX))
                {
                    *id = Op::id(*from, nth);
                }
            }
            let last = (at + u64::from(*count) - 1) * SECTOR / STRETCH;
            for stretch in at * SECTOR / STRETCH..=last {
                if let Some(stamp) = self.stamps.get_mut(usize::try_from(stretch).unwrap_or(usize::MAX)) {
                    *stamp = place + 1;
                }
            }
        }
        self.done = self.done.max(to);
    }

    fn id(&self, sector: u64) -> Id {
        if let Some(id) = self.over.get(&sector) {
            return *id;
        }
        usize::try_from(sector).ok().and_then(|sector| self.index.get(sector)).copied().unwrap_or(ZERO)
    }
}

impl Medium for State {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.layers.read(&|sector| self.id(sector), offset, buffer)
    }

    fn fingerprint(&self, extent: Range<u64>) -> Option<u64> {
        let mut hasher = DefaultHasher::new();
        extent.hash(&mut hasher);
        let first = usize::try_from(extent.start / STRETCH).ok()?;
        let last = usize::try_from(extent.end.div_ceil(STRETCH)).ok()?.min(self.stamps.len());
        self.stamps.get(first..last)?.hash(&mut hasher);
        for over in self.over.range(extent.start / SECTOR..extent.end.div_ceil(SECTOR)) {
            over.hash(&mut hasher);
        }
        Some(hasher.finish())
    }
}
