//! Patterns: of paths in rules, and of devices in aliases.

use super::KernelError;

/// A pattern of paths: `*`, `?` and `[a-z]` within one name, `**` for any number of names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathGlob {
    text: String,
}

impl PathGlob {
    /// Parses a pattern relative to the directory which the rule speaks of.
    ///
    /// # Errors
    /// When it is empty, absolute, has an empty name or `..`, an unclosed `[`, or a `.ko` suffix.
    pub fn parse(pattern: &str) -> Result<Self, KernelError> {
        let bad = |why| Err(KernelError::Pattern { pattern: pattern.to_owned(), why });
        for name in pattern.split('/') {
            match name {
                "" => return bad("a name is empty: write it relative and without `//`"),
                "." | ".." => return bad("`.` and `..` are not allowed"),
                "**" => {}
                _ if name.contains("**") => return bad("`**` must be a name of its own"),
                _ if unclosed(name) => return bad("`[` without `]`"),
                _ => {}
            }
        }
        if super::modules::plain_path(pattern).is_some() {
            return bad("modules are named without `.ko`");
        }
        Ok(Self { text: pattern.to_owned() })
    }

    /// The pattern as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether `path` fits.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        let pattern: Vec<&str> = self.text.split('/').collect();
        let path: Vec<&str> = path.split('/').collect();
        names_match(&pattern, &path)
    }
}

fn unclosed(name: &str) -> bool {
    let mut rest = name;
    while let Some(open) = rest.find('[') {
        match rest[open..].find(']') {
            Some(close) => rest = &rest[open + close + 1..],
            None => return true,
        }
    }
    false
}

/// A star takes as little as it can and takes more when what follows does not fit: linear for one star, and for
/// several it is enough to come back to the last.
fn names_match(pattern: &[&str], path: &[&str]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while t < path.len() {
        match pattern.get(p) {
            Some(&"**") => {
                back = Some((p + 1, t));
                p += 1;
            }
            Some(name) if wild(name.as_bytes(), path[t].as_bytes()) => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((after, from)) = back else { return false };
                back = Some((after, from + 1));
                (p, t) = (after, from + 1);
            }
        }
    }
    pattern[p..].iter().all(|name| *name == "**")
}

/// `fnmatch(pattern, text, 0)`, without escapes: `*` also spans `/`.
#[must_use]
pub(super) fn wild(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            back = Some((p + 1, t));
            p += 1;
        } else if let Some(width) = one(&pattern[p..], text[t]) {
            p += width;
            t += 1;
        } else {
            let Some((after, from)) = back else { return false };
            back = Some((after, from + 1));
            (p, t) = (after, from + 1);
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// How many bytes of `pattern` match `byte`; `None` if its first element does not.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [b'?', ..] => Some(1),
        [b'[', rest @ ..] => {
            let end = rest.iter().skip(1).position(|c| *c == b']')? + 1;
            let (not, set) = match &rest[..end] {
                [b'!' | b'^', set @ ..] => (true, set),
                set => (false, set),
            };
            (in_set(set, byte) != not).then_some(end + 2)
        }
        [c, ..] if *c == byte => Some(1),
        _ => None,
    }
}

fn in_set(mut set: &[u8], byte: u8) -> bool {
    loop {
        match set {
            [low, b'-', high, rest @ ..] => {
                if (*low..=*high).contains(&byte) {
                    return true;
                }
                set = rest;
            }
            [c, rest @ ..] => {
                if *c == byte {
                    return true;
                }
                set = rest;
            }
            [] => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        for (pattern, path, fits) in [
            ("drivers/gpu/**", "drivers/gpu/drm/vgem", true),
            ("drivers/gpu/**", "drivers/gpux/drm", false),
            ("drivers/*/e1000", "drivers/net/e1000", true),
            ("drivers/*/e1000", "drivers/net/intel/e1000", false),
            ("**/e1000*", "drivers/net/intel/e1000e", true),
            ("**/intel/**/e1000", "drivers/net/intel/e1000", true),
            ("**/a/b", "a/a/a/b", true),
            ("fs/[!n]*/**", "fs/nfs/nfs", false),
            ("fs/[a-f]*/**", "fs/erofs/erofs", true),
        ] {
            assert_eq!(PathGlob::parse(pattern).unwrap().matches(path), fits, "{pattern} {path}");
        }
        for wrong in ["", "/fs", "fs//x", "../x", "fs/a**", "fs/[a", "fs/x.ko", "fs/x.ko.xz"] {
            assert!(PathGlob::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn aliases() {
        let pci = b"pci:v00008086d*sv*sd*bc*sc*i*";
        assert!(wild(pci, b"pci:v00008086d000010D3sv0sd0bc02sc00i00"));
        assert!(!wild(pci, b"pci:v00001022d000010D3sv0sd0bc02sc00i00"));
        assert!(wild(b"usb:v1d[0-3]*[!a]", b"usb:v1d2b"));
        assert!(!wild(b"usb:v1d[0-3]*[!a]", b"usb:v1d2a"));
        assert!(!wild(b"x[", b"x["));
    }
}
