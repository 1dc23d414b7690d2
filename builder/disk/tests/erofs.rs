//! The reader finds what the writer wrote; nothing depends on threads; no bytes make the reader panic.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "the functions around the tests are tests too")]

mod erofs_support;

use std::io::Cursor;
use std::sync::OnceLock;

use disk::erofs::{Error, Extent, Kind, PackSettings, Packed, Plan, Reader, Shape, What, dump, pack, unpack};
use erofs_support::{Builder, nasty, noise, text, volume};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

fn settings() -> PackSettings {
    PackSettings::new(3, 64 << 10).unwrap()
}

fn what(kind: &Kind) -> What {
    match kind {
        Kind::Directory => What::Directory,
        Kind::File { .. } => What::File,
        Kind::Symlink(target) => What::Symlink(target.clone()),
        Kind::CharDevice { major, minor } => What::CharDevice { major: *major, minor: *minor },
        Kind::BlockDevice { major, minor } => What::BlockDevice { major: *major, minor: *minor },
        Kind::Fifo => What::Fifo,
        Kind::Socket => What::Socket,
    }
}

#[test]
fn the_reader_finds_the_nasty_tree() {
    for settings in [settings(), PackSettings::new(9, 512 << 10).unwrap(), PackSettings::uncompressed()] {
        let b = nasty(settings);
        let image = b.image();
        let mut reader = Reader::open(Cursor::new(&image)).unwrap();
        assert_eq!(reader.inodes(), b.fs.inodes.len() as u64);
        assert_eq!((reader.size(), reader.uuid()), (image.len() as u64, volume().uuid));
        let entries = reader.entries().unwrap();
        assert_eq!(entries.len(), b.fs.names.len());
        for (named, (path, id)) in entries.iter().zip(&b.fs.names) {
            let (found, inode) = (&named.inode, &b.fs.inodes[id.0]);
            assert_eq!(&named.path, path);
            assert_eq!((found.mode, found.uid, found.gid), (inode.mode, inode.uid, inode.gid), "{path}");
            assert_eq!((found.mtime, &found.xattrs), (inode.mtime, &inode.xattrs), "{path}");
            assert_eq!(found.what, what(&inode.kind), "{path}");
            if let Kind::File { shape, body } = &inode.kind {
                let bytes = reader.read(found, u64::MAX).unwrap_or_else(|e| panic!("{path}: {e}"));
                assert!(bytes == unpack(shape, &b.store.packed[*body as usize]).unwrap(), "{path}");
            }
        }
        let links = reader.find("/inodes/other/three").unwrap();
        assert_eq!((links.nlink, links.nid), (4, reader.find("zz-four").unwrap().nid));
        assert!(matches!(reader.find("no/such"), Err(Error::NotFound { .. })));
        assert!(matches!(reader.read(&links, 100), Err(Error::Limit { size: 20_000, limit: 100 })));
    }
}

#[test]
fn a_packed_file_comes_back() {
    for (bytes, compressed) in [
        (vec![], false),
        (b"x".to_vec(), false),
        (text(3000, 1), true),
        (text(300_000, 1), true),
        (noise(300_000, 1), false),
        ([noise(131_072, 1), text(70_000, 2)].concat(), true),
        (vec![0; 1 << 20], true),
    ] {
        let Packed { shape, bytes: body } = pack(&bytes, settings()).unwrap();
        assert_eq!((shape.size(), shape.stored_len()), (bytes.len() as u64, body.len() as u64));
        assert_eq!(!shape.is_plain(), compressed, "{} bytes", bytes.len());
        assert_eq!(Shape::from_bytes(&shape.to_bytes()).unwrap(), shape);
        assert!(unpack(&shape, &body).unwrap() == bytes);
        if let Some((_, short)) = body.split_last() {
            assert!(unpack(&shape, &body[..short.len()]).is_err());
        }
    }
}

#[test]
fn a_body_that_expands_to_something_else_is_refused() {
    let Packed { shape, bytes } = pack(&text(30_000, 1), settings()).unwrap();
    let other = Extent { logical_len: 29_999, ..shape.extents()[0] };
    assert!(matches!(
        unpack(&Shape::new(vec![other]).unwrap(), &bytes),
        Err(Error::Expand { extent: 0, .. })
    ));
    let mut broken = bytes.clone();
    broken[0] ^= 1;
    assert!(matches!(unpack(&shape, &broken), Err(Error::Expand { .. })));
}

