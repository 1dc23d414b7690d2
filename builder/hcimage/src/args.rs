//! What is typed.

mod release;
mod seed;

pub(crate) use release::{BundleArgs, KeySet, PermitArgs, SignArgs, TrustCommand};
pub(crate) use seed::{RoleArg, SeedCommand, SeedNewArgs};

use clap::{Args, Parser, Subcommand};
use contract::Arch;
use std::path::PathBuf;

/// Signed, reproducible, immutable disk images from Debian packages.
///
/// A profile (profiles/NAME.toml) says what an image is; its lock names every package by hash. Begin with
/// `hcimage build`, then look at the result with `hcimage run out/nas-x86_64`.
#[derive(Debug, Parser)]
#[command(name = "hcimage", version, arg_required_else_help = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// The checkout with profiles/ and overlays/ [default: this folder or the nearest above it]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) project: Option<PathBuf>,
    /// Where downloads and unpacked packages are kept [default: ~/.cache/hcimage]
    #[arg(long, global = true, value_name = "DIR", env = "HCIMAGE_CACHE", hide_env_values = true)]
    pub(crate) cache: Option<PathBuf>,
    /// A Debian mirror, such as http://HOST/debian; may be given several times [default: those of this machine's apt]
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "HCIMAGE_MIRROR",
        hide_env_values = true,
        value_delimiter = ' '
    )]
    pub(crate) mirror: Vec<String>,
    /// Trust the OpenPGP keys in this file instead of Debian's, for an archive of your own
    #[arg(long, global = true, value_name = "FILE", env = "HCIMAGE_KEYRING", hide_env_values = true)]
    pub(crate) keyring: Option<PathBuf>,
    /// Use only what is in the cache
    #[arg(long, global = true)]
    pub(crate) offline: bool,
    /// How many threads to use [default: one for each processor]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) jobs: Option<u16>,
    /// Print the result as JSON on standard output
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Build a disk image from a profile and its lock
    Build(BuildArgs),
    /// Choose packages from Debian's signed indexes and write the lock
    Lock(LockArgs),
    /// Show how each maintainer script of a profile is covered
    Scripts(ScriptsArgs),
    /// Boot an image in QEMU, with its serial console on this terminal
    Run(RunArgs),
    /// Check an image: signature, every part, the root's hash tree
    Verify(VerifyArgs),
    /// Make signing keys
    Key {
        #[command(subcommand)]
        command: KeyCommand,
    },
    /// Sign a release manifest or a bundle
    Sign(SignArgs),
    /// Make an update for nodes from a build
    Bundle(BundleArgs),
    /// Say whose updates nodes believe, and hand that over to other keys
    Trust {
        #[command(subcommand)]
        command: TrustCommand,
    },
    /// Permit nodes to go back to a release that lies below their floor
    Permit(PermitArgs),
    /// Write or check a node's settings
    Seed {
        #[command(subcommand)]
        command: SeedCommand,
    },
    /// Say where a file or a package of an image comes from, and what it costs
    Why(WhyArgs),
    /// Say what changes between two builds, and what a node fetches for it
    Diff(DiffArgs),
    /// Put bundles into a folder that any web server can serve to nodes
    Publish(PublishArgs),
    /// Serve a folder to the nodes of a local network, over plain HTTP
    Serve(ServeArgs),
}

#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// The folder of the build that the nodes have, such as out/nas-x86_64
    pub(crate) old: PathBuf,
    /// The folder of the new build, or its bundle (FILE.hcb) for the exact download
    pub(crate) new: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct PublishArgs {
    /// Bundles; none with --halt stops every channel of the folder
    #[arg(required_unless_present = "halt")]
    pub(crate) bundles: Vec<PathBuf>,
    /// The folder, made if missing; what is in it stays
    #[arg(short, long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Stop the roll-out: nodes take nothing by themselves until something is published without this
    #[arg(long)]
    pub(crate) halt: bool,
    /// Offer it to so many of 100 nodes [default: all]
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub(crate) wave: Option<u8>,
    /// Offer a release that is older than the one that is offered now
    #[arg(long = "offer-older")]
    pub(crate) older: bool,
    /// For labs and tests: take bundles that nobody signed
    #[arg(long)]
    pub(crate) unsigned: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// The folder, such as the one that `hcimage publish` wrote
    pub(crate) folder: PathBuf,
    /// Address and port to listen at
    #[arg(long, default_value = "0.0.0.0:8080", value_name = "ADDRESS:PORT")]
    pub(crate) listen: std::net::SocketAddr,
}

