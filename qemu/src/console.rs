//! The serial console: everything the guest ever wrote, when, and dialogues as data.

use crate::{Error, Plain, Result};
use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// How many lines of the console a failure shows.
const TAIL: usize = 50;

/// One step of a dialogue with the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// Wait until this text appears after what was expected before.
    Expect(&'a str),
    /// Type this text.
    Send(&'a str),
}

/// A line of the console and how long after the start its first character came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Time since QEMU was started.
    pub at: Duration,
    /// The line.
    pub line: String,
}

/// A guest's serial console. A thread reads it; waiting never loses what was written meanwhile.
#[derive(Debug)]
pub struct Console {
    log: Arc<(Mutex<Log>, Condvar)>,
    input: UnixStream,
    /// Up to where the text was matched by an expectation.
    seen: usize,
}

#[derive(Debug)]
struct Log {
    plain: Plain,
    /// Offsets into the text and when they were reached.
    times: Vec<(usize, Duration)>,
    open: bool,
}

impl Console {
    /// Takes over the stream of a guest that was started at `start`.
    pub(crate) fn attach(stream: UnixStream, start: Instant) -> io::Result<Self> {
        let input = stream.try_clone()?;
        let log = Log { plain: Plain::default(), times: Vec::new(), open: true };
        let log = Arc::new((Mutex::new(log), Condvar::new()));
        let shared = Arc::clone(&log);
        thread::spawn(move || keep(stream, &shared, start));
        Ok(Self { log, input, seen: 0 })
    }

    /// Everything so far, as plain text.
    #[must_use]
    pub fn text(&self) -> String {
        self.lock().plain.text().to_owned()
    }

    /// The last 50 lines.
    #[must_use]
    pub fn tail(&self) -> String {
        tail(self.lock().plain.text())
    }

