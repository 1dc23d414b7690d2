//! `k3s agent`: the calls of k3s's agent in their order, its files in their order, its words.

use crate::{
    Error, Result, balancer, client,
    config::Config,
    http::Request,
    local,
    log::{Log, rfc3339},
    node, pki,
    places::{self, Places},
    tls::{Pair, Trust},
    token::{self, Token, Who},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;
use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, ToSocketAddrs as _, UdpSocket},
    thread,
    time::{Duration, SystemTime},
};

/// The ports of an agent on its own machine; 0 takes a free one, or for a health address none.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// The load balancer.
    pub balancer: u16,
    /// The kubelet's health.
    pub kubelet: u16,
    /// kube-proxy's health.
    pub proxy: u16,
}

/// k3s's own ports.
pub const PORTS: Ports = Ports { balancer: 6444, kubelet: 10248, proxy: 10256 };

/// An agent.
#[derive(Clone, Debug)]
pub struct Agent {
    /// The machine's tree.
    pub places: Places,
    /// Its settings.
    pub config: Config,
    /// Its ports.
    pub ports: Ports,
    /// Where it tells.
    pub log: Log,
    /// Whether it does what only root of a machine may: cgroups, the service address.
    pub machine: bool,
}

/// An agent that knows its server.
struct Connected<'a> {
    agent: &'a Agent,
    token: Token,
    port: u16,
    name: String,
    ip: String,
}

/// Settings of the server that an agent looks at.
struct Joined {
    bundle: String,
    kubelet: Pair,
}

impl Agent {
    /// Joins and stays: returns only with what k3s would end at.
    pub fn run(&self) -> Result<()> {
        let joined = self.join()?;
        loop {
            thread::sleep(Duration::from_secs(10));
            joined.heartbeat(&self.log);
        }
    }

    /// Joins. Waits for the server as long as it takes, as k3s does.
    pub fn join(&self) -> Result<Membership> {
        self.log.info(format!("Starting k3s agent {}", crate::VERSION));
        if self.machine {
            cgroups()?;
        }
        let text = self.config.secret("token")?.ok_or(Error::Token("--token is required"))?;
        let url = self.config.get("server").ok_or_else(|| Error::Settings("--server is required".into()))?;
        let server = host_and_port(url)?;
        fs::create_dir_all(self.places.agent("")).map_err(Error::file("create", self.places.agent("")))?;
        let token = Token::parse(&text)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.ports.balancer));
        let port = balancer::start(address, server.clone())?;
        self.log
            .info(format!("Running load balancer k3s-agent-load-balancer 127.0.0.1:{port} -> [{server}]"));
        let (name, ip) = (self.name()?, self.ip(&server)?);
        let connected = Connected { agent: self, token, port, name, ip };
        let joined = connected.wait()?;
        connected.settle(&server, joined)
    }

    fn name(&self) -> Result<String> {
        if let Some(name) = self.config.get("node-name") {
            return Ok(name.to_lowercase());
        }
        let path = std::path::Path::new("/proc/sys/kernel/hostname");
        Ok(places::read(path)?.trim().to_lowercase())
    }

    /// The address of the interface that leads to the server; without a default route k3s gives up.
    fn ip(&self, server: &str) -> Result<String> {
        if let Some(ip) = self.config.get("node-ip") {
            return Ok(ip.to_owned());
        }
        let route = || -> std::io::Result<String> {
            let address = server.to_socket_addrs()?.next().ok_or(std::io::ErrorKind::NotFound)?;
            let socket = UdpSocket::bind("0.0.0.0:0")?;
            socket.connect(address)?;
            Ok(socket.local_addr()?.ip().to_string())
        };
        route().map_err(|error| Error::Settings(format!("failed to get node name and addresses: {error}")))
    }

    fn node_password(&self) -> Result<String> {
        let file = self.places.path("/etc/rancher/node/password");
        if file.exists() {
            return Ok(places::read(&file)?.trim().to_owned());
        }
        let password = pki::random_hex(16);
        places::write(&file, format!("{password}\n"))?;
        Ok(password)
    }
}

