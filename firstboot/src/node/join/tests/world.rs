//! A machine, a server and a cluster that do as a test says, on a clock that only moves when somebody waits.

use crate::node::{
    clock::Clocks,
    join::{
        Order, Way,
        facts::{
            ArtifactFault, AuthorityFault, Contact, Entry, Host, K3s, Kubelet, Network, NodeState, Seen, Unit,
        },
        k3s::Text,
        next::Step,
        order::Address,
        port::{Machine, Supervisor},
        progress::Progress,
    },
    part::Part,
    supervisor::{
        Bundle, Cidr, Cluster, Proof, SupervisorError,
        tests::kit::{Ca, NOW},
    },
};
use contract::{
    Reason,
    seed::{Role, Secret},
};
use std::{cell::Cell, collections::BTreeMap, io, net::SocketAddr, rc::Rc, sync::LazyLock};

pub(super) static CA: LazyLock<Bundle> =
    LazyLock::new(|| Bundle::unpinned(Ca::new("k3s-server-ca").pem.as_bytes(), NOW).unwrap());
pub(super) const BUILT: u64 = NOW - 10_000_000;
pub(super) const SERVER: &str = "192.168.1.10:6443";

pub(super) fn cluster(role: Role, server: Option<&str>) -> contract::seed::Cluster {
    let hash = "77c2".repeat(16);
    contract::seed::Cluster {
        role,
        server: server.map(str::to_owned),
        token: Secret::new(format!("K10{hash}::node:f00df00df00df00d")),
        allow_unpinned: false,
        labels: BTreeMap::new(),
        taints: Vec::new(),
        node_ip: None,
        tls_san: Vec::new(),
        virtual_ip: None,
    }
}

pub(super) fn order() -> Order {
    Order::check("pi3", &cluster(Role::Agent, Some("https://nas.lan"))).unwrap()
}

/// What outlives a power cut.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    pub(super) progress: Progress,
    pub(super) name: Option<String>,
    pub(super) files: BTreeMap<&'static str, String>,
    pub(super) burned: bool,
    pub(super) copies: Vec<String>,
}

pub(super) struct World {
    pub(super) disk: Disk,
    pub(super) time: Rc<Cell<u64>>,
    pub(super) host: Host,
    pub(super) network: Network,
    pub(super) clocks: Clocks,
    pub(super) artifacts: Result<(), ArtifactFault>,
    pub(super) unit: Unit,
    pub(super) kubelet: Kubelet,
    pub(super) api: Result<(), String>,
    pub(super) node: Seen,
    pub(super) path: u8,
    pub(super) burn: Result<(), String>,
    pub(super) write: Option<&'static str>,
    pub(super) copy: Option<&'static str>,
    /// After so many writes the power goes.
    pub(super) cut: Option<usize>,
    pub(super) writes: usize,
    pub(super) started: Vec<String>,
    pub(super) stepped: Vec<u64>,
    pub(super) said: Vec<(u64, Part)>,
}

pub(super) struct Server {
    pub(super) contact: Contact,
    pub(super) authority: Result<Bundle, AuthorityFault>,
    pub(super) proof: Result<Proof, SupervisorError>,
    pub(super) entry: Entry,
    /// How often the token was sent.
    pub(super) entered: usize,
    pub(super) judged: Vec<u64>,
    pub(super) knocked: Vec<Address>,
    pub(super) time: Rc<Cell<u64>>,
    /// From this time on all is well.
    pub(super) heals: u64,
}

pub(super) fn node() -> NodeState {
    NodeState {
        ready: true,
        why: String::new(),
        network: true,
        version: "v1.34.3+k3s1".to_owned(),
        server_version: Some("v1.34.3+k3s1".to_owned()),
        addresses: vec!["192.168.1.20".parse().unwrap()],
    }
}

pub(super) fn address() -> SocketAddr {
    SERVER.parse().unwrap()
}

impl World {
    pub(super) fn new() -> (Self, Server) {
        let time = Rc::new(Cell::new(0));
        let strings = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        let world = Self {
            disk: Disk::default(),
            time: Rc::clone(&time),
            host: Host {
                joined_as: None,
                controllers: strings(&["cpuset", "cpu", "io", "memory", "pids"]),
                missing_modules: Vec::new(),
                var: "ext4".to_owned(),
                free: 20 << 30,
                rancher: true,
                root_maxkeys: 1_000_000,
                k3s: K3s::There("v1.34.3+k3s1".to_owned()),
                certificate: None,
            },
            network: Network {
                carrier: true,
                addresses: vec!["192.168.1.20/24".parse().unwrap()],
                gateway: Some("192.168.1.1".parse().unwrap()),
                own: Some("192.168.1.20".parse().unwrap()),
            },
            clocks: Clocks { now: NOW, floor: BUILT, saved: None, synchronized: true },
            artifacts: Ok(()),
            unit: Unit { state: "active".to_owned(), files: (7, 7), ..Unit::default() },
            kubelet: Kubelet::Well,
            api: Ok(()),
            node: Seen::Node(Box::new(node())),
            path: 3,
            burn: Ok(()),
            write: None,
            copy: None,
            cut: None,
            writes: 0,
            started: Vec::new(),
            stepped: Vec::new(),
            said: Vec::new(),
        };
        let server = Server {
            contact: Contact::Pong { address: address(), claimed: Some(NOW + 7) },
            authority: Ok(CA.clone()),
            proof: Ok(Proof { date: Some(NOW + 7), certificate: None }),
            entry: Entry::Admitted(Cluster::default()),
            entered: 0,
            judged: Vec::new(),
            knocked: Vec::new(),
            time,
            heals: u64::MAX,
        };
        (world, server)
    }

