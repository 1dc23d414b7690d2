//! What differs between two maps of names and values.

use std::collections::BTreeMap;

/// Names and values; of equal names with other values, something changed.
pub(super) type Map = BTreeMap<String, String>;

/// A value that is a digest is shown as a change alone: nobody reads digests at night.
pub(super) const DIGEST: &str = "sha256:";

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(super) struct Change {
    pub(super) what: String,
    /// The value before; none of what was added.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) old: Option<String>,
    /// The value now; none of what was removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) new: Option<String>,
}

/// The differences, in the order of their names.
pub(super) fn between(old: &Map, new: &Map) -> Vec<Change> {
    let names = old.keys().chain(new.keys().filter(|name| !old.contains_key(*name)));
    let mut found: Vec<Change> = names
        .map(|name| Change { what: name.clone(), old: old.get(name).cloned(), new: new.get(name).cloned() })
        .filter(|change| change.old != change.new)
        .collect();
    found.sort_by(|a, b| a.what.cmp(&b.what));
    found
}

impl Change {
    /// A line of the table, with the name as wide as the widest.
    pub(super) fn line(&self, width: usize) -> String {
        let digest = |value: &str| value.starts_with(DIGEST);
        let (sign, value) = match (&self.old, &self.new) {
            (None, Some(new)) if digest(new) => ('+', String::new()),
            (Some(old), None) if digest(old) => ('-', String::new()),
            (None, Some(new)) => ('+', new.clone()),
            (Some(old), None) => ('-', old.clone()),
            (Some(old), Some(new)) if digest(old) && digest(new) => ('~', "changed".to_owned()),
            (Some(old), Some(new)) => ('~', format!("{} -> {}", plain(old), plain(new))),
            (None, None) => (' ', String::new()),
        };
        format!("  {sign} {}\n", format!("{:<width$}  {value}", self.what).trim_end())
    }
}

fn plain(value: &str) -> &str {
    if value.starts_with(DIGEST) { "a file" } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> Map {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn what_came_went_and_changed_is_told_in_order() {
        let old = map(&[("a", "1"), ("b", "1"), ("d", "sha256:1"), ("e", "x")]);
        let new = map(&[("b", "2"), ("c", "1"), ("d", "sha256:2"), ("e", "x")]);
        let lines: String = between(&old, &new).iter().map(|change| change.line(3)).collect();
        assert_eq!(lines, "  - a    1\n  ~ b    1 -> 2\n  + c    1\n  ~ d    changed\n");
        assert_eq!(between(&new, &new), []);
    }
}
