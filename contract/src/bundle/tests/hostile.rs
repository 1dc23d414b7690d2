//! Everything that can be done to a bundle on its way: refused, with nothing written that was not checked.

use super::*;
use std::collections::BTreeMap;

fn node() -> Trust {
    trust(1, 1, &[1, 2])
}

/// The beginnings of all messages, with how often each was said.
fn count(said: &mut BTreeMap<String, u32>, text: &str) {
    let mut words: String = text.split(": ").next().unwrap_or_default().to_owned();
    words.retain(|c| !c.is_ascii_digit());
    *said.entry(words).or_default() += 1;
}

#[test]
fn every_flipped_byte_of_head_and_index_is_refused_before_anything_is_written() {
    let made = compressed().make();
    let head = Head::unverified(&made.bytes).unwrap();
    let end = usize::try_from(head.frames_at()).unwrap();
    let mut said = BTreeMap::new();
    for at in 0..end {
        let mut bytes = made.bytes.clone();
        bytes[at] ^= 1 << (at % 8);
        count(&mut said, &refusal(&bytes, &node()));
    }
    let expected = [
        "this is no bundle",
        "the bundle",
        "the bundle's index of the root",
        "the bundle's index of the kernel image",
        "the bundle has bytes between its signatures and what follows, where only zeros belong",
        "the bundle has bytes between its trust chain and what follows, where only zeros belong",
        "the bundle's list of signatures cannot be read",
        "the trust is not readable",
    ];
    for text in expected {
        assert!(said.contains_key(text), "{text} is not among {said:#?}");
    }
    assert!(said.keys().any(|text| text.starts_with("the bundle's frame table has sha ")), "{said:#?}");
    assert_eq!(said.values().sum::<u32>() as usize, end);
}

#[test]
fn every_flipped_byte_of_a_frame_is_refused_where_it_is() {
    let made = compressed().make();
    let mut writes = 0;
    for (number, frame) in made.index.frames.all().iter().enumerate() {
        for at in [0, frame.size / 2, frame.size - 1] {
            let mut bytes = made.bytes.clone();
            bytes[usize::try_from(frame.offset).unwrap() + at as usize] ^= 0x40;
            let refused = install(&bytes, &node(), unzstd).unwrap_err();
            let text = refused.error.to_string();
            assert!(text.starts_with(&format!("frame {number} of the bundle")), "{text}");
            let kind = match frame.stored {
                Stored::Raw => "data block",
                Stored::Zstd(_) => "is damaged",
            };
            assert!(text.contains(kind), "{text}");
            assert!(refused.written <= writes, "the damaged frame itself was let through");
        }
        writes += u64::from(frame.blocks);
    }
}

#[test]
fn every_truncation_and_addition_is_refused() {
    let made = compressed().make();
    let mut said = BTreeMap::new();
    let ends = (0..made.bytes.len()).step_by(4096).chain([1, 3, 15, 16, 17, made.bytes.len() - 1]);
    for end in ends {
        let text = refusal(&made.bytes[..end], &node());
        assert!(text.ends_with("it was cut off or something was added"), "{end}: {text}");
        count(&mut said, &text);
    }
    let more = [&made.bytes[..], b"x"].concat();
    let len = made.bytes.len();
    let text = refusal(&more, &node());
    assert_eq!(
        text,
        format!(
            "the bundle's file has {} bytes, expected {len}: it was cut off or something was added",
            len + 1
        )
    );
    assert_eq!(said.len(), 3, "prefix, head and file: {said:#?}");
}

#[test]
fn frames_in_each_others_place_are_refused() {
    let made = compressed().make();
    let all = made.index.frames.all();
    let mut swapped = 0;
    for (a, b) in (0..all.len()).flat_map(|a| (a + 1..all.len()).map(move |b| (a, b))) {
        let (one, two) = (all[a], all[b]);
        if one.size != two.size {
            continue;
        }
        let mut bytes = made.bytes.clone();
        let place = |frame: Frame| {
            let start = usize::try_from(frame.offset).unwrap();
            start..start + frame.size as usize
        };
        bytes[place(one)].copy_from_slice(&made.bytes[place(two)]);
        bytes[place(two)].copy_from_slice(&made.bytes[place(one)]);
        if bytes == made.bytes {
            continue;
        }
        let text = install(&bytes, &node(), unzstd).unwrap_err().error.to_string();
        assert!(text.starts_with(&format!("frame {a} of the bundle")), "{text}");
        swapped += 1;
    }
    assert!(swapped > 0);
}