    /// Steps until the node rests, or `seconds` have passed, or the power goes.
    pub(super) fn follow(&mut self, order: &Order, server: &mut Server, seconds: u64) -> io::Result<bool> {
        let time = Rc::clone(&self.time);
        let until = time.get() + seconds;
        let mut way = Way::begin(order.clone(), self, server)?;
        for _ in 0..10_000 {
            if way.step()? == Step::Rest {
                return Ok(true);
            }
            if time.get() >= until {
                return Ok(false);
            }
        }
        panic!("ten thousand steps, and no end: {:?}", way.peek());
    }

    /// Each reason that was told, once, in order, with the second.
    pub(super) fn reasons(&self) -> Vec<(u64, Reason)> {
        let mut told: Vec<(u64, Reason)> = Vec::new();
        for (at, part) in &self.said {
            if let Some(reason) = &part.reason
                && told.last().is_none_or(|(_, last)| last != reason)
            {
                told.push((*at, reason.clone()));
            }
        }
        told
    }

    fn power(&mut self) -> io::Result<()> {
        if self.cut == Some(self.writes) {
            return Err(io::Error::other("the power is gone"));
        }
        self.writes += 1;
        Ok(())
    }
}

impl Machine for World {
    fn host(&mut self, _order: &Order) -> io::Result<Host> {
        Ok(Host { joined_as: self.disk.name.clone().or(self.host.joined_as.clone()), ..self.host.clone() })
    }

    fn network(&mut self) -> io::Result<Network> {
        Ok(self.network.clone())
    }

    fn clocks(&mut self) -> io::Result<Clocks> {
        Ok(self.clocks)
    }

    fn set_clock(&mut self, to: u64) -> io::Result<()> {
        self.stepped.push(to);
        self.clocks.now = to;
        Ok(())
    }

    fn artifacts(&mut self) -> Result<(), ArtifactFault> {
        self.artifacts.clone()
    }

    fn write(&mut self, files: &[Text]) -> io::Result<()> {
        if let Some(why) = self.write {
            return Err(io::Error::other(why));
        }
        for Text { path, text } in files {
            self.power()?;
            self.disk.files.insert(path, text.clone());
        }
        Ok(())
    }

    fn copy(&mut self, name: &str) -> io::Result<()> {
        if let Some(why) = self.copy {
            return Err(io::Error::other(why));
        }
        self.power()?;
        self.disk.copies.push(name.to_owned());
        Ok(())
    }

    fn start(&mut self, unit: &str) -> io::Result<()> {
        assert_eq!(self.disk.files.len(), 2, "k3s starts with its settings");
        self.started.push(unit.to_owned());
        Ok(())
    }

    fn unit(&mut self, _unit: &str) -> io::Result<Unit> {
        Ok(self.unit.clone())
    }

    fn kubelet(&mut self) -> Kubelet {
        self.kubelet.clone()
    }

    fn api(&mut self) -> Result<(), String> {
        self.api.clone()
    }

    fn node(&mut self, _name: &str) -> Seen {
        self.node.clone()
    }

    fn path(&mut self, _services: &[Cidr]) -> u8 {
        self.path
    }

    fn burn(&mut self) -> Result<(), String> {
        self.power().map_err(|error| error.to_string())?;
        self.burn.clone()?;
        self.disk.burned = true;
        Ok(())
    }

    fn copied_off(&mut self) -> io::Result<bool> {
        Ok(false)
    }

    fn progress(&mut self) -> io::Result<Progress> {
        Ok(self.disk.progress.clone())
    }

    fn record(&mut self, progress: &Progress) -> io::Result<()> {
        self.power()?;
        self.disk.progress = progress.clone();
        Ok(())
    }

    fn record_name(&mut self, name: &str) -> io::Result<()> {
        self.power()?;
        self.disk.name = Some(name.to_owned());
        Ok(())
    }

    fn say(&mut self, part: &Part) -> io::Result<()> {
        self.said.push((self.time.get(), part.clone()));
        Ok(())
    }

    fn pause(&mut self, seconds: u64) {
        self.time.set(self.time.get() + seconds);
    }

    fn uptime(&mut self) -> u64 {
        self.time.get()
    }
}

impl Server {
    fn is_well(&self) -> bool {
        self.time.get() >= self.heals
    }
}

impl Supervisor for Server {
    fn knock(&mut self, server: &Address) -> Contact {
        self.knocked.push(server.clone());
        if self.is_well() {
            return Contact::Pong { address: address(), claimed: Some(NOW) };
        }
        self.contact.clone()
    }

    fn authority(&mut self, _: SocketAddr, _: &Order, at: u64) -> Result<Bundle, AuthorityFault> {
        self.judged.push(at);
        if self.is_well() { Ok(CA.clone()) } else { self.authority.clone() }
    }

    fn prove(&mut self, _: SocketAddr, _: &Bundle, _: u64) -> Result<Proof, SupervisorError> {
        if self.is_well() { Ok(Proof { date: Some(NOW), certificate: None }) } else { self.proof.clone() }
    }

    fn enter(&mut self, _: SocketAddr, _: &Bundle, _: u64, _: &Order) -> Entry {
        self.entered += 1;
        if self.is_well() { Entry::Admitted(Cluster::default()) } else { self.entry.clone() }
    }
}
