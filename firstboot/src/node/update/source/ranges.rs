//! Ranges of a file on a server that may stall, break off, know no ranges, or change the file meanwhile.

use super::{Source, SourceError};
use std::{
    io::{self, Read},
    ops::Range,
    thread,
    time::Duration,
};

/// Attempts in a row that bring no byte before it is given up.
const ATTEMPTS: u32 = 8;
/// The longest pause between two attempts, in seconds.
const PAUSE: u64 = 60;

/// What a server answers.
pub struct Answer {
    /// The byte of the file at which `body` begins.
    pub start: u64,
    /// The size of the whole file, if the server says it.
    pub total: Option<u64>,
    /// What names this state of the file (its `ETag`), if the server has such.
    pub tag: Option<String>,
    /// The bytes.
    pub body: Box<dyn Read>,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum GetError {
    /// Perhaps later.
    Away(String),
    /// It says no, and will say no again.
    Refused(String),
    /// The file has no such bytes; its size, if the server says it.
    Beyond(Option<u64>),
}

/// A server.
pub trait Get {
    /// Asks for bytes of a file, or for all of it; the server may answer with the whole file.
    ///
    /// # Errors
    /// When there is no answer of use.
    fn get(&mut self, url: &str, range: Option<Range<u64>>) -> Result<Answer, GetError>;
}

/// Waits between two attempts.
pub trait Pause {
    /// Waits so long.
    fn pause(&mut self, time: Duration);
}

/// Waits by sleeping.
#[derive(Clone, Copy, Debug)]
pub struct Sleep;

impl Pause for Sleep {
    fn pause(&mut self, time: Duration) {
        thread::sleep(time);
    }
}

struct Open {
    body: Box<dyn Read>,
    /// Where its next byte is in the file.
    at: u64,
    /// Whether it goes on to the file's end: the server knows no ranges.
    whole: bool,
}

/// A file on a server.
pub struct Ranges<G, P> {
    url: String,
    get: G,
    pause: P,
    /// What is wanted next.
    range: Range<u64>,
    open: Option<Open>,
    /// Size and tag at the first answer.
    total: Option<u64>,
    tag: Option<String>,
    received: u64,
    allowed: Option<u64>,
    misses: u32,
}

impl<G: Get, P: Pause> Ranges<G, P> {
    /// Asks nothing yet. `allowed` is the most bytes that may come over the line.
    pub fn new(url: String, get: G, pause: P, allowed: Option<u64>) -> Self {
        let (total, tag, open) = (None, None, None);
        Self { url, get, pause, range: 0..0, open, total, tag, received: 0, allowed, misses: 0 }
    }

    fn missed(&mut self, why: String) -> Result<(), SourceError> {
        self.open = None;
        self.misses += 1;
        if self.misses >= ATTEMPTS {
            return Err(SourceError::Away { why, attempts: self.misses, received: self.received });
        }
        self.pause.pause(Duration::from_secs((1 << (self.misses - 1)).min(PAUSE)));
        Ok(())
    }

    /// One attempt to have an answer that begins where it should.
    fn ask(&mut self) -> Result<(), SourceError> {
        let Range { start, end } = self.range;
        let answer = match self.get.get(&self.url, Some(start..end)) {
            Ok(answer) => answer,
            Err(GetError::Away(why)) => return self.missed(why),
            Err(GetError::Refused(why)) => return Err(SourceError::Refused(why)),
            Err(GetError::Beyond(size)) => {
                let size = size.or(self.total).unwrap_or(start);
                return Err(SourceError::Short { size, from: start, to: end });
            }
        };
        self.compare(&answer)?;
        if answer.start > start {
            return self.missed(format!("asked for byte {start}, it sent from byte {}", answer.start));
        }
        let whole = answer.start == 0 && start > 0 || answer.total.is_none_or(|total| total == end);
        if let (Some(allowed), true, Some(total)) = (self.allowed, answer.start < start, answer.total)
            && self.received.saturating_add(total) > allowed
        {
            let needed = self.received.saturating_add(total);
            return Err(SourceError::Budget { needed, allowed });
        }
        self.open = Some(Open { body: answer.body, at: answer.start, whole });
        Ok(())
    }