#[test]
fn settings_out_of_range_are_refused() {
    for (level, size) in [(0, 65_536), (23, 65_536), (3, 65_535), (3, 8192), (3, 2 << 20)] {
        assert!(PackSettings::new(level, size).is_err(), "{level} {size}");
    }
}

/// The same bytes from one thread and from four, and the same as yesterday: this digest changes only with the
/// layout or with the version of zstd, and then every image changes.
#[test]
fn one_image_from_any_number_of_threads() {
    let digest = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let image = pool.install(|| nasty(PackSettings::new(12, 128 << 10).unwrap()).image());
        Sha256::digest(&image).iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let one = digest(1);
    assert_eq!(one, digest(4));
    assert_eq!(one, "77c4bc4c1da271fea47f4d1e21f3a157c6528712193a82171e6af2425e2ae563");
}

#[test]
fn a_small_image_as_text() {
    let b = small();
    let text = dump(&b.image()).unwrap();
    let expected = r#"erofs "hcroot" epoch 1760000000 inodes 7
/ 0755 0:0 1760000000 nid 1 x3 dir
/bin 0777 0:0 1760000000 nid 6 x1 link "usr/bin"
/etc 0755 0:0 1760000000 nid 8 x2 dir
/etc/hosts 0644 0:0 1760000000 nid 12 x2 file 20 081ef9d5367595d1 0 blocks
/etc/hosts.old 0644 0:0 1760000000 nid 12 x2 file 20 081ef9d5367595d1 0 blocks
/null 0666 0:0 1760000000 nid 14 x1 char 1:3
/ping 0755 0:0 1760000005 nid 15 x1 file 200000 7ae38ddbeaee356c 9 blocks
  security.capability [01, 00, 00, 02]
/some 0644 0:0 1760000000 nid 46 x1 file 331144 e1791d37b888e2a1 28 blocks
"#;
    assert_eq!(text, expected, "got:\n{text}");
}

fn small() -> Builder {
    let mut b = Builder::new(settings());
    b.dir("");
    b.dir("etc");
    let hosts = b.file("etc/hosts", b"127.0.0.1 localhost\n");
    b.fs.link("etc/hosts.old", hosts);
    let id = b.file("ping", &text(200_000, 4));
    b.inode(id).mode = 0o755;
    b.inode(id).mtime += 5;
    b.inode(id).xattrs.insert(b"security.capability".to_vec(), vec![1, 0, 0, 2]);
    b.add("null", 0o666, Kind::CharDevice { major: 1, minor: 3 });
    b.add("bin", 0o777, Kind::Symlink("usr/bin".to_owned()));
    b.file("some", &[text(9000, 1), noise(60_000, 2), text(1 << 18, 3)].concat());
    b
}

