//! Misbehaviour that a test chooses while the server runs: a file of this name in `/var/lib/standin`.
//!
//! | file | what the server does while it is there |
//! |---|---|
//! | `refuse` | closes port 6443 |
//! | `slow` | waits so many seconds (the file's content, or 20) before each answer |
//! | `starting` | 503 to every authenticated request, as a server whose core is not up |
//! | `expired-token` | 401 to every token, as after its end or a rotation; client certificates still hold |
//! | `forbidden` | 403 to every token |
//! | `other-ca` | is another cluster: another CA, with certificates of its own |
//! | `cert-not-yet-valid` | its certificate begins in 30 days |
//! | `cert-expired` | its certificate ended yesterday |
//! | `cluster-cidr` | the pod network is the file's content |
//! | `pods` | the pods of the cluster, a line each: `NAMESPACE/NAME NODE KIND` (`ReplicaSet`; `none` for nobody's) |
//! | `budget` | a disruption budget refuses to evict these (`NAMESPACE/NAME`, any number) |
//! | `no-locks` | the overlay's ConfigMap for updates is not there |
//! | `not-ready` | every node is Ready=False: the network plugin is not ready |

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The directory of the switches.
#[derive(Clone, Debug)]
pub struct Switches {
    dir: PathBuf,
}

impl Switches {
    /// Those in `dir`.
    #[must_use]
    pub fn in_dir(dir: impl AsRef<Path>) -> Self {
        Self { dir: dir.as_ref().to_owned() }
    }

    /// Whether a switch is on.
    #[must_use]
    pub fn on(&self, name: &str) -> bool {
        self.dir.join(name).exists()
    }

    /// What a switch says; a file that cannot be read is one that is off.
    #[must_use]
    pub fn says(&self, name: &str) -> Option<String> {
        Some(fs::read_to_string(self.dir.join(name)).ok()?.trim().to_owned())
    }
}
