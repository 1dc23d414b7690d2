//! An image as text, for snapshots and for eyes: one line a name, the same for the same image.

use std::fmt::Write as _;
use std::io::Cursor;

use sha2::{Digest as _, Sha256};

use super::{Error, Found, Reader, What};

/// The image as text. Files are digested: the first 16 hex digits of their sha256.
pub fn dump(image: &[u8]) -> Result<String, Error> {
    let mut reader = Reader::open(Cursor::new(image))?;
    let mut out = String::new();
    line(
        &mut out,
        format_args!("erofs {:?} epoch {} inodes {}", reader.label(), reader.epoch(), reader.inodes()),
    );
    for named in reader.entries()? {
        let Found { nid, mode, uid, gid, mtime, nlink, size, .. } = named.inode;
        let what = match &named.inode.what {
            What::Directory => "dir".to_owned(),
            What::File => {
                let mut sha = Sha256::new();
                reader.copy(&named.inode, &mut Digesting(&mut sha))?;
                let digest: String = sha.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
                format!("file {size} {digest} {} blocks", named.inode.stored() / 4096)
            }
            What::Symlink(target) => format!("link {target:?}"),
            What::CharDevice { major, minor } => format!("char {major}:{minor}"),
            What::BlockDevice { major, minor } => format!("block {major}:{minor}"),
            What::Fifo => "fifo".to_owned(),
            What::Socket => "socket".to_owned(),
        };
        let path = &named.path;
        line(&mut out, format_args!("/{path} {mode:04o} {uid}:{gid} {mtime} nid {nid} x{nlink} {what}"));
        for (name, value) in &named.inode.xattrs {
            line(&mut out, format_args!("  {} {value:02x?}", String::from_utf8_lossy(name)));
        }
    }
    Ok(out)
}

struct Digesting<'a>(&'a mut Sha256);

impl std::io::Write for Digesting<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    if writeln!(out, "{text}").is_err() {
        out.push('\n');
    }
}
