//! From the path of a request to a file below the folder, and to no other.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

/// A file that may be read.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) file: File,
    pub(super) size: u64,
    /// Changes when the file does: made of its size, its number and its time.
    pub(super) tag: String,
}

/// The relative path that a request names: percent signs decoded, then no empty part, none that begins with a
/// dot (so no `..`, and nothing hidden), no backslash and no control character. `None` for all others.
pub(super) fn relative(path: &str) -> Option<PathBuf> {
    let decoded = decode(path.strip_prefix('/')?)?;
    let mut found = PathBuf::new();
    for part in decoded.split('/') {
        let plain = !part.is_empty() && !part.starts_with('.');
        if !plain || part.contains('\\') || part.chars().any(char::is_control) {
            return None;
        }
        found.push(part);
    }
    Some(found)
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (pair, after) = rest.split_at_checked(2)?;
        bytes.push(hex(pair[0])? << 4 | hex(pair[1])?);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// Opens a file below `root`, whose path has no links in it any more. A link that leads out of the folder finds
/// nothing, nor does what is not a regular file.
pub(super) fn open(root: &Path, relative: &Path) -> io::Result<Found> {
    use std::os::unix::fs::MetadataExt as _;
    let absent = || io::Error::from(io::ErrorKind::NotFound);
    let path = fs::canonicalize(root.join(relative))?;
    let below = path.strip_prefix(root).map_err(|_| absent())?;
    // A link inside the folder may not make visible what a name may not ask for.
    let hidden = below.components().any(|part| part.as_os_str().as_encoded_bytes().starts_with(b"."));
    // Asked before it is opened: opening a pipe would wait for somebody to write to it.
    if hidden || !fs::metadata(&path)?.is_file() {
        return Err(absent());
    }
    let file = File::open(&path)?;
    let about = file.metadata()?;
    let time = about.modified()?.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    let tag = format!("\"{:x}-{:x}-{time:x}\"", about.len(), about.ino());
    Ok(Found { file, size: about.len(), tag })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn paths_stay_in_the_folder() {
        for (path, expected) in [
            ("/nas.json", Some("nas.json")),
            ("/a/b.hcb", Some("a/b.hcb")),
            ("/a%20b%2ehcb", Some("a b.hcb")),
            ("/a%2Fb", Some("a/b")),
            ("/%C3%A4", Some("ä")),
            ("/", None),
            ("", None),
            ("nas.json", None),
            ("*", None),
            ("http://host/nas.json", None),
            ("//etc/passwd", None),
            ("/a//b", None),
            ("/a/", None),
            ("/../etc/passwd", None),
            ("/a/../../etc/passwd", None),
            ("/a/..", None),
            ("/./a", None),
            ("/%2e%2e/etc/passwd", None),
            ("/%2e%2E%2fetc/passwd", None),
            ("/a%2f..%2fb", None),
            ("/.git/config", None),
            ("/a/.hidden", None),
            ("/a%00b", None),
            ("/a%0ab", None),
            ("/a\\..\\b", None),
            ("/%5c..%5c", None),
            ("/a%", None),
            ("/a%2", None),
            ("/a%zz", None),
            ("/a%+1", None),
            ("/%ff", None),
        ] {
            assert_eq!(relative(path), expected.map(PathBuf::from), "{path:?}");
        }
    }

    #[test]
    fn links_out_pipes_and_folders_are_not_there() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret"), "s").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        fs::create_dir(root.join("sub")).unwrap();
        fs::write(root.join("sub/real"), "real").unwrap();
        fs::write(root.join(".hidden"), "h").unwrap();
        symlink(root.join("sub/real"), root.join("inside")).unwrap();
        symlink(outside.path().join("secret"), root.join("leak")).unwrap();
        symlink(outside.path(), root.join("leaks")).unwrap();
        symlink(".hidden", root.join("shown")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        let opened = |path: &str| open(&root, Path::new(path)).map(|found| found.size);
        assert_eq!(opened("sub/real").unwrap(), 4);
        assert_eq!(opened("inside").unwrap(), 4);
        for path in ["leak", "leaks/secret", "shown", "loop", "sub", "missing", "sub/real/x"] {
            assert!(opened(path).is_err(), "{path}");
        }
    }

    #[test]
    fn a_file_that_is_replaced_has_another_tag() {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        let tag = || open(&root, Path::new("x")).unwrap().tag;
        fs::write(root.join("x"), "one").unwrap();
        let first = tag();
        assert_eq!(tag(), first);
        fs::write(root.join("y"), "two").unwrap();
        fs::rename(root.join("y"), root.join("x")).unwrap();
        assert_ne!(tag(), first);
    }
}
