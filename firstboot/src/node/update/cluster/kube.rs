//! The port to the real API: the node's own certificate for all that a kubelet may do, and on servers the
//! administrator's for a look at the other nodes, which a kubelet may not have.

use super::api::{Api, ApiError, Evicted, LOCK, Locks, MARK, NAMESPACE, Own, POOL, Peer, Pod};
use crate::node::{
    kube::Door,
    supervisor::{Answer, Question},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io, thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// A change of some fields (RFC 7386).
const MERGE: &str = "application/merge-patch+json";
const JSON: &str = "application/json";

/// The API of the node's cluster.
pub(super) struct Kube<'a> {
    /// Its name there.
    pub(super) name: String,
    /// Called while something takes long.
    pub(super) alive: &'a mut dyn FnMut(),
    /// When it began.
    pub(super) began: Instant,
}

impl Kube<'_> {
    fn ask(
        &mut self,
        door: io::Result<Door>,
        what: &'static str,
        question: Question<'_>,
    ) -> Result<(Value, Option<u64>), ApiError> {
        (self.alive)();
        // A clock before 1970 is none; certificates do not count then, and that is the answer.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let answer = door.and_then(|door| door.ask(question, now));
        let Answer { status, date, body } = answer.map_err(|error| ApiError::Away(error.to_string()))?;
        let value = serde_json::from_slice::<Value>(&body);
        match (status, value) {
            (200..=299, Ok(value)) => Ok((value, date)),
            (200..=299, Err(error)) => Err(ApiError::Strange { what, text: error.to_string() }),
            // A server that starts or stops.
            (500..=599, _) => Err(ApiError::Away(format!("it answers {status}"))),
            (status, value) => {
                let text = value.ok().and_then(|value| Some(value["message"].as_str()?.to_owned()));
                Err(ApiError::Refused { what, status, text: text.unwrap_or_default() })
            }
        }
    }

    fn get(&mut self, what: &'static str, path: &str) -> Result<(Value, Option<u64>), ApiError> {
        self.ask(Door::node(), what, Question::get(path))
    }

    fn send(
        &mut self,
        what: &'static str,
        method: &str,
        path: &str,
        kind: &str,
        body: &Value,
    ) -> Result<(), ApiError> {
        let bytes = body.to_string();
        let content = Some((kind, bytes.as_bytes()));
        self.ask(Door::node(), what, Question { method, path, content }).map(drop)
    }
}

impl Api for Kube<'_> {
    fn own(&mut self) -> Result<Own, ApiError> {
        let path = format!("/api/v1/nodes/{}", self.name);
        self.get("a question for this node", &path).map(|(node, _)| own(&node))
    }

    fn peers(&mut self) -> Result<Vec<Peer>, ApiError> {
        let what = "a question for all nodes";
        let (list, _) = self.ask(Ok(Door::admin()), what, Question::get("/api/v1/nodes"))?;
        let items = list["items"].as_array();
        let items = items.ok_or_else(|| ApiError::Strange { what, text: "no list".to_owned() })?;
        Ok(items.iter().map(peer).collect())
    }

    fn server_version(&mut self) -> Result<Option<String>, ApiError> {
        match self.get("a question for its version", "/version") {
            Ok((version, _)) => Ok(version["gitVersion"].as_str().map(str::to_owned)),
            Err(error) if error.is(403) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn pods(&mut self) -> Result<Vec<Pod>, ApiError> {
        let what = "a question for this node's pods";
        let path = format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{}", self.name);
        let (list, _) = self.get(what, &path)?;
        let items = list["items"].as_array();
        let items = items.ok_or_else(|| ApiError::Strange { what, text: "no list".to_owned() })?;
        Ok(items.iter().map(pod).collect())
    }

    fn evict(&mut self, pod: &Pod) -> Result<Evicted, ApiError> {
        let Pod { namespace, name, .. } = pod;
        let body = json!({
            "apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": namespace},
        });
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}/eviction");
        match self.send("an eviction", "POST", &path, JSON, &body) {
            Ok(()) => Ok(Evicted::Going),
            Err(error) if error.is(404) => Ok(Evicted::Going),
            Err(ApiError::Refused { status: 429, text, .. }) => Ok(Evicted::Refused(text)),
            Err(error) => Err(error),
        }
    }

    fn cordon(&mut self, version: &str, mark: Option<&str>) -> Result<(), ApiError> {
        let body = json!({
            "metadata": {"resourceVersion": version, "annotations": {MARK: mark}},
            "spec": {"unschedulable": mark.map(|_| true)},
        });
        let path = format!("/api/v1/nodes/{}", self.name);
        self.send("a change of this node", "PATCH", &path, MERGE, &body)
    }

    fn locks(&mut self) -> Result<Locks, ApiError> {
        let what = "a question for the locks";
        let (found, date) = self.get(what, &format!("/api/v1/namespaces/{NAMESPACE}/configmaps/{LOCK}"))?;
        let now =
            date.ok_or_else(|| ApiError::Strange { what, text: "it does not tell the time".to_owned() })?;
        Ok(Locks { now, ..locks(&found) })
    }

    fn write_locks(&mut self, locks: &Locks) -> Result<(), ApiError> {
        let body = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": LOCK, "namespace": NAMESPACE, "resourceVersion": locks.version},
            "data": locks.entries,
        });
        let path = format!("/api/v1/namespaces/{NAMESPACE}/configmaps/{LOCK}");
        self.send("a change of the locks", "PUT", &path, JSON, &body)
    }

    fn uptime(&mut self) -> u64 {
        self.began.elapsed().as_secs()
    }

    fn pause(&mut self, seconds: u64) {
        for _ in 0..seconds {
            (self.alive)();
            thread::sleep(Duration::from_secs(1));
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A condition's status, such as `True`.
fn condition<'n>(node: &'n Value, kind: &str) -> Option<&'n str> {
    let all = node["status"]["conditions"].as_array()?;
    all.iter().find(|condition| condition["type"] == kind)?["status"].as_str()
}

