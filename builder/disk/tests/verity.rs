//! Our trees are veritysetup's, byte for byte; damage is found and named.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "the functions around the tests are tests too")]

#[path = "erofs_support/mod.rs"]
mod erofs_support;

use std::io::Write;
use std::path::Path;

use disk::verity::{Error, Hasher, Settings, Tree, VerityError, hex, verify};
use erofs_support::{noise, tool};
use proptest::prelude::*;

const SETTINGS: Settings = Settings {
    salt: *b"salt salt salt salt salt salt 32",
    uuid: [0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0, 0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0],
};

fn tree(data: &[u8], piece: usize) -> Tree {
    let mut hasher = Hasher::new(SETTINGS);
    data.chunks(piece).for_each(|part| hasher.write_all(part).unwrap());
    hasher.finish().unwrap()
}

#[test]
fn veritysetup_writes_the_same_bytes_and_verifies_ours() {
    let dir = tempfile::tempdir().unwrap();
    let [data_path, theirs, ours] = ["data", "theirs", "ours"].map(|name| dir.path().join(name));
    for blocks in [1, 2, 127, 128, 129, 16_383, 16_384, 16_385] {
        let data = noise(blocks * 4096, blocks as u64);
        std::fs::write(&data_path, &data).unwrap();
        let salt = format!("--salt={}", hex(&SETTINGS.salt));
        let uuid = "--uuid=12345678-9abc-def0-1234-56789abcdef0".to_owned();
        let args = ["format".into(), salt.into(), uuid.into(), (&*data_path).into(), (&*theirs).into()];
        let Some(output) = veritysetup(&args) else { return };
        let tree = tree(&data, 100_000);
        assert!(output.contains(&hex(&tree.root)), "{blocks} blocks: {output}");
        assert!(std::fs::read(&theirs).unwrap() == tree.bytes, "{blocks} blocks");
        std::fs::write(&ours, &tree.bytes).unwrap();
        let args = ["verify".into(), (&*data_path).into(), (&*ours).into(), hex(&tree.root).into()];
        assert!(veritysetup(&args).is_some());
        assert_eq!(verify(&data[..], &tree.bytes, &tree.root).unwrap().data_blocks, blocks as u64);
    }
}

fn veritysetup(args: &[std::ffi::OsString]) -> Option<String> {
    let program =
        if Path::new("/usr/sbin/veritysetup").exists() { "/usr/sbin/veritysetup" } else { "veritysetup" };
    let args: Vec<_> = args.iter().map(|arg| &**arg).collect();
    let output = tool("veritysetup_writes_the_same_bytes_and_verifies_ours", program, &args)?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn the_pieces_and_the_threads_do_not_matter() {
    let data = noise(700 * 4096, 3);
    let whole = tree(&data, data.len());
    assert_eq!(hex(&whole.root), "107a7a5984c0bd7504ac5d9942a2332fbdd97e38b2f4862c9a8f422cdc061965");
    for piece in [1, 4095, 4096, 1 << 20, (1 << 20) + 1] {
        assert_eq!(tree(&data, piece), whole, "in pieces of {piece}");
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(4).build().unwrap();
    assert_eq!(pool.install(|| tree(&data, 4096)), whole);
}

#[test]
fn damage_is_named() {
    let data = noise(300 * 4096, 4);
    let tree = tree(&data, 1 << 20);
    let good = |data: &[u8], image: &[u8]| verify(data, image, &tree.root).map(|s| s.data_blocks);
    assert_eq!(good(&data, &tree.bytes).unwrap(), 300);
    assert_eq!(good(&[&data[..], b"more"].concat(), &[&tree.bytes[..], b"more"].concat()).unwrap(), 300);
    let flipped = |bytes: &[u8], at: usize| {
        let mut bytes = bytes.to_vec();
        bytes[at] ^= 1;
        bytes
    };
    let error = good(&flipped(&data, 257 * 4096 + 9), &tree.bytes).unwrap_err();
    assert!(matches!(error, Error::DataBlock { block: 257, byte, .. } if byte == 257 * 4096), "{error}");
    let error = good(&data, &flipped(&tree.bytes, 4096 + 5)).unwrap_err();
    assert!(matches!(error, Error::Tree(VerityError::Root { .. })), "{error}");
    let error = good(&data, &flipped(&tree.bytes, 3 * 4096 + 5)).unwrap_err();
    assert!(matches!(error, Error::Tree(VerityError::HashBlock { block: 3 })), "{error}");
    let error = good(&data[..299 * 4096 + 100], &tree.bytes).unwrap_err();
    assert!(matches!(error, Error::DataShort { expected: 300, got: 299 }), "{error}");
    let error = good(&data, &tree.bytes[..tree.bytes.len() - 1]).unwrap_err();
    assert!(matches!(error, Error::Tree(VerityError::Length { .. })), "{error}");
    for at in [0, 8, 12, 32, 64, 68, 79, 81] {
        let error = good(&data, &flipped(&tree.bytes, at)).unwrap_err();
        assert!(matches!(error, Error::Tree(VerityError::Superblock { .. })), "byte {at}: {error}");
    }
}

#[test]
fn data_that_is_not_blocks_is_refused() {
    for len in [0, 1, 4095, 4097] {
        let mut hasher = Hasher::new(SETTINGS);
        hasher.write_all(&vec![0; len]).unwrap();
        assert!(matches!(hasher.finish(), Err(Error::Length { len: l }) if l == len as u64));
    }
}

proptest! {
    #[test]
    fn arbitrary_hash_images_do_not_panic(
        at in prop::collection::vec((0_usize..5 * 4096, any::<u8>()), 0..20), cut in 0_usize..5 * 4096
    ) {
        let data = noise(300 * 4096, 5);
        let tree = tree(&data, 1 << 20);
        let mut image = tree.bytes.clone();
        at.iter().for_each(|(at, byte)| image[at % tree.bytes.len()] = *byte);
        image.truncate(image.len() - cut.min(image.len()) / 8);
        // The UUID and the padding of the superblock are covered by nothing.
        let covered = image[88..120] != tree.bytes[88..120] || image.get(4096..) != tree.bytes.get(4096..);
        prop_assert!(verify(&data[..], &image, &tree.root).is_err() || !covered);
    }
}
