//! What a bundle says, and what is refused of one that says anything else.

use super::{testing::*, *};
use crate::{
    Digest,
    trust::{Chain, Trust},
    verity::BLOCK,
};

mod hostile;
mod plans;

fn zstd_of(blocks: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(blocks, 3).unwrap()
}

fn unzstd(stored: &[u8], limit: usize) -> Result<Vec<u8>, String> {
    zstd::bulk::decompress(stored, limit).map_err(|error| error.to_string())
}

fn compressed() -> Recipe {
    Recipe { compress: Some(zstd_of), ..Recipe::default() }
}

/// What a node with this trust says to a file; nothing of it may have been written.
fn refusal(bytes: &[u8], trust: &Trust) -> String {
    let refused = install(bytes, trust, unzstd).unwrap_err();
    assert_eq!(refused.written, 0, "{}", refused.error);
    refused.error.to_string()
}

#[test]
fn what_is_written_is_read() {
    for recipe in [Recipe::default(), compressed()] {
        let made = recipe.make();
        assert_eq!(made, recipe.make(), "the same bytes each time");
        let trust = trust(1, 1, &[1, 2]);
        let head = Head::read(&made.bytes, &trust).unwrap();
        assert_eq!((&head.header, head.signers.as_slice()), (&made.header, &[[1; 8]][..]));
        assert_eq!(head.file_size(), made.bytes.len() as u64);
        let (root, uki) = install(&made.bytes, &trust, unzstd).unwrap();
        assert!(root == recipe.root && uki == recipe.uki);
    }
    let (raw, small) = (Recipe::default().make(), compressed().make());
    assert!(small.bytes.len() + 19 * BLOCK < raw.bytes.len(), "text and zeros are packed");
    assert!(small.index.frames.all().iter().any(|frame| matches!(frame.stored, Stored::Zstd(_))));
    assert!(small.index.frames.all().iter().any(|frame| frame.stored == Stored::Raw));
}

#[test]
fn frames_are_cut_by_content_within_their_bounds() {
    let leaves: Vec<u8> = noise(5000 * 32, 7);
    for (shrinks, most, mean) in [(false, 32, 5..11), (true, 64, 11..21)] {
        let cuts = write::cut(&leaves, |_| shrinks);
        assert_eq!(cuts.iter().map(|cut| usize::from(*cut)).sum::<usize>(), 5000);
        assert!(cuts.iter().all(|cut| (1..=most).contains(cut)));
        assert!(mean.contains(&(5000 / cuts.len())), "{}", 5000 / cuts.len());
    }
    // Kinds do not mix, and a change here does not move cuts there.
    let mixed = write::cut(&leaves, |block| block % 100 < 3);
    let mut at = 0;
    for cut in &mixed {
        let kinds: std::collections::BTreeSet<bool> =
            (at..at + usize::from(*cut)).map(|block| block % 100 < 3).collect();
        assert_eq!(kinds.len(), 1);
        at += usize::from(*cut);
    }
    let ends = |cuts: &[u16]| -> std::collections::BTreeSet<u32> {
        cuts.iter()
            .scan(0, |at, cut| {
                Some({
                    *at += u32::from(*cut);
                    *at
                })
            })
            .collect()
    };
    let mut changed = leaves.clone();
    changed[2500 * 32..][..32].fill(0xff);
    let (before, after) = (ends(&write::cut(&leaves, |_| false)), ends(&write::cut(&changed, |_| false)));
    assert!(before.symmetric_difference(&after).count() <= 6);
    assert!(write::cut(&[], |_| true).is_empty());
}