fn own(node: &Value) -> Own {
    let meta = &node["metadata"];
    Own {
        version: text(&meta["resourceVersion"]),
        ready: condition(node, "Ready") == Some("True"),
        cordoned: node["spec"]["unschedulable"] == true,
        mark: meta["annotations"][MARK].as_str().map(str::to_owned),
        pool: meta["labels"][POOL].as_str().map(str::to_owned),
    }
}

fn peer(node: &Value) -> Peer {
    let has = |role: &str| node["metadata"]["labels"][format!("node-role.kubernetes.io/{role}")].is_string();
    Peer {
        name: text(&node["metadata"]["name"]),
        ready: condition(node, "Ready") == Some("True"),
        server: has("control-plane") || has("master"),
        etcd: has("etcd"),
        voter: condition(node, "EtcdIsVoter").map(|status| status == "True"),
    }
}

fn pod(pod: &Value) -> Pod {
    let meta = &pod["metadata"];
    let owners = meta["ownerReferences"].as_array();
    let controller = owners.into_iter().flatten().find(|owner| owner["controller"] == true);
    Pod {
        namespace: text(&meta["namespace"]),
        name: text(&meta["name"]),
        controller: controller.map(|owner| text(&owner["kind"])),
        mirror: meta["annotations"]["kubernetes.io/config.mirror"].is_string(),
        finished: ["Succeeded", "Failed"].iter().any(|phase| pod["status"]["phase"] == *phase),
        ending: meta["deletionTimestamp"].is_string(),
        upgrade: meta["labels"]["upgrade.cattle.io/controller"].is_string(),
    }
}

fn locks(map: &Value) -> Locks {
    let entries: BTreeMap<String, String> = map["data"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(pool, entry)| (pool.clone(), text(entry)))
        .collect();
    Locks { version: text(&map["metadata"]["resourceVersion"]), entries, now: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_read_as_the_api_writes_them() {
        let node = json!({
            "metadata": {"name": "pi3", "resourceVersion": "77",
                "labels": {"hc.home/pool": "slow", "node-role.kubernetes.io/etcd": "true",
                    "node-role.kubernetes.io/control-plane": "true"},
                "annotations": {"hcimage.io/cordoned-for-update": "nas 1.5"}},
            "spec": {"unschedulable": true},
            "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "EtcdIsVoter", "status": "False"}]},
        });
        let found = own(&node);
        assert_eq!((found.version.as_str(), found.ready, found.cordoned), ("77", true, true));
        assert_eq!((found.mark.as_deref(), found.pool.as_deref()), (Some("nas 1.5"), Some("slow")));
        let found = peer(&node);
        assert!(found.server && found.etcd && found.ready && found.voter == Some(false));
        assert_eq!(own(&json!({})), Own::default());

        let found = pod(&json!({
            "metadata": {"name": "web-1", "namespace": "default", "deletionTimestamp": "2026-06-15T00:00:00Z",
                "labels": {"upgrade.cattle.io/controller": "system-upgrade-controller"},
                "annotations": {"kubernetes.io/config.mirror": "x"},
                "ownerReferences": [{"kind": "Other"}, {"kind": "ReplicaSet", "controller": true}]},
            "status": {"phase": "Failed"},
        }));
        assert_eq!(found.controller.as_deref(), Some("ReplicaSet"));
        assert!(found.mirror && found.finished && found.ending && found.upgrade);
        let found = locks(&json!({"metadata": {"resourceVersion": "9"}, "data": {"agents": "{}"}}));
        assert_eq!((found.version.as_str(), found.entries["agents"].as_str()), ("9", "{}"));
        assert!(locks(&json!({})).entries.is_empty());
    }
}
