//! Text for screens that know nothing but ASCII, and for people.

use contract::{Stage, slots::Slot};

/// `text` with nothing that a terminal obeys: printable ASCII, other characters by their nearest or as `?`.
#[must_use]
pub fn plain(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            ' '..='~' => character,
            '\n' | '\t' | '\u{a0}' => ' ',
            '‘' | '’' => '\'',
            '“' | '”' => '"',
            '–' | '—' => '-',
            _ => '?',
        })
        .collect()
}

/// `text` in lines of at most `width` characters, broken between words where that is possible. At least one line.
#[must_use]
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut room = width;
    for word in text.split_whitespace() {
        let mut word: Vec<char> = word.chars().collect();
        let gap = usize::from(room < width);
        if word.len() + gap > room && gap == 1 {
            lines.push(String::new());
            room = width;
        }
        while word.len() > width {
            let rest = word.split_off(width);
            push(&mut lines, &word, &mut room, width);
            lines.push(String::new());
            room = width;
            word = rest;
        }
        push(&mut lines, &word, &mut room, width);
    }
    lines
}

fn push(lines: &mut [String], word: &[char], room: &mut usize, width: usize) {
    if let Some(line) = lines.last_mut() {
        if *room < width {
            line.push(' ');
            *room -= 1;
        }
        line.extend(word);
        *room = room.saturating_sub(word.len());
    }
}

/// The stage in a word or two.
#[must_use]
pub fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::FirstBoot => "first boot",
        Stage::Starting => "starting",
        Stage::Joining => "joining",
        Stage::Ready => "ready",
        Stage::Degraded => "degraded",
    }
}

/// The release and its slot: `nas 1.2, slot a`.
#[must_use]
pub fn release(release: &str, slot: Option<Slot>) -> String {
    match slot {
        Some(slot) => format!("{release}, slot {slot}"),
        None => release.to_owned(),
    }
}

/// A moment, from seconds since 1970: `2026-11-20 21:43 UTC`.
#[must_use]
pub fn moment(at: u64) -> String {
    let (days, rest) = (at / 86_400, at % 86_400);
    // Days are counted from the first of March of the year 0, in eras of 400 years (146,097 days).
    let shifted = days + 719_468;
    let (era, day) = (shifted / 146_097, shifted % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = (era * 400 + year, if month < 10 { month + 3 } else { month - 9 });
    let year = year + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02} UTC", rest / 3600, rest / 60 % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn screens_get_nothing_that_they_obey() {
        assert_eq!(plain("a\u{1b}[2J\r\nb – “c” é\u{7}"), "a?[2J? b - \"c\" ??");
    }

    #[test]
    fn lines_are_broken_between_words() {
        for (text, width, expected) in [
            ("", 5, vec![""]),
            ("one two three", 7, vec!["one two", "three"]),
            ("one two three", 8, vec!["one two", "three"]),
            ("0123456789ab", 5, vec!["01234", "56789", "ab"]),
            ("x 0123456789 y", 5, vec!["x", "01234", "56789", "y"]),
            ("  a   b ", 80, vec!["a b"]),
        ] {
            assert_eq!(wrap(text, width), expected, "{text:?} in {width}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_line_is_too_long_and_no_word_is_lost(text in "[a-z \n]{0,200}", width in 1_usize..40) {
            let lines = wrap(&text, width);
            assert!(lines.iter().all(|line| line.chars().count() <= width), "{lines:?}");
            let letters = |text: &str| text.split_whitespace().collect::<String>();
            assert_eq!(letters(&lines.concat()), letters(&text));
        }

        #[test]
        fn plain_text_is_printable(text: String) {
            assert!(plain(&text).bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        }
    }

    #[test]
    fn moments_are_as_date_shows_them() {
        for (at, expected) in [
            (0, "1970-01-01 00:00 UTC"),
            (951_782_399, "2000-02-28 23:59 UTC"),
            (951_782_400, "2000-02-29 00:00 UTC"),
            (1_709_251_199, "2024-02-29 23:59 UTC"),
            (1_735_689_599, "2024-12-31 23:59 UTC"),
            (4_107_542_400, "2100-03-01 00:00 UTC"),
        ] {
            assert_eq!(moment(at), expected);
        }
    }
}
