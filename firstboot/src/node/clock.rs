//! What time it is, on a machine that may have no clock of its own.
//!
//! The ladder: nothing is earlier than the image was built; the time that was saved before the last shutdown; the
//! `Date` of the server whose CA the token names; a time server. The clock is set once and never behind the image's own date.

use std::fmt;

/// Two clocks that differ by less than this many seconds are called equal.
pub const TOLERANCE: u64 = 300;

/// What the node knows of the time, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clocks {
    /// The node's clock.
    pub now: u64,
    /// When the image was built: it cannot be earlier.
    pub floor: u64,
    /// When the clock was last known to be right.
    pub saved: Option<u64>,
    /// Whether a time server has set the clock in this boot.
    pub synchronized: bool,
}

/// What is to be done about the clock before a server was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// It may be right: go on with it.
    Keep,
    /// It is wrong, and this is nearer to the truth; not the truth itself.
    AtLeast(u64),
}

/// What is to be done about the clock when a server that proved who it is said its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The clocks agree, or ours is known to be right.
    Keep,
    /// Ours is wrong: set it to this.
    Step(u64),
    /// The server's is: it says a time before this image was built.
    Refuse,
}

impl Clocks {
    /// The earliest time that can be true.
    #[must_use]
    pub fn earliest(&self) -> u64 {
        self.saved.map_or(self.floor, |saved| saved.max(self.floor))
    }

    /// Whether the clock may be right: a time server says so, or it is not earlier than what is known.
    #[must_use]
    pub fn plausible(&self) -> bool {
        self.now >= self.earliest()
    }

    /// What can be done without a server.
    #[must_use]
    pub fn advice(&self) -> Advice {
        if self.plausible() { Advice::Keep } else { Advice::AtLeast(self.earliest()) }
    }

    /// At which time a server's certificates are judged. By our clock when a time server has set it. Otherwise ours
    /// can only be too early (a board without a battery starts at the time of its image), so a server may claim a later
    /// time, never an earlier one: a certificate that has run out does not come back.
    #[must_use]
    pub fn judge_at(&self, claimed: Option<u64>) -> u64 {
        let ours = self.now.max(self.earliest());
        if self.synchronized { ours } else { ours.max(claimed.unwrap_or(0)) }
    }

    /// What the time of a server that proved who it is means for ours.
    #[must_use]
    pub fn compare(&self, server: u64) -> Verdict {
        match () {
            () if self.synchronized && self.plausible() => Verdict::Keep,
            () if self.plausible() && self.now.abs_diff(server) < TOLERANCE => Verdict::Keep,
            () if server < self.floor => Verdict::Refuse,
            () => Verdict::Step(server),
        }
    }
}

/// A day, `2026-10-01`, of a time in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Day(pub u64);

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil(self.0 / 86_400);
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

/// A day and a minute, `2026-10-01 14:03 UTC`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Minute(pub u64);

impl fmt::Display for Minute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let second = self.0 % 86_400;
        write!(f, "{} {:02}:{:02} UTC", Day(self.0), second / 3600, second / 60 % 60)
    }
}

/// Days since 1970 to year, month and day of the Gregorian calendar. A year begins in March here, so that the leap
/// day is its last; 719468 days lie between 0000-03-01 and 1970-01-01.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, of_year - (153 * shifted + 2) / 5 + 1)
}

/// Year, month and day to days since 1970, for years from 1970.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = year - u64::from(month <= 2);
    let (era, of_era) = (year / 400, year % 400);
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * shifted + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Reads the `Date` of an HTTP answer (RFC 9110, IMF-fixdate: `Sun, 06 Nov 1994 08:49:37 GMT`).
#[must_use]
pub fn http_date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let rest = text.get(3..)?.strip_prefix(", ")?.strip_suffix(" GMT")?;
    let mut words = rest.split(' ');
    let day = number(words.next()?, 2, 1..=31)?;
    let month = words.next()?;
    let month = MONTHS.iter().position(|known| *known == month)? as u64 + 1;
    let year = number(words.next()?, 4, 1970..=9999)?;
    let mut clock = words.next()?.split(':');
    let hour = number(clock.next()?, 2, 0..=23)?;
    let minute = number(clock.next()?, 2, 0..=59)?;
    let second = number(clock.next()?, 2, 0..=60)?;
    if words.next().is_some() || clock.next().is_some() {
        return None;
    }
    let date = days(year, month, day);
    // The 31st of February is no day.
    (civil(date) == (year, month, day)).then_some(date * 86_400 + hour * 3600 + minute * 60 + second)
}

