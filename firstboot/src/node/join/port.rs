//! The ports: all that the join does to the machine and hears from it. `machine` is the real one, tests have another.

use super::{
    facts::{ArtifactFault, AuthorityFault, Contact, Entry, Facts, Host, Kubelet, Network, Seen, Unit},
    k3s::Text,
    order::{Address, Order},
    progress::Progress,
};
use crate::node::{
    clock::Clocks,
    part::Part,
    supervisor::{Bundle, Cidr, Proof, SupervisorError},
};
use std::{io, net::SocketAddr};

/// The machine and its network.
pub trait Machine {
    /// J2, J3.
    fn host(&mut self, order: &Order) -> io::Result<Host>;
    /// J4.
    fn network(&mut self) -> io::Result<Network>;
    /// J5.
    fn clocks(&mut self) -> io::Result<Clocks>;
    /// Sets the clock, seconds since 1970.
    fn set_clock(&mut self, to: u64) -> io::Result<()>;
    /// A01: fetches what the image does not hold, and checks what was fetched before.
    fn artifacts(&mut self) -> Result<(), ArtifactFault>;
    /// J10: writes the files in their order, each whole or not at all, and reads them back.
    fn write(&mut self, files: &[Text]) -> io::Result<()>;
    /// Keeps a copy of the cluster's state under this name, while k3s does not run.
    fn copy(&mut self, name: &str) -> io::Result<()>;
    /// J11: starts a unit and does not wait.
    fn start(&mut self, unit: &str) -> io::Result<()>;
    /// J11.
    fn unit(&mut self, unit: &str) -> io::Result<Unit>;
    /// J12.
    fn kubelet(&mut self) -> Kubelet;
    /// S03.
    fn api(&mut self) -> Result<(), String>;
    /// J13.
    fn node(&mut self, name: &str) -> Seen;
    /// J14: of three attempts to reach the API as pods do, how many came through.
    fn path(&mut self, services: &[Cidr]) -> u8;
    /// J15.
    fn burn(&mut self) -> Result<(), String>;
    /// S05: whether the owner keeps the cluster's token somewhere else too.
    fn copied_off(&mut self) -> io::Result<bool>;
    /// How far the node came before.
    fn progress(&mut self) -> io::Result<Progress>;
    /// Keeps how far it came.
    fn record(&mut self, progress: &Progress) -> io::Result<()>;
    /// Keeps the name under which the cluster knows the node.
    fn record_name(&mut self, name: &str) -> io::Result<()>;
    /// Tells everybody how the join stands.
    fn say(&mut self, part: &Part) -> io::Result<()>;
    /// Waits, in seconds.
    fn pause(&mut self, seconds: u64);
    /// Seconds since the start, by a clock that nobody sets.
    fn uptime(&mut self) -> u64;
}

/// The server, before k3s talks to it.
pub trait Supervisor {
    /// J6.
    fn knock(&mut self, server: &Address) -> Contact;
    /// J7. `at`: the time at which certificates are judged.
    fn authority(&mut self, address: SocketAddr, order: &Order, at: u64) -> Result<Bundle, AuthorityFault>;
    /// J8. Nothing secret is sent.
    fn prove(&mut self, address: SocketAddr, bundle: &Bundle, at: u64) -> Result<Proof, SupervisorError>;
    /// J9. The only one that sends the token.
    fn enter(&mut self, address: SocketAddr, bundle: &Bundle, at: u64, order: &Order) -> Entry;
}

/// Where the server is and by what time it is judged, from what was seen.
pub(super) fn aim(facts: &Facts) -> Option<(SocketAddr, u64)> {
    let Some(Contact::Pong { address, claimed }) = facts.server else { return None };
    Some((address, facts.clocks?.judge_at(claimed)))
}
