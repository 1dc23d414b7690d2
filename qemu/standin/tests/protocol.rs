//! Server and agent against each other over loopback: the way in, and each way to fail, in k3s's own words.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::Value;
use standin::{
    agent::{Agent, Membership, Ports},
    client,
    config::Config,
    http::Request,
    kubectl,
    log::Log,
    node, places,
    places::Places,
    server::Server,
    switches::Switches,
    tls::{Pair, Trust},
};
use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::PathBuf,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

const PORTS: Ports = Ports { balancer: 0, kubelet: 0, proxy: 0 };
const LONG: Duration = Duration::from_secs(120);

/// A server on a free port, with a directory of switches.
struct Lab {
    dir: tempfile::TempDir,
    port: u16,
}

impl Lab {
    fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let lab = Self { dir, port };
        fs::create_dir_all(lab.switches()).unwrap();
        let places = lab.places("server");
        let server =
            Server::open(places, Config::default(), Switches::in_dir(lab.switches()), Log::kept()).unwrap();
        let server = Arc::new(server);
        thread::spawn(move || server.serve(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).unwrap());
        lab.reachable();
        lab
    }

    /// Waits until the port is open.
    fn reachable(&self) {
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn switches(&self) -> PathBuf {
        self.dir.path().join("switches")
    }

    fn on(&self, name: &str, text: &str) {
        fs::write(self.switches().join(name), text).unwrap();
    }

    fn off(&self, name: &str) {
        fs::remove_file(self.switches().join(name)).unwrap();
    }

    fn places(&self, machine: &str) -> Places {
        Places::below(self.dir.path().join(machine))
    }

    fn token(&self) -> String {
        places::read(&self.places("server").server("token")).unwrap().trim().to_owned()
    }

    fn agent(&self, machine: &str, name: &str, token: &str) -> Agent {
        let mut config = Config::default();
        let server = format!("https://127.0.0.1:{}", self.port);
        let text =
            serde_json::json!({"server": server, "token": token, "node-name": name, "node-ip": "10.77.0.2"});
        config.add(&text.to_string()).unwrap();
        Agent { places: self.places(machine), config, ports: PORTS, log: Log::kept(), machine: false }
    }

    fn kubectl(&self, words: &[&str]) -> String {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        kubectl::run(&self.places("server"), self.port, &words).unwrap()
    }
}

/// An agent on a thread of its own: most of ours do not get in.
fn start(agent: &Agent) -> mpsc::Receiver<Membership> {
    let (sender, receiver) = mpsc::channel();
    let agent = agent.clone();
    thread::spawn(move || {
        let membership = agent.join().unwrap();
        // A test that does not wait for it has gone on.
        drop(sender.send(membership));
    });
    receiver
}

