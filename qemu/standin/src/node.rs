//! A Kubernetes Node, as the kubelet writes it.

use crate::VERSION;
use serde_json::{Value, json};

/// A node that is Ready, with what hcnode looks at.
#[must_use]
pub fn ready(name: &str, ip: &str, labels: &[String], heartbeat: &str) -> Value {
    let labels: serde_json::Map<String, Value> = [
        ("kubernetes.io/hostname".to_owned(), name.into()),
        ("node.kubernetes.io/instance-type".to_owned(), "k3s".into()),
    ]
    .into_iter()
    .chain(
        labels
            .iter()
            .filter_map(|label| label.split_once('='))
            .map(|(key, value)| (key.into(), value.into())),
    )
    .collect();
    let condition = |kind: &str, status: &str, reason: &str, message: &str| json!({"type": kind, "status": status, "reason": reason, "message": message, "lastHeartbeatTime": heartbeat});
    json!({
        "kind": "Node", "apiVersion": "v1",
        "metadata": {"name": name, "labels": labels},
        "spec": {"podCIDR": "10.42.1.0/24", "providerID": format!("k3s://{name}")},
        "status": {
            "conditions": [
                condition("NetworkUnavailable", "False", "FlannelIsUp", "Flannel is running on this node"),
                condition("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
                condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
                condition("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
                condition("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
            ],
            "addresses": [{"type": "InternalIP", "address": ip}, {"type": "Hostname", "address": name}],
            "nodeInfo": {"kubeletVersion": VERSION, "containerRuntimeVersion": "containerd://2.1.5-k3s1"},
        },
    })
}

/// Makes a node one whose network plugin is not there yet.
pub fn unready(node: &mut Value) {
    let Some(conditions) = node["status"]["conditions"].as_array_mut() else { return };
    for condition in conditions.iter_mut().filter(|condition| condition["type"] == "Ready") {
        condition["status"] = "False".into();
        condition["reason"] = "KubeletNotReady".into();
        condition["message"] =
            "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady \
            message:Network plugin returns error: cni plugin not initialized"
                .into();
    }
}

/// A condition's status, such as `True`.
#[must_use]
pub fn condition<'n>(node: &'n Value, kind: &str) -> Option<&'n str> {
    node["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)?["status"]
        .as_str()
}
