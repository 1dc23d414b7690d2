//! Which power cuts are tried.

use crate::{Cut, Epoch, History, Kept, Random};
use std::ops::Range;

/// Up to so many pending sectors, every subset of them is tried.
const ALL_SUBSETS: usize = 10;
/// Subsets that are tried of each larger epoch.
const SOME_SUBSETS: usize = 96;
/// A write of up to so many sectors is torn after each of them, a larger one after so many, equally far apart.
const TEARS: u32 = 32;

/// Every kind of cut at every place of a stretch of the log: after each sector of each write, in order (so also torn
/// writes); all but one write; and any subset of sectors, all of them where they are few.
#[must_use]
pub fn exhaustive(history: &History, range: Range<usize>, seed: u64) -> Vec<Cut> {
    let mut random = Random::new(seed);
    let mut cuts = Vec::new();
    for epoch in history.epochs(range) {
        let sectors: usize = epoch.pending.iter().map(|(_, count)| *count as usize).sum();
        cuts.extend(prefixes(&epoch));
        cuts.extend((0..epoch.pending.len()).map(|missing| without(&epoch, epoch.pending.len(), missing)));
        if sectors <= ALL_SUBSETS {
            cuts.extend((0..1_u32 << sectors).map(|mask| subset(&epoch, |nth| mask >> nth & 1 == 1)));
        } else {
            cuts.extend((0..SOME_SUBSETS).map(|_| subset(&epoch, |_| random.coin())));
        }
    }
    cuts.sort_by_key(|cut| cut.flushed);
    cuts.dedup();
    cuts
}

/// `count` cuts of a long stretch of the log, of all kinds, equally many in each part of it.
#[must_use]
pub fn sampled(history: &History, range: Range<usize>, count: usize, seed: u64) -> Vec<Cut> {
    let mut random = Random::new(seed);
    let epochs: Vec<Epoch> =
        history.epochs(range).into_iter().filter(|epoch| !epoch.pending.is_empty()).collect();
    if epochs.is_empty() {
        return Vec::new();
    }
    let of = |nth: usize| {
        let epoch = &epochs[nth * epochs.len() / count.max(1)];
        let upto = 1 + random.below(epoch.pending.len());
        match nth % 4 {
            // The log's order, with the last write torn.
            0 => {
                let mut cut = whole(epoch, upto);
                if let Some(last) = cut.kept.last_mut() {
                    last.sectors.end = random.below(last.sectors.end as usize + 1) as u32;
                }
                cut
            }
            1 => without(epoch, upto, random.below(upto)),
            2 => {
                let mut cut = subset(epoch, |_| random.coin());
                cut.kept.retain(|kept| kept.op <= epoch.pending[upto - 1].0);
                cut
            }
            // Only the newest write of all: the disk was as lazy as it may be.
            _ => {
                let mut cut = whole(epoch, upto);
                cut.kept.drain(..upto - 1);
                cut
            }
        }
    };
    (0..count).map(of).collect()
}

fn whole(epoch: &Epoch, upto: usize) -> Cut {
    let kept = epoch.pending[..upto].iter().map(|(op, count)| Kept { op: *op, sectors: 0..*count }).collect();
    Cut { flushed: epoch.flushed, kept }
}

fn without(epoch: &Epoch, upto: usize, missing: usize) -> Cut {
    let mut cut = whole(epoch, upto);
    cut.kept.remove(missing);
    cut
}

fn prefixes(epoch: &Epoch) -> impl Iterator<Item = Cut> + '_ {
    epoch.pending.iter().enumerate().flat_map(move |(nth, (_, count))| {
        let tears = (*count).min(TEARS);
        (0..=tears).map(move |tear| {
            let mut cut = whole(epoch, nth + 1);
            cut.kept[nth].sectors.end =
                u32::try_from(u64::from(*count) * u64::from(tear) / u64::from(tears)).unwrap_or(*count);
            cut
        })
    })
}

fn subset(epoch: &Epoch, mut keep: impl FnMut(usize) -> bool) -> Cut {
    let mut kept: Vec<Kept> = Vec::new();
    let all = epoch.pending.iter().flat_map(|(op, count)| (0..*count).map(move |sector| (*op, sector)));
    for (nth, (op, sector)) in all.enumerate() {
        if !keep(nth) {
            continue;
        }
        match kept.last_mut() {
            Some(last) if last.op == op && last.sectors.end == sector => last.sectors.end += 1,
            _ => kept.push(Kept { op, sectors: sector..sector + 1 }),
        }
    }
    Cut { flushed: epoch.flushed, kept }
}
