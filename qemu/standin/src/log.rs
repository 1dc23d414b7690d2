//! Lines as k3s's logrus writes them: `time="…" level=info msg="…"`.

use std::{
    io::{self, Write as _},
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

/// Where lines go: standard error, and a list for tests.
#[derive(Clone, Debug, Default)]
pub struct Log {
    heard: Option<Arc<Mutex<Vec<String>>>>,
}

impl Log {
    /// One that keeps its lines.
    #[must_use]
    pub fn kept() -> Self {
        Self { heard: Some(Arc::default()) }
    }

    /// What was said so far.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let lines =
            |heard: &Arc<Mutex<Vec<String>>>| heard.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.heard.as_ref().map(lines).unwrap_or_default()
    }

    /// Says a line. A standard error that is closed is nobody's fault and nobody's loss.
    pub fn say(&self, level: &str, message: impl std::fmt::Display) {
        let message = message.to_string();
        let line = format!("time=\"{}\" level={level} msg={message:?}\n", rfc3339(SystemTime::now()));
        drop(io::stderr().write_all(line.as_bytes()));
        if let Some(heard) = &self.heard {
            heard.lock().unwrap_or_else(PoisonError::into_inner).push(message);
        }
    }

    /// Says what goes on.
    pub fn info(&self, message: impl std::fmt::Display) {
        self.say("info", message);
    }

    /// Says what went wrong.
    pub fn error(&self, message: impl std::fmt::Display) {
        self.say("error", message);
    }
}

/// A moment's date and time of day in UTC: year, month, day, hour, minute, second, weekday (0 is Thursday).
fn civil(at: SystemTime) -> [u64; 7] {
    let seconds = at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Days since 0000-03-01, in eras of 400 years (Howard Hinnant, "chrono-compatible low-level date algorithms").
    let day = days + 719_468;
    let (era, day_of_era) = (day / 146_097, day % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    [year, month, day_of_year - (153 * shifted + 2) / 5 + 1, rest / 3600, rest / 60 % 60, rest % 60, days % 7]
}

/// A moment as RFC 3339 writes it.
#[must_use]
pub fn rfc3339(at: SystemTime) -> String {
    let [year, month, day, hour, minute, second, _] = civil(at);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// A moment as HTTP's `Date` writes it (RFC 9110, IMF-fixdate).
#[must_use]
pub fn http_date(at: SystemTime) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let [year, month, day, hour, minute, second, weekday] = civil(at);
    let (weekday, month) = (DAYS[weekday as usize], MONTHS[month as usize - 1]);
    format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn dates() {
        for (seconds, long, short) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT", "1970-01-01T00:00:00Z"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT", "1994-11-06T08:49:37Z"),
            (1_709_210_096, "Thu, 29 Feb 2024 12:34:56 GMT", "2024-02-29T12:34:56Z"),
            (1_798_761_599, "Thu, 31 Dec 2026 23:59:59 GMT", "2026-12-31T23:59:59Z"),
        ] {
            let at = UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!((http_date(at).as_str(), rfc3339(at).as_str()), (long, short));
        }
    }
}
