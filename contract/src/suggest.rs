//! "Did you mean": the nearest known word, and the line of a TOML error.

/// The candidate nearest to `word`, when it is near: at most a third of its letters differ.
#[must_use]
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = word.chars().count().div_ceil(3).max(1);
    let near = candidates.into_iter().map(|candidate| (distance(word, candidate), candidate));
    near.filter(|(distance, _)| *distance <= limit).min().map(|(_, candidate)| candidate)
}

/// `; did you mean X?` or nothing.
#[must_use]
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, candidates).map_or_else(String::new, |candidate| format!("; did you mean `{candidate}`?"))
}

/// A TOML error as line, column (both from 1) and text, with the nearest known word for one that is unknown.
#[must_use]
pub fn explain(text: &str, error: &toml::de::Error) -> (usize, usize, String) {
    let before = text.get(..error.span().map_or(0, |span| span.start)).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |rest| rest.chars().count()) + 1;
    let message = error.message().trim();
    // serde: unknown field `x`, expected one of `a`, `b`
    let mut words = message.split('`').skip(1).step_by(2);
    let hint = match (message.starts_with("unknown "), words.next()) {
        (true, Some(unknown)) => did_you_mean(unknown, words),
        _ => String::new(),
    };
    (line, column, format!("{message}{hint}"))
}

/// Levenshtein's distance, in letters.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, letter) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, candidate) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *candidate);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        for (word, expected) in [("slaves", Some("slave")), ("owners", Some("owner")), ("zzz", None)] {
            assert_eq!(nearest(word, ["owner", "slave", "mode"]), expected);
        }
    }
}