    /// Whether the guest can still write.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.lock().open
    }

    /// The first line that contains `needle`, over the whole log.
    #[must_use]
    pub fn first(&self, needle: &str) -> Option<Mark> {
        let log = self.lock();
        let text = log.plain.text();
        let found = text.find(needle)?;
        let start = text[..found].rfind('\n').map_or(0, |end| end + 1);
        let line = text[start..].lines().next().unwrap_or_default().to_owned();
        let piece = log.times.partition_point(|(offset, _)| *offset <= start).saturating_sub(1);
        Some(Mark { at: log.times.get(piece).map_or(Duration::ZERO, |(_, at)| *at), line })
    }

    /// Goes on from here: expectations look only at what is written from now on.
    pub fn skip(&mut self) {
        let end = self.lock().plain.text().len();
        self.seen = end;
    }

    /// Waits until one of `needles` is written and tells which one came first; the next expectation goes on
    /// after it.
    pub fn expect_any(&mut self, needles: &[&str], limit: Duration) -> Result<usize> {
        let deadline = Instant::now() + limit;
        let (log, news) = &*self.log;
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let fresh = &log.plain.text()[self.seen..];
            let hits = needles.iter().enumerate().filter_map(|(n, needle)| Some((fresh.find(needle)?, n)));
            if let Some((at, n)) = hits.min() {
                self.seen += at + needles[n].len();
                return Ok(n);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || !log.open {
                let wanted = needles.iter().map(|text| format!("{text:?}")).collect::<Vec<_>>().join(" or ");
                let tail = tail(log.plain.text());
                return Err(match log.open {
                    true => Error::Silent { wanted, waited: limit, tail },
                    false => Error::Ended { wanted, tail },
                });
            }
            log = news.wait_timeout(log, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until `needle` is written.
    pub fn expect(&mut self, needle: &str, limit: Duration) -> Result<()> {
        self.expect_any(&[needle], limit).map(drop)
    }

    /// Types `text`.
    pub fn send(&mut self, text: &str) -> Result<()> {
        let socket = |source| Error::Socket { socket: "the serial console", source };
        self.input.write_all(text.as_bytes()).map_err(socket)
    }

    /// Plays a dialogue; `limit` is for each expectation.
    pub fn play(&mut self, steps: &[Step<'_>], limit: Duration) -> Result<()> {
        steps.iter().try_for_each(|step| match step {
            Step::Expect(needle) => self.expect(needle, limit),
            Step::Send(text) => self.send(text),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn keep(mut stream: UnixStream, shared: &(Mutex<Log>, Condvar), start: Instant) {
    let mut piece = [0; 4096];
    let (log, news) = shared;
    loop {
        let count = match stream.read(&mut piece) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // QEMU is gone: a socket that was cut and one that was closed are the same to us.
            Ok(0) | Err(_) => break,
            Ok(count) => count,
        };
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        let offset = log.plain.text().len();
        log.times.push((offset, start.elapsed()));
        log.plain.push(&piece[..count]);
        news.notify_all();
    }
    log.lock().unwrap_or_else(PoisonError::into_inner).open = false;
    news.notify_all();
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::{Step::*, *};

    const SOON: Duration = Duration::from_millis(50);
    const LONG: Duration = Duration::from_secs(20);

    fn pair() -> (Console, UnixStream) {
        let (ours, guest) = UnixStream::pair().unwrap();
        (Console::attach(ours, Instant::now()).unwrap(), guest)
    }

    #[test]
    fn a_dialogue_reads_and_types() {
        let (mut console, mut guest) = pair();
        guest.write_all(b"\x1b[1mnode lo").unwrap();
        let typist = thread::spawn(move || {
            guest.write_all(b"gin: ").unwrap();
            let mut typed = [0; 5];
            guest.read_exact(&mut typed).unwrap();
            guest.write_all(b"Password: ").unwrap();
            typed
        });
        console.play(&[Expect("login:"), Send("root\n"), Expect("Password:")], LONG).unwrap();
        assert_eq!(&typist.join().unwrap(), b"root\n");
        assert_eq!(console.text(), "node login: Password: ");
    }

    #[test]
    fn what_was_matched_is_not_matched_again() {
        let (mut console, mut guest) = pair();
        guest.write_all(b"login: \nlogin:").unwrap();
        console.play(&[Expect("login:"), Expect("login:")], LONG).unwrap();
        assert!(matches!(console.expect("login:", SOON), Err(Error::Silent { .. })));
    }

    #[test]
    fn the_earliest_of_several_texts_wins() {
        let (mut console, mut guest) = pair();
        guest.write_all(b"panic then login:").unwrap();
        console.expect("then", LONG).unwrap();
        let (mut console, mut guest) = (console, guest.try_clone().map(|_| guest).unwrap());
        guest.write_all(b" and panic").unwrap();
        assert_eq!(console.expect_any(&["panic", "login:"], LONG).unwrap(), 1);
        assert_eq!(console.expect_any(&["login:", "panic"], LONG).unwrap(), 1);
    }

    #[test]
    fn a_failure_shows_the_last_fifty_lines() {
        let (mut console, mut guest) = pair();
        for n in 1..=60 {
            guest.write_all(format!("line {n}\r\n").as_bytes()).unwrap();
        }
        console.expect("line 60\n", LONG).unwrap();
        let error = console.expect_any(&["login:", "panic"], SOON).unwrap_err().to_string();
        assert!(error.starts_with("the console did not show \"login:\" or \"panic\" within 50ms"), "{error}");
        assert!(error.contains("\nline 11\n") && !error.contains("line 10\n"), "{error}");
        drop(guest);
        let error = console.expect("login:", LONG).unwrap_err();
        assert!(matches!(error, Error::Ended { .. }), "{error}");
    }

    #[test]
    fn lines_know_their_time() {
        let (mut console, mut guest) = pair();
        guest.write_all(b"one\ntw").unwrap();
        console.expect("tw", LONG).unwrap();
        let before = console.first("two");
        guest.write_all(b"o\nthree").unwrap();
        console.expect("three", LONG).unwrap();
        let (one, two) = (console.first("ne").unwrap(), console.first("two").unwrap());
        assert_eq!((before, one.line.as_str(), two.line.as_str()), (None, "one", "two"));
        assert!(one.at <= two.at && two.at <= console.first("three").unwrap().at);
    }
}