#[derive(Debug, Args)]
pub(crate) struct BuildArgs {
    /// Which profile
    #[arg(long, default_value = "nas")]
    pub(crate) profile: String,
    /// Which architecture: x86_64 or aarch64 [default: this machine's]
    #[arg(long)]
    pub(crate) arch: Option<Arch>,
    /// Where the image goes: DIR/PROFILE-ARCH/
    #[arg(long, default_value = "out", value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Sign the release with this secret key
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// For labs and tests: let the holder of this public SSH key log in as root
    #[arg(long, value_name = "FILE")]
    pub(crate) ssh_key: Option<PathBuf>,
    /// Choose anew those locked packages that no mirror has any more, and write the lock
    #[arg(long)]
    pub(crate) relock_gone: bool,
    /// Take the node's own binaries from here instead of compiling them
    #[arg(long, value_name = "DIR")]
    pub(crate) node_bin: Option<PathBuf>,
    /// Compress with this zstd level instead of the profile's (1 to 19)
    #[arg(long, value_name = "N")]
    pub(crate) level: Option<i32>,
    #[command(flatten)]
    pub(crate) artifacts: ArtifactArgs,
}

/// What becomes of artifacts: files of overlays that are no Debian packages.
#[derive(Debug, Args)]
pub(crate) struct ArtifactArgs {
    /// Take an artifact from this file instead of fetching it; it must be the pinned one
    #[arg(long, value_name = "NAME=FILE")]
    pub(crate) artifact: Vec<NamedFile>,
    /// Leave an artifact out: the node fetches it when it starts
    #[arg(long, value_name = "NAME")]
    pub(crate) defer: Vec<String>,
    /// For labs and tests: put any other file in an artifact's place
    #[arg(long, value_name = "NAME=FILE")]
    pub(crate) substitute: Vec<NamedFile>,
}

/// `NAME=FILE`.
#[derive(Clone, Debug)]
pub(crate) struct NamedFile {
    pub(crate) name: String,
    pub(crate) file: PathBuf,
}

impl std::str::FromStr for NamedFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('=').filter(|(name, file)| !name.is_empty() && !file.is_empty());
        let (name, file) = parts.ok_or_else(|| format!("`{text}` is not NAME=FILE"))?;
        Ok(Self { name: name.to_owned(), file: file.into() })
    }
}

#[derive(Debug, Args)]
pub(crate) struct LockArgs {
    /// Which profile
    #[arg(long, default_value = "nas", conflicts_with = "all")]
    pub(crate) profile: String,
    /// Every profile
    #[arg(long)]
    pub(crate) all: bool,
    /// Renew these packages, or all when none is named; without it only what the profile's changes ask for
    #[arg(long, value_name = "PACKAGE", num_args = 0..)]
    pub(crate) update: Option<Vec<String>>,
}

#[derive(Debug, Args)]
pub(crate) struct ScriptsArgs {
    /// Which profile
    #[arg(long, default_value = "nas")]
    pub(crate) profile: String,
    /// Which architecture [default: this machine's]
    #[arg(long)]
    pub(crate) arch: Option<Arch>,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The folder of a build, such as out/nas-x86_64, or a disk image
    pub(crate) image: PathBuf,
    /// Keep what the machine writes, in the folder `machine` beside the image, and go on with it the next time
    #[arg(long)]
    pub(crate) keep: bool,
    /// The machine's memory in MiB
    #[arg(long, default_value_t = 2048, value_name = "MIB")]
    pub(crate) memory: u32,
    /// The disk's size in GiB: the first boot makes slot B and the state on it
    #[arg(long, default_value_t = 8, value_name = "GIB")]
    pub(crate) disk: u32,
    /// Print the QEMU command instead of running it
    #[arg(long, requires = "keep")]
    pub(crate) print: bool,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The folder of a build, such as out/nas-x86_64
    pub(crate) image: PathBuf,
    /// The minisign public key that must have signed it
    #[arg(long, value_name = "FILE", required_unless_present = "unsigned")]
    pub(crate) pubkey: Option<PathBuf>,
    /// Check the parts of an image that nobody signed
    #[arg(long, conflicts_with = "pubkey")]
    pub(crate) unsigned: bool,
    /// Compare with another build: says what differs
    #[arg(long, value_name = "DIR")]
    pub(crate) against: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make a pair: DIR/hcimage.key (secret, readable by you alone) and DIR/hcimage.pub
    New {
        /// The folder, made if missing
        dir: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct WhyArgs {
    /// The folder of a build, such as out/nas-x86_64, or a profile's name
    pub(crate) subject: String,
    /// A path in the image, such as /usr/bin/bash, or a package's name
    pub(crate) what: String,
    /// Which architecture, for a profile [default: this machine's]
    #[arg(long)]
    pub(crate) arch: Option<Arch>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_unknown_architecture_is_named_with_the_known_ones() {
        let error = Cli::try_parse_from(["hcimage", "build", "--arch", "riscv64"]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("expected x86_64 (amd64) or aarch64 (arm64)"), "{error}");
    }
}
