//! `k3s server`: the supervisor's routes, and the few of the API that a node needs.

mod objects;

use crate::{
    Error, Result,
    cluster::{Cluster, kubeconfig, names, net, password},
    config::Config,
    http::{Answer, Request},
    log::Log,
    pki,
    pki::{Authority, Use, When},
    places::{self, Places},
    switches::Switches,
    tls, token,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use objects::Objects;
use rustls::{ServerConnection, StreamOwned};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

/// A server.
pub struct Server {
    places: Places,
    config: Config,
    switches: Switches,
    log: Log,
    cluster: Cluster,
    /// The cluster that it pretends to be with `other-ca`.
    other: Cluster,
    password: String,
    nodes: Mutex<BTreeMap<String, Value>>,
    passwords: Mutex<BTreeMap<String, String>>,
    objects: Mutex<Objects>,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Who {
    Nobody,
    /// The holder of a token: the group k3s:agent, k3s:server or the bootstrappers.
    Token,
    /// A node, by its certificate.
    Node(String),
    /// kubectl on the server.
    Admin,
    /// Another client certificate, such as kube-proxy's.
    Client,
}

impl Server {
    /// Takes over what is on the disk, and makes what is not: CAs, token, kubeconfig.
    pub fn open(places: Places, config: Config, switches: Switches, log: Log) -> Result<Self> {
        let names = names(&config)?;
        let cluster = Cluster::open(&places, "tls", &names)?;
        let other = Cluster::open(&places, "tls-other", &names)?;
        let password = password(&places, &config)?;
        let hash = token::hash_ca(&cluster.server.pem()?)?;
        let full = format!("K10{hash}::server:{password}\n");
        for name in ["token", "node-token"] {
            places::write(&places.server(name), &full)?;
        }
        let load = |name: &str| -> Result<BTreeMap<String, Value>> {
            let path = places.server(name);
            if !path.exists() {
                return Ok(BTreeMap::new());
            }
            serde_json::from_str(&places::read(&path)?)
                .map_err(|error| Error::Settings(format!("{}: {error}", path.display())))
        };
        let nodes = load("db/nodes.json")?;
        let passwords = load("db/passwords.json")?
            .into_iter()
            .filter_map(|(name, hash)| Some((name, hash.as_str()?.to_owned())))
            .collect();
        let objects = Objects::load(&json!(load("db/objects.json")?));
        let server = Self {
            places,
            config,
            switches,
            log,
            cluster,
            other,
            password,
            nodes: Mutex::new(nodes),
            passwords: Mutex::new(passwords),
            objects: Mutex::new(objects),
        };
        server.write_admin()?;
        Ok(server)
    }

    /// Serves for ever. The port is closed while it is switched off.
    pub fn serve(self: &Arc<Self>, address: SocketAddr) -> Result<()> {
        let mut door: Option<TcpListener> = None;
        loop {
            match (self.switches.on("refuse"), &door) {
                (true, _) => door = None,
                (false, None) => {
                    let listener = TcpListener::bind(address)?;
                    listener.set_nonblocking(true)?;
                    door = Some(listener);
                }
                (false, Some(listener)) => {
                    while let Ok((stream, _)) = listener.accept() {
                        stream.set_nonblocking(false)?;
                        let server = Arc::clone(self);
                        thread::spawn(move || server.take(stream));
                    }
                }
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// One connection; its failure is told and no more.
    pub fn take(&self, stream: TcpStream) {
        if let Err(error) = self.converse(stream) {
            self.log.info(format!("http: TLS handshake error or broken connection: {error}"));
        }
    }

    fn converse(&self, stream: TcpStream) -> Result<()> {
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let cluster = self.cluster();
        let pair = match (self.switches.on("cert-not-yet-valid"), self.switches.on("cert-expired")) {
            (true, _) => &cluster.later,
            (_, true) => &cluster.before,
            _ => &cluster.now,
        };
        let config = tls::server(pair, &cluster.client.pem()?)?;
        let mut stream = StreamOwned::new(ServerConnection::new(config)?, stream);
        let request = Request::read(&mut stream)?;
        if let Some(seconds) = self.switches.says("slow") {
            thread::sleep(Duration::from_secs(seconds.parse().unwrap_or(20)));
        }
        let holder =
            stream.conn.peer_certificates().and_then(|chain| chain.first()).map(|der| pki::holder(der));
        let answer = self.answer(&request, holder.transpose()?.as_ref())?;
        let who = request.header("k3s-node-name").unwrap_or("-");
        self.log.info(format!("{} {} by {who}: {}", request.method, request.path, answer.status));
        answer.write(&mut stream)?;
        stream.conn.send_close_notify();
        stream.conn.write_tls(&mut stream.sock)?;
        Ok(())
    }

    fn cluster(&self) -> &Cluster {
        if self.switches.on("other-ca") { &self.other } else { &self.cluster }
    }

    /// The answer to a request of somebody with or without a client certificate.
    fn answer(&self, request: &Request, holder: Option<&(String, Vec<String>)>) -> Result<Answer> {
        match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/ping") => return Ok(Answer::text("pong")),
            ("GET", "/cacerts") => return Ok(Answer::text(self.cluster().server.pem()?)),
            _ => {}
        }
        if self.switches.on("starting") {
            return Ok(Answer::refusal(503, "runtime core not ready"));
        }
        let who = match self.who(request, holder) {
            Ok(who) => who,
            Err(refusal) => return Ok(refusal),
        };
        match request.path.strip_prefix("/v1-k3s/") {
            Some(route) => self.supervise(request, route, &who),
            None => self.api(request, &who),
        }
    }

    /// Who asks: a client certificate counts first, then the token.
    fn who(&self, request: &Request, holder: Option<&(String, Vec<String>)>) -> Result<Who, Answer> {
        if let Some((name, groups)) = holder {
            return match name.strip_prefix("system:node:") {
                // A node that was deleted is nobody.
                Some(node)
                    if !lock(&self.nodes).contains_key(node) && !lock(&self.passwords).contains_key(node) =>
                {
                    Err(Answer::refusal(401, "not authorized"))
                }
                Some(node) => Ok(Who::Node(node.to_owned())),
                None if groups.iter().any(|group| group == "system:masters") => Ok(Who::Admin),
                None => Ok(Who::Client),
            };
        }
        let Some(header) = request.header("authorization") else { return Ok(Who::Nobody) };
        if self.switches.on("expired-token") {
            return Err(Answer::refusal(401, "not authorized"));
        }
        if self.switches.on("forbidden") {
            return Err(Answer::refusal(403, "forbidden"));
        }
        let basic =
            |user: &str, password: &str| format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        let agents = self.config.secret("agent-token").ok().flatten();
        let agents = agents.as_deref().unwrap_or(&self.password);
        let bearer = header.strip_prefix("Bearer ").is_some_and(|token| self.knows_bootstrap_token(token));
        match bearer || header == basic("node", agents) || header == basic("server", &self.password) {
            true => Ok(Who::Token),
            false => Err(Answer::refusal(401, "not authorized")),
        }
    }

    /// Bootstrap tokens are lines of a file that `k3s token create` writes.
    fn knows_bootstrap_token(&self, token: &str) -> bool {
        places::read(&self.places.server("db/tokens"))
            .is_ok_and(|text| text.lines().any(|line| line == token))
    }

    /// The supervisor's own routes; each is for nodes and those who may become one.
    fn supervise(&self, request: &Request, route: &str, who: &Who) -> Result<Answer> {
        if *who == Who::Nobody {
            return Ok(Answer::refusal(401, "not authorized"));
        }
        Ok(match (request.method.as_str(), route) {
            ("GET", "config") => Answer::json(200, &self.settings()?),
            ("GET", "client-ca.crt") => Answer::text(self.cluster().client.pem()?),
            ("GET", "server-ca.crt") => Answer::text(self.cluster().server.pem()?),
            ("GET", "apiservers") => {
                let port = self.config.get("https-listen-port").unwrap_or("6443");
                let ip = self.config.get("node-ip").unwrap_or("127.0.0.1");
                Answer::json(200, &json!([format!("{ip}:{port}")]))
            }
            ("GET", "readyz") => Answer::text("ok"),
            ("POST", "serving-kubelet.crt" | "client-kubelet.crt") => match self.node_of(request, who)? {
                Ok(name) => self.sign(request, route, &name)?,
                Err(refusal) => refusal,
            },
            ("POST", "client-kube-proxy.crt" | "client-k3s-controller.crt") => {
                self.sign(request, route, "")?
            }
            _ => Answer::refusal(404, "the stand-in has no such route"),
        })
    }

    /// The node that a request is for, once its password is the one that was first seen.
    fn node_of(&self, request: &Request, who: &Who) -> Result<Result<String, Answer>> {
        let header = |name: &str| request.header(name).map(str::trim).filter(|value| !value.is_empty());
        let Some(name) = header("k3s-node-name").map(str::to_lowercase) else {
            return Ok(Err(Answer::refusal(400, "node name not set")));
        };
        match who {
            Who::Node(node) if *node == name => return Ok(Ok(name)),
            Who::Node(_) => {
                return Ok(Err(Answer::refusal(400, "header node name does not match auth node name")));
            }
            _ => {}
        }
        let Some(password) = header("k3s-node-password") else {
            return Ok(Err(Answer::refusal(400, "node password not set")));
        };
        // k3s keeps a scrypt hash in a Secret; that it is another hash is seen by nobody.
        let hash = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(format!("{name}:{password}")));
        let mut passwords = lock(&self.passwords);
        match passwords.get(&name) {
            Some(known) if *known != hash => {
                let message = format!("unable to verify password for node {name}: hash does not match");
                return Ok(Err(Answer::refusal(403, &message)));
            }
            Some(_) => {}
            None => {
                passwords.insert(name.clone(), hash);
                places::write(&self.places.server("db/passwords.json"), json!(*passwords).to_string())?;
            }
        }
        Ok(Ok(name))
    }

    fn sign(&self, request: &Request, route: &str, node: &str) -> Result<Answer> {
        let key = match pki::requested(&request.body) {
            Ok(key) => key,
            // Down-level clients without a request would get a shared key; the stand-in has none.
            Err(error) => return Ok(Answer::refusal(400, &error.to_string())),
        };
        let cluster = self.cluster();
        let issue = |authority: &Authority, name: &str, group, usage: &Use| {
            authority.issue(name, group, usage, When::Now, &key).map(Answer::text)
        };
        match route {
            "serving-kubelet.crt" => {
                let ips = request.header("k3s-node-ip").unwrap_or_default().split(',').map(str::trim);
                let names =
                    ["127.0.0.1", node, "localhost"].into_iter().chain(ips.filter(|ip| !ip.is_empty()));
                issue(&cluster.server, node, None, &Use::Server(names.map(str::to_owned).collect()))
            }
            "client-kubelet.crt" => {
                issue(&cluster.client, &format!("system:node:{node}"), Some("system:nodes"), &Use::Client)
            }
            "client-kube-proxy.crt" => issue(&cluster.client, "system:kube-proxy", None, &Use::Client),
            _ => issue(&cluster.client, "system:k3s-controller", None, &Use::Client),
        }
    }

    /// The Control struct as Go writes it, but for fields that no agent reads.
    fn settings(&self) -> Result<Value> {
        let pods = self.switches.says("cluster-cidr");
        let pods = pods.as_deref().or(self.config.get("cluster-cidr")).unwrap_or("10.42.0.0/16");
        let (pods, services) = (net(pods)?, net(self.config.get("service-cidr").unwrap_or("10.43.0.0/16"))?);
        Ok(json!({
            "ClusterDNSs": ["10.43.0.10"], "ClusterIPRanges": [pods], "ClusterDNS": "10.43.0.10",
            "ClusterDomain": "cluster.local", "ClusterIPRange": pods,
            "DisableCCM": false, "DisableHelmController": false, "DisableNPC": false, "DisableServiceLB": false,
            "EncryptSecrets": self.config.get("secrets-encryption") == Some("true"),
            "EmbeddedRegistry": self.config.get("embedded-registry") == Some("true"),
            "FlannelBackend": self.config.get("flannel-backend").unwrap_or("vxlan"),
            "FlannelIPv6Masq": false, "FlannelExternalIP": false, "EgressSelectorMode": "agent",
            "ServiceIPRange": services, "ServiceIPRanges": [services],
            "AdvertisePort": 6443, "AdvertiseIP": "", "HTTPSPort": 6443, "SupervisorPort": 6443, "APIServerPort": 6444,
            "APIServerBindAddress": "127.0.0.1", "DisableKubeProxy": false,
            // Never to be logged: k3s sends it to every agent.
            "IPSECPSK": "stand-in-psk-that-must-not-be-logged",
        }))
    }

    /// Nodes, as far as a node and kubectl need them.
    fn api(&self, request: &Request, who: &Who) -> Result<Answer> {
        if matches!(who, Who::Nobody | Who::Token) {
            return Ok(Answer::refusal(401, "Unauthorized"));
        }
        let path: Vec<&str> = request.path.trim_matches('/').split('/').collect();
        if let Some(answer) = self.objects(request, who, &path)? {
            return Ok(answer);
        }
        let mut nodes = lock(&self.nodes);
        Ok(match (request.method.as_str(), path.as_slice()) {
            // A node may look at itself alone.
            ("GET", ["api", "v1", "nodes"]) if matches!(who, Who::Node(_)) => Answer::refusal(
                403,
                "nodes is forbidden: node cannot read all nodes, only its own Node object",
            ),
            ("GET", ["api", "v1", "nodes", name]) if matches!(who, Who::Node(own) if own != name) => {
                Answer::refusal(403, &format!("nodes \"{name}\" is forbidden: only its own Node object"))
            }
            ("GET", ["readyz" | "livez" | "healthz"]) => Answer::text("ok"),
            ("GET", ["version"]) => {
                Answer::json(200, &json!({"gitVersion": crate::VERSION, "major": "1", "minor": "34"}))
            }
            ("GET", ["api", "v1", "nodes"]) => {
                let items: Vec<Value> = nodes.values().map(|node| self.seen(node)).collect();
                Answer::json(200, &json!({"kind": "NodeList", "apiVersion": "v1", "items": items}))
            }
            ("GET", ["api", "v1", "nodes", name]) => match nodes.get(*name) {
                Some(node) => Answer::json(200, &self.seen(node)),
                None => missing(name),
            },
            ("POST", ["api", "v1", "nodes"]) | ("PUT", ["api", "v1", "nodes", _, "status"]) => {
                let node: Value =
                    serde_json::from_slice(&request.body).map_err(|_| Error::Http("no JSON"))?;
                let name = node["metadata"]["name"].as_str().unwrap_or_default().to_owned();
                if *who != Who::Node(name.clone()) {
                    return Ok(Answer::refusal(
                        403,
                        &format!("nodes \"{name}\" is forbidden: node may only modify itself"),
                    ));
                }
                if request.method == "PUT" && !nodes.contains_key(&name) {
                    return Ok(missing(&name));
                }
                let node = self.report(&mut nodes, &name, &node)?;
                self.keep(&nodes)?;
                Answer::json(if request.method == "POST" { 201 } else { 200 }, &node)
            }
            ("DELETE", ["api", "v1", "nodes", name]) if *who == Who::Admin => {
                let Some(node) = nodes.remove(*name) else { return Ok(missing(name)) };
                self.keep(&nodes)?;
                // k3s removes the password's Secret with its Node.
                let mut passwords = lock(&self.passwords);
                passwords.remove(*name);
                places::write(&self.places.server("db/passwords.json"), json!(*passwords).to_string())?;
                Answer::json(200, &node)
            }
            _ => Answer::refusal(404, "the server could not find the requested resource"),
        })
    }

    fn keep(&self, nodes: &BTreeMap<String, Value>) -> Result<()> {
        places::write(&self.places.server("db/nodes.json"), json!(*nodes).to_string())
    }

    /// What kubectl and hcnode on the server use.
    fn write_admin(&self) -> Result<()> {
        let (key, public) = pki::new_key()?;
        let client = &self.cluster.client;
        let chain = client.issue("system:admin", Some("system:masters"), &Use::Client, When::Now, &public)?;
        let (ca, key_pem) = (self.cluster.server.pem()?, key);
        for (name, text) in [("tls/client-admin.crt", &chain), ("tls/client-admin.key", &key_pem)] {
            places::write(&self.places.server(name), text)?;
        }
        let kubeconfig = kubeconfig(&ca, &chain, &key_pem);
        let file = self.config.get("write-kubeconfig").unwrap_or("/etc/rancher/k3s/k3s.yaml");
        places::write(&self.places.path(file), kubeconfig)
    }
}

fn missing(name: &str) -> Answer {
    Answer::refusal(404, &format!("nodes \"{name}\" not found"))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