    /// The same file as before?
    fn compare(&mut self, answer: &Answer) -> Result<(), SourceError> {
        if let (Some(before), Some(now)) = (self.total, answer.total)
            && before != now
        {
            let (before, now) = (before.to_string(), now.to_string());
            return Err(SourceError::Changed { what: "its size", before, now });
        }
        if let (Some(before), Some(now)) = (&self.tag, &answer.tag)
            && before != now
        {
            let (before, now) = (before.clone(), now.clone());
            return Err(SourceError::Changed { what: "its ETag", before, now });
        }
        self.total = self.total.or(answer.total);
        self.tag = self.tag.take().or_else(|| answer.tag.clone());
        if let Some(size) = self.total.filter(|size| *size < self.range.end) {
            return Err(SourceError::Short { size, from: self.range.start, to: self.range.end });
        }
        Ok(())
    }

    /// Some of the next bytes; none when this attempt failed.
    fn some(&mut self, bytes: &mut [u8]) -> Result<usize, SourceError> {
        let start = self.range.start;
        if self.open.as_ref().is_some_and(|open| open.at > start) {
            self.open = None;
        }
        let Some(open) = &mut self.open else {
            self.ask()?;
            return Ok(0);
        };
        // A server without ranges: what lies before is read and thrown away.
        let before = open.at < start;
        let mut waste = [0; 16 << 10];
        let into = if before {
            let gap = usize::try_from(start - open.at).unwrap_or(usize::MAX).min(waste.len());
            &mut waste[..gap]
        } else {
            &mut *bytes
        };
        match open.body.read(into) {
            Ok(0) => {
                let why = format!("the answer ended at byte {}, expected {}", open.at, self.range.end);
                self.missed(why)?;
                Ok(0)
            }
            Ok(count) => {
                open.at += count as u64;
                self.misses = 0;
                self.received += count as u64;
                if let Some(allowed) = self.allowed.filter(|allowed| self.received > *allowed) {
                    let needed = self.received.saturating_add(self.range.end.saturating_sub(start));
                    return Err(SourceError::Budget { needed, allowed });
                }
                Ok(if before { 0 } else { count })
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            Err(error) => {
                let why = format!("it broke off at byte {} ({error})", open.at);
                self.missed(why)?;
                Ok(0)
            }
        }
    }
}

impl<G: Get, P: Pause> Source for Ranges<G, P> {
    fn name(&self) -> &str {
        &self.url
    }

    fn size(&self) -> Option<u64> {
        self.total
    }

    fn turn_to(&mut self, range: Range<u64>) -> Result<(), SourceError> {
        if let Some(size) = self.total.filter(|size| *size < range.end) {
            return Err(SourceError::Short { size, from: range.start, to: range.end });
        }
        // An answer that goes on to the end of the file is gone on with; any other one is over.
        let keep = self.open.as_ref().is_some_and(|open| open.whole && open.at <= range.start);
        if let Some(mut open) = self.open.take() {
            if keep {
                self.open = Some(open);
            } else if open.at == self.range.start && self.range.is_empty() {
                // Read to its very end, so that the connection serves the next question too. That it fails is of
                // no matter: all of its bytes are here.
                drop(open.body.read(&mut [0; 1]));
            }
        }
        self.range = range;
        Ok(())
    }

    fn read(&mut self, bytes: &mut [u8]) -> Result<(), SourceError> {
        let mut filled = 0;
        while filled < bytes.len() {
            let count = self.some(&mut bytes[filled..])?;
            filled += count;
            self.range.start += count as u64;
        }
        Ok(())
    }

    fn received(&self) -> u64 {
        self.received
    }
}
