//! Puts files that the image ships onto state, whole or not at all: they are copied to a staging directory on the same
//! file system, synced, and only then renamed to their places. Nothing that is there is ever overwritten.

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags, makedev, mknodat, utimensat,
};
use std::{
    ffi::CString,
    fs::{self, DirBuilder, File, Metadata, Permissions},
    io::{self, Write as _},
    os::unix::fs::{
        DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _, chown, lchown, symlink,
    },
    path::{Path, PathBuf},
};

/// Something that is missing on state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// What it is made from.
    pub from: Source,
    /// Where it goes. Its directory exists.
    pub to: PathBuf,
}

/// What a missing entry is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A copy of this path, with all that is in it.
    Copy(PathBuf),
    /// A file of these bytes, readable by all.
    Bytes(Vec<u8>),
    /// A directory with nothing in it, mode 755.
    Directory,
}

/// The topmost entries of the tree `from` that the tree `to` lacks. A directory is looked into only where both sides
/// have one, so a link or a file that took its place stays as it is.
pub fn missing(from: &Path, to: &Path) -> io::Result<Vec<Missing>> {
    let there = match fs::symlink_metadata(to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(vec![Missing { from: Source::Copy(from.to_owned()), to: to.to_owned() }]);
        }
        other => other?,
    };
    let mut found = Vec::new();
    if there.is_dir() && fs::symlink_metadata(from)?.is_dir() {
        for name in sorted_names(from)? {
            found.extend(missing(&from.join(&name), &to.join(&name))?);
        }
    }
    Ok(found)
}

/// Makes all of `wanted`, using `staging`, a directory on the same file system. What an interrupted run left there is
/// thrown away first. When this returns, everything is on the medium.
pub fn settle(staging: &Path, wanted: &[Missing]) -> io::Result<()> {
    clear(staging)?;
    if wanted.is_empty() {
        return Ok(());
    }
    DirBuilder::new().mode(0o700).create(staging)?;
    let place = |index: usize| staging.join(index.to_string());
    for (index, missing) in wanted.iter().enumerate() {
        make(&missing.from, &place(index))?;
    }
    sync(staging)?;
    for (index, missing) in wanted.iter().enumerate() {
        fs::rename(place(index), &missing.to)?;
    }
    clear(staging)?;
    let parent = staging.parent().unwrap_or(staging);
    sync(parent)
}

/// Writes `bytes` to `path` in one step: the old content or the new one, never a part.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(path.parent().unwrap_or(path))?.sync_all()
}