/// A bundle whose first packed frame was replaced, and everything that vouches for it made anew and signed.
fn with_frame(stored: &[u8]) -> (Vec<u8>, u32) {
    let made = compressed().make();
    let packed = |frame: &Frame| matches!(frame.stored, Stored::Zstd(_));
    let number = made.index.frames.all().iter().position(packed).unwrap();
    let frame = made.index.frames.all()[number];
    let frames_at = usize::try_from(Head::unverified(&made.bytes).unwrap().frames_at()).unwrap();
    let at = usize::try_from(frame.offset).unwrap();
    let mut bytes = made.bytes.clone();
    bytes.splice(at..at + frame.size as usize, stored.iter().copied());
    let entry = frames_at - made.header.frames.count as usize * ENTRY + number * ENTRY;
    let mut check = [0; 16];
    check.copy_from_slice(&Digest::of(stored).0[..16]);
    let size = u32::try_from(stored.len()).unwrap();
    bytes[entry..entry + ENTRY].copy_from_slice(&frames::render_entry(
        frame.blocks,
        size,
        Stored::Zstd(check),
    ));
    let table = &bytes[frames_at - made.header.frames.count as usize * ENTRY..frames_at];
    let table = Digest::of(table);
    let bytes = with_header(
        &bytes,
        |header| {
            header.frames.sha256 = table;
            header.frames.stored = header.frames.stored - u64::from(frame.size) + u64::from(size);
        },
        &[1],
    );
    (bytes, u32::try_from(number).unwrap())
}

#[test]
fn a_zip_bomb_is_refused_even_if_it_is_signed() {
    let bomb = zstd_of(&vec![0; 64 << 20]);
    let made = compressed().make();
    let packed =
        made.index.frames.all().iter().find(|frame| matches!(frame.stored, Stored::Zstd(_))).unwrap();
    assert!(bomb.len() < usize::from(packed.blocks) * BLOCK, "{}", bomb.len());
    let (bytes, number) = with_frame(&bomb);
    let refused = install(&bytes, &node(), unzstd).unwrap_err();
    assert!(refused.error.to_string().starts_with(&format!("frame {number} of the bundle: ")), "{refused:?}");
    // A decompressor that knew no bound would not help it.
    let refused = install(&bytes, &node(), |stored, _| Ok(zstd::bulk::decompress(stored, 64 << 20).unwrap()))
        .unwrap_err();
    let expected = usize::from(packed.blocks) * BLOCK;
    assert_eq!(
        refused.error.to_string(),
        format!("frame {number} of the bundle: it unpacks to 67108864 bytes, expected {expected}")
    );
}

#[test]
fn a_frame_of_other_blocks_is_refused_even_if_it_is_signed() {
    let made = compressed().make();
    let packed =
        made.index.frames.all().iter().find(|frame| matches!(frame.stored, Stored::Zstd(_))).unwrap();
    let (bytes, number) = with_frame(&zstd_of(&vec![7; usize::from(packed.blocks) * BLOCK]));
    let text = install(&bytes, &node(), unzstd).unwrap_err().error.to_string();
    assert!(text.starts_with(&format!("frame {number} of the bundle: data block ")), "{text}");
    let (bytes, number) = with_frame(&zstd_of(&[7; BLOCK / 2]));
    let text = install(&bytes, &node(), unzstd).unwrap_err().error.to_string();
    assert!(text.starts_with(&format!("frame {number} of the bundle: it unpacks to 2048 bytes")), "{text}");
    let (bytes, number) = with_frame(b"no zstd at all");
    let text = install(&bytes, &node(), unzstd).unwrap_err().error.to_string();
    assert!(text.starts_with(&format!("frame {number} of the bundle: ")), "{text}");
}

#[test]
fn lengths_out_of_bounds_are_refused_from_the_prefix_alone() {
    let made = Recipe::default().make();
    let refused = |at: usize, value: u32| {
        let mut prefix = made.bytes[..PREFIX].to_vec();
        prefix[at..at + 4].copy_from_slice(&value.to_le_bytes());
        Prefix::parse(&prefix).unwrap_err().to_string()
    };
    assert_eq!(refused(0, 0), "this is no bundle: it begins with 00000000, expected `HCB1`");
    assert_eq!(refused(4, 65537), "the bundle's header takes 65537 bytes, expected 2 to 65536 bytes");
    assert_eq!(refused(8, 16385), "the bundle's area for signatures takes 16385 bytes, expected 16384");
    assert_eq!(
        refused(12, u32::MAX),
        "the bundle's trust chain takes 4294967295 bytes, expected 2 to 65536 bytes"
    );
    let text = Prefix::parse(b"HCB1").unwrap_err().to_string();
    assert!(text.starts_with("the bundle's prefix has 4 bytes, expected 16"), "{text}");
}

#[test]
fn a_signature_over_something_else_is_none_over_a_bundle() {
    // A trust, signed by a key that signs bundles too, in the place of a header.
    let made = Recipe::default().make();
    let head = Head::unverified(&made.bytes).unwrap();
    let statement = trust(7, 1, &[9]).render();
    let signature = TestKey::new(1).sign(&statement);
    let mut bytes = b"HCB1".to_vec();
    let list = {
        let mut list = serde_json::to_vec(&[signature]).unwrap();
        list.resize(16 << 10, 0);
        list
    };
    let chain = head.chain.render();
    for part in [&statement, &list, &chain] {
        bytes.extend(u32::try_from(part.len()).unwrap().to_le_bytes());
    }
    bytes.extend([statement, list, chain].concat());
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    let text = refusal(&bytes, &node());
    assert!(text.starts_with("the bundle's header cannot be read: "), "{text}");
}
