//! Shell patterns as module aliases use them: `*`, `?`, `[a-f]`, `[!a-f]`.

/// `text` with `-` as `_` outside of brackets, so that spellings compare equal.
pub(super) fn normalised(text: &str) -> String {
    let mut inside = false;
    text.chars()
        .map(|c| {
            inside = c == '[' || inside && c != ']';
            if c == '-' && !inside { '_' } else { c }
        })
        .collect()
}

/// Whether `pattern` matches all of `text`. Linear in practice: after a failure only the last `*` is tried again.
pub(super) fn matches(mut pattern: &[u8], mut text: &[u8]) -> bool {
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        if let Some((b'*', rest)) = pattern.split_first() {
            if rest.is_empty() {
                return true;
            }
            retry = Some((rest, text));
            pattern = rest;
            continue;
        }
        if pattern.is_empty() && text.is_empty() {
            return true;
        }
        if let (Some(rest), Some((_, behind))) = (one(pattern, text.first()), text.split_first()) {
            (pattern, text) = (rest, behind);
            continue;
        }
        match retry {
            Some((rest, start)) if !start.is_empty() => {
                retry = Some((rest, &start[1..]));
                (pattern, text) = (rest, &start[1..]);
            }
            _ => return false,
        }
    }
}

/// The pattern behind its first element, if that element matches `byte`.
fn one<'p>(pattern: &'p [u8], byte: Option<&u8>) -> Option<&'p [u8]> {
    let byte = *byte?;
    match pattern.split_first()? {
        (b'?', rest) => Some(rest),
        (b'[', rest) => {
            let end = rest.iter().skip(1).position(|c| *c == b']')? + 1;
            class(&rest[..end], byte).then_some(&rest[end + 1..])
        }
        (literal, rest) => (*literal == byte).then_some(rest),
    }
}

fn class(members: &[u8], byte: u8) -> bool {
    let (negated, mut members) = match members.split_first() {
        Some((b'!' | b'^', rest)) => (true, rest),
        _ => (false, members),
    };
    let mut found = false;
    while let [first, rest @ ..] = members {
        if let [b'-', last, behind @ ..] = rest {
            found |= (*first..=*last).contains(&byte);
            members = behind;
        } else {
            found |= *first == byte;
            members = rest;
        }
    }
    found != negated
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_fnmatch_does() {
        let cases = [
            ("abc", "abc", true),
            ("abc", "abcd", false),
            ("a*c", "abbbc", true),
            ("a*c", "abbb", false),
            ("*", "", true),
            ("a?c", "ac", false),
            ("*b*d", "abbcd", true),
            ("*sd*bc", "v1sd2sd3bc", true),
            ("d0[4-5]*", "d05x", true),
            ("d0[!4-5]", "d05", false),
            ("d0[4-", "d04", false),
            ("[a-cx]z", "xz", true),
            ("", "", true),
            ("", "a", false),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
        }
        assert_eq!(normalised("of:a-b[0-9]c-d"), "of:a_b[0-9]c_d");
    }
}
