//! The other end: what a Plan's container runs. It may be killed by the restart that it asked for, and is then run again:
//! so it looks first, and asks only for what is not there yet.

use super::{Answer, Question};
use crate::node::say;
use serde_json::Value;
use std::{
    io::{self, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::Path,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

/// Between two questions.
const PAUSE: Duration = Duration::from_secs(10);
/// After so many questions without news it is asked for again: nothing happens while it is at work.
const AGAIN: u32 = 30;
/// The longest answer, in bytes.
const LONGEST: u64 = 1 << 20;
/// How long an answer may take: the node's own limit, and a little.
const PATIENCE: Duration = Duration::from_secs(90);

/// What the node's answer means for whoever waits for a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stand {
    /// It runs and stays.
    Committed,
    /// It was tried and did not stay: why.
    Failed(String),
    /// It is being written, or waits for its restart, or is on trial.
    UnderWay,
    /// Nothing is known of it.
    Absent,
}

/// Reads the node's answer.
pub(super) fn stand(update: &Value, version: &str) -> Stand {
    let runs =
        update["release"].as_str().is_some_and(|release| release.split(' ').any(|word| word == version));
    if runs {
        return match update["here"].as_str() {
            Some(here) if here.starts_with("committed") => Stand::Committed,
            _ => Stand::UnderWay,
        };
    }
    let failures = update["failures"].as_array();
    if let Some(failure) = failures.into_iter().flatten().find(|failure| failure["version"] == version) {
        let why = failure["why"].as_array().map_or_else(String::new, |why| {
            why.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("; ")
        });
        return Stand::Failed(why);
    }
    if update["staged"] == version || !update["running"].is_null() { Stand::UnderWay } else { Stand::Absent }
}

pub(super) fn ask(socket: &Path, version: &str, to: Option<String>, minutes: u64) -> ExitCode {
    let deadline = Instant::now() + Duration::from_secs(minutes.saturating_mul(60));
    let mut wait = 0;
    while Instant::now() < deadline {
        match question(socket, &Question::Status {}).and_then(|answer| said(&answer)) {
            Ok(update) => match stand(&update, version) {
                Stand::Committed => {
                    say::tell(format_args!("{version} runs and stays"));
                    return ExitCode::SUCCESS;
                }
                Stand::Failed(why) => {
                    say::tell(format_args!("{version} did not stay: {why}"));
                    return ExitCode::FAILURE;
                }
                Stand::UnderWay => say::tell(format_args!("{version} is under way")),
                Stand::Absent if wait == 0 => {
                    wait = AGAIN;
                    match question(socket, &Question::Start { to: to.clone() }) {
                        Ok(Answer { ok: true, .. }) => say::tell(format_args!("{version} was asked for")),
                        Ok(Answer { error, .. }) => say::tell(error.unwrap_or_default()),
                        Err(error) => say::tell(format_args!("{}: {error}", socket.display())),
                    }
                }
                Stand::Absent => wait -= 1,
            },
            Err(error) => say::tell(format_args!("{}: {error}", socket.display())),
        }
        thread::sleep(PAUSE);
    }
    say::tell(format_args!("{version} was not committed within {minutes} min"));
    ExitCode::FAILURE
}

fn said(answer: &Answer) -> io::Result<Value> {
    match (&answer.update, &answer.error) {
        (Some(update), _) => Ok(update.clone()),
        (None, Some(error)) => Err(io::Error::other(error.clone())),
        (None, None) => Err(io::Error::other("the answer says nothing")),
    }
}

/// One question.
pub(super) fn question(socket: &Path, question: &Question) -> io::Result<Answer> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_vec(question)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answer = Vec::new();
    stream.take(LONGEST).read_to_end(&mut answer)?;
    Ok(serde_json::from_slice(&answer)?)
}
