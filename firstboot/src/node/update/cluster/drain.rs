//! Which pods are asked to go before the node restarts. Pure.
//!
//! What does not move elsewhere stays: it starts again with the node, and its budget is nobody's concern.

use super::api::Pod;

/// Whether a pod is asked to go: somebody makes another one of it elsewhere.
#[must_use]
pub(super) fn goes(pod: &Pod) -> bool {
    let made_again = pod.controller.as_deref().is_some_and(|kind| kind != "DaemonSet" && kind != "Node");
    made_again && !pod.mirror && !pod.finished && !pod.upgrade
}

/// The first few of a list of pods, for people.
#[must_use]
pub(super) fn named<'p>(pods: impl IntoIterator<Item = &'p Pod>) -> String {
    let names: Vec<String> = pods.into_iter().map(|pod| format!("{}/{}", pod.namespace, pod.name)).collect();
    let more = names.len().saturating_sub(3);
    let first = names[..names.len() - more].join(", ");
    if more == 0 { first } else { format!("{first} and {more} more") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_back_with_the_node_stays() {
        let pod =
            |controller: Option<&str>| Pod { controller: controller.map(str::to_owned), ..Pod::default() };
        for (pod, expected) in [
            (pod(Some("ReplicaSet")), true),
            (pod(Some("StatefulSet")), true),
            (pod(Some("Job")), true),
            (pod(Some("DaemonSet")), false),
            (pod(Some("Node")), false),
            // Evicted, it would be gone for good.
            (pod(None), false),
            (Pod { mirror: true, ..pod(Some("ReplicaSet")) }, false),
            (Pod { finished: true, ..pod(Some("Job")) }, false),
            (Pod { upgrade: true, ..pod(Some("Job")) }, false),
            (Pod { ending: true, ..pod(Some("ReplicaSet")) }, true),
        ] {
            assert_eq!(goes(&pod), expected, "{pod:?}");
        }
        let named_pod = |name: &str| Pod { namespace: "a".into(), name: name.into(), ..Pod::default() };
        let pods: Vec<Pod> = ["w", "x", "y", "z"].map(named_pod).into();
        assert_eq!(named(&pods), "a/w, a/x, a/y and 1 more");
        assert_eq!(named(&pods[..1]), "a/w");
    }
}
