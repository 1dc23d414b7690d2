//! Readers that we did not write agree: fsck.erofs, and the erofs-rs crate.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "the functions around the tests are tests too")]

mod erofs_support;

use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use disk::erofs::{Kind, PackSettings, unpack};
use erofs_rs::EroFS;
use erofs_rs::backend::SliceImage;
use erofs_support::{Builder, nasty, tool};

/// Whether this fsck.erofs can expand zstd: 1.8 and later can, and say so.
fn knows_zstd() -> Option<bool> {
    let version = tool("fsck_extracts_the_nasty_tree", "fsck.erofs", &["--version".as_ref()])?;
    let text = [version.stdout, version.stderr].concat();
    Some(String::from_utf8_lossy(&text).contains("zstd"))
}

#[test]
fn fsck_extracts_the_nasty_tree() {
    let Some(zstd) = knows_zstd() else { return };
    let mut settings = vec![PackSettings::uncompressed()];
    if zstd {
        settings.push(PackSettings::new(3, 64 << 10).unwrap());
        settings.push(PackSettings::new(9, 512 << 10).unwrap());
    } else {
        eprintln!(
            "skipped: fsck_extracts_the_nasty_tree (part): fsck.erofs is older than 1.8: no zstd, no set-id bits"
        );
    }
    for settings in settings {
        let b = nasty(settings);
        let dir = tempfile::tempdir().unwrap();
        let (image, out) = (dir.path().join("image"), dir.path().join("out"));
        std::fs::write(&image, b.image()).unwrap();
        let extract = format!("--extract={}", out.display());
        let args: [&OsStr; 3] = [extract.as_ref(), "--preserve-perms".as_ref(), image.as_ref()];
        let Some(output) = tool("fsck_extracts_the_nasty_tree", "fsck.erofs", &args) else { return };
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
        compare(&b, &out, if zstd { 0o7777 } else { 0o777 });
    }
}

fn compare(b: &Builder, out: &Path, bits: u32) {
    for (path, id) in &b.fs.names {
        let (host, inode) = (out.join(path), &b.fs.inodes[id.0]);
        match &inode.kind {
            Kind::File { shape, body } => {
                let bytes = std::fs::read(&host).unwrap_or_else(|e| panic!("{path}: {e}"));
                assert!(bytes == unpack(shape, &b.store.packed[*body as usize]).unwrap(), "{path}");
                assert_eq!(host.metadata().unwrap().mode() & bits, u32::from(inode.mode) & bits, "{path}");
            }
            Kind::Directory => assert!(host.is_dir(), "{path}"),
            Kind::Symlink(target) => {
                assert_eq!(std::fs::read_link(&host).unwrap(), Path::new(target), "{path}")
            }
            // Only root may make devices.
            Kind::CharDevice { .. } | Kind::BlockDevice { .. } | Kind::Fifo | Kind::Socket => {}
        }
    }
}

#[test]
fn erofs_rs_reads_the_nasty_tree() {
    for settings in [PackSettings::new(3, 64 << 10).unwrap(), PackSettings::new(9, 512 << 10).unwrap()] {
        let b = nasty(settings);
        let image = b.image();
        let fs = EroFS::new(SliceImage::new(&image)).unwrap();
        for (path, id) in &b.fs.names {
            let inode = &b.fs.inodes[id.0];
            let Kind::File { shape, body } = &inode.kind else { continue };
            let file = fs.open(format!("/{path}")).unwrap_or_else(|e| panic!("{path}: {e}"));
            let mut bytes = vec![0; file.size() as usize];
            let mut at = 0;
            while at < bytes.len() {
                let read =
                    file.read_at(&mut bytes[at..], at as u64).unwrap_or_else(|e| panic!("{path}: {e}"));
                assert!(read > 0, "{path} ends at {at}");
                at += read;
            }
            assert!(bytes == unpack(shape, &b.store.packed[*body as usize]).unwrap(), "{path}");
            let xattrs = fs.xattrs(format!("/{path}")).unwrap();
            assert_eq!(xattrs.len(), inode.xattrs.len(), "{path}");
        }
    }
}
