//! `hcnode update`, for people and for the two services.

mod boot;
mod manual;
mod status;
mod take;
mod world;

use super::reasons;
use crate::node::{part::Part, say};
use contract::{Code, Reason, Stage};
use std::{io, path::PathBuf, process::ExitCode};

/// What `hcnode update` is asked to do.
#[derive(Clone, Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Options {
    #[command(subcommand)]
    act: Option<Act>,
    #[command(flatten)]
    take: Take,
}

/// What is taken, and how.
#[derive(Clone, Debug, Default, clap::Args)]
struct Take {
    /// Take this bundle: an address (http://, https://) or a file, on a USB stick for instance. Without it: what the
    /// channel of this image offers
    #[arg(long, value_name = "URL|FILE")]
    to: Option<String>,
    /// A permit for a release that is older than this one
    #[arg(long, value_name = "FILE")]
    permit: Option<PathBuf>,
    /// Write and check the other slot, and let the next restart, whenever it comes, try it
    #[arg(long)]
    no_reboot: bool,
    /// Try a release once more that did not stay
    #[arg(long)]
    again: bool,
    /// Fetch no more than so many bytes: refused before anything is written
    #[arg(long, value_name = "BYTES")]
    max_bytes: Option<u64>,
    /// As the timer does: only what is offered by itself, restart only in the window
    #[arg(long, hide = true)]
    by_itself: bool,
    /// As `prove`
    #[arg(long, hide = true)]
    prove: bool,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Act {
    /// Print what runs, what the other slot has, and what became of the last update
    Status {
        /// For a program instead of a person
        #[arg(long)]
        json: bool,
        /// The last lines of the release that did not stay
        #[arg(long)]
        log: bool,
    },
    /// Go back to the release in the other slot: it is tried as an update is
    Rollback {
        /// Do not restart now
        #[arg(long)]
        no_reboot: bool,
    },
    /// Stop an update that is being written, and take one that waits for its restart out of the choice
    Cancel,
    /// Find out at the next restart whether the boot loader counts its tries on this machine
    Prove,
    /// Decide this boot (a service does this)
    #[command(hide = true)]
    Trial,
}

/// Why a command ends without having done what it was asked to.
#[derive(Debug)]
enum Failed {
    /// With a code, for the status too.
    Told(Reason),
    /// This machine does not do as it should.
    Io(io::Error),
}

impl From<Reason> for Failed {
    fn from(reason: Reason) -> Self {
        Self::Told(reason)
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// `hcnode update`: 0 when it was done or nothing was to do, 1 when it was refused or failed, 2 when this machine does
/// not do as it should.
#[must_use]
pub fn run(options: Options) -> ExitCode {
    let by_itself = options.take.by_itself || matches!(options.act, Some(Act::Trial));
    let done = match options.act {
        None if options.take.prove => manual::prove(),
        None => take::take(&options.take),
        Some(Act::Status { json, log }) => status::print(json, log).map_err(Failed::Io),
        Some(Act::Rollback { no_reboot }) => manual::rollback(no_reboot),
        Some(Act::Cancel) => manual::cancel(),
        Some(Act::Prove) => manual::prove(),
        Some(Act::Trial) => boot::decide(),
    };
    let said: fn(String) = if by_itself { |text| say::warn(text) } else { |text| say::tell(text) };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed::Told(reason)) => {
            said(reason.to_string());
            tell(Some(reason), "");
            ExitCode::FAILURE
        }
        Err(Failed::Io(error)) => {
            said(format!("update: {error}"));
            ExitCode::from(2)
        }
    }
}

/// What the node's status says of updates. A reason is a warning, for the running release works; only when nothing
/// better is left the node is degraded.
fn tell(reason: Option<Reason>, next: &str) {
    let degraded = reason.as_ref().is_some_and(|reason| reason.code == Code::U07);
    let stage = if degraded { Stage::Degraded } else { Stage::Ready };
    let part = Part { stage, reason, next: next.to_owned(), probes: Vec::new() };
    if let Err(error) = part.write("update") {
        say::warn(format_args!("cannot say how updates stand: {error}"));
    }
}

/// Somebody else is at it.
fn busy() -> Failed {
    Failed::Told(reasons::not_ours(
        "another update, or the trial of this boot, is at work (`hcnode update status`); to stop it: `hcnode update cancel`",
    ))
}
