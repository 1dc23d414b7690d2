//! Room in the metadata: inodes with what follows them, packed into blocks so that no inline tail and no
//! inode crosses a block's end.

use super::format::{BLOCK, SLOT};

/// How many blocks with room left are tried before a new one is begun. Few, so that what is near in the
/// tree is near in the image.
const OPEN_MAX: usize = 64;

/// Gives out room, first fit among the open blocks.
#[derive(Debug)]
pub(super) struct Room {
    /// Free room, as bytes from the start of the metadata; each within one block.
    open: Vec<(usize, usize)>,
    end: usize,
}

impl Room {
    /// Room from this byte on.
    pub(super) fn new(start: usize) -> Self {
        Self { open: vec![(start, BLOCK)], end: start }
    }

    /// Where an inode of `inode` bytes may start that is `head` bytes long with its index and has `tail`
    /// bytes of inline data right behind.
    pub(super) fn take(&mut self, inode: usize, head: usize, tail: usize) -> usize {
        let need = (head + tail).next_multiple_of(SLOT);
        if need <= BLOCK {
            let fit = self.open.iter().position(|(from, to)| to - from >= need);
            let at = fit.unwrap_or_else(|| self.begin());
            let start = self.open[at].0;
            self.open[at].0 += need;
            self.end = self.end.max(start + head + tail);
            self.tidy();
            return start;
        }
        let block = self.begin();
        let mut start = self.open.remove(block).0;
        if head % BLOCK + tail > BLOCK {
            // The index ends where a block begins, give or take a slot.
            start += (BLOCK - head % BLOCK).next_multiple_of(SLOT);
            debug_assert!(start % BLOCK + inode <= BLOCK, "a short head fits in front of its tail");
        }
        let end = start + head + tail;
        self.end = self.end.max(end);
        let free = end.next_multiple_of(SLOT);
        self.open.push((free, free.next_multiple_of(BLOCK)));
        self.tidy();
        start
    }

    /// The end of what is taken.
    pub(super) fn end(&self) -> usize {
        self.end
    }

    fn begin(&mut self) -> usize {
        let last = self.open.iter().map(|(_, to)| *to).max().unwrap_or(0);
        let from = last.max(self.end).next_multiple_of(BLOCK);
        self.open.push((from, from + BLOCK));
        self.open.len() - 1
    }

    fn tidy(&mut self) {
        self.open.retain(|(from, to)| to - from >= SLOT);
        if self.open.len() > OPEN_MAX {
            self.open.remove(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn nothing_overlaps_and_no_tail_crosses(
            items in proptest::collection::vec((1_usize..3, 0_usize..12_000, 0_usize..=3840), 1..300)
        ) {
            let mut room = Room::new(SLOT);
            let mut taken = Vec::new();
            for (slots, more, tail) in items {
                let (inode, head) = (slots * SLOT, slots * SLOT + more / 8 * 8);
                let start = room.take(inode, head, tail);
                prop_assert_eq!(start % SLOT, 0);
                prop_assert!(start % BLOCK + inode <= BLOCK, "inode crosses at {}", start);
                let at = start + head;
                prop_assert!(tail == 0 || at % BLOCK + tail <= BLOCK, "tail crosses at {}", at);
                taken.push((start, at + tail));
            }
            prop_assert_eq!(taken.iter().map(|(_, end)| *end).max(), Some(room.end()));
            taken.sort_unstable();
            prop_assert!(taken[0].0 >= SLOT);
            for pair in taken.windows(2) {
                prop_assert!(pair[0].1 <= pair[1].0, "{:?}", pair);
            }
        }
    }
}