#[test]
fn a_chain_in_the_bundle_leads_nodes_to_newer_keys() {
    let chain = Chain(vec![
        signed(trust(1, 1, &[1, 2]), &[]),
        signed(trust(2, 2, &[3, 4, 5]), &[2]),
        signed(trust(3, 1, &[6]), &[3, 5]),
    ]);
    let mut recipe = Recipe { chain: chain.clone(), signers: vec![6], ..Recipe::default() };
    recipe.header.trust = 3;
    let bytes = recipe.make().bytes;
    for step in &chain.0 {
        let head = Head::read(&bytes, &step.trust).unwrap();
        assert_eq!(head.trust.as_ref(), Some(&chain.0[2].trust), "from {}", step.trust.version);
    }
    // Signed by those of yesterday: good for nodes that know no others, and for those who knew more, too few.
    let old = Recipe { signers: vec![1], ..Recipe::default() }.make().bytes;
    assert!(Head::read(&old, &chain.0[0].trust).is_ok());
    let text = refusal(&old, &chain.0[1].trust);
    assert!(
        text.starts_with(
            "the bundle: 0 of the 2 signatures that trust version 2 asks for (signed by 0101010101010101; "
        ),
        "{text}"
    );
    // Signed by both, it is good for both.
    let both = Recipe { signers: vec![1, 3, 4], ..Recipe::default() }.make().bytes;
    assert!(Head::read(&both, &chain.0[0].trust).is_ok() && Head::read(&both, &chain.0[1].trust).is_ok());
    // A chain that does not lead where the header says.
    let ahead = with_header(&old, |header| header.trust = 4, &[1]);
    let text = refusal(&ahead, &trust(1, 1, &[1, 2]));
    assert_eq!(
        text,
        "the bundle's header: trust is 4, expected 1 at most, the version that the chain in it leads to"
    );
}

#[test]
fn another_signature_is_added_in_place() {
    let made = Recipe { signers: vec![1], ..Recipe::default() }.make();
    let two = [1, 2].map(|number| TestKey::new(number).sign(&made.header.render()));
    let head = Head::unverified(&made.bytes).unwrap();
    let more = write::head(&made.header, &two, &head.chain).unwrap();
    assert_eq!(more.len() as u64, head.size);
    let bytes = [&more, &made.bytes[more.len()..]].concat();
    let mut both = trust(1, 2, &[1, 2]);
    assert!(refusal(&made.bytes, &both).starts_with("trust version 1 of the chain is not the version 1"));
    both.version = 9;
    assert!(refusal(&made.bytes, &both).starts_with("the bundle: 1 of the 2 signatures"));
    assert_eq!(Head::read(&bytes, &both).unwrap().signers, [[1; 8], [2; 8]]);
}

#[test]
fn headers_that_contradict_themselves_are_refused() {
    let made = Recipe::default().make();
    let refused = |change: &dyn Fn(&mut Header)| {
        let mut header = made.header.clone();
        change(&mut header);
        Header::parse(&header.render()).unwrap_err().to_string()
    };
    for (text, expected) in [
        (
            refused(&|it| it.schema = "hcimage-bundle-2".to_owned()),
            "schema is `hcimage-bundle-2`, expected `hcimage-bundle-1`",
        ),
        (refused(&|it| it.layout = "ab-2".to_owned()), "layout is `ab-2`, expected `ab-1`"),
        (refused(&|it| it.boards.clear()), "boards is none, expected one at least"),
        (
            refused(&|it| it.floor = it.sequence + 1),
            "floor is 1788596001, expected at most the sequence, 1788596000",
        ),
        (refused(&|it| it.root.uuid = "00".to_owned()), "root.uuid is `00`, expected 32 hexadecimal digits"),
        (refused(&|it| it.root.size += 1), "root.size is 249857, expected whole blocks of 4096 bytes"),
        (refused(&|it| it.root.size = 4096), "root.data_blocks is 61, expected 1, as 4096 bytes have"),
        (
            refused(&|it| (it.root.size, it.root.data_blocks) = (0, 0)),
            "root.data_blocks is 0, expected 1 to 2097152",
        ),
        (
            refused(&|it| (it.uki.size, it.uki.data_blocks) = (1 << 40, 1 << 28)),
            "uki.data_blocks is 268435456, expected 1 to 2097152",
        ),
        (
            refused(&|it| it.uki.size = u64::MAX),
            "uki.data_blocks is 6, expected 4503599627370496, as 18446744073709551615 bytes have",
        ),
        (
            refused(&|it| it.frames.count = 68),
            "frames.count is 68, expected 2 to 67, a frame for each block at most",
        ),
        (refused(&|it| it.frames.count = 1), "frames.count is 1, expected 2 to 67"),
        (
            refused(&|it| it.frames.stored = 67 * 4096 + 1),
            "frames.stored is 274433, expected 1 to 274432, the bytes of all blocks",
        ),
    ] {
        assert!(text.starts_with(&format!("the bundle's header: {expected}")), "{text}");
    }
    let json = String::from_utf8(made.header.render()).unwrap();
    let text = Header::parse(json.replacen("\"floor\"", "\"flour\"", 1).as_bytes()).unwrap_err().to_string();
    assert!(text.starts_with("the bundle's header cannot be read: unknown field `flour`"), "{text}");
    let twice = json.replacen("{", "{\"floor\":1,", 1);
    assert!(Header::parse(twice.as_bytes()).unwrap_err().to_string().contains("duplicate field `floor`"));
}

