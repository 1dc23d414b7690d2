//! What runs on a node beside its services, and what its operator asks it.

use clap::{Parser, Subcommand};
use firstboot::node;
use std::process::ExitCode;

#[derive(Debug, Parser)]
#[command(name = "hcnode", version, about = "The node's own services, and what its operator asks them")]
struct Arguments {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Read the seed and carry the settings out (a service does this at every boot)
    FirstBoot,
    /// Bring the node into the cluster that its settings ask for, and say how it stands there (a service does this)
    Join {
        /// Go the way up to the token's own answer (J1 to J9), print each step, and change nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Ask the services' probes
    Health(node::health::Options),
    /// Print what the node is doing, and why it does not go on
    Status(node::status::Options),
    /// On a server: print a token with which another node may join
    Token(node::token::Options),
    /// Print what makes this node the one that its cluster knows: the file is a secret
    Escrow,
    /// The door for programs that ask for updates, such as a Plan of system-upgrade-controller
    #[command(subcommand)]
    UpdateSocket(node::update::socket::Act),
    /// On a server that came back from a newer k3s: put back the datastore from before it
    RestoreDatastore {
        /// Do it: this is the only server of its cluster
        #[arg(long)]
        only_server: bool,
    },
    /// Take a new release into the other slot, and everything about that
    Update(node::update::command::Options),
    /// Make this node forget its name, its place in the cluster and its password there
    ResetIdentity {
        /// Do it
        #[arg(long)]
        yes: bool,
    },
}

fn main() -> ExitCode {
    match Arguments::parse().act {
        Act::FirstBoot => node::first_boot::run(),
        Act::Join { dry_run: true } => node::join::rehearse(),
        Act::Join { dry_run: false } => node::join::run(),
        Act::Health(options) => node::health::run(options),
        Act::Status(options) => node::status::run(options),
        Act::Token(options) => node::token::run(&options),
        Act::UpdateSocket(act) => node::update::socket::run(act),
        Act::Escrow => node::identity::escrow(),
        Act::RestoreDatastore { only_server } => node::join::restore(only_server),
        Act::Update(options) => node::update::command::run(options),
        Act::ResetIdentity { yes } => node::identity::reset(yes),
    }
}
