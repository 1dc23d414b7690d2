//! What of a release is here already, what can be copied from where, and what has to be fetched.

use super::{Frame, Index, Kind, Stored};
use crate::verity::{BLOCK, DIGEST};

/// A place on this node whose blocks are known by their leaves, under the same salt: the running slot.
#[derive(Clone, Copy, Debug)]
pub struct Local<'a> {
    /// Digests of its blocks, one after another.
    pub leaves: &'a [u8],
}

/// A run of blocks that a local place has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Which of the local places.
    pub source: usize,
    /// Its first block there.
    pub from: u64,
    /// Its first block in the new part.
    pub to: u64,
    /// How many blocks.
    pub blocks: u64,
}

/// A frame, or some blocks of one that is stored as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The frame's number.
    pub frame: u32,
    /// Whose blocks they are.
    pub kind: Kind,
    /// The first block.
    pub first: u64,
    /// How many.
    pub blocks: u64,
    /// Where its bytes begin in the file.
    pub offset: u64,
    /// How many bytes.
    pub size: u64,
}

/// Bytes that are fetched at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// Where they begin in the file.
    pub offset: u64,
    /// How many.
    pub size: u64,
    /// What of them is needed, in order; between two pieces there may be bytes to pass over.
    pub pieces: Vec<Piece>,
}

/// How one part of a release comes together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Blocks that are in place already.
    pub present: u64,
    /// Blocks to copy, in order of where they go.
    pub copies: Vec<Copied>,
    /// Bytes to fetch, in order of where they are.
    pub fetches: Vec<Fetch>,
}

impl Plan {
    /// Bytes that are fetched.
    #[must_use]
    pub fn fetched(&self) -> u64 {
        self.fetches.iter().map(|fetch| fetch.size).sum()
    }

    /// Blocks that are copied.
    #[must_use]
    pub fn copied(&self) -> u64 {
        self.copies.iter().map(|copied| copied.blocks).sum()
    }

    /// Blocks that come out of what is fetched.
    #[must_use]
    pub fn unpacked(&self) -> u64 {
        self.fetches.iter().flat_map(|fetch| &fetch.pieces).map(|piece| piece.blocks).sum()
    }
}

/// Plans a part. `present` says which blocks are in place already (they are not written again unless a frame brings
/// them along); `local` are the places to copy from, the first one preferred. Two fetches that are not more than
/// `gap` bytes apart become one.
pub fn plan(index: &Index, kind: Kind, present: impl Fn(u64) -> bool, local: &[Local<'_>], gap: u64) -> Plan {
    let tree = index.tree(kind);
    let known = Known::of(local);
    let mut plan = Plan::default();
    let mut places: Vec<Place> = Vec::new();
    let frames = (0..).zip(index.frames.all()).filter(|(_, frame)| frame.kind == kind);
    for (number, frame) in frames {
        places.clear();
        for block in frame.first..frame.first + u64::from(frame.blocks) {
            let leaf =
                usize::try_from(block).ok().and_then(|it| tree.leaves().get(it * DIGEST..)?.get(..DIGEST));
            places.push(match leaf {
                _ if present(block) => Place::Here,
                Some(leaf) => known.find(leaf, plan.copies.last().map(Copied::next)),
                None => Place::Nowhere,
            });
        }
        let whole = matches!(frame.stored, Stored::Zstd(_)) && places.contains(&Place::Nowhere);
        if whole {
            plan.fetch(Piece::whole(number, frame), gap);
            continue;
        }
        for (block, place) in (frame.first..).zip(&places) {
            match *place {
                Place::Here => plan.present += 1,
                Place::Local { source, from } => plan.copy(source, from, block),
                Place::Nowhere => plan.fetch(Piece::of_raw(number, frame, block), gap),
            }
        }
    }
    plan
}

impl Plan {
    fn copy(&mut self, source: usize, from: u64, to: u64) {
        match self.copies.last_mut() {
            Some(last) if last.next() == (source, from) && last.to + last.blocks == to => last.blocks += 1,
            _ => self.copies.push(Copied { source, from, to, blocks: 1 }),
        }
    }

    fn fetch(&mut self, piece: Piece, gap: u64) {
        let Some(last) = self.fetches.last_mut().filter(|last| piece.offset - last.end() <= gap) else {
            self.fetches.push(Fetch { offset: piece.offset, size: piece.size, pieces: vec![piece] });
            return;
        };
        last.size = piece.offset + piece.size - last.offset;
        match last.pieces.last_mut() {
            Some(before) if before.frame == piece.frame && before.first + before.blocks == piece.first => {
                before.blocks += piece.blocks;
                before.size += piece.size;
            }
            _ => last.pieces.push(piece),
        }
    }
}

impl Fetch {
    const fn end(&self) -> u64 {
        self.offset + self.size
    }
}

impl Copied {
    /// The block after the run, at its source.
    const fn next(&self) -> (usize, u64) {
        (self.source, self.from + self.blocks)
    }
}

impl Piece {
    fn whole(number: u32, frame: &Frame) -> Self {
        let Frame { kind, first, blocks, offset, size, .. } = *frame;
        Self { frame: number, kind, first, blocks: u64::from(blocks), offset, size: u64::from(size) }
    }

    /// One block of a frame that is stored as it is.
    fn of_raw(number: u32, frame: &Frame, block: u64) -> Self {
        let size = BLOCK as u64;
        let offset = frame.offset + (block - frame.first) * size;
        Self { frame: number, kind: frame.kind, first: block, blocks: 1, offset, size }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Here,
    Local { source: usize, from: u64 },
    Nowhere,
}

/// All local blocks, sorted by leaf.
struct Known<'a> {
    local: &'a [Local<'a>],
    sorted: Vec<(u8, u32)>,
}

impl<'a> Known<'a> {
    fn of(local: &'a [Local<'a>]) -> Self {
        let mut sorted: Vec<(u8, u32)> = (0..)
            .zip(local)
            .flat_map(|(source, place)| {
                (0..).zip(place.leaves.chunks_exact(DIGEST)).map(move |(at, _)| (source, at))
            })
            .collect();
        let known = Self { local, sorted: Vec::new() };
        sorted.sort_unstable_by(|a, b| known.leaf(*a).cmp(&known.leaf(*b)).then(a.cmp(b)));
        Self { sorted, ..known }
    }

    fn leaf(&self, (source, at): (u8, u32)) -> Option<&'a [u8]> {
        self.local.get(usize::from(source))?.leaves.get(at as usize * DIGEST..)?.get(..DIGEST)
    }

    /// Where a leaf is: after the last copied block if it goes on there, so that runs are long.
    fn find(&self, leaf: &[u8], next: Option<(usize, u64)>) -> Place {
        if let Some((source, from)) = next {
            let at = u8::try_from(source).ok().zip(u32::try_from(from).ok());
            if at.and_then(|at| self.leaf(at)) == Some(leaf) {
                return Place::Local { source, from };
            }
        }
        let at = self.sorted.partition_point(|at| self.leaf(*at) < Some(leaf));
        match self.sorted.get(at) {
            Some(found) if self.leaf(*found) == Some(leaf) => {
                Place::Local { source: usize::from(found.0), from: u64::from(found.1) }
            }
            _ => Place::Nowhere,
        }
    }
}
