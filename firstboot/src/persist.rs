//! Which paths of the read-only root are writable: the list that the image brings, and where state keeps them.

use std::collections::BTreeSet;

/// Where the image keeps the list: one absolute path a line, directories end in `/`, `#` starts a comment.
pub const LIST: &str = "/usr/lib/hcimage/persist";

/// A path that is kept on state and bound over the image's own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kept {
    /// The absolute path, without a closing `/`.
    pub path: String,
    /// Whether it is a directory (else a regular file).
    pub directory: bool,
}

/// A list that cannot be carried out.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PersistError {
    /// A line is not an absolute, clean path.
    #[error("{LIST}:{line}: `{path}` {fault}: mend the overlay that declares it and build again")]
    Malformed {
        /// Line number, from 1.
        line: usize,
        /// The path as written.
        path: String,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// One path is inside another that is kept already.
    #[error("{LIST}:{line}: `{path}` is inside `{outer}`, which is writable already: remove one of them")]
    Nested {
        /// Line number of the inner path, from 1 (the last one when the outer one comes later).
        line: usize,
        /// The inner path.
        path: String,
        /// The outer path.
        outer: String,
    },
}

/// Paths that `hcinit` mounts itself: a list must not name them or what is in them.
const RESERVED: [&str; 9] =
    ["/var", "/state", "/run", "/proc", "/sys", "/dev", "/tmp", "/etc/machine-id", "/boot"];

/// The paths in `list`, sorted.
pub fn parse(list: &str) -> Result<Vec<Kept>, PersistError> {
    let mut kept = BTreeSet::new();
    for (index, text) in list.lines().enumerate() {
        let text = text.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let line = index + 1;
        let path = text.strip_suffix('/').unwrap_or(text).to_owned();
        if let Some(fault) = fault(&path) {
            return Err(PersistError::Malformed { line, path: text.to_owned(), fault });
        }
        let known = RESERVED.into_iter().map(str::to_owned);
        for outer in known.chain(kept.iter().map(|kept: &Kept| kept.path.clone())) {
            let (inner, outer) =
                if inside(&outer, &path) { (outer, path.clone()) } else { (path.clone(), outer) };
            if inner == outer || inside(&inner, &outer) {
                return Err(PersistError::Nested { line, path: inner, outer });
            }
        }
        kept.insert(Kept { directory: text.ends_with('/'), path });
    }
    Ok(kept.into_iter().collect())
}

/// What is wrong with a path, if anything is.
fn fault(path: &str) -> Option<&'static str> {
    let Some(components) = path.strip_prefix('/') else {
        return Some("is not absolute, or is the root itself");
    };
    let unclean = components.split('/').any(|part| matches!(part, "" | "." | ".."));
    unclean.then_some("has an empty, `.` or `..` component")
}

/// Whether `path` is below `outer`.
fn inside(path: &str, outer: &str) -> bool {
    path.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_and_sorted() {
        let kept = parse("# keys\n/root/\n\n/etc/adjtime\n/etc/ssh-keys/\n").unwrap();
        let kept: Vec<_> = kept.iter().map(|kept| (kept.path.as_str(), kept.directory)).collect();
        assert_eq!(kept, [("/etc/adjtime", false), ("/etc/ssh-keys", true), ("/root", true)]);
    }

    #[test]
    fn faults_are_named_with_their_line() {
        let cases = [
            ("/a/\netc/x", "persist:2: `etc/x` is not absolute"),
            ("/", "`/` is not absolute"),
            ("/a/../b", "`/a/../b` has an empty, `.` or `..` component"),
            ("/a//", "`/a//` has an empty"),
            ("/a/\n/a/b", "persist:2: `/a/b` is inside `/a`"),
            ("/a/b\n/a/", "persist:2: `/a/b` is inside `/a`"),
            ("/a\n/a", "persist:2: `/a` is inside `/a`"),
            ("/var/lib/x/", "`/var/lib/x` is inside `/var`"),
        ];
        for (list, expected) in cases {
            let message = parse(list).unwrap_err().to_string();
            assert!(message.contains(expected), "{list:?}: {message}");
        }
    }
}
