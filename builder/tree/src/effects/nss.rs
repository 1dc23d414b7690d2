//! `/etc/nsswitch.conf`: libc's default with the services that `libnss-*` packages put into it.

use super::{EffectError, Hand};
use crate::{Contents, Tree, recipe::NssPosition};

const FILE: &str = "/etc/nsswitch.conf";
/// Where libc-bin ships the default, which its postinst copies.
const DEFAULTS: &[&str] = &["/usr/share/libc-bin/nsswitch.conf", "/usr/share/base-files/nsswitch.conf"];

/// A service to put into a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Which line, such as `hosts`.
    pub database: String,
    /// What, such as `resolve [!UNAVAIL=return]`.
    pub service: String,
    /// Where.
    pub position: NssPosition,
}

/// Writes the file, when libc ships a default or something else wrote one.
///
/// # Errors
/// When the file cannot be read or written.
pub fn apply(tree: &mut Tree, contents: &dyn Contents, services: &[Service]) -> Result<(), EffectError> {
    let mut hand = Hand::new(tree, contents, "nss");
    let mut text = hand.text(FILE)?;
    for default in DEFAULTS {
        text = match text {
            Some(text) => Some(text),
            None => hand.text(default)?,
        };
    }
    let Some(text) = text else { return Ok(()) };
    let lines: Vec<String> = text.lines().map(|line| with_services(line, services)).collect();
    hand.write(FILE, lines.join("\n") + "\n", 0o644)
}

/// One line with those services of its database which it does not have yet.
fn with_services(line: &str, services: &[Service]) -> String {
    let Some((database, rest)) = line.split_once(':') else { return line.to_owned() };
    let mut entries = entries(rest);
    let indent: String = rest.chars().take_while(|letter| letter.is_whitespace()).collect();
    let before = entries.len();
    for service in services.iter().filter(|service| service.database == database) {
        let name = name(&service.service);
        if entries.iter().any(|entry| self::name(entry) == name) {
            continue;
        }
        let find = |other: &str| entries.iter().position(|entry| self::name(entry) == other);
        // A service that should be next to one which is missing goes nowhere, as with dh_installnss.
        let at = match &service.position {
            NssPosition::First => Some(0),
            NssPosition::Last => Some(entries.len()),
            NssPosition::Before(other) => find(other),
            NssPosition::After(other) => find(other).map(|at| at + 1),
        };
        if let Some(at) = at {
            entries.insert(at, service.service.clone());
        }
    }
    if entries.len() == before {
        line.to_owned()
    } else {
        format!("{database}:{indent}{}", entries.join(" "))
    }
}

/// The services of a line, each with its `[…]` behind it.
fn entries(rest: &str) -> Vec<String> {
    let mut entries: Vec<String> = Vec::new();
    let mut open = false;
    for word in rest.split_whitespace() {
        match entries.last_mut().filter(|_| open || word.starts_with('[')) {
            Some(last) => *last = format!("{last} {word}"),
            None => entries.push(word.to_owned()),
        }
        open = (open || word.starts_with('[')) && !word.ends_with(']');
    }
    entries
}

fn name(entry: &str) -> &str {
    entry.split_whitespace().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_find_their_places() {
        let service =
            |service: &str, position| Service { database: "hosts".into(), service: service.into(), position };
        let all = [
            service("myhostname", NssPosition::After("files".into())),
            service("resolve [!UNAVAIL=return]", NssPosition::Before("dns".into())),
            service("mdns", NssPosition::Before("absent".into())),
            service("last", NssPosition::Last),
            service("dns", NssPosition::First),
        ];
        let cases = [
            ("hosts:   files dns", "hosts:   files myhostname resolve [!UNAVAIL=return] dns last"),
            (
                "hosts: files [a=b c=d] dns",
                "hosts: files [a=b c=d] myhostname resolve [!UNAVAIL=return] dns last",
            ),
            ("passwd: files", "passwd: files"),
            ("# hosts", "# hosts"),
        ];
        for (line, expected) in cases {
            assert_eq!(with_services(line, &all), expected);
        }
    }
}
