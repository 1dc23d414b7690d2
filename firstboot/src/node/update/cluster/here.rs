//! This node's own neighbours: settings, files and the network, put together. It decides nothing.

use super::{
    Leave, Neighbours, Phase, Reach, Rejoin,
    api::Api as _,
    datastore::{self, Need},
    kube::Kube,
    member::Member,
    policy::Policy,
};
use crate::node::{
    file,
    join::{Order, facts::Kubelet, k3s, machine, progress::Progress},
    kube::Door,
    place, say,
    settings::Settings,
    supervisor::Client,
};
use contract::seed::Role;
use serde::Deserialize;
use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, SocketAddr, ToSocketAddrs as _},
    path::Path,
    time::{Duration, Instant},
};

/// How long a server's door is given to open.
const KNOCK: Duration = Duration::from_secs(3);
/// So many doors are knocked at.
const DOORS: usize = 8;

/// The cluster of the node that this runs on, if it is in one.
pub struct Here<'a> {
    alive: Box<dyn FnMut() + 'a>,
    began: Instant,
}

impl<'a> Here<'a> {
    /// `alive` is called at least every ten seconds while something takes long, for a service's watchdog.
    pub fn new(alive: impl FnMut() + 'a) -> Self {
        Self { alive: Box::new(alive), began: Instant::now() }
    }

    fn kube(&mut self, order: &Order) -> Kube<'_> {
        Kube { name: order.name.clone(), alive: &mut *self.alive, began: self.began }
    }

    fn with<T>(
        &mut self,
        order: &Order,
        policy: &Policy,
        act: impl FnOnce(&mut Member<'_, Kube<'_>>) -> T,
    ) -> T {
        let mut kube = self.kube(order);
        act(&mut Member { api: &mut kube, name: &order.name, role: order.role, policy })
    }
}

/// The node's place in a cluster, if it ever got one: it has the credentials that it needs to ask there.
fn place_in_cluster() -> io::Result<Option<Order>> {
    let Some(cluster) = Settings::load()?.and_then(|settings| settings.seed.cluster) else {
        return Ok(None);
    };
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    match Order::check(&name, &cluster) {
        Ok(order) if Door::node().is_ok() => Ok(Some(order)),
        Ok(_) => Ok(None),
        // `hcnode join` says it with all its words.
        Err(reason) => Err(io::Error::other(reason.to_string())),
    }
}

fn both() -> io::Result<Option<(Order, Policy)>> {
    let Some(order) = place_in_cluster()? else { return Ok(None) };
    Ok(Some((order, Policy::load()?)))
}

impl Neighbours for Here<'_> {
    fn look(&mut self) -> Reach {
        let network = machine::network().unwrap_or_else(|error| {
            say::warn(format_args!("the network cannot be looked at: {error}"));
            Default::default()
        });
        let order = place_in_cluster().unwrap_or_else(|error| {
            say::warn(format_args!("the place in the cluster cannot be read: {error}"));
            None
        });
        let Some(order) = order else { return Reach::default() };
        let own = self.kube(&order).own();
        let mine: Vec<IpAddr> = network.addresses.iter().map(|net| net.address).collect();
        Reach {
            member: true,
            api: own.is_ok(),
            ready: own.ok().map(|own| own.ready),
            kubelet: machine::kubelet() == Kubelet::Well,
            door: door(&order, &mine),
            network: network.carrier && !mine.is_empty() && network.gateway.is_some(),
        }
    }

    fn keep_datastore(&mut self, from: Option<&str>, to: Option<&str>) -> Result<Option<String>, String> {
        let Some(order) = place_in_cluster().map_err(|error| error.to_string())? else { return Ok(None) };
        let server = match order.role {
            Role::Server => None,
            // That it cannot be asked now is no reason to wait.
            Role::Agent => self.kube(&order).server_version().unwrap_or(None),
        };
        match datastore::fits(order.role, from, to, server.as_deref())? {
            Need::Nothing => Ok(None),
            Need::Snapshot => datastore::snapshot(to.unwrap_or("unknown"), &mut *self.alive).map(Some),
        }
    }

    fn leave(&mut self, release: &str) -> Leave {
        match both() {
            Ok(None) => Leave::Free(Vec::new()),
            Ok(Some((order, policy))) => self.with(&order, &policy, |member| member.leave(release)),
            Err(error) => Leave::Stay(error.to_string()),
        }
    }

    fn rejoin(&mut self) -> Rejoin {
        self.reconcile(Phase::Settled)
    }

    fn reconcile(&mut self, phase: Phase) -> Rejoin {
        match both() {
            Ok(None) => Rejoin::Done(Vec::new()),
            Ok(Some((order, policy))) => self.with(&order, &policy, |member| member.reconcile(phase)),
            Err(error) => Rejoin::Later(error.to_string()),
        }
    }
}

/// Whether a server that is not this machine opens its door. Of a server that is the only one nobody else can say
/// whether it works: its own word counts.
fn door(order: &Order, mine: &[IpAddr]) -> bool {
    let mut doors: BTreeSet<SocketAddr> = balanced().into_iter().collect();
    if let Some(server) = order.server.as_ref().filter(|server| !server.is_multicast()) {
        // A name that is not found leads nowhere, and that is the answer.
        doors.extend((server.host.as_str(), server.port).to_socket_addrs().into_iter().flatten());
    }
    doors.extend(known());
    doors.retain(|door| !mine.contains(&door.ip()) && !door.ip().is_loopback());
    if order.role == Role::Server && doors.is_empty() {
        return true;
    }
    let opens =
        |door: SocketAddr| Client::new(door).patient(KNOCK).ping().is_ok_and(|answer| answer.status == 200);
    doors.into_iter().take(DOORS).any(opens)
}

/// Where the join found the server.
fn known() -> Option<SocketAddr> {
    let text = file::read(Path::new(place::JOIN)).ok()??;
    serde_json::from_slice::<Progress>(&text).ok()?.server
}

/// The servers that k3s's own balancer knows.
fn balanced() -> Vec<SocketAddr> {
    #[derive(Deserialize)]
    struct Balancer {
        #[serde(rename = "ServerAddresses", default)]
        addresses: Vec<String>,
    }
    let path = Path::new(k3s::AGENT).join("etc/k3s-agent-load-balancer.json");
    // It is k3s's file: what cannot be read in it is not known.
    let text = file::read(&path).ok().flatten().unwrap_or_default();
    let found =
        serde_json::from_slice::<Balancer>(&text).map_or_else(|_| Vec::new(), |found| found.addresses);
    found.iter().filter_map(|address| address.parse().ok()).collect()
}