fn number(text: &str, digits: usize, range: std::ops::RangeInclusive<u64>) -> Option<u64> {
    let all = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| all && range.contains(number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BUILT: u64 = 1_780_000_000;

    fn clocks(now: u64, saved: Option<u64>, synchronized: bool) -> Clocks {
        Clocks { now, floor: BUILT, saved, synchronized }
    }

    #[test]
    fn the_ladder() {
        let later = BUILT + 1_000_000;
        // now, saved, synchronized; advice; the server's time; verdict
        let cases = [
            (0, None, false, Advice::AtLeast(BUILT), later, Verdict::Step(later)),
            (0, Some(BUILT + 9), false, Advice::AtLeast(BUILT + 9), later, Verdict::Step(later)),
            (0, Some(5), false, Advice::AtLeast(BUILT), later, Verdict::Step(later)),
            (0, None, false, Advice::AtLeast(BUILT), BUILT - 1, Verdict::Refuse),
            (BUILT, None, false, Advice::Keep, BUILT + 299, Verdict::Keep),
            (BUILT, None, false, Advice::Keep, BUILT + 300, Verdict::Step(BUILT + 300)),
            (later, None, false, Advice::Keep, BUILT, Verdict::Step(BUILT)),
            (later, None, false, Advice::Keep, BUILT - 1, Verdict::Refuse),
            (later, None, true, Advice::Keep, BUILT, Verdict::Keep),
        ];
        for (now, saved, synchronized, advice, server, verdict) in cases {
            let clocks = clocks(now, saved, synchronized);
            assert_eq!(clocks.advice(), advice, "{clocks:?}");
            assert_eq!(clocks.compare(server), verdict, "{clocks:?} against {server}");
        }
    }

    #[test]
    fn certificates_are_never_judged_before_the_image_was_built() {
        assert_eq!(clocks(7, None, false).judge_at(Some(9)), BUILT);
        assert_eq!(clocks(7, None, false).judge_at(None), BUILT);
        assert_eq!(clocks(7, None, false).judge_at(Some(BUILT + 5)), BUILT + 5);
        assert_eq!(clocks(BUILT + 9, None, false).judge_at(Some(BUILT + 5)), BUILT + 9);
        // A clock that is known to be right is not talked out of it by whoever answers first.
        assert_eq!(clocks(BUILT + 1, None, true).judge_at(Some(BUILT + 5)), BUILT + 1);
    }

    #[test]
    fn dates_of_http() {
        assert_eq!(http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(http_date("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(http_date("Thu, 29 Feb 2024 23:59:59 GMT"), Some(1_709_251_199));
        for wrong in [
            "",
            "Sun",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49 GMT",
            "Sun, +6 Nov 1994 08:49:37 GMT",
            "Sünday, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1969 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 x GMT",
        ] {
            assert_eq!(http_date(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn days_are_written_as_people_write_them() {
        assert_eq!(Day(0).to_string(), "1970-01-01");
        assert_eq!(Day(1_709_251_199).to_string(), "2024-02-29");
        assert_eq!(Minute(1_709_251_199).to_string(), "2024-02-29 23:59 UTC");
    }

    proptest! {
        #[test]
        fn no_text_is_a_panic(text in ".{0,40}") {
            let _read: Option<u64> = http_date(&text);
        }

        #[test]
        fn every_day_is_found_again(date in 0_u64..2_932_896) {
            let (year, month, day) = civil(date);
            prop_assert_eq!(days(year, month, day), date);
        }
    }
}