impl Connected<'_> {
    /// k3s's two loops: first the connection, then the settings and certificates.
    fn wait(&self) -> Result<Joined> {
        let log = &self.agent.log;
        while let Err(error) = self.validate() {
            log.error(format!(
                "Failed to validate connection to cluster at https://127.0.0.1:{}: {error}",
                self.port
            ));
            thread::sleep(Duration::from_secs(2));
        }
        loop {
            match self.fetch() {
                Ok(joined) => return Ok(joined),
                // A disk that is full is no server that is not ready, but k3s says so all the same.
                Err(error) => {
                    log.info(format!(
                        "Waiting to retrieve agent configuration; server is not ready: {error}"
                    ));
                }
            }
            thread::sleep(Duration::from_secs(5));
        }
    }

    /// Steps 3 to 5: the CA, the connection under it, its hash.
    fn validate(&self) -> Result<String> {
        let request = Request::new("GET", "/cacerts");
        let bundle = client::get(self.port, Trust::Anybody, None, &request);
        let bundle = bundle.map_err(|error| Error::CaCerts(Box::new(error)))?;
        let bundle = String::from_utf8_lossy(&bundle).into_owned();
        client::get(self.port, Trust::Only(&bundle), None, &request)
            .map_err(|error| Error::CaValidation(Box::new(error)))?;
        let found = token::hash_ca(&bundle)?;
        match &self.token.ca {
            Some(token) if *token != found => Err(Error::CaHash { token: token.clone(), found }),
            _ => Ok(bundle),
        }
    }

    /// Step 6: settings, then each file as soon as it is there.
    fn fetch(&self) -> Result<Joined> {
        let agent = self.agent;
        let bundle = self.validate()?;
        let trust = Trust::Only(&bundle);
        let own = self.own_certificate();
        let settings = self.get(trust, own.as_ref(), &self.authorized(Request::new("GET", "/v1-k3s/config")));
        let settings = settings.map_err(|error| Error::Configuration(Box::new(error)))?;
        let _: Value =
            serde_json::from_slice(&settings).map_err(|_| Error::Http("the configuration is no JSON"))?;
        for file in ["client-ca.crt", "server-ca.crt"] {
            let request = self.authorized(Request::new("GET", &format!("/v1-k3s/{file}")));
            places::write(&agent.places.agent(file), self.get(trust, own.as_ref(), &request)?)?;
        }
        let mut kubelet = None;
        for name in ["serving-kubelet", "client-kubelet", "client-kube-proxy", "client-k3s-controller"] {
            let pair = self.certificate(trust, own.as_ref(), name)?;
            if name == "client-kubelet" {
                kubelet = Some(pair);
            }
        }
        let kubelet = kubelet.ok_or(Error::Http("no kubelet certificate"))?;
        Ok(Joined { bundle, kubelet })
    }

    /// Asks for a certificate for a new key and writes both.
    fn certificate(&self, trust: Trust<'_>, own: Option<&Pair>, name: &str) -> Result<Pair> {
        let (key, _) = pki::new_key()?;
        let mut request = Request::new("POST", &format!("/v1-k3s/{name}.crt")).body(pki::request(&key)?);
        if name.ends_with("kubelet") {
            request = request
                .with("k3s-Node-Name", &*self.name)
                .with("k3s-Node-Password", self.agent.node_password()?)
                .with("k3s-Node-IP", &*self.ip);
        }
        let chain = match self.get(trust, own, &self.authorized(request)) {
            Err(Error::Refused { status, .. }) if status.starts_with("403") && name.ends_with("kubelet") => {
                return Err(Error::NodePassword);
            }
            chain => String::from_utf8_lossy(&chain?).into_owned(),
        };
        places::write(&self.agent.places.agent(&format!("{name}.crt")), &chain)?;
        places::write(&self.agent.places.agent(&format!("{name}.key")), &key)?;
        Ok(Pair { chain, key })
    }

    /// Asks with the node's own certificate if it has one, and without it when that is refused.
    fn get(&self, trust: Trust<'_>, own: Option<&Pair>, request: &Request) -> Result<Vec<u8>> {
        match client::get(self.port, trust, own, request) {
            Err(Error::Refused { status, .. }) if own.is_some() && status.starts_with("401") => {
                self.agent
                    .log
                    .info("Node authorization rejected, retrying without client certificate authentication");
                client::get(self.port, trust, None, request)
            }
            answer => answer,
        }
    }

    fn own_certificate(&self) -> Option<Pair> {
        let read = |name| places::read(&self.agent.places.agent(name)).ok();
        Some(Pair { chain: read("client-kubelet.crt")?, key: read("client-kubelet.key")? })
    }

    fn authorized(&self, request: Request) -> Request {
        request.with(
            "Authorization",
            match &self.token.who {
                Who::Password(password) => format!("Basic {}", STANDARD.encode(format!("node:{password}"))),
                Who::Bearer(token) => format!("Bearer {token}"),
            },
        )
    }

    /// Step 7: kubeconfig, health, images, the Node.
    fn settle(self, server: &str, joined: Joined) -> Result<Membership> {
        let Agent { places, ports, log, config, machine } = self.agent;
        let kubeconfig = kubeconfig(
            &format!("https://127.0.0.1:{}", self.port),
            &places.agent("server-ca.crt").display().to_string(),
            &places.agent("client-kubelet.crt").display().to_string(),
            &places.agent("client-kubelet.key").display().to_string(),
        );
        places::write(&places.agent("kubelet.kubeconfig"), kubeconfig)?;
        for path in ["/v1-k3s/apiservers", "/v1-k3s/readyz"] {
            let request = Request::new("GET", path);
            while let Err(error) =
                client::get(self.port, Trust::Only(&joined.bundle), Some(&joined.kubelet), &request)
            {
                log.info(format!(
                    "Waiting to retrieve kube-proxy configuration; server is not ready: {error}"
                ));
                thread::sleep(Duration::from_secs(5));
            }
        }
        import(places, log)?;
        let socket = local::containerd(&places.path("/run/k3s/containerd/containerd.sock"))?;
        for port in [ports.kubelet, ports.proxy].into_iter().filter(|port| *port != 0) {
            local::healthz(port)?;
        }
        if *machine {
            local::service_address(server, log);
        }
        let labels = config.all("node-label").to_vec();
        let Self { name, ip, port, .. } = self;
        let membership = Membership {
            port,
            bundle: joined.bundle,
            kubelet: joined.kubelet,
            name,
            ip,
            labels,
            _containerd: socket,
        };
        membership.heartbeat(log);
        log.info(format!("Running kubelet as {}", membership.name));
        local::notify("READY=1\n")?;
        Ok(membership)
    }
}

