//! P14: an outage of the cluster is not mistaken for a bad release, nor a bad release for an outage. Pure.

use super::{Fault, Reach};

impl Reach {
    /// Whose fault it is that the node is worse off than `before` it restarted. What did not work before is nobody's;
    /// of the rest the release is to blame only when somebody else proves that it could work: a server that opens its
    /// door to us, or a network that was there and is not.
    #[must_use]
    pub fn blame(&self, before: &Self) -> Fault {
        let ours = |text: &str| Fault::Ours(text.to_owned());
        let elsewhere = |text: &str| Fault::Elsewhere(text.to_owned());
        if !self.member || !before.member {
            return Fault::None;
        }
        if before.kubelet && !self.kubelet {
            // An agent's kubelet starts only once its server was reached.
            return match (self.door, self.network) {
                (true, _) => ours(
                    "the kubelet was well before this release and is not now, with a server that answers",
                ),
                (false, true) => {
                    elsewhere("no server of the cluster answers this node, so its kubelet cannot start")
                }
                (false, false) if before.network => {
                    ours("the node had a network before this release and has none now")
                }
                (false, false) => elsewhere("the node has no network, as before this release"),
            };
        }
        if before.api && !self.api {
            return match (self.door, self.network) {
                (true, _) => ours(
                    "the cluster's API answered this node before this release and does not now, although a server opens its door",
                ),
                (false, true) => elsewhere("no server of the cluster answers"),
                (false, false) if before.network => {
                    ours("the node had a network before this release and has none now")
                }
                (false, false) => elsewhere("the node has no network, as before this release"),
            };
        }
        match (before.ready, self.ready) {
            (Some(true), Some(false)) => ours("the node was Ready before this release and is not now"),
            _ => Fault::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(text: &str) -> Reach {
        let has = |word: &str| text.split_whitespace().any(|found| found == word);
        Reach {
            member: !has("alone"),
            api: has("api"),
            ready: has("api").then(|| has("ready")),
            kubelet: has("kubelet"),
            door: has("door"),
            network: has("network"),
        }
    }

    #[test]
    fn the_release_is_to_blame_only_where_somebody_proves_that_it_could_work() {
        let well = "api ready kubelet door network";
        for (before, after, fault) in [
            (well, well, "none"),
            // The server is down before and during: nothing got worse.
            ("network", "network", "none"),
            ("kubelet network", "network", "elsewhere"),
            // It goes down during.
            (well, "kubelet network", "elsewhere"),
            (well, "network", "elsewhere"),
            // Only this node does not reach it.
            (well, "kubelet door network", "ours"),
            (well, "door network", "ours"),
            (well, "api kubelet door network", "ours"),
            // The release broke the network driver: nobody answers, but the network was there.
            (well, "kubelet", "ours"),
            (well, "", "ours"),
            // The cable was out before.
            ("kubelet", "", "elsewhere"),
            ("", "", "none"),
            // It was not Ready before either.
            ("api kubelet door network", "api kubelet door network", "none"),
            // No cluster, or one that was joined meanwhile.
            ("alone", "alone", "none"),
            ("alone", "network", "none"),
        ] {
            let found = match reach(after).blame(&reach(before)) {
                Fault::None => "none",
                Fault::Elsewhere(_) => "elsewhere",
                Fault::Ours(_) => "ours",
            };
            assert_eq!(found, fault, "`{before}` then `{after}`");
        }
    }
}
