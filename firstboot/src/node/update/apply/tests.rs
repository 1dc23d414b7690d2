//! Whole updates in memory: a disk that loses power, lies and wears out, a bundle that was changed, a line that breaks.

use super::*;
use crate::node::update::{
    select::fake::FakeSelector,
    slot::fake::{FakeDisk, Faults},
    source::SourceError,
};
use contract::{
    Digest,
    bundle::testing::{Made, Recipe, noise, trust},
    verity::{BLOCK, Superblock, Tree},
};
use std::{ops::Range, sync::OnceLock};

mod real;

/// A file in memory that counts what is read of it.
#[derive(Clone, Debug)]
struct Memory {
    bytes: Vec<u8>,
    range: Range<u64>,
    received: u64,
    /// The line breaks for good after so many bytes.
    breaks_at: Option<u64>,
}

impl Memory {
    fn of(bytes: &[u8]) -> Self {
        Self { bytes: bytes.to_vec(), range: 0..0, received: 0, breaks_at: None }
    }
}

impl Source for Memory {
    fn name(&self) -> &str {
        "x.hcb"
    }
    fn size(&self) -> Option<u64> {
        Some(self.bytes.len() as u64)
    }
    fn turn_to(&mut self, range: Range<u64>) -> Result<(), SourceError> {
        if range.end > self.bytes.len() as u64 {
            return Err(SourceError::Short {
                size: self.bytes.len() as u64,
                from: range.start,
                to: range.end,
            });
        }
        self.range = range;
        Ok(())
    }
    fn read(&mut self, bytes: &mut [u8]) -> Result<(), SourceError> {
        let (start, end) = (self.range.start, self.range.start + bytes.len() as u64);
        assert!(end <= self.range.end, "more is read than was asked for");
        self.received += bytes.len() as u64;
        if self.breaks_at.is_some_and(|limit| self.received > limit) {
            let why = "the line is dead".to_owned();
            return Err(SourceError::Away { why, attempts: 8, received: self.received });
        }
        bytes.copy_from_slice(&self.bytes[start as usize..end as usize]);
        self.range.start = end;
        Ok(())
    }
    fn received(&self) -> u64 {
        self.received
    }
}

#[derive(Default)]
struct Steps(Vec<String>);

impl Tell for Steps {
    fn step(&mut self, text: &str) {
        self.0.push(text.to_owned());
    }
    fn moved(&mut self, done: u64, of: u64) {
        assert!(done <= of, "{done} of {of}");
    }
}

const ROOM: (usize, usize) = (100 * BLOCK, 4 * BLOCK);

fn zstd(blocks: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(blocks, 19).unwrap()
}

/// A release of which blocks 30 to 39 of the root and block 2 of the kernel are its own.
fn recipe(release: u64) -> Recipe {
    let mut recipe = Recipe { compress: Some(zstd), ..Recipe::default() };
    recipe.root[30 * BLOCK..40 * BLOCK].copy_from_slice(&noise(10 * BLOCK, 100 + release));
    recipe.uki[2 * BLOCK..3 * BLOCK].copy_from_slice(&noise(BLOCK, 200 + release));
    recipe.header.version = release.to_string();
    recipe.header.sequence = release;
    recipe
}

/// The verity partition of a release.
fn verity(made: &Made) -> Vec<u8> {
    let part = &made.header.root;
    let uuid = made.header.uuid().unwrap();
    let superblock = Superblock { uuid, data_blocks: part.data_blocks, salt: part.salt.0.to_vec() };
    [superblock.render(), made.index.root.bytes().to_vec()].concat()
}

struct Lab {
    disk: FakeDisk,
    selector: FakeSelector,
    old: Recipe,
    made: Made,
    new: Recipe,
    bundle: Made,
}

/// A node that runs release 1, and a bundle of release 2.
fn lab() -> Lab {
    static MADE: OnceLock<[(Recipe, Made); 2]> = OnceLock::new();
    let made = || [recipe(1), recipe(2)].map(|recipe| (recipe.clone(), recipe.make()));
    let [(old, made), (new, bundle)] = MADE.get_or_init(made).clone();
    let disk = FakeDisk::flashed(old.root.clone(), verity(&made), made.header.root.root_hash, ROOM);
    Lab { disk, selector: FakeSelector::flashed(&old.uki), bundle, old, made, new }
}

impl Lab {
    fn head(&self, source: &mut Memory) -> Result<Head, ApplyError> {
        head(source, &trust(1, 1, &[1, 2]))
    }

    fn run(&mut self, source: &mut Memory, allowed: Option<u64>) -> Result<Figures, ApplyError> {
        let head = self.head(source)?;
        let Self { disk, selector, .. } = self;
        let mut tell = Steps::default();
        let mut apply = Apply { disk, selector, source, tell: &mut tell, allowed };
        let figures = apply.write(&head)?;
        stage(disk, selector, &head)?;
        Ok(figures)
    }

