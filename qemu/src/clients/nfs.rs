//! libnfs' clients: NFS from an ordinary user's process, without a mount.

use crate::{Output, Result, Tool, tool};
use std::{path::Path, time::Duration};

const LS: Tool = Tool { program: "nfs-ls", package: "libnfs-utils" };
const CAT: Tool = Tool { program: "nfs-cat", package: "libnfs-utils" };
const CP: Tool = Tool { program: "nfs-cp", package: "libnfs-utils" };
const LIMIT: Duration = Duration::from_secs(180);

/// A user of the NFS 4 server behind a port of the loopback address.
#[derive(Clone, Copy, Debug)]
pub struct Nfs {
    port: u16,
    uid: u32,
    gid: u32,
}

impl Nfs {
    /// Somebody with these ids, as the server is told (AUTH_SYS).
    pub fn user(port: u16, uid: u32, gid: u32) -> Result<Self> {
        for tool in [LS, CAT, CP] {
            tool.find()?;
        }
        Ok(Self { port, uid, gid })
    }

    /// Lists a directory.
    pub fn list(&self, path: &str) -> Result<Output> {
        tool::run(LS.command()?.arg(self.url(path)), b"", LIMIT)
    }

    /// Reads a file.
    pub fn read(&self, path: &str) -> Result<Output> {
        tool::run(CAT.command()?.arg(self.url(path)), b"", LIMIT)
    }

    /// Writes a file of the host to the server: at most some 4 kB, which is all that libnfs 4.0 can encode in a write
    /// of NFS 4.
    pub fn write(&self, file: &Path, path: &str) -> Result<Output> {
        tool::run(CP.command()?.arg(file).arg(self.url(path)), b"", LIMIT)
    }

    fn url(&self, path: &str) -> String {
        let Self { port, uid, gid } = self;
        format!("nfs://127.0.0.1{path}?version=4&nfsport={port}&uid={uid}&gid={gid}")
    }
}
