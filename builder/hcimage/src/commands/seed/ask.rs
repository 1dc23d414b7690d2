//! Questions to the person at the terminal.

use crate::error::Failure;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

/// Somebody who can be asked.
pub(super) trait Person {
    /// A line of theirs, without spaces around it.
    fn answer(&mut self, question: &str) -> Result<String, Failure>;
    /// The same, not shown while it is typed.
    fn secret(&mut self, question: &str) -> Result<String, Failure>;
    /// Tells them something.
    fn tell(&mut self, text: &str) -> Result<(), Failure>;
}

/// Whoever sits at the terminal.
#[derive(Debug)]
pub(super) struct AtTerminal(());

impl AtTerminal {
    /// Nobody, when input or the place of talk is no terminal.
    pub(super) fn find() -> Option<Self> {
        (io::stdin().is_terminal() && io::stderr().is_terminal()).then_some(Self(()))
    }
}

fn terminal(source: io::Error) -> Failure {
    Failure::file("ask on", "the terminal")(source)
}

fn line() -> Result<String, Failure> {
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line).map_err(terminal)?;
    if read == 0 {
        return Err(Failure::refused("no more answers: nothing was written"));
    }
    Ok(line.trim().to_owned())
}

impl Person for AtTerminal {
    fn answer(&mut self, question: &str) -> Result<String, Failure> {
        let mut err = io::stderr().lock();
        write!(err, "{question}: ").and_then(|()| err.flush()).map_err(terminal)?;
        drop(err);
        line()
    }

    fn secret(&mut self, question: &str) -> Result<String, Failure> {
        let silence = Silence::begin()?;
        let answer = self.answer(&format!("{question} (not shown)"));
        silence.end()?;
        self.tell("")?;
        answer
    }

    fn tell(&mut self, text: &str) -> Result<(), Failure> {
        writeln!(io::stderr(), "{text}").map_err(terminal)
    }
}

/// The terminal without echo, until this goes.
struct Silence(Option<Termios>);

impl Silence {
    fn begin() -> Result<Self, Failure> {
        let before = tcgetattr(io::stdin()).map_err(|error| terminal(error.into()))?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &silent).map_err(|error| terminal(error.into()))?;
        Ok(Self(Some(before)))
    }

    fn end(mut self) -> Result<(), Failure> {
        let before = self.0.take();
        before
            .map_or(Ok(()), |before| tcsetattr(io::stdin(), OptionalActions::Now, &before))
            .map_err(|error| terminal(error.into()))
    }
}
