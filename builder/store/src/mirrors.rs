//! Where Debian's files can be had: mirrors given by the user, those that this machine's apt names, and the
//! snapshot archive.

use contract::Epoch;

/// Base URIs, each without a trailing `/`, in the order in which they are tried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mirrors {
    main: Vec<String>,
    security: Vec<String>,
    snapshot: Option<Epoch>,
}

/// The Debian base URIs that a machine's apt sources name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AptSources {
    /// Archives such as `http://…/debian`.
    pub main: Vec<String>,
    /// Archives such as `http://…/debian-security`.
    pub security: Vec<String>,
}

impl AptSources {
    /// Reads one sources file, `deb822` (`.sources`) or one-line (`.list`); only base URIs are used, and only
    /// of archives whose last path segment is `debian` or `debian-security`, as Debian's mirrors have it.
    pub fn add(&mut self, text: &str) {
        for line in text.lines().map(str::trim) {
            let words: Vec<&str> = match line.strip_prefix("URIs:") {
                Some(uris) => uris.split_whitespace().collect(),
                None if line.starts_with("deb ") || line.starts_with("deb-src ") => {
                    line.split_whitespace().filter(|word| word.contains("://")).take(1).collect()
                }
                None => continue,
            };
            for uri in words {
                let uri = uri.trim_end_matches('/');
                let list = match uri.rsplit('/').next() {
                    Some("debian") => &mut self.main,
                    Some("debian-security") => &mut self.security,
                    _ => continue,
                };
                if !list.iter().any(|known| known == uri) {
                    list.push(uri.to_owned());
                }
            }
        }
    }
}

impl Mirrors {
    /// Mirrors given by the user come first and, when there are any, alone but for the snapshot archive; else
    /// those of apt. A given mirror's security archive is its sibling `debian-security`.
    #[must_use]
    pub fn new(given: &[String], apt: AptSources) -> Self {
        if given.is_empty() {
            return Self { main: apt.main, security: apt.security, snapshot: None };
        }
        let given = given.iter().map(|uri| uri.trim_end_matches('/'));
        let (security, main): (Vec<&str>, Vec<&str>) =
            given.partition(|uri| uri.ends_with("debian-security"));
        let siblings =
            main.iter().filter(|uri| uri.ends_with("/debian")).map(|uri| format!("{uri}-security"));
        let security = security.iter().map(|uri| (*uri).to_owned()).chain(siblings).collect();
        Self { main: main.into_iter().map(str::to_owned).collect(), security, snapshot: None }
    }

    /// The same mirrors, and after them the snapshot archive as it was at `time`.
    #[must_use]
    pub fn with_snapshot(self, time: Epoch) -> Self {
        Self { snapshot: Some(time), ..self }
    }

    /// Whether there is no mirror but perhaps the snapshot archive.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.main.is_empty() && self.security.is_empty()
    }

    /// Every address of `path` (relative to the archive's base) in the archive that holds `suite`.
    #[must_use]
    pub fn urls(&self, suite: &str, path: &str) -> Vec<String> {
        let security = suite.ends_with("-security");
        let (bases, archive) =
            if security { (&self.security, "debian-security") } else { (&self.main, "debian") };
        let mut urls: Vec<_> = bases.iter().map(|base| format!("{base}/{path}")).collect();
        if let Some(time) = self.snapshot {
            let at = time.calendar();
            let time = format!(
                "{:04}{:02}{:02}T{:02}{:02}{:02}Z",
                at.year, at.month, at.day, at.hour, at.minute, at.second
            );
            urls.push(format!("https://snapshot.debian.org/archive/{archive}/{time}/{path}"));
        }
        urls
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apt_sources_of_both_forms_are_read_and_strangers_ignored() {
        let mut apt = AptSources::default();
        apt.add("Types: deb\n# http://old.example/debian\nURIs: http://a.example/debian http://b.example/debian/\n");
        apt.add("deb [arch=amd64 signed-by=/x] https://c.example/debian-security trixie-security main\n");
        apt.add("deb https://other.example/tools stable main\n");
        assert_eq!(apt.main, ["http://a.example/debian", "http://b.example/debian"]);
        assert_eq!(apt.security, ["https://c.example/debian-security"]);
    }

    #[test]
    fn security_has_its_own_archive_and_the_snapshot_comes_last() {
        let mirrors = Mirrors::new(&["http://m.example/debian/".to_owned()], AptSources::default());
        assert_eq!(mirrors.urls("trixie", "pool/x"), ["http://m.example/debian/pool/x"]);
        let mirrors = mirrors.with_snapshot(Epoch(1_788_596_000));
        assert_eq!(
            mirrors.urls("trixie-security", "pool/x"),
            [
                "http://m.example/debian-security/pool/x",
                "https://snapshot.debian.org/archive/debian-security/20260905T081320Z/pool/x"
            ]
        );
    }
}
