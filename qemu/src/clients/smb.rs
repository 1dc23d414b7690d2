//! Samba's client.

use crate::{Output, Result, Tool, tool};
use std::time::Duration;

const SMBCLIENT: Tool = Tool { program: "smbclient", package: "smbclient" };
const LIMIT: Duration = Duration::from_secs(180);

/// A user of the SMB server behind a port of the loopback address.
#[derive(Clone, Debug)]
pub struct Smb {
    port: u16,
    /// `user%password`; none is a guest.
    account: Option<String>,
}

impl Smb {
    /// Somebody with an account.
    pub fn user(port: u16, user: &str, password: &str) -> Result<Self> {
        SMBCLIENT.find()?;
        Ok(Self { port, account: Some(format!("{user}%{password}")) })
    }

    /// Somebody without an account.
    pub fn guest(port: u16) -> Result<Self> {
        SMBCLIENT.find()?;
        Ok(Self { port, account: None })
    }

    /// The server's list of shares, in the client's machine-readable form (`Disk|name|comment`).
    pub fn shares(&self) -> Result<Output> {
        self.call(&["-g", "-L", "//127.0.0.1"])
    }

    /// Runs commands of smbclient, such as `put local remote; ls`, in a share.
    pub fn run(&self, share: &str, commands: &str) -> Result<Output> {
        self.call(&[&format!("//127.0.0.1/{share}"), "-c", commands])
    }

    fn call(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = SMBCLIENT.command()?;
        // The host's own smb.conf, if there is one, is not ours to obey.
        command.args(["-s", "/dev/null", "-p", &self.port.to_string(), "-t", "120"]).args(arguments);
        match &self.account {
            Some(account) => command.args(["-U", account]),
            None => command.args(["-N", "-U", "%"]),
        };
        tool::run(&mut command, b"", LIMIT)
    }
}
