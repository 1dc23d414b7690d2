//! Member names as relative paths that cannot leave the package's root.

/// What makes a member name unusable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathFault {
    /// The name is empty.
    #[error("the name is empty")]
    Empty,
    /// The name begins with `/` and is not `/` alone.
    #[error("the path is absolute")]
    Absolute,
    /// A component is `..`.
    #[error("the path escapes with `..`")]
    Parent,
    /// A component is empty or `.` behind the first.
    #[error("the path has an empty component or `.`")]
    NotNormal,
    /// A trailing slash on something that is no directory.
    #[error("the path ends with `/` but is no directory")]
    TrailingSlash,
    /// A control character such as a newline.
    #[error("the path holds a control character")]
    Control,
}

/// `./usr/bin/` as `usr/bin`; the root (`./`, `.`, `/`) as the empty string.
pub(super) fn normalise(name: &str, directory: bool) -> Result<String, PathFault> {
    if name.is_empty() {
        return Err(PathFault::Empty);
    }
    if name.chars().any(|c| c.is_ascii_control()) {
        return Err(PathFault::Control);
    }
    if directory && ["/", ".", "./"].contains(&name) {
        return Ok(String::new());
    }
    if name.starts_with('/') {
        return Err(PathFault::Absolute);
    }
    let path = name.strip_prefix("./").unwrap_or(name);
    let path = match path.strip_suffix('/') {
        Some(path) if directory => path,
        Some(_) => return Err(PathFault::TrailingSlash),
        None => path,
    };
    for component in path.split('/') {
        match component {
            ".." => return Err(PathFault::Parent),
            "" | "." => return Err(PathFault::NotNormal),
            _ => {}
        }
    }
    Ok(path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_relative_paths_or_faults() {
        for (name, directory, expected) in [
            ("./", true, Ok("")),
            (".", true, Ok("")),
            ("/", true, Ok("")),
            ("./usr/bin/", true, Ok("usr/bin")),
            ("./usr/bin", true, Ok("usr/bin")),
            ("usr/bin/a..b", false, Ok("usr/bin/a..b")),
            ("./a/", false, Err(PathFault::TrailingSlash)),
            ("./", false, Err(PathFault::NotNormal)),
            ("", true, Err(PathFault::Empty)),
            ("/etc/passwd", false, Err(PathFault::Absolute)),
            ("//", true, Err(PathFault::Absolute)),
            ("./../etc", false, Err(PathFault::Parent)),
            ("..", true, Err(PathFault::Parent)),
            ("./a/../../b", false, Err(PathFault::Parent)),
            (".//etc/passwd", false, Err(PathFault::NotNormal)),
            ("./a//b", false, Err(PathFault::NotNormal)),
            ("././a", false, Err(PathFault::NotNormal)),
            ("./a\nb", false, Err(PathFault::Control)),
        ] {
            assert_eq!(normalise(name, directory).as_deref(), expected.as_ref().map(|p| *p), "{name:?}");
        }
    }
}
