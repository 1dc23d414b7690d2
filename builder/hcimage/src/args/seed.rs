//! What is typed after `hcimage seed`.

use clap::{Args, Subcommand, ValueEnum};
use std::{net::IpAddr, path::PathBuf};

#[derive(Debug, Subcommand)]
pub(crate) enum SeedCommand {
    /// Check a node's settings, and say what the node will do with them
    Check {
        /// A seed, homecloud.toml, or the rpi-preseed.toml of the Raspberry Pi Imager
        file: PathBuf,
    },
    /// Write a node's settings; asks for what is missing when a person sits at the terminal
    New(Box<SeedNewArgs>),
}

/// What a node is in its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RoleArg {
    /// A NAS on its own
    None,
    /// Runs pods
    Agent,
    /// Runs the control plane; without --server it is the first one
    Server,
}

#[derive(Debug, Args)]
pub(crate) struct SeedNewArgs {
    /// Where the settings go
    #[arg(default_value = contract::seed::FILE)]
    pub(crate) file: PathBuf,
    /// Replace the file if it is there
    #[arg(long)]
    pub(crate) force: bool,
    /// Ask nothing
    #[arg(long)]
    pub(crate) no_ask: bool,
    /// The node's name
    #[arg(long, value_name = "NAME")]
    pub(crate) hostname: Option<String>,
    /// A file of public SSH keys that may log in, such as ~/.ssh/id_ed25519.pub; may be given several times
    #[arg(long, value_name = "FILE")]
    pub(crate) ssh_key: Vec<PathBuf>,
    /// A static address with its prefix length, such as 192.168.1.20/24; may be given several times
    #[arg(long, value_name = "ADDRESS", help_heading = "Network")]
    pub(crate) address: Vec<String>,
    /// The router
    #[arg(long, value_name = "ADDRESS", requires = "address", help_heading = "Network")]
    pub(crate) gateway: Option<IpAddr>,
    /// A name server; may be given several times
    #[arg(long, value_name = "ADDRESS", help_heading = "Network")]
    pub(crate) dns: Vec<IpAddr>,
    /// The port, or a pattern such as en* [default: every wired one]
    #[arg(long, value_name = "PORT", help_heading = "Network")]
    pub(crate) interface: Option<String>,
    /// A wireless network
    #[arg(long, value_name = "NAME", requires = "wifi_country", help_heading = "Network")]
    pub(crate) wifi_ssid: Option<String>,
    /// A file with its password; - for standard input; without it, it is an open network
    #[arg(long, value_name = "FILE", requires = "wifi_ssid", help_heading = "Network")]
    pub(crate) wifi_password_file: Option<PathBuf>,
    /// The country of use, such as DE
    #[arg(long, value_name = "COUNTRY", requires = "wifi_ssid", help_heading = "Network")]
    pub(crate) wifi_country: Option<String>,
    /// The wireless network does not announce itself
    #[arg(long, requires = "wifi_ssid", help_heading = "Network")]
    pub(crate) wifi_hidden: bool,
    /// A time server; may be given several times
    #[arg(long, value_name = "HOST", help_heading = "Network")]
    pub(crate) time_server: Vec<String>,
    /// A disk for the data, by its name in /dev/disk/by-id
    #[arg(long, value_name = "DISK", help_heading = "Data")]
    pub(crate) data_disk: Option<String>,
    /// Give the disk a file system if it is empty
    #[arg(long, requires = "data_disk", help_heading = "Data")]
    pub(crate) format: bool,
    /// What the node is in its cluster
    #[arg(long, help_heading = "Cluster")]
    pub(crate) role: Option<RoleArg>,
    /// The server that it joins, https://HOST[:PORT]
    #[arg(long, value_name = "URL", requires = "role", help_heading = "Cluster")]
    pub(crate) server: Option<String>,
    /// A file with the join token; - for standard input
    #[arg(long, value_name = "FILE", requires = "role", help_heading = "Cluster")]
    pub(crate) token_file: Option<PathBuf>,
    /// Accept a token that does not name the cluster's CA
    #[arg(long, requires = "role", help_heading = "Cluster")]
    pub(crate) allow_unpinned: bool,
    /// A label of the Kubernetes node; may be given several times
    #[arg(long, value_name = "KEY=VALUE", requires = "role", help_heading = "Cluster")]
    pub(crate) label: Vec<String>,
    /// A taint, KEY[=VALUE]:EFFECT; may be given several times
    #[arg(long, value_name = "TAINT", requires = "role", help_heading = "Cluster")]
    pub(crate) taint: Vec<String>,
    /// The node's address in the cluster, where it has several
    #[arg(long, value_name = "ADDRESS", requires = "role", help_heading = "Cluster")]
    pub(crate) node_ip: Option<IpAddr>,
    /// A further name or address of the servers, for their certificate; may be given several times
    #[arg(long, value_name = "HOST", requires = "role", help_heading = "Cluster")]
    pub(crate) tls_san: Vec<String>,
    /// The address that the servers share
    #[arg(long, value_name = "ADDRESS", requires = "role", help_heading = "Cluster")]
    pub(crate) virtual_ip: Option<IpAddr>,
    /// Let everybody on the network read how the node is, on port 80
    #[arg(long)]
    pub(crate) page: bool,
    /// The escrow of a node (`hcnode escrow`): the new card goes on as that node
    #[arg(long, value_name = "FILE")]
    pub(crate) escrow: Option<PathBuf>,
}
