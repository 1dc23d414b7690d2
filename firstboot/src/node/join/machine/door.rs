//! J6 to J9: the server, through the network.

use crate::node::{
    join::{
        facts::{AuthorityFault, Contact, Entry},
        order::{Address, Order},
        port::Supervisor,
    },
    supervisor::{Bundle, Client, Cluster, Login, Proof, SupervisorError},
};
use contract::seed::Role;
use mdns_sd::{HostnameResolutionEvent, ServiceDaemon};
use std::{
    net::{IpAddr, SocketAddr, ToSocketAddrs as _},
    time::{Duration, Instant},
};

/// How long multicast DNS is given to answer.
const MULTICAST: Duration = Duration::from_secs(5);
/// So many addresses of one name are tried.
const ADDRESSES: usize = 4;

/// The server, through the network.
#[derive(Clone, Copy, Debug, Default)]
pub struct Door;

impl Supervisor for Door {
    fn knock(&mut self, server: &Address) -> Contact {
        let mut last = Contact::NotFound;
        for address in resolve(server).into_iter().take(ADDRESSES) {
            last = ping(address);
            if matches!(last, Contact::Pong { .. }) {
                break;
            }
        }
        last
    }

    fn authority(&mut self, address: SocketAddr, order: &Order, at: u64) -> Result<Bundle, AuthorityFault> {
        let answer = Client::new(address).cacerts().map_err(AuthorityFault::Away)?;
        if answer.status != 200 {
            return Err(AuthorityFault::Status(answer.status));
        }
        let bundle = match &order.ca {
            Some(expected) => Bundle::pinned(&answer.body, expected, at),
            // The owner wrote `allow-unpinned`: the order would not be one otherwise.
            None => Bundle::unpinned(&answer.body, at),
        };
        bundle.map_err(AuthorityFault::Bundle)
    }

    fn prove(&mut self, address: SocketAddr, bundle: &Bundle, at: u64) -> Result<Proof, SupervisorError> {
        Client::new(address).pinned(bundle, at).prove()
    }

    fn enter(&mut self, address: SocketAddr, bundle: &Bundle, at: u64, order: &Order) -> Entry {
        let ask = |user| {
            let login = Login { user, credentials: order.credentials.clone() };
            Client::new(address).pinned(bundle, at).config(&login)
        };
        let mut answer = ask(order.user());
        // A server's token is `node`'s password too, and only `node` may ask k3s for this: so a joining server of
        // k3s does the same.
        if order.role == Role::Server && answer.as_ref().is_ok_and(|answer| answer.status == 403) {
            answer = ask("node");
        }
        match answer {
            Err(error) => Entry::Away(error),
            Ok(answer) if answer.status != 200 => Entry::Status(answer.status),
            Ok(answer) => Cluster::parse(&answer.body).map_or_else(Entry::NotUnderstood, Entry::Admitted),
        }
    }
}

fn ping(address: SocketAddr) -> Contact {
    match Client::new(address).ping() {
        Ok(answer) if answer.status == 200 && answer.body.trim_ascii() == b"pong" => {
            Contact::Pong { address, claimed: answer.date }
        }
        Ok(answer) => {
            let text = format!("it answers {} to /ping", answer.status);
            Contact::Not { address, error: SupervisorError::Strange(text) }
        }
        Err(error) => Contact::Not { address, error },
    }
}

/// The server's addresses, IPv4 first.
fn resolve(server: &Address) -> Vec<SocketAddr> {
    let mut found: Vec<SocketAddr> = if let Ok(address) = server.host.parse::<IpAddr>() {
        vec![SocketAddr::new(address, server.port)]
    } else if server.is_multicast() {
        multicast(&server.host).into_iter().map(|address| SocketAddr::new(address, server.port)).collect()
    } else {
        // Whatever the resolver's error is, the name was not found.
        (server.host.as_str(), server.port).to_socket_addrs().map_or_else(|_| Vec::new(), Iterator::collect)
    };
    found.sort_by_key(|address| (address.is_ipv6(), *address));
    found.dedup();
    found
}

/// Asks the network who has this name.
fn multicast(name: &str) -> Vec<IpAddr> {
    let name = format!("{}.", name.trim_end_matches('.'));
    let ask = || -> mdns_sd::Result<Vec<IpAddr>> {
        let daemon = ServiceDaemon::new()?;
        let answers = daemon.resolve_hostname(&name, Some(MULTICAST.as_millis() as u64))?;
        let deadline = Instant::now() + MULTICAST;
        let mut found = Vec::new();
        while let Ok(event) = answers.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            match event {
                HostnameResolutionEvent::AddressesFound(_, addresses) => {
                    found.extend(addresses.iter().map(mdns_sd::ScopedIp::to_ip_addr));
                    break;
                }
                HostnameResolutionEvent::SearchTimeout(_) => break,
                _ => {}
            }
        }
        daemon.shutdown()?;
        Ok(found)
    };
    ask().unwrap_or_else(|error| {
        crate::node::say::warn(format_args!("multicast DNS: {error}"));
        Vec::new()
    })
}