fn clear(staging: &Path) -> io::Result<()> {
    match fs::remove_dir_all(staging) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Everything written to the file system that holds `path` is on the medium afterwards.
pub fn sync(path: &Path) -> io::Result<()> {
    Ok(rustix::fs::syncfs(File::open(path)?)?)
}

fn make(source: &Source, to: &Path) -> io::Result<()> {
    match source {
        Source::Copy(from) => copy(from, to),
        Source::Bytes(bytes) => {
            fs::write(to, bytes)?;
            fs::set_permissions(to, Permissions::from_mode(0o444))
        }
        Source::Directory => DirBuilder::new().mode(0o755).create(to),
    }
}

/// Copies a path with its owner, mode, extended attributes and time, and all that is in it.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let meta = fs::symlink_metadata(from)?;
    let kind = meta.file_type();
    if kind.is_symlink() {
        symlink(fs::read_link(from)?, to)?;
        lchown(to, Some(meta.uid()), Some(meta.gid()))?;
    } else {
        if kind.is_dir() {
            DirBuilder::new().mode(0o700).create(to)?;
            for name in sorted_names(from)? {
                copy(&from.join(&name), &to.join(&name))?;
            }
        } else if kind.is_file() {
            io::copy(&mut File::open(from)?, &mut File::create(to)?)?;
        } else {
            make_special(&meta, to)?;
        }
        chown(to, Some(meta.uid()), Some(meta.gid()))?;
        // After chown, which clears the setuid bit.
        fs::set_permissions(to, Permissions::from_mode(meta.mode() & 0o7777))?;
        copy_xattrs(from, to)?;
    }
    let time = Timespec { tv_sec: meta.mtime(), tv_nsec: meta.mtime_nsec() as _ };
    let times = Timestamps { last_access: time, last_modification: time };
    Ok(utimensat(CWD, to, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

fn make_special(meta: &Metadata, to: &Path) -> io::Result<()> {
    let kind = meta.file_type();
    let file_type = if kind.is_fifo() {
        FileType::Fifo
    } else if kind.is_socket() {
        FileType::Socket
    } else if kind.is_char_device() {
        FileType::CharacterDevice
    } else {
        FileType::BlockDevice
    };
    let (major, minor) = (rustix::fs::major(meta.rdev()), rustix::fs::minor(meta.rdev()));
    Ok(mknodat(CWD, to, file_type, Mode::from_raw_mode(0o600), makedev(major, minor))?)
}

fn copy_xattrs(from: &Path, to: &Path) -> io::Result<()> {
    let mut names = vec![0; 65_536];
    let length = match rustix::fs::llistxattr(from, &mut names[..]) {
        Err(rustix::io::Errno::NOTSUP) => return Ok(()),
        other => other?,
    };
    for name in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let name = CString::new(name)?;
        let mut value = vec![0; 65_536];
        let length = rustix::fs::lgetxattr(from, &name, &mut value[..])?;
        rustix::fs::lsetxattr(to, &name, &value[..length], XattrFlags::empty())?;
    }
    Ok(())
}

fn sorted_names(dir: &Path) -> io::Result<Vec<std::ffi::OsString>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        names.push(entry?.file_name());
    }
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(root: &Path) {
        fs::create_dir_all(root.join("lib/app")).unwrap();
        fs::write(root.join("lib/app/config"), "factory").unwrap();
        fs::set_permissions(root.join("lib/app/config"), Permissions::from_mode(0o640)).unwrap();
        fs::set_permissions(root.join("lib/app"), Permissions::from_mode(0o2750)).unwrap();
        symlink("../run", root.join("run")).unwrap();
        let time = Timespec { tv_sec: 1_000_000_000, tv_nsec: 5 };
        let times = Timestamps { last_access: time, last_modification: time };
        utimensat(CWD, root.join("lib/app"), &times, AtFlags::empty()).unwrap();
    }

    #[test]
    fn only_the_topmost_missing_entries_are_wanted() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        tree(&from);
        let names = |to: &Path| {
            let found = missing(&from, to).unwrap();
            found
                .iter()
                .map(|missing| missing.to.strip_prefix(dir.path()).unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&to), [Path::new("to")]);
        fs::create_dir_all(to.join("lib")).unwrap();
        assert_eq!(names(&to), [Path::new("to/lib/app"), Path::new("to/run")]);
        symlink("/nowhere", to.join("lib/app")).unwrap();
        fs::write(to.join("run"), "a file now").unwrap();
        assert!(names(&to).is_empty());
    }

    #[test]
    fn copies_are_complete_and_leave_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to, staging) =
            (dir.path().join("from"), dir.path().join("to"), dir.path().join(".staging"));
        tree(&from);
        fs::create_dir_all(staging.join("0/left/over")).unwrap();
        settle(&staging, &missing(&from, &to).unwrap()).unwrap();
        assert!(!staging.exists());
        let meta = fs::metadata(to.join("lib/app")).unwrap();
        assert_eq!((meta.mode() & 0o7777, meta.mtime(), meta.mtime_nsec()), (0o2750, 1_000_000_000, 5));
        assert_eq!(fs::metadata(to.join("lib/app/config")).unwrap().mode() & 0o7777, 0o640);
        assert_eq!(fs::read_link(to.join("run")).unwrap(), Path::new("../run"));
        fs::write(to.join("lib/app/config"), "changed by the operator").unwrap();
        fs::write(from.join("lib/app/added"), "new in this release").unwrap();
        settle(&staging, &missing(&from, &to).unwrap()).unwrap();
        assert_eq!(fs::read_to_string(to.join("lib/app/config")).unwrap(), "changed by the operator");
        assert_eq!(fs::read_to_string(to.join("lib/app/added")).unwrap(), "new in this release");
        assert!(missing(&from, &to).unwrap().is_empty());
    }

    #[test]
    fn replacing_leaves_no_second_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("seeded");
        replace(&path, b"one").unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(
            (fs::read(&path).unwrap(), fs::read_dir(dir.path()).unwrap().count()),
            (b"two".to_vec(), 1)
        );
    }
}
