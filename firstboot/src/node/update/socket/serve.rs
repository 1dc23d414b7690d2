//! The server's end: one question to a connection, bounded in bytes and time.

use super::{
    Answer, LIMIT, Question,
    desk::{Desk, Real},
};
use crate::node::say;
use std::{
    io::{self, Read as _, Write as _},
    os::{
        fd::AsFd as _,
        unix::net::{UnixListener, UnixStream},
    },
    process::ExitCode,
    time::{Duration, Instant},
};

/// How long a question may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Answers at the socket that is standard input.
pub(super) fn serve() -> ExitCode {
    let listen = || -> io::Result<()> {
        let listener = UnixListener::from(io::stdin().as_fd().try_clone_to_owned()?);
        loop {
            let (stream, _) = listener.accept()?;
            if let Err(error) = converse(stream, &mut Real) {
                say::note(format_args!("a question broke off: {error}"));
            }
        }
    };
    match listen() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say::warn(format_args!("the socket for updates: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// One question and its answer.
pub(super) fn converse(mut stream: UnixStream, desk: &mut impl Desk) -> io::Result<()> {
    let answer = match line(&mut stream)? {
        Some(line) => answer(&line, desk),
        None => Answer {
            ok: false,
            error: Some(format!("the question is longer than {LIMIT} bytes, or has no end")),
            update: None,
        },
    };
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut text = serde_json::to_vec(&answer)?;
    text.push(b'\n');
    stream.write_all(&text)
}

fn answer(line: &[u8], desk: &mut impl Desk) -> Answer {
    let done = Question::parse(line).and_then(|question| match question {
        Question::Status {} => desk.status().map(Some),
        Question::Start { to } => desk.start(to.as_deref()).map(|()| None),
    });
    match done {
        Ok(update) => Answer { ok: true, error: None, update },
        Err(error) => Answer { ok: false, error: Some(error), update: None },
    }
}

/// Reads a line, or up to the end of what is sent; none when it is too long or late.
fn line(stream: &mut UnixStream) -> io::Result<Option<Vec<u8>>> {
    let deadline = Instant::now() + PATIENCE;
    let (mut bytes, mut piece) = (Vec::new(), [0; 512]);
    loop {
        if let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            bytes.truncate(end);
            return Ok(Some(bytes));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if bytes.len() > LIMIT || left.is_zero() {
            return Ok(None);
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut piece) {
            Ok(0) => return Ok(Some(bytes)),
            Ok(read) => bytes.extend_from_slice(&piece[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut].contains(&error.kind()) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        }
    }
}
