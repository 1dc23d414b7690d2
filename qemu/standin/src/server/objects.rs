//! What a node asks of the API around an update: its own Node, its pods, their eviction, and the locks; with the limits
//! that Kubernetes sets to a kubelet (the Node authorizer with selectors, and NodeRestriction).

use super::{Server, Who, lock, missing};
use crate::{
    Error, Result,
    http::{Answer, Request},
    node, places,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Namespace and name of the only ConfigMap.
const LOCK: (&str, &str) = ("hcimage-updates", "hcimage-updates");

/// What is kept beside Nodes.
#[derive(Default)]
pub(super) struct Objects {
    /// Counts changes: the version of whatever was changed last.
    version: u64,
    /// The ConfigMap's data, and its version.
    locks: (BTreeMap<String, Value>, u64),
    /// Pods that were evicted, as `namespace/name`.
    evicted: BTreeSet<String>,
}

impl Objects {
    pub(super) fn load(value: &Value) -> Self {
        let locks = value["locks"].as_object().cloned().unwrap_or_default();
        let evicted = value["evicted"].as_array().cloned().unwrap_or_default();
        let number = |name: &str| value[name].as_u64().unwrap_or(1);
        Self {
            version: number("version"),
            locks: (locks.into_iter().collect(), number("locks-version")),
            evicted: evicted.iter().filter_map(|pod| Some(pod.as_str()?.to_owned())).collect(),
        }
    }

    fn value(&self) -> Value {
        json!({"version": self.version, "locks": self.locks.0, "locks-version": self.locks.1, "evicted": self.evicted})
    }
}

/// A pod as the switch `pods` names it: `NAMESPACE/NAME NODE KIND`.
struct Line {
    namespace: String,
    name: String,
    node: String,
    kind: String,
}

impl Line {
    fn read(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let (namespace, name) = words.next()?.split_once('/')?;
        let node = words.next()?.to_owned();
        let kind = words.next().unwrap_or("ReplicaSet").to_owned();
        Some(Self { namespace: namespace.to_owned(), name: name.to_owned(), node, kind })
    }

    fn key(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    fn object(&self) -> Value {
        let Self { namespace, name, node, kind } = self;
        let owners = match kind.as_str() {
            "none" => json!([]),
            kind => json!([{"apiVersion": "apps/v1", "kind": kind, "name": "of-a-test", "controller": true}]),
        };
        json!({"metadata": {"namespace": namespace, "name": name, "ownerReferences": owners},
            "spec": {"nodeName": node}, "status": {"phase": "Running"}})
    }
}

fn forbidden(text: &str) -> Answer {
    Answer::refusal(403, text)
}

fn conflict(what: &str) -> Answer {
    Answer::refusal(
        409,
        &format!(
            "Operation cannot be fulfilled on {what}: the object has been modified; please apply your changes to the latest version and try again"
        ),
    )
}

impl Server {
    /// Answers what is about pods, locks and a change of a Node; none for all else.
    pub(super) fn objects(&self, request: &Request, who: &Who, path: &[&str]) -> Result<Option<Answer>> {
        Ok(Some(match (request.method.as_str(), path) {
            ("GET", ["api", "v1", "pods"]) => self.pods(request, who),
            ("POST", ["api", "v1", "namespaces", namespace, "pods", name, "eviction"]) => {
                self.evict(who, namespace, name)?
            }
            (method, ["api", "v1", "namespaces", namespace, "configmaps", name]) => {
                if (*namespace, *name) != LOCK || self.switches.on("no-locks") {
                    match who {
                        Who::Admin => Answer::refusal(404, &format!("configmaps \"{name}\" not found")),
                        _ => forbidden(
                            "configmaps is forbidden: no relationship found between node and this object",
                        ),
                    }
                } else {
                    self.locks(method, request)?
                }
            }
            ("PATCH", ["api", "v1", "nodes", name]) => self.patch(request, who, name)?,
            _ => return Ok(None),
        }))
    }

    fn lines(&self) -> Vec<Line> {
        let text = self.switches.says("pods").unwrap_or_default();
        let gone = &lock(&self.objects).evicted;
        text.lines().filter_map(Line::read).filter(|line| !gone.contains(&line.key())).collect()
    }

    fn pods(&self, request: &Request, who: &Who) -> Answer {
        let node =
            request.query.split('&').find_map(|part| part.strip_prefix("fieldSelector=spec.nodeName%3D"));
        match (who, node) {
            (Who::Admin, _) => {}
            (Who::Node(own), Some(node)) if own == node => {}
            _ => {
                return forbidden(
                    "pods is forbidden: can only list/watch pods with spec.nodeName field selector",
                );
            }
        }
        let lines = self.lines();
        let items: Vec<Value> =
            lines.iter().filter(|line| node.is_none_or(|node| node == line.node)).map(Line::object).collect();
        Answer::json(200, &json!({"kind": "PodList", "apiVersion": "v1", "items": items}))
    }

    fn evict(&self, who: &Who, namespace: &str, name: &str) -> Result<Answer> {
        let lines = self.lines();
        let found = lines.into_iter().find(|line| line.namespace == namespace && line.name == name);
        let Some(line) = found else {
            return Ok(Answer::refusal(404, &format!("pods \"{name}\" not found")));
        };
        if *who != Who::Admin && *who != Who::Node(line.node.clone()) {
            return Ok(forbidden("node can only evict pods with spec.nodeName set to itself"));
        }
        let held = self.switches.says("budget").unwrap_or_default();
        if held.split_whitespace().any(|held| held == line.key()) {
            return Ok(Answer::refusal(
                429,
                "Cannot evict pod as it would violate the pod's disruption budget.",
            ));
        }
        let mut objects = lock(&self.objects);
        objects.evicted.insert(line.key());
        self.keep_objects(&objects)?;
        self.log.info(format!("evicted {}", line.key()));
        Ok(Answer::json(201, &json!({"kind": "Status", "status": "Success"})))
    }

    /// Nodes may read and replace it, and nothing else: so does the Role of the overlay.
    fn locks(&self, method: &str, request: &Request) -> Result<Answer> {
        let mut objects = lock(&self.objects);
        if method == "PUT" {
            let new: Value = serde_json::from_slice(&request.body).map_err(|_| Error::Http("no JSON"))?;
            if new["metadata"]["resourceVersion"].as_str() != Some(&objects.locks.1.to_string()) {
                return Ok(conflict("configmaps \"hcimage-updates\""));
            }
            objects.version += 1;
            let data = new["data"].as_object().cloned().unwrap_or_default();
            objects.locks = (data.into_iter().collect(), objects.version);
            self.keep_objects(&objects)?;
        } else if method != "GET" {
            return Ok(forbidden("configmaps is forbidden: only get and update are granted"));
        }
        let (data, version) = &objects.locks;
        Ok(Answer::json(
            200,
            &json!({"kind": "ConfigMap", "apiVersion": "v1",
                "metadata": {"name": LOCK.1, "namespace": LOCK.0, "resourceVersion": version.to_string()}, "data": data}),
        ))
    }

    /// A merge patch of a Node: of its own only, and never its taints.
    fn patch(&self, request: &Request, who: &Who, name: &str) -> Result<Answer> {
        if *who != Who::Admin && *who != Who::Node(name.to_owned()) {
            return Ok(forbidden(&format!("node is not allowed to modify node \"{name}\"")));
        }
        let change: Value = serde_json::from_slice(&request.body).map_err(|_| Error::Http("no JSON"))?;
        if *who != Who::Admin && !change["spec"]["taints"].is_null() {
            return Ok(forbidden(&format!("node \"{name}\" is not allowed to modify taints")));
        }
        let mut nodes = lock(&self.nodes);
        let Some(found) = nodes.get_mut(name) else { return Ok(missing(name)) };
        let wanted = &change["metadata"]["resourceVersion"];
        if !wanted.is_null() && *wanted != found["metadata"]["resourceVersion"] {
            return Ok(conflict(&format!("nodes \"{name}\"")));
        }
        merge(found, &change);
        self.stamp(found)?;
        let answer = Answer::json(200, &self.seen(found));
        self.keep(&nodes)?;
        Ok(answer)
    }

    /// Takes what a kubelet says of its node: all of a new one, the status of one that is known.
    pub(super) fn report(
        &self,
        nodes: &mut BTreeMap<String, Value>,
        name: &str,
        said: &Value,
    ) -> Result<Value> {
        let mut node = nodes.get(name).cloned().unwrap_or_else(|| said.clone());
        node["status"] = said["status"].clone();
        self.stamp(&mut node)?;
        nodes.insert(name.to_owned(), node.clone());
        Ok(node)
    }

    /// Gives an object the next version.
    fn stamp(&self, object: &mut Value) -> Result<()> {
        let mut objects = lock(&self.objects);
        objects.version += 1;
        object["metadata"]["resourceVersion"] = objects.version.to_string().into();
        self.keep_objects(&objects)
    }

    fn keep_objects(&self, objects: &Objects) -> Result<()> {
        places::write(&self.places.server("db/objects.json"), objects.value().to_string())
    }

    /// A node as the API shows it: a server's has its roles, and its vote in etcd.
    pub(super) fn seen(&self, node: &Value) -> Value {
        let mut node = node.clone();
        if self.config.get("node-name").is_some_and(|own| node["metadata"]["name"] == own) {
            for role in ["control-plane", "etcd"] {
                node["metadata"]["labels"][format!("node-role.kubernetes.io/{role}")] = "true".into();
            }
            if let Some(conditions) = node["status"]["conditions"].as_array_mut() {
                conditions.push(json!({"type": "EtcdIsVoter", "status": "True"}));
            }
        }
        if self.switches.on("not-ready") {
            node::unready(&mut node);
        }
        node
    }
}

/// RFC 7386.
fn merge(into: &mut Value, change: &Value) {
    let Some(change) = change.as_object() else {
        *into = change.clone();
        return;
    };
    if !into.is_object() {
        *into = json!({});
    }
    let Some(into) = into.as_object_mut() else { return };
    for (name, value) in change {
        if value.is_null() {
            into.remove(name);
        } else {
            merge(into.entry(name.clone()).or_insert(Value::Null), value);
        }
    }
}
