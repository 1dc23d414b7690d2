//! Where k3s keeps things, below a root that is `/` but for tests.

use crate::{Error, Result};
use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

/// The tree of one machine.
#[derive(Clone, Debug)]
pub struct Places {
    root: PathBuf,
}

impl Places {
    /// The tree below `root`.
    #[must_use]
    pub fn below(root: impl AsRef<Path>) -> Self {
        Self { root: root.as_ref().to_owned() }
    }

    /// A path of the machine, such as `/etc/rancher/node/password`.
    #[must_use]
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// A file of the agent.
    #[must_use]
    pub fn agent(&self, name: &str) -> PathBuf {
        self.path("/var/lib/rancher/k3s/agent").join(name)
    }

    /// A file of the server.
    #[must_use]
    pub fn server(&self, name: &str) -> PathBuf {
        self.path("/var/lib/rancher/k3s/server").join(name)
    }
}

/// Writes a file that only root may read, with the directories above it: the old content or the new one, whenever the
/// machine is reset.
pub fn write(path: &Path, text: impl AsRef<[u8]>) -> Result<()> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(dir).map_err(Error::file("create", dir))?;
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new);
    file.and_then(|mut file| {
        file.write_all(text.as_ref())?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        fs::File::open(dir)?.sync_all()
    })
    .map_err(Error::file("write", path))
}

/// Reads a text.
pub fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(Error::file("read", path))
}
