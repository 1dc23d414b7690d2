//! A door for programs beside the node's owner, a Plan of system-upgrade-controller above all: a socket of root's, one
//! line of JSON each way. It starts what `hcnode update` does and tells what that says; it can do nothing else.
//!
//! | asked | answered |
//! |---|---|
//! | `{"ask":"status"}` | `{"ok":true,"update":{…}}`: what `hcnode update status --json` says |
//! | `{"ask":"start"}`, `{"ask":"start","to":"https://…"}` | `{"ok":true}` as soon as it is begun |
//! | anything else | `{"ok":false,"error":"…"}` |

mod ask;
mod desk;
mod serve;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{path::PathBuf, process::ExitCode};

/// Where it is.
pub const SOCKET: &str = "/run/hcimage/update.sock";
/// A question or an address is not longer, in bytes.
const LIMIT: usize = 4096;

/// A question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Question {
    /// How the update stands.
    Status {},
    /// Take a release: this one, or what the channel offers.
    Start {
        /// An address or a file of the node, as `hcnode update --to` takes it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<String>,
    },
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Whether it was done.
    pub ok: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What `hcnode update status --json` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update: Option<Value>,
}

impl Question {
    /// Reads a line.
    ///
    /// # Errors
    /// In words, when it is none.
    pub fn parse(line: &[u8]) -> Result<Self, String> {
        let question: Self = serde_json::from_slice(line).map_err(|error| {
            format!("{error}; expected {{\"ask\":\"status\"}} or {{\"ask\":\"start\",\"to\":\"https://…\"}}")
        })?;
        if let Self::Start { to: Some(to) } = &question {
            check(to)?;
        }
        Ok(question)
    }
}

/// An address that may be given to a program as one word.
fn check(to: &str) -> Result<(), String> {
    let kind = ["https://", "http://", "/"].iter().any(|start| to.starts_with(start));
    let plain = to.bytes().all(|byte| byte.is_ascii_graphic());
    if kind && plain && to.len() <= LIMIT / 2 {
        return Ok(());
    }
    Err(format!("`to` is {to:?}, expected https://…, http://… or a file's whole path"))
}

/// What `hcnode update-socket` is asked to do.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Act {
    /// Answer at the socket that is standard input (a service does this)
    Serve,
    /// Carry out what was asked for at the socket (a service does this)
    CarryOut,
    /// Ask for a release and wait until it is committed: 0; or until it is known that it did not stay: 1
    Ask {
        /// The node's socket, as seen from here
        #[arg(long, default_value = SOCKET)]
        socket: PathBuf,
        /// The release's version
        #[arg(long)]
        version: String,
        /// Where its bundle is; without it: what the node's channel offers
        #[arg(long)]
        to: Option<String>,
        /// Give up after so many minutes
        #[arg(long, default_value_t = 120)]
        minutes: u64,
    },
}

/// `hcnode update-socket`.
#[must_use]
pub fn run(act: Act) -> ExitCode {
    match act {
        Act::Serve => serve::serve(),
        Act::CarryOut => desk::carry_out(),
        Act::Ask { socket, version, to, minutes } => ask::ask(&socket, &version, to, minutes),
    }
}

#[cfg(test)]
mod tests;
