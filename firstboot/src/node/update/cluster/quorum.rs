//! Whether the cluster can do without this server while it restarts. Pure.

use super::api::Peer;

/// What becomes of the control plane while this server is away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Quorum {
    /// It goes on, or there is none to keep: this is the only server.
    Survives,
    /// It stops until this server is back, whatever state the others are in: etcd of two. In one sentence.
    Pauses(String),
    /// It would stop, and another server is not as it should be. In one sentence.
    Lost(String),
}

/// What becomes of the control plane of these nodes while `me` is away.
#[must_use]
pub fn without(me: &str, nodes: &[Peer]) -> Quorum {
    let servers: Vec<&Peer> = nodes.iter().filter(|node| node.server || node.etcd).collect();
    let others: Vec<&Peer> = servers.iter().copied().filter(|node| node.name != me).collect();
    if others.is_empty() {
        return Quorum::Survives;
    }
    let unwell: Vec<String> = others.iter().filter_map(|node| unwell(node)).collect();
    if !unwell.is_empty() {
        return Quorum::Lost(format!(
            "this server stays up while another one does not do its part: {}. Mend that first",
            unwell.join(", ")
        ));
    }
    let members = servers.iter().filter(|node| node.etcd).count();
    let own = usize::from(servers.iter().any(|node| node.name == me && node.etcd));
    if own == 1 && members - own <= members / 2 {
        return Quorum::Pauses(format!(
            "etcd has {members} members, so the cluster's API stops while one of them restarts: add a server (three, or five), or let updates proceed"
        ));
    }
    Quorum::Survives
}

fn unwell(node: &Peer) -> Option<String> {
    match node {
        Peer { ready: false, name, .. } => Some(format!("{name} is not Ready")),
        Peer { voter: Some(false), name, .. } => Some(format!("{name} is still a learner in etcd")),
        _ => None,
    }
}

/// Whether there is nobody who could take this node's pods.
#[must_use]
pub fn is_alone(me: &str, nodes: &[Peer]) -> bool {
    nodes.iter().all(|node| node.name == me)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `a` is this server. `+` a voter that is Ready, `-` not Ready, `~` a learner; `=` a server without etcd; `.` an
    /// agent, `,` one that is not Ready.
    fn nodes(text: &str) -> Vec<Peer> {
        let peer = |(index, kind): (usize, char)| Peer {
            name: char::from(b'a' + index as u8).to_string(),
            ready: !"-,".contains(kind),
            server: "+-~=".contains(kind),
            etcd: "+-~".contains(kind),
            voter: "+-~".contains(kind).then_some(kind != '~'),
        };
        text.chars().enumerate().map(peer).collect()
    }

    #[test]
    fn a_server_goes_only_when_the_others_carry_on() {
        for (cluster, expected) in [
            ("+", "survives"),
            ("+.", "survives"),
            ("+,", "survives"),
            ("=", "survives"),
            ("++", "pauses"),
            ("+-", "lost"),
            ("==", "survives"),
            ("=-", "lost"),
            ("+++", "survives"),
            ("+++,", "survives"),
            ("++-", "lost"),
            ("++~", "lost"),
            ("+--", "lost"),
            ("++++", "survives"),
            ("+++-", "lost"),
            ("+++++", "survives"),
            ("++++-", "lost"),
            // Itself not Ready: an update may be what mends it, and the others carry on.
            ("-++", "survives"),
            ("", "survives"),
        ] {
            let found = match without("a", &nodes(cluster)) {
                Quorum::Survives => "survives",
                Quorum::Pauses(_) => "pauses",
                Quorum::Lost(_) => "lost",
            };
            assert_eq!(found, expected, "{cluster}");
        }
        let Quorum::Lost(text) = without("a", &nodes("+-~")) else { panic!() };
        assert!(text.contains("b is not Ready, c is still a learner"), "{text}");
        assert!(is_alone("a", &nodes("+")) && !is_alone("a", &nodes("+.")));
    }
}
