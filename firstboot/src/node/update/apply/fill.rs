//! Fills a part: looks at what is in place, copies what runs already, fetches the rest, and looks again. A block that
//! came out wrong, wherever it came from, is one that is missing at the next look.

use super::{
    ApplyError, Figures, GAP, Tell,
    index::{Leaves, PIECE},
    part::Part,
};
use crate::node::update::source::{Source, SourceError};
use contract::{
    bundle::{Fetch, Index, Kind, Local, Plan, plan},
    verity::{BLOCK, DIGEST, hash_block},
};
use std::{io::Read as _, ops::Range};

/// Looks at a part before it is given up: a copy that was wrong is fetched at the second, what the medium lost is written
/// again at the third.
const ROUNDS: usize = 3;
/// Blocks that are moved at once.
const RUN: u64 = (PIECE / BLOCK) as u64;
/// Written bytes after which the medium is asked to keep them: so much is done twice after a power cut, at most.
const KEPT: u64 = 16 << 20;
/// Bytes that were fetched and are not written yet, at most: one large frame.
const FETCHED: usize = 256 << 10;
/// The largest window that a frame may ask memory for, in bytes.
const WINDOW: u64 = 8 << 20;

/// Which blocks are in place.
pub(super) type Present = Vec<bool>;

/// What filling needs beside the part.
pub(super) struct Fill<'f> {
    pub(super) index: &'f Index,
    pub(super) source: &'f mut dyn Source,
    pub(super) tell: &'f mut dyn Tell,
    pub(super) figures: &'f mut Figures,
}

impl Fill<'_> {
    /// Reads the part and says which of its blocks are those of the release. What cannot be read is not there.
    pub(super) fn survey(&mut self, kind: Kind, part: &mut dyn Part) -> Present {
        let tree = self.index.tree(kind);
        let (leaves, salt, blocks) = (tree.leaves(), self.index.salt(), tree.data_blocks());
        let (mut present, mut piece) = (Vec::new(), vec![0; PIECE]);
        for first in (0..blocks).step_by(PIECE / BLOCK) {
            let count = (blocks - first).min(RUN) as usize;
            let bytes = &mut piece[..count * BLOCK];
            let read = part.read(first, bytes).is_ok();
            let wanted = leaves[first as usize * DIGEST..].chunks_exact(DIGEST);
            let same = bytes.chunks_exact(BLOCK).zip(wanted);
            present.extend(same.map(|(block, leaf)| read && hash_block(salt, block)[..] == *leaf));
            self.tell.moved((first + count as u64) * BLOCK as u64, blocks * BLOCK as u64);
        }
        present
    }

    fn plan(&self, kind: Kind, present: &[bool], local: &[&Leaves]) -> Plan {
        let here = |block: u64| usize::try_from(block).ok().and_then(|at| present.get(at)) == Some(&true);
        let local: Vec<Local<'_>> = local.iter().map(|it| Local { leaves: it.bytes() }).collect();
        plan(self.index, kind, here, &local, GAP)
    }

    /// Refuses an update that would take more bytes than are allowed, before anything is written. Of the kernel no block
    /// counts as written already.
    pub(super) fn allow(
        &self,
        root: &[bool],
        [local, kernel]: [&Leaves; 2],
        allowed: Option<u64>,
    ) -> Result<(), ApplyError> {
        let Some(allowed) = allowed else { return Ok(()) };
        let fetched = [self.plan(Kind::Root, root, &[local]), self.plan(Kind::Uki, &[], &[kernel])];
        let needed = self.source.received() + fetched.iter().map(Plan::fetched).sum::<u64>();
        if needed > allowed {
            return Err(SourceError::Budget { needed, allowed }.into());
        }
        Ok(())
    }

    /// Fills the part and reads all of it back.
    pub(super) fn fill(
        &mut self,
        kind: Kind,
        part: &mut dyn Part,
        local: &[&Leaves],
        mut present: Present,
    ) -> Result<(), ApplyError> {
        self.figures.present += present.iter().filter(|here| **here).count() as u64;
        for round in 0..ROUNDS {
            // What was copied and is not in place is not what its leaf said: it is fetched now.
            let plan = self.plan(kind, &present, if round == 0 { local } else { &[] });
            if plan.copies.is_empty() && plan.fetches.is_empty() {
                return Ok(());
            }
            self.carry_out(kind, part, &plan)?;
            self.tell.step(&format!("reading the {kind} back"));
            present = self.survey(kind, part);
        }
        let lost = || (0_u64..).zip(&present).filter(|(_, here)| !**here);
        match lost().next() {
            None => Ok(()),
            Some((first, _)) => {
                Err(ApplyError::Lost { kind, count: lost().count() as u64, first: first * BLOCK as u64 })
            }
        }
    }

    fn carry_out(&mut self, kind: Kind, part: &mut dyn Part, plan: &Plan) -> Result<(), ApplyError> {
        let of = (plan.copied() + plan.unpacked()) * BLOCK as u64;
        let mut pen = Pen::new(part);
        let mut done = 0;
        if !plan.copies.is_empty() {
            self.tell.step(&format!("copying {} MiB of the {kind} that this node has", plan.copied() >> 8));
        }
        for copied in &plan.copies {
            for step in (0..copied.blocks).step_by(PIECE / BLOCK) {
                let count = (copied.blocks - step).min(RUN);
                let (source, from, to) = (copied.source, copied.from + step, copied.to + step);
                self.copy(kind, &mut pen, source, from..from + count, to)?;
                done += count * BLOCK as u64;
                self.tell.moved(done, of);
            }
        }
        if !plan.fetches.is_empty() {
            let mib = plan.fetched() as f64 / f64::from(1 << 20);
            self.tell.step(&format!("fetching {mib:.1} MiB of the {kind}"));
        }
        pen.put()?;
        pen.most = FETCHED;
        for fetch in &plan.fetches {
            if let Err(error) = self.fetch(fetch, &mut pen, &mut done, of) {
                // What came is kept for the next attempt.
                pen.finish()?;
                return Err(error);
            }
        }
        pen.finish()
    }

    fn fetch(&mut self, fetch: &Fetch, pen: &mut Pen<'_>, done: &mut u64, of: u64) -> Result<(), ApplyError> {
        self.source.turn_to(fetch.offset..fetch.offset + fetch.size)?;
        let mut at = fetch.offset;
        for piece in &fetch.pieces {
            self.source.skip(piece.offset - at)?;
            let mut stored = vec![0; usize::try_from(piece.size).unwrap_or(0)];
            self.source.read(&mut stored)?;
            pen.write(piece.first, &self.index.open(piece, &stored, inflate)?)?;
            self.figures.unpacked += piece.blocks;
            *done += piece.blocks * BLOCK as u64;
            self.tell.moved(*done, of);
            at = piece.offset + piece.size;
        }
        Ok(())
    }

    /// Copies a run. A block that is not what its leaf said, or cannot be read, is left out.
    fn copy(
        &mut self,
        kind: Kind,
        pen: &mut Pen<'_>,
        source: usize,
        from: Range<u64>,
        to: u64,
    ) -> Result<(), ApplyError> {
        let mut bytes = vec![0; (from.end - from.start) as usize * BLOCK];
        if pen.part.copy(source, from.start, &mut bytes).is_err() {
            // One bad sector does not cost the whole run.
            for (at, block) in from.zip(bytes.chunks_exact_mut(BLOCK)) {
                if pen.part.copy(source, at, block).is_err() {
                    block.fill(0);
                }
            }
        }
        for (number, block) in (to..).zip(bytes.chunks_exact(BLOCK)) {
            if self.index.check_block(kind, number, block).is_ok() {
                pen.write(number, block)?;
                self.figures.copied += 1;
            }
        }
        Ok(())
    }
}

