//! Dates as Release files write them: `Sat, 14 Nov 2026 10:00:00 UTC`.

use contract::Epoch;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

/// Days of the month, 1 to 12, of `year`.
const fn days(year: i64, month: usize) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// The moment that `text` names; `None` if it is not such a date in UTC.
pub(super) fn parse(text: &str) -> Option<Epoch> {
    let (weekday, rest) = text.split_once(", ")?;
    let words: Vec<_> = rest.split_ascii_whitespace().collect();
    let [day, month, year, clock, "UTC" | "GMT" | "+0000" | "Z"] = words[..] else { return None };
    let clock: Vec<_> = clock.split(':').map(number).collect::<Option<_>>()?;
    let [hour, minute, second] = clock[..] else { return None };
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    let (day, year) = (number(day)?, number(year)?);
    let sane = (1970..10_000).contains(&year)
        && (1..=days(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 61;
    if !sane {
        return None;
    }
    let before: i64 = (1970..year).map(|year| 337 + days(year, 2)).sum();
    let before = before + (1..month).map(|month| days(year, month)).sum::<i64>() + day - 1;
    let named = usize::try_from(before % 7).ok().and_then(|index| DAYS.get(index))?;
    (*named == weekday).then_some(Epoch(before * 86_400 + hour * 3600 + minute * 60 + second))
}

fn number(text: &str) -> Option<i64> {
    let digits = !text.is_empty() && text.len() <= 4 && text.bytes().all(|b| b.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_release_files() {
        for (text, expected) in [
            ("Thu, 01 Jan 1970 00:00:00 UTC", Some(0)),
            ("Wed, 18 Nov 2026 22:17:43 UTC", Some(1_795_040_263)),
            ("Sat, 05 Sep 2026  8:13:20 +0000", Some(1_788_596_000)),
            ("Tue, 29 Feb 2000 12:00:00 GMT", Some(951_825_600)),
            ("Wed, 29 Feb 2000 12:00:00 GMT", None),
            ("Thu, 29 Feb 2001 12:00:00 GMT", None),
            ("Wed, 18 Nov 2026 22:17:43 CET", None),
            ("Wed, 18 Nov 2026 24:17:43 UTC", None),
            ("Wed, 18 Nov 2026", None),
            ("", None),
            ("Wed, +8 Nov 2026 22:17:43 UTC", None),
        ] {
            assert_eq!(parse(text).map(|epoch| epoch.0), expected, "{text}");
        }
    }
}
