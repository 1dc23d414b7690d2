//! What the node says of itself, on every channel that it has. The same [`combine`] makes the status for all of them:
//! `hcnode status`, the [`console`], mDNS ([`announce`]), the [`report`] on the card and the status [`page`]. Nothing
//! here holds a secret, and whoever serves the network has no rights.

pub mod announce;
pub mod combine;
pub mod console;
pub mod facts;
pub mod page;
pub mod parts;
pub mod people;
pub mod report;
pub mod scrub;
pub mod serve;
pub mod server;
pub mod words;

use super::{boot::Boot, card, place, say};
use contract::{Stage, Status, seed};
use rustix::fs::OFlags;
use std::{
    fs::OpenOptions,
    io::{self, IsTerminal as _, Read as _, Write as _},
    net::TcpListener,
    os::{fd::AsFd as _, unix::fs::OpenOptionsExt as _},
    path::Path,
    process::ExitCode,
};

/// What `hcnode status` is asked to do.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
#[group(multiple = false)]
pub struct Options {
    /// For a program instead of a person
    #[arg(long)]
    json: bool,
    /// Tell the console, the network and the report what changes (a service does this)
    #[arg(long)]
    serve: bool,
    /// Serve the status page on the socket that is standard input (a service does this)
    #[arg(long)]
    page: bool,
    /// Bring the report to the boot partition (a service does this)
    #[arg(long)]
    report: bool,
}

/// `hcnode status`: 0 when the node is ready or on its way, 1 when it is degraded, 2 when that could not be found out.
#[must_use]
pub fn run(options: Options) -> ExitCode {
    let done = match options {
        Options { serve: true, .. } => serve::serve().map(|()| Stage::Ready),
        Options { page: true, .. } => visitors().map(|()| Stage::Ready),
        Options { report: true, .. } => to_card().map(|()| Stage::Ready),
        Options { json, .. } => print(json),
    };
    match done {
        Ok(Stage::Degraded) => ExitCode::FAILURE,
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            let service = options.serve || options.page || options.report;
            let said = if service { say::warn } else { say::tell };
            said(format!("status: {error}"));
            ExitCode::from(2)
        }
    }
}

/// The status of this node now.
///
/// # Errors
/// When its parts cannot be read.
pub fn status() -> io::Result<Status> {
    Ok(combine::combine(&parts::read(Path::new(place::PARTS))?, facts::gather()))
}

fn print(json: bool) -> io::Result<Stage> {
    let status = status()?;
    let mut out = io::stdout();
    let text = match json {
        true => serde_json::to_string_pretty(&status)? + "\n",
        false => people::people(&status, out.is_terminal()),
    };
    out.write_all(text.as_bytes())?;
    Ok(status.stage)
}

/// The node's own pages.
struct Own;

impl server::Pages for Own {
    fn html(&self) -> String {
        status()
            .map_or_else(|error| format!("the status cannot be read: {error}"), |status| page::html(&status))
    }

    fn json(&self) -> String {
        let text = status().and_then(|status| Ok(serde_json::to_string_pretty(&status)?));
        text.unwrap_or_else(|error| serde_json::json!({ "error": error.to_string() }).to_string())
    }
}

fn visitors() -> io::Result<()> {
    let listener = TcpListener::from(io::stdin().as_fd().try_clone_to_owned()?);
    server::serve(&listener, &Own)
}

/// The boot partition of this node.
struct BootPartition(Boot);

impl report::Shelf for BootPartition {
    fn report(&self) -> Result<Option<String>, String> {
        let bytes = card::with(&self.0, |card| card.read(seed::REPORT)).map_err(|error| error.to_string())?;
        Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    fn put(&self, text: &str) -> Result<(), String> {
        card::write_report(&self.0, text).map_err(|error| error.to_string())
    }
}

fn to_card() -> io::Result<()> {
    let folder = Path::new(place::STATUS);
    // Written by a service that has no rights: what is no plain file there is not followed.
    let follow_nothing = OFlags::NOFOLLOW.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(follow_nothing).open(folder.join(seed::REPORT))?;
    let mut text = String::new();
    file.take(seed::LIMIT as u64).read_to_string(&mut text)?;
    let shelf = BootPartition(Boot::load(Path::new(place::BOOT))?);
    if report::deliver(&shelf, &text).map_err(io::Error::other)? {
        say::note(format_args!("{} was written to the boot partition", seed::REPORT));
    }
    Ok(())
}