    fn update(&mut self) -> Result<Figures, ApplyError> {
        let mut source = Memory::of(&self.bundle.bytes);
        self.run(&mut source, None)
    }

    /// Slot B is the new release, bit by bit, and the next start tries it; slot A is what it was.
    fn assert_staged(&mut self, what: &str) {
        assert!(self.disk.root(Slot::B)[..self.new.root.len()] == self.new.root, "{what}");
        let tree = verity(&self.bundle);
        assert!(self.disk.verity(Slot::B)[..tree.len()] == tree, "{what}");
        assert_eq!(self.disk.names[1], self.bundle.header.root.root_hash, "{what}");
        assert!(self.selector.kernels[1] == Some((self.new.uki.clone(), true)), "{what}");
        assert_eq!(self.selector.boot(), Some(Slot::B), "{what}");
        self.assert_old(what);
    }

    /// What runs was not touched, and starts when the new one is used up.
    fn assert_old(&mut self, what: &str) {
        assert!(self.disk.root(Slot::A)[..self.old.root.len()] == self.old.root, "{what}");
        let tree = verity(&self.made);
        assert!(self.disk.verity(Slot::A)[..tree.len()] == tree, "{what}");
        assert!(self.selector.kernels[0] == Some((self.old.uki.clone(), true)), "{what}");
        assert_eq!(self.disk.names[0], self.made.header.root.root_hash, "{what}");
    }
}

#[test]
fn an_update_fetches_what_the_node_has_not() {
    let mut lab = lab();
    let figures = lab.update().unwrap();
    lab.assert_staged("delta");
    // The zeros of an empty slot are a block of the release.
    assert_eq!((figures.copied + figures.unpacked, figures.present), (60 + 6, 1), "{figures:?}");
    assert!((11..25).contains(&figures.unpacked), "{figures:?}");
    let all = lab.bundle.bytes.len() as u64;
    assert!(figures.fetched < all * 3 / 4, "{figures:?} of {all}");
    let mut source = Memory::of(&lab.bundle.bytes);
    let head = lab.head(&mut source).unwrap();
    assert!(is_staged(&lab.disk, &mut lab.selector, &head).unwrap());
    lab.selector.entries[1] = Some(Entry::Trial { generation: 2, left: 0, done: 3 });
    assert!(!is_staged(&lab.disk, &mut lab.selector, &head).unwrap());
    assert_eq!(lab.selector.log.last().unwrap(), "arm b 3");
}

#[test]
fn a_slot_that_shares_nothing_is_fetched_whole() {
    let mut lab = lab();
    lab.old.root = noise(50 * BLOCK, 77);
    lab.old.uki = noise(3 * BLOCK, 78);
    lab.old.header.root.salt = Digest::of(b"another salt");
    lab.made = lab.old.make();
    let made = &lab.made;
    lab.disk = FakeDisk::flashed(lab.old.root.clone(), verity(made), made.header.root.root_hash, ROOM);
    lab.selector = FakeSelector::flashed(&lab.old.uki);
    let figures = lab.update().unwrap();
    lab.assert_staged("whole");
    assert_eq!((figures.copied, figures.unpacked, figures.present), (0, 66, 1));
    assert!(figures.fetched + 200 > lab.bundle.bytes.len() as u64, "{figures:?}");
}

#[test]
fn local_blocks_that_are_damaged_are_fetched_instead() {
    // P10: blocks of the running root, of its tree, of the running kernel.
    for change in [
        |lab: &Lab| lab.disk.parts[0][0].borrow_mut()[45 * BLOCK] ^= 1,
        |lab: &Lab| lab.disk.parts[0][0].borrow_mut()[41 * BLOCK..60 * BLOCK].fill(0xff),
        |lab: &Lab| lab.disk.parts[0][1].borrow_mut()[BLOCK + 45 * 32] ^= 1,
        |lab: &Lab| lab.disk.parts[0][1].borrow_mut()[BLOCK..2 * BLOCK].fill(7),
        |lab: &Lab| lab.disk.parts[0][1].borrow_mut()[..BLOCK].fill(0xff),
    ] {
        let mut lab = lab();
        change(&lab);
        let before = (lab.disk.root(Slot::A), lab.disk.verity(Slot::A));
        lab.update().unwrap();
        assert!(before == (lab.disk.root(Slot::A), lab.disk.verity(Slot::A)));
        assert!(lab.disk.root(Slot::B)[..lab.new.root.len()] == lab.new.root);
        assert_eq!(lab.selector.boot(), Some(Slot::B));
    }
    let mut lab = lab();
    lab.selector.kernels[0].as_mut().unwrap().0[4 * BLOCK] ^= 1;
    lab.update().unwrap();
    assert!(lab.selector.kernels[1] == Some((lab.new.uki.clone(), true)));
}