#[test]
fn trees_that_cannot_be_written_are_refused() {
    type Spoil = fn(&mut Builder);
    let cases: [(&str, Spoil); 12] = [
        ("no root", |b| {
            b.fs.names.remove("");
        }),
        ("has no name", |b| {
            b.fs.names.remove("ping");
        }),
        ("`a/b/c`: its parent `a/b`", |b| {
            b.file("a/b/c", b"");
        }),
        ("`ping/x`: its parent `ping`", |b| {
            b.file("ping/x", b"");
        }),
        ("a part of the path is empty", |b| {
            b.file("etc/", b"");
        }),
        ("are not names", |b| {
            b.file("etc/..", b"");
        }),
        ("longer than 255", |b| {
            b.file(&"x".repeat(256), b"");
        }),
        ("a directory can have one name", |b| {
            let etc = b.fs.names["etc"];
            b.fs.link("etc2", etc);
        }),
        ("12 permission bits", |b| b.fs.inodes[1].mode = 0o100_644),
        ("extended attribute `system.x`", |b| {
            b.fs.inodes[1].xattrs.insert(b"system.x".to_vec(), vec![]);
        }),
        ("1 to 4095 bytes", |b| {
            b.add("l", 0o777, Kind::Symlink(String::new()));
        }),
        ("major number is 4096", |b| {
            b.add("d", 0o600, Kind::BlockDevice { major: 4096, minor: 0 });
        }),
    ];
    for (why, spoil) in cases {
        let mut b = small();
        spoil(&mut b);
        let volume = volume();
        let error = Plan::new(&b.fs, &volume).map(|plan| plan.size()).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn bodies_that_do_not_fit_their_shapes_are_refused() {
    let mut b = small();
    b.store.packed[1].pop();
    let volume = volume();
    let error = Plan::new(&b.fs, &volume).unwrap().write(&mut Vec::new(), &b.store).unwrap_err();
    assert!(matches!(&error, Error::BodyLength { path, body: 1, .. } if path == "ping"), "{error}");
    b.store.packed.clear();
    let error = Plan::new(&b.fs, &volume).unwrap().write(&mut Vec::new(), &b.store).unwrap_err();
    assert!(matches!(&error, Error::Body { path, body: 0, .. } if path == "etc/hosts"), "{error}");
}

/// Every inode's cost and the directories' together are no more than the image.
#[test]
fn costs_add_up() {
    let b = nasty(settings());
    let volume = volume();
    let plan = Plan::new(&b.fs, &volume).unwrap();
    let sum: u64 = (0..b.fs.inodes.len()).map(|id| plan.cost(disk::erofs::InodeId(id)).unwrap()).sum();
    assert!(sum < plan.size() && sum > plan.size() * 9 / 10, "{sum} of {}", plan.size());
}

/// Reads everything; returns instead of panicking, whatever it is given.
fn read_all(image: &[u8]) -> Result<u64, Error> {
    let mut reader = Reader::open(Cursor::new(image))?;
    let mut bytes = 0;
    for named in reader.entries()? {
        if named.inode.what == What::File {
            // One damaged file must not hide the others from the test.
            bytes += reader.read(&named.inode, 8 << 20).map_or(0, |b| b.len() as u64);
        }
    }
    Ok(bytes)
}

fn small_image() -> &'static [u8] {
    static IMAGE: OnceLock<Vec<u8>> = OnceLock::new();
    IMAGE.get_or_init(|| small().image())
}

/// Puts the superblock's checksum right, so that damage behind it is reached.
fn seal(image: &mut [u8]) {
    image[1028..1032].fill(0);
    let mut crc = !0_u32;
    for &byte in &image[1024..4096] {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x82F6_3B78 & 0_u32.wrapping_sub(crc & 1));
        }
    }
    image[1028..1032].copy_from_slice(&crc.to_le_bytes());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn mutated_images_are_read_without_panic(
        metadata in prop::collection::vec((0_usize..8192, any::<u8>()), 0..12),
        anywhere in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        superblock in prop::collection::vec((1024_usize..1152, any::<u8>()), 0..2),
    ) {
        let mut image = small_image().to_vec();
        let meta = image.len() - 8192;
        metadata.iter().for_each(|(at, byte)| image[meta + at] = *byte);
        anywhere.iter().for_each(|(at, byte)| image[at.index(small_image().len())] = *byte);
        superblock.iter().for_each(|(at, byte)| image[*at] = *byte);
        seal(&mut image);
        // Each of the seven names can be damaged into a file of at most the test's limit.
        prop_assert!(read_all(&image).map_or(0, |bytes| bytes) <= 7 * (8 << 20));
    }

    #[test]
    fn arbitrary_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..9000)) {
        prop_assert!(read_all(&bytes).is_err());
        prop_assert!(Shape::from_bytes(&bytes).is_err() || bytes.len() < 20);
    }

    #[test]
    fn any_file_comes_back(
        parts in prop::collection::vec((any::<bool>(), 0_usize..40_000, any::<u64>()), 0..8)
    ) {
        let bytes: Vec<u8> =
            parts.iter().flat_map(|(easy, len, seed)| if *easy { text(*len, *seed) } else { noise(*len, *seed) }).collect();
        let mut b = Builder::new(PackSettings::new(1, 16 << 10).unwrap());
        b.dir("");
        b.file("f", &bytes);
        let image = b.image();
        let mut reader = Reader::open(Cursor::new(&image)).unwrap();
        let found = reader.find("f").unwrap();
        prop_assert!(reader.read(&found, u64::MAX).unwrap() == bytes);
    }
}