/// Waits until the agent says something that holds `words`.
fn says(agent: &Agent, words: &str) {
    let started = std::time::Instant::now();
    while !agent.log.lines().iter().any(|line| line.contains(words)) {
        assert!(started.elapsed() < LONG, "`{words}` is not in {:?}", agent.log.lines());
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn an_agent_joins_and_is_ready() {
    let lab = Lab::open();
    let agent = lab.agent("pi3", "pi3", &lab.token());
    let member = start(&agent).recv_timeout(LONG).unwrap();
    assert_eq!(lab.kubectl(&["get", "nodes"]), "NAME STATUS VERSION\npi3 Ready v1.34.3+k3s1\n");
    let files = "client-ca.crt server-ca.crt serving-kubelet.crt client-kubelet.crt client-kube-proxy.crt \
                 client-k3s-controller.crt kubelet.kubeconfig";
    for file in files.split_whitespace() {
        assert!(agent.places.agent(file).exists(), "{file}");
    }
    let password = places::read(&agent.places.path("/etc/rancher/node/password")).unwrap();
    assert_eq!(password.trim().len(), 32);
    lab.on("not-ready", "");
    let node: Value = serde_json::from_str(&lab.kubectl(&["get", "node", "pi3", "-o", "json"])).unwrap();
    assert_eq!(node::condition(&node, "Ready"), Some("False"));
    lab.off("not-ready");

    // It joins again with its certificate when its token is no longer good, and not once its Node is deleted.
    drop(member);
    lab.on("expired-token", "");
    let again = lab.agent("pi3", "pi3", &lab.token());
    start(&again).recv_timeout(LONG).unwrap();
    lab.kubectl(&["delete", "node", "pi3"]);
    let deleted = lab.agent("pi3", "pi3", &lab.token());
    start(&deleted);
    says(&deleted, "Node authorization rejected, retrying without client certificate authentication");
    says(&deleted, "401 Unauthorized");
}

#[test]
fn a_second_machine_with_the_name_is_refused_until_the_first_is_deleted() {
    let lab = Lab::open();
    start(&lab.agent("first", "pi3", &lab.token())).recv_timeout(LONG).unwrap();
    let second = lab.agent("second", "pi3", &lab.token());
    let joined = start(&second);
    says(
        &second,
        "Waiting to retrieve agent configuration; server is not ready: Node password rejected, duplicate hostname or \
         contents of '/etc/rancher/node/password' may not match server node-passwd entry, try enabling a unique node \
         name with the --with-node-id flag",
    );
    assert_eq!(lab.kubectl(&["delete", "node", "pi3"]), "node \"pi3\" deleted\n");
    joined.recv_timeout(LONG).unwrap();
}

#[test]
fn each_misbehaviour_has_its_words() {
    let lab = Lab::open();
    let config = "Waiting to retrieve agent configuration; server is not ready: failed to retrieve configuration from server: ";
    let refused = |status: &str| format!("{config}https://127.0.0.1:PORT/v1-k3s/config: {status}");
    let connection = "Failed to validate connection to cluster at https://127.0.0.1:";
    for (switch, words) in [
        ("expired-token", refused("401 Unauthorized")),
        ("forbidden", refused("403 Forbidden")),
        ("starting", refused("503 Service Unavailable")),
        ("other-ca", "token CA hash does not match the Cluster CA certificate hash: ".to_owned()),
        (
            "cert-not-yet-valid",
            "CA cert validation failed: Get \"https://127.0.0.1:PORT/cacerts\": tls: failed to verify certificate: x509: \
             certificate has expired or is not yet valid"
                .to_owned(),
        ),
        ("refuse", "failed to get CA certs: Get \"https://127.0.0.1:PORT/cacerts\": ".to_owned()),
    ] {
        lab.on(switch, "");
        if switch == "refuse" {
            // The door is looked at 50 times a second.
            while std::net::TcpStream::connect(("127.0.0.1", lab.port)).is_ok() {
                thread::sleep(Duration::from_millis(5));
            }
        }
        let agent = lab.agent(&format!("node-{switch}"), &format!("node-{switch}"), &lab.token());
        let joined = start(&agent);
        let ports = || {
            let line = agent.log.lines().into_iter().find(|line| line.contains("k3s-agent-load-balancer"))?;
            Some(line.split(" -> ").next()?.rsplit(':').next()?.to_owned())
        };
        says(&agent, "k3s-agent-load-balancer");
        says(&agent, &words.replace("PORT", &ports().unwrap()));
        if !words.starts_with(config) {
            says(&agent, connection);
        }
        // And all is well as soon as the server is.
        lab.off(switch);
        lab.reachable();
        joined.recv_timeout(LONG).unwrap();
    }
}

#[test]
fn the_way_in_is_shut_without_a_token_and_open_to_a_bootstrap_token() {
    let lab = Lab::open();
    let ca = places::read(&lab.places("server").server("tls/server-ca.crt")).unwrap();
    let ask = |path: &str| client::ask(lab.port, Trust::Only(&ca), None, &Request::new("GET", path)).unwrap();
    assert_eq!(ask("/ping").body, b"pong");
    assert_eq!(ask("/cacerts").body, ca.as_bytes());
    for path in ["/v1-k3s/config", "/v1-k3s/client-ca.crt", "/v1-k3s/readyz", "/api/v1/nodes"] {
        assert_eq!(ask(path).status, 401, "{path}");
    }
    let token = kubectl::create_token(&lab.places("server")).unwrap();
    start(&lab.agent("pi4", "pi4", token.trim())).recv_timeout(LONG).unwrap();
    lab.on("cluster-cidr", "192.168.0.0/16");
    let agent = lab.agent("pi5", "pi5", "a short token that is wrong");
    start(&agent);
    says(&agent, "401 Unauthorized");
}

/// What a kubelet may ask around an update, and what not: as the Node authorizer and NodeRestriction have it.
#[test]
fn a_node_closes_itself_sends_its_pods_away_and_takes_the_lock() {
    let lab = Lab::open();
    let agent = lab.agent("pi3", "pi3", &lab.token());
    let member = start(&agent).recv_timeout(LONG).unwrap();
    let read = |name: &str| places::read(&agent.places.agent(name)).unwrap();
    let own = Pair { chain: read("client-kubelet.crt"), key: read("client-kubelet.key") };
    let ca = read("server-ca.crt");
    let ask = |method: &str, path: &str, body: Value| {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer =
            client::ask(lab.port, Trust::Only(&ca), Some(&own), &Request::new(method, path).body(body))
                .unwrap();
        (answer.status, serde_json::from_slice::<Value>(&answer.body).unwrap())
    };
    let none = Value::Null;

    let node = "/api/v1/nodes/pi3";
    let (_, found) = ask("GET", node, none.clone());
    let version = found["metadata"]["resourceVersion"].clone();
    let cordon = |version: &Value| serde_json::json!({"metadata": {"resourceVersion": version, "annotations": {"ours": "1.5"}}, "spec": {"unschedulable": true}});
    assert_eq!(ask("PATCH", node, cordon(&version)).0, 200);
    assert_eq!(ask("PATCH", node, cordon(&version)).0, 409, "it has changed since");
    member.heartbeat(&agent.log);
    let (_, found) = ask("GET", node, none.clone());
    assert_eq!(found["spec"]["unschedulable"], true, "a heartbeat changes the status alone");
    let open =
        serde_json::json!({"metadata": {"annotations": {"ours": null}}, "spec": {"unschedulable": null}});
    let (status, found) = ask("PATCH", node, open);
    assert_eq!(
        (status, &found["spec"]["unschedulable"], &found["metadata"]["annotations"]),
        (200, &none, &serde_json::json!({}))
    );
    assert_eq!(ask("PATCH", "/api/v1/nodes/other", cordon(&version)).0, 403);
    assert_eq!(ask("PATCH", node, serde_json::json!({"spec": {"taints": []}})).0, 403);
    assert_eq!(ask("GET", "/api/v1/nodes", none.clone()).0, 403);

    lab.on("pods", "default/web pi3\nkube-system/held pi3 StatefulSet\ndefault/other pi4\n");
    lab.on("budget", "kube-system/held");
    let pods = || {
        let (_, list) = ask("GET", "/api/v1/pods?fieldSelector=spec.nodeName%3Dpi3", Value::Null);
        list["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|pod| pod["metadata"]["name"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(pods(), ["web", "held"]);
    assert_eq!(ask("GET", "/api/v1/pods", none.clone()).0, 403);
    let evict = |pod: &str| {
        let (namespace, name) = pod.split_once('/').unwrap();
        ask("POST", &format!("/api/v1/namespaces/{namespace}/pods/{name}/eviction"), serde_json::json!({})).0
    };
    assert_eq!(
        [evict("default/web"), evict("kube-system/held"), evict("default/other"), evict("a/b")],
        [201, 429, 403, 404]
    );
    assert_eq!(pods(), ["held"]);

    let locks = "/api/v1/namespaces/hcimage-updates/configmaps/hcimage-updates";
    let (_, found) = ask("GET", locks, none.clone());
    let mut taken = found.clone();
    taken["data"] = serde_json::json!({"agents": "pi3"});
    assert_eq!(ask("PUT", locks, taken.clone()).0, 200);
    assert_eq!(ask("PUT", locks, taken).0, 409, "compare and swap");
    assert_eq!(ask("GET", locks, none.clone()).1["data"]["agents"], "pi3");
    assert_eq!(ask("GET", "/api/v1/namespaces/default/configmaps/x", none.clone()).0, 403);
    lab.on("no-locks", "");
    assert_eq!(ask("GET", locks, none).0, 403);
}