#[test]
fn what_another_release_left_in_the_slot_is_used_where_it_lies() {
    let mut lab = lab();
    let third = recipe(3);
    lab.disk.parts[1][0].borrow_mut()[..third.root.len()].copy_from_slice(&third.root);
    let tree = verity(&third.make());
    lab.disk.parts[1][1].borrow_mut()[..tree.len()].copy_from_slice(&tree);
    lab.selector.entries[1] = Some(Entry::Committed { generation: 0 });
    lab.selector.kernels[1] = Some((third.uki, true));
    let figures = lab.update().unwrap();
    lab.assert_staged("third");
    assert_eq!(figures.present, 51);
    assert_eq!(lab.selector.log, ["disarm b", "begin 22480", "place b", "arm b 3"]);
}

#[test]
fn more_bytes_than_allowed_are_refused_before_the_first_write() {
    let mut lab = lab();
    let needed = lab.update().unwrap().fetched;
    for (allowed, taken) in [(needed, true), (needed - 1, false), (lab.bundle.bytes.len() as u64, true)] {
        let mut lab = super::tests::lab();
        let mut source = Memory::of(&lab.bundle.bytes);
        match lab.run(&mut source, Some(allowed)) {
            Ok(_) => assert!(taken),
            Err(error) => {
                assert!(!taken && error.to_string().contains("are allowed"), "{error}");
                assert_eq!((lab.disk.faults.borrow().writes, lab.selector.log.len()), (0, 0));
            }
        }
    }
}

#[test]
fn a_machine_that_dies_at_any_call_goes_on_where_it_was() {
    // P1, P23: after each operation of the disk the power is gone; the next run finishes.
    let mut lab = lab();
    lab.update().unwrap();
    let (all, whole) = (lab.disk.faults.borrow().count, lab.selector.log.len());
    assert!(all > 20, "{all}");
    for end in 0..all {
        let mut lab = super::tests::lab();
        lab.disk.faults.borrow_mut().dies_at = Some(end);
        lab.update().unwrap_err();
        lab.assert_old(&format!("cut after {end} of {all}"));
        assert_eq!(lab.selector.boot(), Some(Slot::A), "cut after {end} of {all}");
        *lab.disk.faults.borrow_mut() = Faults::default();
        lab.update().unwrap();
        lab.assert_staged(&format!("cut after {end} of {all}"));
    }
    for end in 0..whole {
        let mut lab = super::tests::lab();
        lab.selector.fails_at = Some(end);
        lab.update().unwrap_err();
        lab.assert_old(&format!("selector fails at {end}"));
        assert_eq!(lab.selector.boot(), Some(Slot::A), "selector fails at {end}");
        lab.selector.fails_at = None;
        lab.update().unwrap();
        lab.assert_staged(&format!("selector fails at {end}"));
    }
}

#[test]
fn a_line_that_dies_anywhere_costs_little_twice() {
    // P9: after each step of the line the update is begun anew.
    let mut lab = lab();
    let all = lab.update().unwrap().fetched;
    let head = u64::try_from(lab.bundle.bytes.len()).unwrap() - lab.bundle.header.frames.stored;
    for end in (0..all).step_by(9000) {
        let mut lab = super::tests::lab();
        let mut source = Memory { breaks_at: Some(end), ..Memory::of(&lab.bundle.bytes) };
        let message = lab.run(&mut source, None).unwrap_err().to_string();
        assert!(message.contains("the line is dead"), "{message}");
        let figures = lab.update().unwrap();
        lab.assert_staged(&format!("line dead at {end}"));
        // Head and index again, and two frames at the most.
        let most = all + head + 2 * 64 * BLOCK as u64;
        assert!(source.received + figures.fetched < most, "dead at {end}: {figures:?}");
    }
}

#[test]
fn a_medium_with_errors_is_named_and_nothing_is_staged() {
    // P22: an error of the nth write or read.
    let mut lab = lab();
    lab.update().unwrap();
    let (writes, reads) = {
        let faults = lab.disk.faults.borrow();
        (faults.writes, faults.reads)
    };
    for number in 1..=writes {
        let mut lab = super::tests::lab();
        lab.disk.faults.borrow_mut().write_fails = Some(number);
        let message = lab.update().unwrap_err().to_string();
        assert!(message.contains("cannot write the") && message.contains("error"), "{message}");
        assert_eq!(lab.selector.boot(), Some(Slot::A), "write {number}");
    }
    for number in 1..=reads {
        let mut lab = super::tests::lab();
        lab.disk.faults.borrow_mut().read_fails = Some(number);
        // A read that fails once is done without (fetched, written again) or ends the update.
        match lab.update() {
            Ok(_) => lab.assert_staged(&format!("read {number}")),
            Err(error) => {
                assert!(
                    error.to_string().contains("on the medium") || error.to_string().contains("cannot read"),
                    "{error}"
                );
                assert_eq!(lab.selector.boot(), Some(Slot::A), "read {number}");
            }
        }
    }
}