/// A node of a cluster.
#[derive(Debug)]
pub struct Membership {
    port: u16,
    bundle: String,
    kubelet: Pair,
    /// The node's name.
    pub name: String,
    ip: String,
    labels: Vec<String>,
    _containerd: std::os::unix::net::UnixListener,
}

impl Membership {
    /// Tells the server that the node is Ready.
    pub fn heartbeat(&self, log: &Log) {
        let node = node::ready(&self.name, &self.ip, &self.labels, &rfc3339(SystemTime::now()));
        let body = node.to_string();
        let send = |method: &str, path: &str| {
            let request =
                Request::new(method, path).with("Content-Type", "application/json").body(body.clone());
            client::get(self.port, Trust::Only(&self.bundle), Some(&self.kubelet), &request)
        };
        let told = match send("PUT", &format!("/api/v1/nodes/{}/status", self.name)) {
            // The kubelet registers where it is not known.
            Err(Error::Refused { status, .. }) if status.starts_with("404") => {
                log.info(format!("Attempting to register node {}", self.name));
                send("POST", "/api/v1/nodes")
            }
            told => told,
        };
        if let Err(error) = told {
            log.error(format!("Error updating node status, will retry: {error}"));
        }
    }
}

/// `host:port` of `https://HOST[:PORT]`.
fn host_and_port(url: &str) -> Result<String> {
    let odd = || Error::Settings(format!("Invalid server url, failed to parse: {url}"));
    let rest = url.strip_prefix("https://").ok_or_else(odd)?.trim_end_matches('/');
    let bare = if rest.ends_with(']') { None } else { rest.rsplit_once(':') };
    match bare {
        Some((_, port)) if port.parse::<u16>().is_ok() => Ok(rest.to_owned()),
        Some(_) => Err(odd()),
        None => Ok(format!("{rest}:443")),
    }
}

/// The same check as k3s's, which ends it.
fn cgroups() -> Result<()> {
    let file = std::path::Path::new("/sys/fs/cgroup/cgroup.controllers");
    let controllers = places::read(file)?;
    for name in ["cpu", "cpuset", "memory"] {
        if !controllers.split_whitespace().any(|found| found == name) {
            return Err(Error::Settings(format!("failed to find {name} cgroup (v2)")));
        }
    }
    Ok(())
}

/// Says of every tarball that it was imported.
fn import(places: &Places, log: &Log) -> Result<()> {
    let dir = places.agent("images");
    let entries = match fs::read_dir(&dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(Error::file("list", &dir))?,
    };
    for entry in entries {
        let path = entry.map_err(Error::file("list", &dir))?.path();
        if path.to_string_lossy().contains(".tar") {
            log.info(format!("Imported images from {} in 1ms", path.display()));
        }
    }
    Ok(())
}

/// A kubeconfig as k3s writes it for the kubelet: by the names of files.
#[must_use]
pub fn kubeconfig(server: &str, ca: &str, certificate: &str, key: &str) -> String {
    format!(
        "apiVersion: v1\nclusters:\n- cluster:\n    server: {server}\n    certificate-authority: {ca}\n  name: local\n\
         contexts:\n- context:\n    cluster: local\n    namespace: default\n    user: user\n  name: Default\n\
         current-context: Default\nkind: Config\npreferences: {{}}\nusers:\n- name: user\n  user:\n    \
         client-certificate: {certificate}\n    client-key: {key}\n"
    )
}
