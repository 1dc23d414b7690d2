//! What is behind the socket: the node's own command, started and heard as programs, so that a stuck update never
//! holds an answer up.

use super::check;
use crate::node::{file, say};
use serde_json::Value;
use std::{
    io::{self, Read as _},
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Command, ExitCode, Stdio},
    thread,
    time::{Duration, Instant},
};

/// This program.
const HCNODE: &str = "/usr/lib/hcimage/hcnode";
/// What was asked for last, until it is carried out: an address, or nothing for the channel's.
const ASKED: &str = "/run/hcimage/update.asked";
/// What carries it out.
const UNIT: &str = "hcimage-update-asked.service";
/// How long the answer to a question may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What can be asked for.
pub(super) trait Desk {
    /// How the update stands.
    fn status(&mut self) -> Result<Value, String>;
    /// Begins to take a release, and does not wait for it.
    fn start(&mut self, to: Option<&str>) -> Result<(), String>;
}

/// This node's.
pub(super) struct Real;

impl Desk for Real {
    fn status(&mut self) -> Result<Value, String> {
        let said = hear(Command::new(HCNODE).args(["update", "status", "--json"]), PATIENCE);
        let said = said.map_err(|error| format!("hcnode update status: {error}"))?;
        serde_json::from_slice(&said).map_err(|error| format!("hcnode update status: {error}"))
    }

    fn start(&mut self, to: Option<&str>) -> Result<(), String> {
        let busy = hear(
            Command::new("systemctl").args(["show", "--property=ActiveState", "--value", UNIT]),
            PATIENCE,
        );
        let busy = busy.map_err(|error| format!("systemctl: {error}"))?;
        if busy.trim_ascii() == b"activating" {
            return Err("an update that was asked for before is at work; ask for the status".to_owned());
        }
        file::replace(Path::new(ASKED), to.unwrap_or_default().as_bytes(), 0o600)
            .map_err(|error| format!("{ASKED}: {error}"))?;
        hear(Command::new("systemctl").args(["start", "--no-block", UNIT]), PATIENCE)
            .map(drop)
            .map_err(|error| format!("systemctl start {UNIT}: {error}"))
    }
}

/// `hcnode update-socket carry-out`: becomes `hcnode update`, with the address that was asked for.
pub(super) fn carry_out() -> ExitCode {
    let become_it = || -> io::Result<std::convert::Infallible> {
        let asked = file::read(Path::new(ASKED))?;
        file::remove(Path::new(ASKED))?;
        let asked = asked.ok_or_else(|| io::Error::other("nothing was asked for"))?;
        let to = String::from_utf8(asked).map_err(io::Error::other)?;
        let mut command = Command::new(HCNODE);
        command.arg("update");
        if !to.is_empty() {
            check(&to).map_err(io::Error::other)?;
            command.args(["--to", &to]);
        }
        Err(command.exec())
    };
    match become_it() {
        Ok(never) => match never {},
        Err(error) => {
            say::warn(format_args!("what was asked for cannot be carried out: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Runs a program and returns what it said; ends it when it takes too long.
fn hear(command: &mut Command, patience: Duration) -> io::Result<Vec<u8>> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let mut out = child.stdout.take().ok_or_else(|| io::Error::other("it has no standard output"))?;
    let words = thread::spawn(move || {
        let mut words = Vec::new();
        out.read_to_end(&mut words).map(|_| words)
    });
    let deadline = Instant::now() + patience;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Err(io::Error::other(format!("no answer within {} s", patience.as_secs())));
        }
        thread::sleep(Duration::from_millis(50));
    };
    if !status.success() {
        return Err(io::Error::other(status.to_string()));
    }
    words.join().map_err(|_| io::Error::other("its words were lost"))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_heard_and_ended_when_it_hangs() {
        let long = Duration::from_secs(60);
        assert_eq!(hear(Command::new("echo").arg("words"), long).unwrap(), b"words\n");
        assert!(hear(&mut Command::new("false"), long).is_err());
        let hung = hear(Command::new("sleep").arg("600"), Duration::from_millis(200)).unwrap_err();
        assert!(hung.to_string().contains("no answer"), "{hung}");
    }
}
