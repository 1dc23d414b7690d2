//! Artifacts: files that no Debian package ships, pinned by hash in an overlay.

use contract::{Arch, Digest};
use serde::Deserialize;
use tree::{ImagePath, recipe::Mode};

/// One `[[artifact]]` of an overlay.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Artifact {
    pub(crate) name: String,
    pub(crate) version: String,
    /// Where it is in the image, from `/` on.
    pub(crate) path: String,
    #[serde(default = "plain")]
    pub(crate) mode: String,
    /// Only in images whose profile names it in `artifacts`.
    #[serde(default)]
    pub(crate) optional: bool,
    x86_64: Option<Pin>,
    aarch64: Option<Pin>,
}

/// Where an artifact is published for one architecture, and what it must be.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pin {
    pub(crate) url: Vec<String>,
    pub(crate) sha256: Digest,
}

fn plain() -> String {
    "0644".to_owned()
}

impl Artifact {
    /// Its pin for `arch`; without one, images of this architecture do not have it.
    pub(crate) const fn pin(&self, arch: Arch) -> Option<&Pin> {
        match arch {
            Arch::X86_64 => self.x86_64.as_ref(),
            Arch::Aarch64 => self.aarch64.as_ref(),
        }
    }

    /// Its permissions.
    pub(crate) fn permissions(&self) -> Result<Mode, String> {
        let mode = self.mode.parse::<Mode>().ok().filter(|mode| mode.0 <= 0o777 && self.mode.len() == 4);
        mode.ok_or_else(|| {
            format!(
                "artifact `{}`: `{}` is not a mode: write four octal digits up to \"0777\"",
                self.name, self.mode
            )
        })
    }

    /// What is wrong with it, if anything: a name and a version that are part of paths and of the lock's lines.
    pub(super) fn check(&self) -> Result<(), String> {
        let Self { name, version, path, .. } = self;
        let word = |text: &str| {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".+-_~".contains(&byte);
            text.starts_with(|first: char| first.is_ascii_alphanumeric()) && text.bytes().all(allowed)
        };
        for (key, text) in [("name", name), ("version", version)] {
            if !word(text) {
                return Err(format!(
                    "artifact `{name}`: {key} `{text}`: write letters, digits and any of . + - _ ~, beginning with a letter or a digit"
                ));
            }
        }
        let parsed = ImagePath::parse(path);
        if !path.starts_with('/') || !parsed.is_ok_and(|path| !path.is_root()) {
            return Err(format!("artifact `{name}`: `{path}` is not a path: write it from / on"));
        }
        self.permissions()?;
        let mut pins = Arch::ALL.into_iter().filter_map(|arch| self.pin(arch)).peekable();
        if pins.peek().is_none() {
            return Err(format!(
                "artifact `{name}` has neither a table [artifact.x86_64] nor [artifact.aarch64]"
            ));
        }
        for Pin { url, .. } in pins {
            if url.is_empty() {
                return Err(format!("artifact `{name}`: `url` names no address"));
            }
            if let Some(strange) = url.iter().find(|url| !is_url(url)) {
                return Err(format!(
                    "artifact `{name}`: `{strange}` is not an address: it begins with https:// or http:// and has no spaces"
                ));
            }
        }
        Ok(())
    }
}

pub(super) fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\".contains(&byte))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "name='k3s'\nversion='v1+k3s1'\npath='/usr/bin/k3s'\nmode='0755'\n[x86_64]\nurl=['https://x/k3s']\nsha256='";

    fn parse(text: &str) -> Artifact {
        toml::from_str(&format!("{text}{}'", "ab".repeat(32))).unwrap()
    }

    #[test]
    fn what_is_wrong_is_named() {
        parse(GOOD).check().unwrap();
        for (from, to, says) in [
            ("'k3s'", "'../k3s'", "artifact `../k3s`: name `../k3s`: write letters"),
            ("'v1+k3s1'", "'v 1'", "version `v 1`"),
            ("'/usr/bin/k3s'", "'usr/bin/k3s'", "`usr/bin/k3s` is not a path"),
            ("'/usr/bin/k3s'", "'/'", "`/` is not a path"),
            ("'/usr/bin/k3s'", "'/usr/../k3s'", "`/usr/../k3s` is not a path"),
            ("'0755'", "'4755'", "`4755` is not a mode"),
            ("'0755'", "'755'", "`755` is not a mode"),
            ("['https://x/k3s']", "[]", "`url` names no address"),
            ("https://x/k3s", "ftp://x/k3s", "`ftp://x/k3s` is not an address"),
            ("https://x/k3s", "https://x/a b", "is not an address"),
        ] {
            let said = parse(&GOOD.replacen(from, to, 1)).check().unwrap_err();
            assert!(said.contains(says), "{said}");
        }
        let none: Artifact = toml::from_str("name='k3s'\nversion='1'\npath='/k3s'").unwrap();
        assert!(none.check().unwrap_err().contains("neither a table [artifact.x86_64]"));
    }
}
