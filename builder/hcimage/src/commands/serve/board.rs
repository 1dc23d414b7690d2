//! One line for each node that fetches something: who, what, how far, how fast.

use crate::config::size;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::{
    collections::BTreeMap,
    io::IsTerminal as _,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use store::{Served, Witness};

/// A node that has asked for nothing for so long has finished, or has gone.
const QUIET: Duration = Duration::from_secs(5);
/// Lines at most, so that a crowd does not fill the screen or the memory.
const LINES: usize = 64;

/// What all nodes do.
#[derive(Debug)]
pub(super) struct Board {
    screen: Option<MultiProgress>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    nodes: BTreeMap<(IpAddr, String), Visit>,
    /// Answers with a file, and their bytes.
    answers: u64,
    bytes: u64,
}

/// One node and one file.
#[derive(Clone, Debug, PartialEq)]
struct Visit {
    begin: Instant,
    last: Instant,
    bytes: u64,
    /// How far into the file it has come: ranges are asked for from its beginning to its end.
    reached: u64,
    size: u64,
    bar: ProgressBarOf,
}

/// A bar, which is no part of what a visit is.
#[derive(Clone, Debug)]
struct ProgressBarOf(Option<ProgressBar>);

impl PartialEq for ProgressBarOf {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Visit {
    fn percent(&self) -> u64 {
        (self.reached * 100).checked_div(self.size).unwrap_or(100)
    }

    /// Bytes in a second, from the first to the last of them.
    fn speed(&self) -> u64 {
        let millis = self.last.duration_since(self.begin).as_millis().max(1);
        u64::try_from(u128::from(self.bytes) * 1000 / millis).unwrap_or(u64::MAX)
    }

    fn line(&self, client: IpAddr, path: &str) -> String {
        format!(
            "{client}  {path}  {:>3} %  {} of {}, {}/s",
            self.percent(),
            size::show(self.bytes),
            size::show(self.size),
            size::show(self.speed())
        )
    }
}

impl Board {
    pub(super) fn new() -> Self {
        let screen = std::io::stderr().is_terminal().then(MultiProgress::new);
        Self { screen, seen: Mutex::default() }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Draws the lines anew; a node that has finished gets a last one, which stays.
    pub(super) fn draw(&self) {
        let mut done = Vec::new();
        {
            let mut seen = self.seen();
            for ((client, path), visit) in &seen.nodes {
                if let ProgressBarOf(Some(bar)) = &visit.bar {
                    bar.set_message(visit.line(*client, path));
                }
            }
            seen.nodes.retain(|(client, path), visit| {
                let quiet = visit.last.elapsed() > QUIET;
                if quiet {
                    done.push((visit.line(*client, path), visit.bar.clone()));
                }
                !quiet
            });
        }
        for (line, ProgressBarOf(bar)) in done {
            if let Some(bar) = bar {
                bar.finish_and_clear();
            }
            self.say(&format!("served  {line}"));
        }
    }

    /// A line that stays.
    #[allow(clippy::print_stderr, reason = "the lines of this command, between its bars")]
    fn say(&self, line: &str) {
        match &self.screen {
            Some(screen) => screen.suspend(|| eprintln!("{line}")),
            None => eprintln!("{line}"),
        }
    }

    /// What was done in all.
    pub(super) fn farewell(&self) -> String {
        let seen = self.seen();
        if let Some(screen) = &self.screen
            && let Err(error) = screen.clear()
        {
            return format!("ended; the terminal could not be cleared: {error}");
        }
        format!("ended: {} answers with {}", seen.answers, size::show(seen.bytes))
    }

    fn bar(&self) -> ProgressBarOf {
        let style = ProgressStyle::with_template("{spinner} {msg}");
        ProgressBarOf(self.screen.as_ref().map(|screen| {
            let bar = screen.add(ProgressBar::new_spinner());
            if let Ok(style) = style {
                bar.set_style(style);
            }
            bar
        }))
    }
}

impl Witness for Board {
    fn begins(&self, answer: &Served<'_>) {
        let Served { client, path, status, len, size } = *answer;
        if status >= 400 {
            self.say(&format!("refused {client}  {path}  {status}"));
            return;
        }
        let now = Instant::now();
        let mut first = false;
        {
            let mut seen = self.seen();
            seen.answers += 1;
            let key = (client, path.to_owned());
            let known = seen.nodes.contains_key(&key);
            if len > 0 && !known && seen.nodes.len() < LINES {
                let visit = Visit { begin: now, last: now, bytes: 0, reached: 0, size, bar: self.bar() };
                seen.nodes.insert(key, visit);
                first = true;
            }
        }
        if first && self.screen.is_none() {
            self.say(&format!("begins  {client}  {path}  ({})", size::show(size)));
        }
    }

    fn sent(&self, client: IpAddr, path: &str, bytes: u64, reached: u64) {
        let mut seen = self.seen();
        seen.bytes += bytes;
        if let Some(visit) = seen.nodes.get_mut(&(client, path.to_owned())) {
            visit.last = Instant::now();
            visit.bytes += bytes;
            visit.reached = visit.reached.max(reached);
        }
    }

    fn trouble(&self, what: &str) {
        self.say(&format!("warning: {what}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_who_what_how_far_and_how_fast() {
        let begin = Instant::now();
        let bar = ProgressBarOf(None);
        let last = begin + Duration::from_secs(2);
        let visit = Visit { begin, last, bytes: 8 << 20, reached: 50 << 20, size: 200 << 20, bar };
        assert_eq!(
            visit.line(IpAddr::from([192, 0, 2, 7]), "/nas.hcb"),
            "192.0.2.7  /nas.hcb   25 %  8.0 MiB of 200.0 MiB, 4.0 MiB/s"
        );
    }

    #[test]
    fn a_crowd_has_a_bounded_board() {
        let board = Board { screen: None, seen: Mutex::default() };
        for at in 0..100_u8 {
            board.begins(&Served {
                client: IpAddr::from([10, 0, 0, at]),
                path: "/x",
                status: 206,
                len: 1,
                size: 9,
            });
            board.sent(IpAddr::from([10, 0, 0, at]), "/x", 1, 5);
        }
        let seen = board.seen();
        assert_eq!((seen.nodes.len(), seen.answers, seen.bytes), (LINES, 100, 100));
    }
}
