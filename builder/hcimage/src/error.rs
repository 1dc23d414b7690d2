//! Everything that can end a command, and what to do about it.

use crate::config::Problem;
use contract::Digest;
use std::{io, path::PathBuf};

/// Why a command was refused or failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A file that the user wrote.
    #[error("{0}")]
    Problem(#[from] Problem),
    /// The cache or the network.
    #[error("{0}")]
    Store(#[from] store::StoreError),
    /// Several downloads.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Downloads(Vec<store::StoreError>),
    /// A download in the cache is not what the lock names.
    #[error(
        "{name}: the cached file has sha256 {found}, the lock says {expected}; it was removed from the cache"
    )]
    DamagedCache { name: String, found: Digest, expected: Digest },
    /// A package which no mirror has any more.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Gone(Vec<store::StoreError>, Vec<String>),
    /// A package that is not as it should be.
    #[error("{name}: {source}")]
    Deb { name: String, source: archive::deb::DebError },
    /// A Release file that cannot be believed.
    #[error("{suite}: {source}")]
    Release { suite: String, source: Box<archive::release::ReleaseError> },
    /// A package index.
    #[error("{suite}: {source}")]
    Packages { suite: String, source: Box<archive::packages::PackagesError> },
    /// No choice of packages.
    #[error("{arch}: {source}")]
    Resolve { arch: contract::Arch, source: Box<archive::resolver::ResolveError> },
    /// A path that is none.
    #[error(transparent)]
    Path(#[from] tree::MalformedPath),
    /// The tree.
    #[error(transparent)]
    Tree(#[from] tree::TreeError),
    /// A pattern.
    #[error(transparent)]
    Glob(#[from] tree::MalformedGlob),
    /// The tree cannot be assembled.
    #[error(transparent)]
    Assemble(#[from] tree::AssembleError),
    /// The library cache.
    #[error(transparent)]
    Ldconfig(#[from] tree::effects::ldconfig::LdconfigError),
    /// The kernel's modules.
    #[error(transparent)]
    Kernel(#[from] tree::kernel::KernelError),
    /// The root file system.
    #[error("root file system: {0}")]
    Erofs(#[from] disk::erofs::Error),
    /// Its hash tree.
    #[error("{0}")]
    Verity(#[from] disk::verity::Error),
    /// The initrd.
    #[error("initrd: {0}")]
    Cpio(#[from] disk::cpio::CpioError),
    /// The unified kernel image.
    #[error("kernel image: {0}")]
    Pe(#[from] disk::pe::PeError),
    /// The boot partition.
    #[error("boot partition: {0}")]
    Fat(#[from] disk::fat::FatError),
    /// The partition table.
    #[error(transparent)]
    Gpt(#[from] disk::gpt::GptError),
    /// A release manifest.
    #[error(transparent)]
    Manifest(#[from] contract::release::ReleaseError),
    /// A bundle.
    #[error(transparent)]
    Bundle(#[from] contract::bundle::BundleError),
    /// A signature.
    #[error("{}: {source}", file.display())]
    Signature { file: PathBuf, source: contract::signature::SignatureError },
    /// A node's settings.
    #[error("{0}")]
    Seed(contract::seed::SeedError),
    /// A file of the user's.
    #[error("cannot {verb} {}: {source}", path.display())]
    File { verb: &'static str, path: PathBuf, source: io::Error },
    /// A name that is no architecture.
    #[error(transparent)]
    Arch(#[from] contract::UnknownArch),
    /// Everything that is said in one sentence.
    #[error("{message}")]
    Refused { message: String, hint: Option<String> },
}

impl Failure {
    /// A refusal without advice.
    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self::Refused { message: message.into(), hint: None }
    }

    /// A refusal with what to do.
    pub(crate) fn with_hint(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Refused { message: message.into(), hint: Some(hint.into()) }
    }

    /// For `map_err` on file operations.
    pub(crate) fn file(verb: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { verb, path, source }
    }

    /// What the user can do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Refused { hint, .. } => hint.clone(),
            Self::DamagedCache { .. } => Some("run the same command again: it will be downloaded anew".to_owned()),
            Self::Gone(_, packages) => Some(format!(
                "mirrors keep only current versions: run `hcimage lock --update {}`, or build with --relock-gone",
                packages.join(" ")
            )),
            _ if self.io_kind() == Some(io::ErrorKind::StorageFull) => {
                Some("the disk is full: free some space and run the same command again".to_owned())
            }
            _ if self.io_kind() == Some(io::ErrorKind::PermissionDenied) => {
                Some("choose a folder that you may write with --out DIR (or --cache DIR)".to_owned())
            }
            Self::Store(store::StoreError::OtherFile { .. }) => Some(
                "--artifact takes the pinned file alone; --substitute NAME=FILE takes any, for an image that is no release"
                    .to_owned(),
            ),
            Self::Downloads(_) | Self::Store(store::StoreError::Unreachable { .. }) => {
                Some("what was downloaded so far is kept: run the same command again, or name another mirror with --mirror URL".to_owned())
            }
            _ => None,
        }
    }

    /// What the system said, where it is a file of this machine that could not be had.
    fn io_kind(&self) -> Option<io::ErrorKind> {
        let of_store = |error: &store::StoreError| match error {
            store::StoreError::File { source, .. } => Some(source.kind()),
            _ => None,
        };
        match self {
            Self::File { source, .. } => Some(source.kind()),
            Self::Store(error) => of_store(error),
            Self::Downloads(errors) => errors.iter().find_map(of_store),
            _ => None,
        }
    }
}
