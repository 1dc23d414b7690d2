//! A copy of the cluster's state, made while k3s does not run, before another version of it may change its form:
//! SQLite with its write-ahead log, or etcd's folder, and the keys that go with it. k3s's own snapshots need a running
//! server, and the one that would run is already the new one.

use crate::node::{join::k3s, place};
use std::{
    fs::{self, File},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

/// What belongs together.
const PARTS: [&str; 4] = ["db", "tls", "cred", "token"];
/// So many copies are kept.
const KEPT: usize = 2;

pub(super) fn keep(name: &str, alive: &mut impl FnMut()) -> io::Result<()> {
    let name: String = name
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() || ".-+".contains(letter) { letter } else { '_' })
        .collect();
    keep_in(Path::new(k3s::SERVER), Path::new(place::COPIES), &name, alive)
}

fn keep_in(server: &Path, copies: &Path, name: &str, alive: &mut impl FnMut()) -> io::Result<()> {
    let done = copies.join(name);
    if done.exists() || !server.join("db").exists() {
        return Ok(());
    }
    let begun = copies.join(format!("{name}.new"));
    if begun.exists() {
        fs::remove_dir_all(&begun)?;
    }
    private(&begun)?;
    for part in PARTS {
        let from = server.join(part);
        if from.exists() {
            copy(&from, &begun.join(part), alive)?;
        }
    }
    fs::rename(&begun, &done)?;
    File::open(copies)?.sync_all()?;
    forget_old(copies, &done)
}

/// Puts the copy of this name back. What was there until now is laid beside it, as `db.set-aside` and so on, and stays
/// until the next time. Done again after a power cut, it ends in the same way: a part is away only while its copy is
/// whole.
pub(super) fn put_back(name: &str, alive: &mut impl FnMut()) -> io::Result<()> {
    put_back_in(Path::new(k3s::SERVER), &Path::new(place::COPIES).join(name), alive)
}

fn put_back_in(server: &Path, kept: &Path, alive: &mut impl FnMut()) -> io::Result<()> {
    if !kept.join("db").exists() {
        return Err(io::Error::other(format!("{} holds no copy of a datastore", kept.display())));
    }
    for part in PARTS {
        let (from, to) = (kept.join(part), server.join(part));
        if !from.exists() {
            continue;
        }
        let (new, aside) =
            (server.join(format!("{part}.put-back")), server.join(format!("{part}.set-aside")));
        remove_all(&new)?;
        copy(&from, &new, alive)?;
        if to.exists() {
            remove_all(&aside)?;
            fs::rename(&to, &aside)?;
        }
        fs::rename(&new, &to)?;
    }
    File::open(server)?.sync_all()
}

fn remove_all(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
    }
}

/// Makes a folder that root alone may enter.
fn private(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn copy(from: &Path, to: &Path, alive: &mut impl FnMut()) -> io::Result<()> {
    alive();
    let meta = fs::symlink_metadata(from)?;
    if meta.is_dir() {
        private(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            // Snapshots are copies themselves.
            if entry.file_name() != "snapshots" {
                copy(&entry.path(), &to.join(entry.file_name()), alive)?;
            }
        }
        return File::open(to)?.sync_all();
    }
    if meta.is_symlink() {
        return std::os::unix::fs::symlink(fs::read_link(from)?, to);
    }
    if meta.is_file() {
        fs::copy(from, to)?;
        return File::open(to)?.sync_all();
    }
    // Sockets of a server that does not run.
    Ok(())
}

fn forget_old(copies: &Path, newest: &Path) -> io::Result<()> {
    let mut all: Vec<(std::time::SystemTime, PathBuf)> = Vec::new();
    for entry in fs::read_dir(copies)? {
        let entry = entry?;
        if entry.path() != newest {
            all.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    all.sort();
    let surplus = (all.len() + 1).saturating_sub(KEPT);
    all.iter().take(surplus).try_for_each(|(_, path)| fs::remove_dir_all(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::file;

    #[test]
    fn a_copy_is_whole_and_private_and_old_ones_go() {
        let root = tempfile::tempdir().unwrap();
        let (server, copies) = (root.path().join("server"), root.path().join("copies"));
        keep_in(&server, &copies, "first", &mut || ()).unwrap();
        assert!(!copies.exists(), "nothing to copy yet");
        for (name, text) in [
            ("db/state.db", "data"),
            ("db/state.db-wal", "log"),
            ("db/snapshots/old", "x"),
            ("tls/ca.key", "key"),
            ("token", "t"),
        ] {
            file::replace(&server.join(name), text.as_bytes(), 0o600).unwrap();
        }
        // A power cut left half of one.
        file::replace(&copies.join("a.new/db/state.db"), b"ha", 0o600).unwrap();
        for name in ["a", "b", "c"] {
            keep_in(&server, &copies, name, &mut || ()).unwrap();
            assert_eq!(fs::read(copies.join(name).join("db/state.db-wal")).unwrap(), b"log");
            assert!(!copies.join(name).join("db/snapshots").exists());
        }
        let mut left: Vec<_> =
            fs::read_dir(&copies).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left.len(), 2);
        assert!(left.contains(&"c".into()), "{left:?}");
    }

    #[test]
    fn a_copy_is_put_back_and_what_was_there_is_laid_aside() {
        let root = tempfile::tempdir().unwrap();
        let (server, copies) = (root.path().join("server"), root.path().join("copies"));
        let write =
            |name: &str, text: &str| file::replace(&server.join(name), text.as_bytes(), 0o600).unwrap();
        let read = |name: &str| fs::read_to_string(server.join(name)).unwrap();
        assert!(put_back_in(&server, &copies.join("a"), &mut || ()).is_err());
        write("db/etcd/wal", "old");
        write("token", "t1");
        keep_in(&server, &copies, "a", &mut || ()).unwrap();
        write("db/etcd/wal", "migrated");
        write("token", "t2");
        // Twice, as after a power cut, with half of a copy in the way.
        write("db.put-back/etcd/wal", "ha");
        put_back_in(&server, &copies.join("a"), &mut || ()).unwrap();
        assert_eq!((read("db/etcd/wal"), read("db.set-aside/etcd/wal")), ("old".into(), "migrated".into()));
        assert_eq!((read("token"), read("token.set-aside")), ("t1".into(), "t2".into()));
        put_back_in(&server, &copies.join("a"), &mut || ()).unwrap();
        assert_eq!(read("db/etcd/wal"), "old");
        assert!(!server.join("db.put-back").exists());
    }
}
