//! OpenSSH's client, with a known_hosts file of its own.

use crate::{Console, Error, Output, Result, Tool, tool};
use std::{
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

const SSH: Tool = Tool { program: "ssh", package: "openssh-client" };
const KEYGEN: Tool = Tool { program: "ssh-keygen", package: "openssh-client" };
const KEYSCAN: Tool = Tool { program: "ssh-keyscan", package: "openssh-client" };

/// A key pair in files.
#[derive(Clone, Debug)]
pub struct SshKey {
    /// The private half; the public half is beside it, as `.pub`.
    pub file: PathBuf,
}

impl SshKey {
    /// Makes an ed25519 pair `id` in `dir`.
    pub fn make(dir: &Path) -> Result<Self> {
        let file = dir.join("id");
        let mut command = KEYGEN.command()?;
        command.args(["-q", "-t", "ed25519", "-N", "", "-C", "hcimage", "-f"]).arg(&file);
        tool::run(&mut command, b"", Duration::from_secs(30)).and_then(Output::success)?;
        Ok(Self { file })
    }
}

/// A way into a guest.
#[derive(Debug)]
pub struct Ssh {
    port: u16,
    user: String,
    key: PathBuf,
    home: tempfile::TempDir,
}

impl Ssh {
    /// Root on the guest behind `port` of the loopback address.
    pub fn new(port: u16, key: &SshKey) -> Result<Self> {
        Self::login("root", port, key)
    }

    /// Another user of the guest.
    pub fn login(user: &str, port: u16, key: &SshKey) -> Result<Self> {
        SSH.find()?;
        let home = tempfile::tempdir().map_err(Error::file("create a directory in", std::env::temp_dir()))?;
        // ssh refuses a key that others can read, and a checkout may have any mode: it gets a private copy.
        let copy = home.path().join("key");
        std::fs::copy(&key.file, &copy).map_err(Error::file("copy", &key.file))?;
        let private = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o600);
        std::fs::set_permissions(&copy, private).map_err(Error::file("make private", &copy))?;
        Ok(Self { port, user: user.to_owned(), key: copy, home })
    }

    /// The same way in after a restart, when the port may be another: it insists on the host key seen before.
    #[must_use]
    pub fn moved_to(self, port: u16) -> Self {
        Self { port, ..self }
    }

    /// Runs a shell command in the guest.
    pub fn run(&self, script: &str, limit: Duration) -> Result<Output> {
        self.feed(script, b"", limit)
    }

    /// Runs a shell command in the guest with `input` on its standard input.
    pub fn feed(&self, script: &str, input: &[u8], limit: Duration) -> Result<Output> {
        let mut command = self.command(&["BatchMode=yes", "PreferredAuthentications=publickey"])?;
        let mut output = tool::run(command.arg(script), input, limit)?;
        // A failure is told by what was run, not by a screen of client options.
        output.program = format!("ssh {}: {script}", self.user);
        Ok(output)
    }

    /// Runs a shell command that must succeed and gives what it printed.
    pub fn ask(&self, script: &str) -> Result<String> {
        self.run(script, Duration::from_secs(120))?.success()
    }

    /// Tries to log in without the key. The answer is what the client complained about.
    pub fn without_key(&self) -> Result<Output> {
        let options = ["PubkeyAuthentication=no", "BatchMode=no", "NumberOfPasswordPrompts=1"];
        let mut command = self.command(&options)?;
        // Without a terminal, a prompt for a password fails instead of waiting.
        command.env_remove("DISPLAY").env_remove("SSH_ASKPASS").arg("true");
        tool::run(&mut command, b"", Duration::from_secs(120))
    }

    /// Waits until the guest lets us in.
    pub fn wait(&self, console: &Console, limit: Duration) -> Result<()> {
        let start = Instant::now();
        loop {
            let attempt = match self.run("true", Duration::from_secs(60)) {
                Ok(output) if output.status.success() => return Ok(()),
                Ok(output) => output.stderr.trim().to_owned(),
                Err(Error::TimedOut { .. }) => "no answer".to_owned(),
                Err(error) => return Err(error),
            };
            let final_word = attempt.contains("Permission denied") || attempt.contains("verification failed");
            if final_word || start.elapsed() > limit || !console.is_open() {
                return Err(Error::NoSsh { waited: start.elapsed(), last: attempt, tail: console.tail() });
            }
            thread::sleep(Duration::from_millis(500));
        }
    }

    /// The guest's ed25519 host key in base64, as anybody can see it.
    pub fn host_key(&self) -> Result<String> {
        let mut command = KEYSCAN.command()?;
        command.args(["-t", "ed25519", "-T", "60", "-p", &self.port.to_string(), "127.0.0.1"]);
        let output = tool::run(&mut command, b"", Duration::from_secs(180))?;
        let key = output.stdout.lines().find_map(|line| line.split_once(" ssh-ed25519 "));
        let key = key.map(|(_host, key)| key.trim().to_owned());
        key.ok_or(Error::Failed { program: output.program, status: output.status, stderr: output.stderr })
    }

    fn command(&self, options: &[&str]) -> Result<Command> {
        let mut command = SSH.command()?;
        command.args(["-F", "/dev/null", "-p", &self.port.to_string(), "-i"]).arg(&self.key);
        let known = format!("UserKnownHostsFile={}", self.home.path().join("known_hosts").display());
        let common = [
            known.as_str(),
            "GlobalKnownHostsFile=/dev/null",
            // The first key is remembered; a changed one ends every later command.
            "StrictHostKeyChecking=accept-new",
            "HostKeyAlias=guest",
            "IdentitiesOnly=yes",
            "IdentityAgent=none",
            "ConnectTimeout=60",
            "LogLevel=ERROR",
        ];
        for option in common.iter().chain(options) {
            command.args(["-o", option]);
        }
        command.arg(format!("{}@127.0.0.1", self.user));
        Ok(command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_neither_asks_nor_reads_the_users_own_settings() {
        let dir = tempfile::tempdir().unwrap();
        let key = match SshKey::make(dir.path()) {
            Err(error) if error.is_missing() && std::env::var_os("HCIMAGE_CI").is_none() => {
                eprintln!("skipped: the_client_neither_asks_nor_reads_the_users_own_settings: {error}");
                return;
            }
            key => key.unwrap(),
        };
        let ssh = Ssh::new(2222, &key).unwrap().moved_to(2223);
        let command = ssh.command(&["BatchMode=yes"]).unwrap();
        let words: Vec<_> = command.get_args().map(|word| word.to_str().unwrap()).collect();
        let line = words.join(" ");
        for part in ["-F /dev/null -p 2223", "HostKeyAlias=guest", "-o BatchMode=yes", "root@127.0.0.1"] {
            assert!(line.contains(part), "{line}");
        }
    }
}