#[test]
fn a_medium_that_lies_is_found_out() {
    let mut lab = lab();
    lab.update().unwrap();
    let writes = lab.disk.faults.borrow().writes;
    for number in 1..=writes {
        let mut lab = super::tests::lab();
        lab.disk.faults.borrow_mut().drops = vec![number];
        // One lost write of the root is written again; one of the tree ends the update.
        match lab.update() {
            Ok(_) => lab.assert_staged(&format!("write {number} was dropped")),
            Err(error) => {
                assert!(error.to_string().contains("it loses writes"), "{error}");
                assert_eq!(lab.selector.boot(), Some(Slot::A));
            }
        }
    }
    let mut lab = super::tests::lab();
    lab.disk.faults.borrow_mut().drops = (1..10_000).collect();
    let message = lab.update().unwrap_err().to_string();
    assert!(message.contains("it loses writes"), "{message}");
    assert_eq!(lab.selector.boot(), Some(Slot::A));
}

#[test]
fn a_bundle_with_any_byte_changed_is_never_staged() {
    // P4: flips over the whole file; those of the head and index before the first write of any kind.
    let lab = lab();
    let (size, stored) = (lab.bundle.bytes.len(), lab.bundle.header.frames.stored as usize);
    let mut at = 0;
    while at < size {
        let mut lab = super::tests::lab();
        let mut source = Memory::of(&lab.bundle.bytes);
        source.bytes[at] ^= 0x10;
        match lab.run(&mut source, None) {
            // A byte of a frame that this node needs not.
            Ok(_) => {
                assert!(at >= size - stored, "byte {at} does not matter");
                lab.assert_staged(&format!("byte {at}"));
            }
            Err(error) => {
                assert!(matches!(error, ApplyError::Bundle(_)), "byte {at}: {error:?}");
                assert_eq!(lab.selector.boot(), Some(Slot::A), "byte {at}");
                if at < size - stored {
                    assert_eq!(lab.disk.faults.borrow().writes, 0, "byte {at}");
                    assert!(lab.selector.log.is_empty(), "byte {at}");
                }
            }
        }
        at += if at < 2000 { 13 } else { 997 };
    }
}

#[test]
fn a_bundle_that_is_cut_or_longer_is_refused_at_once() {
    let whole = lab().bundle.bytes;
    let ends = (0..whole.len()).step_by(BLOCK).map(|end| whole[..end].to_vec());
    let longer = [whole.clone(), vec![0]].concat();
    for bytes in ends.chain([longer]) {
        let mut lab = lab();
        let mut source = Memory::of(&bytes);
        let message = lab.run(&mut source, None).unwrap_err().to_string();
        assert!(
            message.contains("it was cut off or something was added") || message.contains("it ends at byte"),
            "{message}"
        );
        assert_eq!((lab.disk.faults.borrow().writes, lab.selector.log.len()), (0, 0));
    }
}

#[test]
fn a_slot_that_is_in_use_is_left_alone() {
    // P21.
    let mut lab = lab();
    lab.disk.busy = true;
    let error = lab.update().unwrap_err();
    let reason = error.reason("x.hcb", Slot::B).to_string();
    assert!(reason.starts_with("HC-U03") && reason.contains("/dev/vda4 (`root-b`) is in use"), "{reason}");
    assert_eq!((lab.disk.faults.borrow().writes, lab.selector.log.len()), (0, 0));
}

#[test]
fn a_kept_slot_is_checked_before_it_is_gone_back_to() {
    let mut lab = lab();
    lab.update().unwrap();
    let root = lab.disk.names[1];
    check_slot(&lab.disk, &root).unwrap();
    assert!(check_slot(&lab.disk, &Digest::of(b"x")).unwrap_err().to_string().contains("root hash is"));
    for (part, at, expected) in
        [(0, 60 * BLOCK, "data block 60"), (1, BLOCK + 5, "root hash is"), (1, 0, "signature is")]
    {
        let byte = lab.disk.parts[1][part].borrow()[at];
        lab.disk.parts[1][part].borrow_mut()[at] ^= 1;
        let message = check_slot(&lab.disk, &root).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
        lab.disk.parts[1][part].borrow_mut()[at] = byte;
    }
    assert!(Tree::over(&[], &[0; 3]).is_ok());
}
