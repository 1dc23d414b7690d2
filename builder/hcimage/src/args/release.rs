//! What is typed to release: signatures, bundles, trust.

use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct SignArgs {
    /// A release manifest, out/…/release.json, the folder that holds it, or a bundle, FILE.hcb
    pub(crate) release: PathBuf,
    /// The secret key
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// Sign although the image has lab inputs, such as an SSH key
    #[arg(long)]
    pub(crate) lab: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BundleArgs {
    /// The folder of a build, such as out/nas-x86_64; several, if they are the same release for several boards
    #[arg(required = true, value_name = "DIR")]
    pub(crate) images: Vec<PathBuf>,
    /// The bundle that is written
    #[arg(long, short, value_name = "FILE.hcb")]
    pub(crate) out: PathBuf,
    /// Sign it with this secret key; may be given several times
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Vec<PathBuf>,
    /// Carry this chain of trusts instead of the one that the image was built with
    #[arg(long, value_name = "FILE")]
    pub(crate) trust: Option<PathBuf>,
    /// Sign although the image has lab inputs, such as an SSH key
    #[arg(long)]
    pub(crate) lab: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TrustCommand {
    /// Begin: version 1, which nodes believe because it is in their image
    New {
        /// The file, such as trust.json; the profile names it as `trust` below `[update]`
        file: PathBuf,
        #[command(flatten)]
        keys: KeySet,
    },
    /// Add a next version with other keys; it counts once enough keys of the version before it have signed
    Next {
        /// The file with the chain
        file: PathBuf,
        #[command(flatten)]
        keys: KeySet,
    },
    /// Sign the newest version with a key of the version before it
    Sign {
        /// The file with the chain
        file: PathBuf,
        /// The secret key
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
    },
    /// Show all versions, their keys and who has signed them
    Show {
        /// The file with the chain
        file: PathBuf,
    },
}

/// The keys of a trust.
#[derive(Debug, Args)]
pub(crate) struct KeySet {
    /// A minisign public key; may be given several times
    #[arg(long, required = true, value_name = "FILE")]
    pub(crate) pubkey: Vec<PathBuf>,
    /// How many of them must sign
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) threshold: u32,
}

#[derive(Debug, Args)]
pub(crate) struct PermitArgs {
    /// The bundle that may be installed
    pub(crate) bundle: PathBuf,
    /// The highest floor that it may lie below: the one that the node named when it refused
    #[arg(long, value_name = "N")]
    pub(crate) floor: u64,
    /// A secret key; may be given several times
    #[arg(long, required = true, value_name = "FILE")]
    pub(crate) key: Vec<PathBuf>,
    /// The permit that is written
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: PathBuf,
}