/// Gathers blocks that lie behind each other, so that the medium gets large writes.
struct Pen<'p> {
    part: &'p mut dyn Part,
    first: u64,
    bytes: Vec<u8>,
    /// Bytes that are gathered.
    most: usize,
    written: u64,
}

impl<'p> Pen<'p> {
    fn new(part: &'p mut dyn Part) -> Self {
        Self { part, first: 0, bytes: Vec::with_capacity(PIECE), most: PIECE, written: 0 }
    }

    fn write(&mut self, first: u64, blocks: &[u8]) -> Result<(), ApplyError> {
        let next = self.first + (self.bytes.len() / BLOCK) as u64;
        if first != next || self.bytes.len() + blocks.len() > self.most {
            self.put()?;
            self.first = first;
        }
        self.bytes.extend_from_slice(blocks);
        Ok(())
    }

    fn put(&mut self) -> Result<(), ApplyError> {
        if self.bytes.is_empty() {
            return Ok(());
        }
        let (at, name) = (self.first * BLOCK as u64, self.part.name());
        let wrong = |act| move |source| ApplyError::Medium { act, part: name, at, source };
        self.part.write(self.first, &self.bytes).map_err(wrong("write"))?;
        self.written += self.bytes.len() as u64;
        self.bytes.clear();
        if self.written >= KEPT {
            self.written = 0;
            self.part.flush().map_err(wrong("flush"))?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<(), ApplyError> {
        self.put()?;
        let (at, name) = (self.first * BLOCK as u64, self.part.name());
        self.part.flush().map_err(|source| ApplyError::Medium { act: "flush", part: name, at, source })
    }
}

/// Unpacks a frame whose digest was checked to exactly the bytes that it may have, and no byte more.
fn inflate(stored: &[u8], size: usize) -> Result<Vec<u8>, String> {
    let decoder = ruzstd::decoding::StreamingDecoder::new_with_max_window_size(stored, WINDOW);
    let decoder = decoder.map_err(|error| format!("no zstd frame: {error}"))?;
    let mut blocks = Vec::with_capacity(size);
    let read = decoder.take(size as u64 + 1).read_to_end(&mut blocks);
    read.map_err(|error| format!("it does not unpack: {error}"))?;
    if blocks.len() > size {
        return Err(format!("it unpacks to more than {size} bytes"));
    }
    Ok(blocks)
}
