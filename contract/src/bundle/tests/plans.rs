//! Plans: nothing is fetched that is here, and everything comes together.

use super::*;
use crate::verity::Tree;
use proptest::prelude::*;

/// Carries a plan out on values and compares with the real thing.
fn carry_out(made: &Made, recipe: &Recipe, local: &[&[u8]], present: &dyn Fn(u64) -> bool, gap: u64) -> Plan {
    let salt = made.header.root.salt.0;
    let trees: Vec<Tree> = local.iter().map(|bytes| Tree::over(&salt, bytes).unwrap()).collect();
    let places: Vec<Local<'_>> = trees.iter().map(|tree| Local { leaves: tree.leaves() }).collect();
    let plan = plan(&made.index, Kind::Root, present, &places, gap);
    let mut built = vec![0xee; recipe.root.len()];
    let place = |first: u64, blocks: u64| {
        usize::try_from(first).unwrap() * BLOCK..usize::try_from(first + blocks).unwrap() * BLOCK
    };
    let mut filled = 0;
    for block in (0..made.header.root.data_blocks).filter(|block| present(*block)) {
        built[place(block, 1)].copy_from_slice(&recipe.root[place(block, 1)]);
    }
    for Copied { source, from, to, blocks } in &plan.copies {
        built[place(*to, *blocks)].copy_from_slice(&local[*source][place(*from, *blocks)]);
        filled += blocks;
    }
    for fetch in &plan.fetches {
        let start = usize::try_from(fetch.offset).unwrap();
        let bytes = &made.bytes[start..start + usize::try_from(fetch.size).unwrap()];
        for piece in &fetch.pieces {
            let at = usize::try_from(piece.offset - fetch.offset).unwrap();
            let stored = &bytes[at..at + usize::try_from(piece.size).unwrap()];
            let blocks = made.index.open(piece, stored, unzstd).unwrap();
            built[place(piece.first, piece.blocks)].copy_from_slice(&blocks);
            filled += piece.blocks;
        }
    }
    assert!(built == recipe.root);
    assert_eq!(filled + plan.present, made.header.root.data_blocks, "each block comes from one place");
    plan
}

#[test]
fn what_is_here_is_not_fetched() {
    let recipe = compressed();
    let made = recipe.make();
    let none = |_: u64| false;
    let full = carry_out(&made, &recipe, &[], &none, 0);
    assert_eq!((full.fetches.len(), full.copies.len(), full.present), (1, 0, 0));
    let same = carry_out(&made, &recipe, &[&recipe.root], &none, 0);
    assert_eq!((same.fetched(), same.copied()), (0, 61));
    let done = carry_out(&made, &recipe, &[], &|_| true, 0);
    assert_eq!((done.fetched(), done.copied(), done.present), (0, 0, 61));

    // One block of noise changed in the release: it alone is fetched; it is stored as it is.
    let mut old = recipe.root.clone();
    old[50 * BLOCK] ^= 1;
    let one = carry_out(&made, &recipe, &[&old], &none, 0);
    assert_eq!((one.fetched(), one.copied()), (4096, 60));
    // A changed block of text brings its frame along.
    let mut old = recipe.root.clone();
    old[5 * BLOCK] ^= 1;
    let frame = made.index.frames.all()[made.index.frames.of_block(Kind::Root, 5).unwrap()];
    let text = carry_out(&made, &recipe, &[&old], &none, 0);
    assert_eq!((text.fetched(), text.unpacked()), (u64::from(frame.size), u64::from(frame.blocks)));

    // Everything moved by a block: copied in one run.
    let moved = [&[9; BLOCK][..], &recipe.root].concat();
    let moved = carry_out(&made, &recipe, &[&moved], &none, 0);
    assert_eq!(moved.fetched(), 0);
    assert!(moved.copies.len() < 5, "{:?}", moved.copies);
}

#[test]
fn fetches_that_are_near_become_one() {
    let recipe = Recipe::default();
    let made = recipe.make();
    let missing = |block: u64| !matches!(block, 30 | 33 | 50);
    let apart = carry_out(&made, &recipe, &[], &missing, 0);
    assert_eq!((apart.fetches.len(), apart.fetched()), (3, 3 * 4096));
    let near = carry_out(&made, &recipe, &[], &missing, 2 * 4096);
    assert_eq!((near.fetches.len(), near.fetched(), near.unpacked()), (2, 5 * 4096, 3));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_two_places_and_any_state_come_together(
        first in proptest::collection::vec(0_usize..62, 0..80),
        second in proptest::collection::vec(0_usize..62, 0..80),
        here in any::<u64>(),
        gap in 0_u64..30_000,
    ) {
        let recipe = compressed();
        let made = recipe.make();
        // Places that hold blocks of the release in any order, and some that are strange.
        let place = |blocks: &[usize]| -> Vec<u8> {
            let strange = noise(BLOCK, 99);
            let block = |number: &usize| recipe.root.get(number * BLOCK..(number + 1) * BLOCK).unwrap_or(&strange).to_vec();
            blocks.iter().chain(&[61]).flat_map(block).collect()
        };
        let (first, second) = (place(&first), place(&second));
        carry_out(&made, &recipe, &[&first, &second], &|block| here >> (block % 64) & 1 == 1, gap);
    }
}
