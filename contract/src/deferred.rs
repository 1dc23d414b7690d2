//! Files that an image does not hold and its node fetches, by hash: what the builder writes to
//! `/usr/lib/hcimage/deferred.json`, a JSON list, and the node reads.

use crate::Digest;
use serde::{Deserialize, Serialize};

/// One such file. The root has a symbolic link at `path` that leads to [`Deferred::place`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deferred {
    /// The artifact's name, such as `k3s`: letters, digits, `.`, `-`, `_`, `+`, never a path.
    pub name: String,
    /// Its version, such as `v1.34.3+k3s1`.
    pub version: String,
    /// Where the image expects it, such as `/usr/bin/k3s`.
    pub path: String,
    /// The file's mode as octal digits, such as `0755`.
    pub mode: String,
    /// Where it may be had, in the order to try.
    pub urls: Vec<String>,
    /// What it must be.
    pub sha256: Digest,
}

impl Deferred {
    /// The folder, readable by everybody, below which the node keeps what it fetched.
    pub const FOLDER: &str = "/var/lib/hcimage/artifacts";

    /// Where the node keeps this one: `FOLDER/<sha256>/<name>`. Another version has another place, so an update and
    /// a rollback both find theirs.
    #[must_use]
    pub fn place(&self) -> String {
        format!("{}/{}/{}", Self::FOLDER, self.sha256, self.name)
    }

    /// The file's permission bits, if `mode` is a mode.
    #[must_use]
    pub fn permissions(&self) -> Option<u32> {
        u32::from_str_radix(&self.mode, 8).ok().filter(|mode| *mode <= 0o777)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_form_and_its_place_are_what_the_image_was_built_for() {
        let text = format!(
            r#"{{"name":"k3s","version":"v1","path":"/usr/bin/k3s","mode":"0755","urls":["https://x/k3s"],"sha256":"{}"}}"#,
            "ab".repeat(32)
        );
        let deferred: Deferred = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&deferred).unwrap(), text);
        assert_eq!(deferred.place(), format!("/var/lib/hcimage/artifacts/{}/k3s", "ab".repeat(32)));
        assert_eq!(deferred.permissions(), Some(0o755));
        for wrong in ["", "4755", "rwx", "0999"] {
            assert_eq!(
                Deferred { mode: wrong.to_owned(), ..deferred.clone() }.permissions(),
                None,
                "{wrong}"
            );
        }
    }
}
