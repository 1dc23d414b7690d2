//! The only room that prints. Data goes to standard output; talk, bars and tables to standard error.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is where printing lives")]

use crate::{config::size, error::Failure};
use indicatif::{ProgressBar, ProgressStyle};
use std::{
    cell::RefCell,
    io::{IsTerminal as _, Write as _},
    sync::Mutex,
    time::{Duration, Instant},
};

/// How the program talks.
#[derive(Debug)]
pub(crate) struct Printer {
    terminal: bool,
    color: bool,
    stages: RefCell<Vec<(String, Duration)>>,
}

impl Printer {
    /// Bars and colours only where a person looks on.
    pub(crate) fn new() -> Self {
        let terminal = std::io::stderr().is_terminal();
        let color = terminal && std::env::var_os("NO_COLOR").is_none();
        Self { terminal, color, stages: RefCell::default() }
    }

    /// Runs one stage: a spinner while it runs, a line with its time when it is done.
    pub(crate) fn stage<T>(
        &self,
        name: &str,
        work: impl FnOnce(&Stage) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let begin = Instant::now();
        let bar = if self.terminal { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        bar.set_message(name.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        let stage = Stage { bar, terminal: self.terminal, note: Mutex::default() };
        let result = work(&stage);
        stage.bar.finish_and_clear();
        let elapsed = begin.elapsed();
        if result.is_ok() {
            let note = stage.note.lock().map(|note| note.clone()).unwrap_or_default();
            eprintln!("{} {note} {}", self.bold(&format!("{name:<12}")), self.dim(&seconds(elapsed)));
            self.stages.borrow_mut().push((name.to_owned(), elapsed));
        }
        result
    }

    /// The stages that were run, with their times.
    pub(crate) fn stages(&self) -> Vec<(String, Duration)> {
        self.stages.borrow().clone()
    }

    /// Something to know which is no error.
    pub(crate) fn warn(&self, message: &str) {
        eprintln!("{} {message}", self.paint("33;1", "warning:"));
    }

    /// A line of talk.
    pub(crate) fn say(&self, message: &str) {
        eprintln!("{message}");
    }

    /// The end of a command that did not do what it should.
    pub(crate) fn error(&self, failure: &Failure) {
        eprintln!("{} {failure}", self.paint("31;1", "error:"));
        if let Some(hint) = failure.hint() {
            eprintln!("{} {hint}", self.paint("36;1", "hint:"));
        }
    }

    /// Data for the next program, or for a person who asked for it.
    pub(crate) fn data(&self, text: &str) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        match written {
            // A reader that has seen enough, such as `head`, is no failure.
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                Err(Failure::file("write to", "standard output")(error))
            }
            _ => Ok(()),
        }
    }

    /// A table of names and values, with the names as wide as the widest.
    pub(crate) fn table(&self, rows: &[(String, String)]) {
        let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        for (name, value) in rows {
            eprintln!("  {} {value}", self.dim(&format!("{name:<width$} ")));
        }
    }

    /// Text that stands out.
    pub(crate) fn bold(&self, text: &str) -> String {
        self.paint("1", text)
    }

    fn dim(&self, text: &str) -> String {
        self.paint("2", text)
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// A time as a table shows it.
pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

/// One running stage.
#[derive(Debug)]
pub(crate) struct Stage {
    bar: ProgressBar,
    terminal: bool,
    note: Mutex<String>,
}

impl Stage {
    /// How far it is: `done` of `all` things.
    pub(crate) fn at(&self, done: usize, all: usize, what: &str) {
        self.bar.set_message(format!("{what} {done}/{all}"));
    }

    /// What the stage's line says when it is done.
    pub(crate) fn note(&self, text: impl Into<String>) {
        if let Ok(mut note) = self.note.lock() {
            *note = text.into();
        }
    }
}

impl store::Progress for Stage {
    fn expect(&self, count: usize, bytes: u64) {
        // Artifacts have a digest and no size that is known before.
        let (text, template) = match bytes {
            0 => (format!("{count} files"), "downloading {spinner} {bytes} {bytes_per_sec}"),
            _ => (
                format!("{count} files, {}", size::show(bytes)),
                "downloading [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec}",
            ),
        };
        if bytes > 0 {
            self.bar.set_length(bytes);
        }
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style);
        }
        if !self.terminal {
            eprintln!("downloading {text}");
        }
        self.note(text);
    }

    fn arrived(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    fn warn(&self, message: &str) {
        self.bar.suspend(|| eprintln!("warning: {message}"));
    }
}
