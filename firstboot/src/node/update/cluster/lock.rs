//! One node of a pool at a time: what an entry of the locks means. Pure, and by the API's clock alone.

use serde::{Deserialize, Serialize};

/// Nobody holds a lock for longer, in seconds: what says otherwise is a clock that was wrong.
const LONGEST: u64 = 86_400;
/// So far a clock may go back between two servers, in seconds.
const SKEW: u64 = 120;

/// An entry of the locks. It stays readable with `kubectl get configmap -o yaml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The node's name.
    pub holder: String,
    /// For which release.
    pub release: String,
    /// Since when, in seconds since 1970.
    pub since: u64,
    /// Until when, unless it is renewed.
    pub until: u64,
}

/// What a node that wants a lock finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It may have it; with words when it was somebody's.
    Take(Entry, Option<String>),
    /// Somebody has it.
    Held {
        /// Who.
        holder: String,
        /// For so many more seconds at most.
        left: u64,
    },
}

/// What comes of wanting a lock for `ttl` seconds. `found`: the entry as it is written now.
#[must_use]
pub fn claim(found: Option<&str>, me: &str, release: &str, now: u64, ttl: u64) -> Claim {
    let take = |since: u64, words: Option<String>| {
        let entry = Entry {
            holder: me.to_owned(),
            release: release.to_owned(),
            since,
            until: now.saturating_add(ttl.min(LONGEST)),
        };
        Claim::Take(entry, words)
    };
    let Some(text) = found.filter(|text| !text.trim().is_empty()) else { return take(now, None) };
    let Ok(entry) = serde_json::from_str::<Entry>(text) else {
        return take(now, Some(format!("the lock held something else than a node (`{text}`) and was taken")));
    };
    if entry.holder == me {
        return take(entry.since.min(now), None);
    }
    let possible = entry.since <= now.saturating_add(SKEW) && entry.until <= now.saturating_add(LONGEST);
    if possible && now < entry.until {
        return Claim::Held { holder: entry.holder, left: entry.until - now };
    }
    let ago = now.saturating_sub(entry.since);
    let words = format!(
        "{} took the lock {ago} s ago for {} and did not come back to release it",
        entry.holder, entry.release
    );
    take(now, Some(words))
}

/// Whether this entry is of this node.
#[must_use]
pub fn is_mine(found: Option<&str>, me: &str) -> bool {
    found.and_then(|text| serde_json::from_str::<Entry>(text).ok()).is_some_and(|entry| entry.holder == me)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 2_000_000_000;

    fn entry(holder: &str, since: u64, until: u64) -> String {
        let release = "1.5".to_owned();
        serde_json::to_string(&Entry { holder: holder.to_owned(), release, since, until }).unwrap()
    }

    #[test]
    fn a_lock_is_taken_kept_waited_for_or_taken_over() {
        for (found, expected) in [
            (None, "take"),
            (Some(String::new()), "take"),
            (Some(entry("pi3", NOW - 60, NOW + 60)), "take"),
            (Some(entry("pi3", NOW - 9000, NOW - 5000)), "take"),
            (Some(entry("pi4", NOW - 60, NOW + 60)), "held"),
            (Some(entry("pi4", NOW + 60, NOW + 3660)), "held"),
            (Some(entry("pi4", NOW - 7200, NOW - 3600)), "over"),
            (Some(entry("pi4", NOW - 60, NOW)), "over"),
            // The clock of the API went back by a year, or a word is not ours.
            (Some(entry("pi4", NOW + 31_536_000, NOW + 31_539_600)), "over"),
            (Some(entry("pi4", NOW - 60, NOW + 31_536_000)), "over"),
            (Some("{\"holder\":".to_owned()), "over"),
            (Some("an administrator was here".to_owned()), "over"),
        ] {
            let claim = claim(found.as_deref(), "pi3", "1.5", NOW, 3600);
            let kind = match &claim {
                Claim::Take(_, None) => "take",
                Claim::Take(_, Some(_)) => "over",
                Claim::Held { .. } => "held",
            };
            assert_eq!(kind, expected, "{found:?}");
            if let Claim::Take(entry, _) = claim {
                assert_eq!((entry.holder.as_str(), entry.until), ("pi3", NOW + 3600));
                assert!(entry.since <= NOW);
            }
        }
    }

    #[test]
    fn only_our_own_is_ours() {
        assert!(is_mine(Some(&entry("pi3", 0, 0)), "pi3"));
        assert!(!is_mine(Some(&entry("pi33", 0, 0)), "pi3"));
        assert!(!is_mine(Some("pi3"), "pi3") && !is_mine(None, "pi3"));
    }
}
