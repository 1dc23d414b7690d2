//! Nothing secret leaves the node in a report, even if a program was careless enough to log it.

const HIDDEN: &str = "[hidden]";
/// A run of letters and digits from this length on may be a key.
const LONG: usize = 20;
/// What stands behind such a word and a sign may be a secret, to the end of the line.
const WORDS: [&str; 8] =
    ["password", "passphrase", "passwd", "token", "psk", "secret", "authorization", "private"];
/// Where long names are no keys.
const PLACES: [&str; 6] = ["/dev/", "/etc/", "/proc/", "/run/", "/usr/", "/var/"];

/// A line of the journal without anything that looks like a token, a key or a password.
#[must_use]
pub fn scrubbed(line: &str) -> String {
    let mut clean: Vec<&str> = Vec::new();
    let mut words = line.split(' ').peekable();
    while let Some(word) = words.next() {
        // The area of a reason, `HC-J09 token: the cluster …`, is no name of a value.
        let area = clean.last().is_some_and(|before| before.contains("HC-"));
        if !area && let Some(name) = named(word, words.peek().copied()) {
            clean.extend(Some(name).filter(|name| !looks_secret(name)));
            clean.push(HIDDEN);
            break;
        }
        clean.push(if looks_secret(word) { HIDDEN } else { word });
    }
    clean.join(" ")
}

/// The beginning of `word` up to a sign, when it names a secret and a value follows: `token=x`, `"psk":"x`,
/// `password: x`, `token = x`.
fn named<'a>(word: &'a str, next: Option<&str>) -> Option<&'a str> {
    let lower = word.to_ascii_lowercase();
    let end = WORDS.iter().filter_map(|name| Some(lower.find(name)? + name.len())).min()?;
    match word[end..].find(['=', ':']) {
        Some(sign) => Some(&word[..=end + sign]),
        None => next.is_some_and(|next| next.starts_with(['=', ':'])).then_some(word),
    }
}

fn looks_secret(word: &str) -> bool {
    let of_key = |character: char| character.is_ascii_alphanumeric() || "+/_".contains(character);
    let long = |run: &str| run.len() >= LONG && run.contains(|character: char| character.is_ascii_digit());
    let place = PLACES.iter().any(|place| word.contains(place));
    word.contains("K10") || bootstrap(word) || !place && word.split(|it| !of_key(it)).any(long)
}

/// `abcdef.0123456789abcdef`, a token of kubeadm.
fn bootstrap(word: &str) -> bool {
    let of_token = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit();
    let runs: Vec<&str> = word.split(|character| !of_token(character)).collect();
    word.contains('.') && runs.windows(2).any(|pair| pair[0].len() == 6 && pair[1].len() == 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_secret_is_hidden() {
        for (line, expected) in [
            ("plain words about a token that expired", "plain words about a token that expired"),
            (
                "eth0: 192.168.1.20/24, fe80::5054:ff:fe12:3456",
                "eth0: 192.168.1.20/24, fe80::5054:ff:fe12:3456",
            ),
            ("HC-J09 token: the cluster rejects it", "HC-J09 token: the cluster rejects it"),
            ("HC-J09 token: K10abc::x is bad", "HC-J09 token: [hidden] is bad"),
            (
                "read /var/lib/hcimage/settings1234567890.json",
                "read /var/lib/hcimage/settings1234567890.json",
            ),
            ("started hcimage-first-boot.service.", "started hcimage-first-boot.service."),
            ("token=abc rest of it", "token= [hidden]"),
            ("the Token: correct horse battery", "the Token: [hidden]"),
            ("psk = hunter2", "psk [hidden]"),
            ("{\"password\":\"correct horse\",\"x\":1}", "{\"password\": [hidden]"),
            ("Authorization: Basic bm9kZTp4", "Authorization: [hidden]"),
            ("bearer abcdef.0123456789abcdef.", "bearer [hidden]"),
            ("sent (K10aa::node:pw)", "sent [hidden]"),
            ("hash 9f2c41aa9f2c41aa9f2c41aa", "hash [hidden]"),
            // The name of a secret and its value have run into each other.
            ("psK10aa::node:pw", "[hidden]"),
            ("", ""),
        ] {
            assert_eq!(scrubbed(line), expected, "{line}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_token_gets_through(
            before in "[a-z:= ]{0,20}", after in "[a-z:=., ]{0,20}",
            hash in "[0-9a-f]{64}", user in "[a-z]{1,8}", password in "[0-9a-f]{32}",
        ) {
            let line = scrubbed(&format!("{before}K10{hash}::{user}:{password}{after}"));
            assert!(!line.contains(&hash) && !line.contains(&password), "{line}");
        }

        #[test]
        fn no_line_makes_it_panic(line: String) {
            assert!(scrubbed(&line).len() <= line.len() + 2 * HIDDEN.len() * line.split(' ').count());
        }
    }
}
