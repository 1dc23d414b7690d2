//! The patterns of devices in a module's aliases.

/// `fnmatch(pattern, text, 0)`, without escapes: `*` also spans `/`.
#[must_use]
pub(super) fn wild(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            back = Some((p + 1, t));
            p += 1;
        } else if let Some(width) = one(&pattern[p..], text[t]) {
            p += width;
            t += 1;
        } else {
            let Some((after, from)) = back else { return false };
            back = Some((after, from + 1));
            (p, t) = (after, from + 1);
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// How many bytes of `pattern` match `byte`; `None` if its first element does not.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [b'?', ..] => Some(1),
        [b'[', rest @ ..] => {
            let end = rest.iter().skip(1).position(|c| *c == b']')? + 1;
            let (not, set) = match &rest[..end] {
                [b'!' | b'^', set @ ..] => (true, set),
                set => (false, set),
            };
            (in_set(set, byte) != not).then_some(end + 2)
        }
        [c, ..] if *c == byte => Some(1),
        _ => None,
    }
}

fn in_set(mut set: &[u8], byte: u8) -> bool {
    loop {
        match set {
            [low, b'-', high, rest @ ..] => {
                if (*low..=*high).contains(&byte) {
                    return true;
                }
                set = rest;
            }
            [c, rest @ ..] => {
                if *c == byte {
                    return true;
                }
                set = rest;
            }
            [] => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases() {
        let pci = b"pci:v00008086d*sv*sd*bc*sc*i*";
        assert!(wild(pci, b"pci:v00008086d000010D3sv0sd0bc02sc00i00"));
        assert!(!wild(pci, b"pci:v00001022d000010D3sv0sd0bc02sc00i00"));
        assert!(wild(b"usb:v1d[0-3]*[!a]", b"usb:v1d2b"));
        assert!(!wild(b"usb:v1d[0-3]*[!a]", b"usb:v1d2a"));
        assert!(!wild(b"x[", b"x["));
    }
}
