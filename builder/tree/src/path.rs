//! Paths inside the image.

use std::{borrow::Borrow, fmt};

/// A path inside the image, normalised: relative to the root, `/` between names, no `.`, no `..`, no empty
/// name. The root itself is the empty path. Shown with a leading `/`. Ordered bytewise, so that a directory
/// comes before what is in it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImagePath(String);

/// A text that is no path inside the image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` is not a path inside the image: {why}")]
pub struct MalformedPath {
    /// What was given.
    pub path: String,
    /// Which rule it breaks.
    pub why: &'static str,
}

impl ImagePath {
    /// The root directory.
    #[must_use]
    pub const fn root() -> Self {
        Self(String::new())
    }

    /// Parses a path with or without leading `/` or `./`, and with or without a trailing `/`.
    ///
    /// # Errors
    /// When a name is `..`, or holds a NUL byte, or is longer than 255 bytes.
    pub fn parse(path: &str) -> Result<Self, MalformedPath> {
        let malformed = |why| MalformedPath { path: path.to_owned(), why };
        let mut normal = String::with_capacity(path.len());
        for name in path.split('/').filter(|name| !name.is_empty() && *name != ".") {
            if name == ".." {
                return Err(malformed("`..` could leave it"));
            }
            if name.contains('\0') {
                return Err(malformed("a name holds a NUL byte"));
            }
            if name.len() > 255 {
                return Err(malformed("a name is longer than 255 bytes"));
            }
            if !normal.is_empty() {
                normal.push('/');
            }
            normal.push_str(name);
        }
        Ok(Self(normal))
    }

    /// The path without leading `/`; empty for the root.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the root directory.
    #[must_use]
    pub const fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The last name; empty for the root.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.rsplit_once('/').map_or(&self.0, |(_, name)| name)
    }

    /// The directory which holds this path; `None` for the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        match self.0.rsplit_once('/') {
            Some((parent, _)) => Some(Self(parent.to_owned())),
            None if self.0.is_empty() => None,
            None => Some(Self::root()),
        }
    }

    /// This path with `below` (relative, may have several names) behind it.
    ///
    /// # Errors
    /// As [`ImagePath::parse`].
    pub fn join(&self, below: &str) -> Result<Self, MalformedPath> {
        Self::parse(&format!("{}/{below}", self.0))
    }

    /// Whether this path is `directory` or lies below it.
    #[must_use]
    pub fn is_within(&self, directory: &Self) -> bool {
        directory.is_root()
            || self.0.strip_prefix(&directory.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The names from the root to the last one.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').filter(|name| !name.is_empty())
    }
}

impl<'de> serde::Deserialize<'de> for ImagePath {
    /// Absolute, as people write it.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if !text.starts_with('/') {
            let why = format!("`{text}` is not a path inside the image: it does not begin with `/`");
            return Err(serde::de::Error::custom(why));
        }
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl Borrow<str> for ImagePath {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ImagePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", self.0)
    }
}

impl fmt::Debug for ImagePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_normalised_and_cannot_leave_the_root() {
        for (given, normal) in [("./usr//bin/", "/usr/bin"), ("/", "/"), ("a/./b", "/a/b")] {
            assert_eq!(ImagePath::parse(given).unwrap().to_string(), normal);
        }
        let error = ImagePath::parse("usr/../../etc/shadow").unwrap_err();
        assert_eq!(
            error.to_string(),
            "`usr/../../etc/shadow` is not a path inside the image: `..` could leave it"
        );
    }

    #[test]
    fn within_respects_names() {
        let usr = ImagePath::parse("usr").unwrap();
        assert!(ImagePath::parse("usr/bin").unwrap().is_within(&usr));
        assert!(!ImagePath::parse("usrlocal").unwrap().is_within(&usr));
        assert!(usr.is_within(&ImagePath::root()));
    }
}
