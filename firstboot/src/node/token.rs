//! `hcnode token`: on a server, the line that a seed wants.

use super::say;
use contract::seed::{Secret, Token};
use std::{
    fs, io,
    path::Path,
    process::{Command, ExitCode, Stdio},
};

const K3S: &str = "/usr/bin/k3s";
/// The servers' own token, which only servers have.
const SERVERS: &str = "/var/lib/rancher/k3s/server/token";

/// What is asked for.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// How long an agent may join with it, such as 24h; 0 is for ever
    #[arg(long, default_value = "24h", conflicts_with = "server")]
    pub ttl: String,
    /// The servers' token instead: whoever has it owns the cluster, and it does not expire
    #[arg(long)]
    pub server: bool,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
enum TokenFault {
    #[error("this node is no server of a cluster (there is no {SERVERS}): run it on one that is Ready")]
    NotAServer,
    #[error("cannot read {SERVERS}: {0}")]
    Unreadable(io::Error),
    #[error("cannot run {K3S}: {0}")]
    NoK3s(io::Error),
    #[error("k3s makes no token: {0}")]
    Refused(String),
    #[error("k3s gave no token that pins the cluster's CA: is k3s older than v1.26?")]
    Unpinned,
}

/// Prints a token to standard output, and nothing else there.
#[must_use]
pub fn run(options: &Options) -> ExitCode {
    match token(options) {
        Ok(token) => {
            use io::Write as _;
            let written = writeln!(io::stdout(), "{}", token.reveal());
            if options.server {
                say::tell(
                    "hcnode token: this is the key to the whole cluster; only a server's seed wants it",
                );
            }
            if written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(fault) => {
            say::tell(format_args!("hcnode token: {fault}"));
            ExitCode::FAILURE
        }
    }
}

fn token(options: &Options) -> Result<Secret, TokenFault> {
    let servers = match fs::read_to_string(Path::new(SERVERS)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(TokenFault::NotAServer),
        other => other.map_err(TokenFault::Unreadable)?,
    };
    if options.server {
        return pinned(&servers);
    }
    let mut command = Command::new(K3S);
    command.args(["token", "create", "--ttl", &options.ttl]).stdin(Stdio::null());
    let output = command.output().map_err(TokenFault::NoK3s)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it says nothing");
        return Err(TokenFault::Refused(format!("{} ({})", last.trim(), output.status)));
    }
    pinned(&String::from_utf8_lossy(&output.stdout))
}

/// The token in what a program or file says, if it pins the cluster's CA.
fn pinned(text: &str) -> Result<Secret, TokenFault> {
    let token = Secret::new(text.trim());
    match Token::parse(&token) {
        Ok(Token { ca: Some(_), .. }) => Ok(token),
        _ => Err(TokenFault::Unpinned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_pinned_token_is_given_out() {
        let hash = "ab".repeat(32);
        let whole = format!("K10{hash}::abcdef.0123456789abcdef");
        assert_eq!(pinned(&format!("{whole}\n")).unwrap().reveal(), whole);
        for text in ["", "abcdef.0123456789abcdef\n", "K10ab::x", "level=fatal msg=\"no\"\n"] {
            assert!(matches!(pinned(text), Err(TokenFault::Unpinned)), "{text}");
        }
    }
}