#[test]
fn tables_that_cannot_be_are_refused_although_they_are_signed() {
    let made = Recipe::default().make();
    let head = Head::unverified(&made.bytes).unwrap();
    let at = usize::try_from(head.frames_at()).unwrap();
    let table = &made.bytes[at - made.header.frames.count as usize * ENTRY..at];
    let first = made.index.frames.all()[0];
    let refused = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut table = table.to_vec();
        change(&mut table);
        let mut header = made.header.clone();
        header.frames.sha256 = Digest::of(&table);
        Frames::parse(&header, 0, &table).unwrap_err().to_string()
    };
    let whole = u32::from(first.blocks) * 4096;
    let words = |size: u32| size.to_le_bytes();
    for (text, expected) in [
        (
            refused(&|it| it[..2].copy_from_slice(&[0, 0])),
            "frame 0 of the bundle: 0 blocks, expected 1 to 64".to_owned(),
        ),
        (
            refused(&|it| it[..2].copy_from_slice(&[65, 0])),
            "frame 0 of the bundle: 65 blocks, expected 1 to 64".to_owned(),
        ),
        (
            refused(&|it| it[2..6].copy_from_slice(&words(whole - 1))),
            format!(
                "frame 0 of the bundle: {} bytes as they are, expected the {whole} of its blocks",
                whole - 1
            ),
        ),
        (
            refused(&|it| it[2..6].copy_from_slice(&words(1 << 31 | whole))),
            format!(
                "frame 0 of the bundle: a zstd frame of {whole} bytes, expected fewer than the {whole} of its blocks"
            ),
        ),
        (
            refused(&|it| it[2..6].copy_from_slice(&words(1 << 31))),
            "frame 0 of the bundle: a zstd frame of 0 bytes".to_owned(),
        ),
        (
            refused(&|it| it[21] = 1),
            "frame 0 of the bundle: a digest on blocks that are stored as they are".to_owned(),
        ),
        (
            refused(&|it| it[2..6].copy_from_slice(&words(1 << 31 | 100))),
            format!(
                "the bundle's data has {} bytes, expected {}",
                made.header.frames.stored - u64::from(whole) + 100,
                made.header.frames.stored
            ),
        ),
        (
            refused(&|it| it.truncate(ENTRY)),
            format!("the bundle's frame table has {ENTRY} bytes, expected {}", table.len()),
        ),
    ] {
        assert!(text.starts_with(&expected), "{text}");
    }
    // The kernel image's blocks do not begin in a frame of the root.
    let last = made.index.frames.all().iter().rposition(|frame| frame.kind == Kind::Root).unwrap();
    let blocks = made.index.frames.all()[last].blocks + 1;
    let text = refused(&|it| {
        it[last * ENTRY..][..2].copy_from_slice(&blocks.to_le_bytes());
        it[last * ENTRY + 2..][..4].copy_from_slice(&words(u32::from(blocks) * 4096));
    });
    assert!(text.contains("more leave the root's 61 blocks"), "{text}");
}

#[test]
fn every_block_is_in_one_frame() {
    let frames = compressed().make().index.frames;
    for kind in [Kind::Root, Kind::Uki] {
        let count = if kind == Kind::Root { 61 } else { 6 };
        for block in 0..count {
            let frame = frames.all()[frames.of_block(kind, block).unwrap()];
            assert!(
                frame.kind == kind && (frame.first..frame.first + u64::from(frame.blocks)).contains(&block)
            );
        }
        assert_eq!(frames.of_block(kind, count), None);
    }
}
