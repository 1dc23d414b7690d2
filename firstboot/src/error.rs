//! Why a boot stops. Every message is the last thing on the console of a machine that nobody may be near to.

use crate::{
    choose::ChooseError,
    cmdline::CmdlineError,
    efi::EfiError,
    layout::{LayoutError, Moved},
    persist::PersistError,
    verity::VerityError,
};
use std::{
    io,
    path::{Path, PathBuf},
};

/// Why `hcinit` gives up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InitError {
    /// A system call failed.
    #[error("cannot {act} `{}`: {source}", path.display())]
    Io {
        /// What was to be done.
        act: &'static str,
        /// To what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The command line names no root.
    #[error(transparent)]
    Cmdline(#[from] CmdlineError),
    /// The boot loader's variable is damaged.
    #[error(transparent)]
    Efi(#[from] EfiError),
    /// A module without which nothing boots.
    #[error("module {name}: {reason}: the initrd and the kernel do not fit, write the image again")]
    Module {
        /// The module's name.
        name: String,
        /// Why it was not loaded.
        reason: String,
    },
    /// The disk did not appear.
    #[error(
        "no disk carries {wanted} after {seconds} s; block devices: {seen}; {damaged}put the disk back, or add its driver to the board's module list"
    )]
    NoDisk {
        /// The partition that was looked for.
        wanted: String,
        /// How long.
        seconds: u64,
        /// What was there.
        seen: String,
        /// What is known of damaged tables; ends in `; ` or is empty.
        damaged: String,
    },
    /// The disk or slot is ambiguous or wrong.
    #[error(transparent)]
    Choose(#[from] ChooseError),
    /// A partition of the table that the kernel does not have.
    #[error("disk {disk}: the table has partition {number}, but the kernel does not show it: restart")]
    NoPartition {
        /// The disk's name.
        disk: String,
        /// The partition's number.
        number: u32,
    },
    /// The hash partition is wrong.
    #[error("disk {disk}: {source}")]
    Verity {
        /// The disk's name.
        disk: String,
        /// What is wrong.
        source: VerityError,
    },
    /// The table cannot become what it shall be.
    #[error("disk {disk}: {source}")]
    Layout {
        /// The disk's name.
        disk: String,
        /// Why.
        source: LayoutError,
    },
    /// Kernel and table differ.
    #[error("disk {disk}: {source}")]
    Moved {
        /// The disk's name.
        disk: String,
        /// How.
        source: Moved,
    },
    /// The state partition holds something that is not ours.
    #[error(
        "the state partition {device} holds {found}, not ext4, and is left as it is: save what you need from it, then erase its start (`wipefs -a`) and restart"
    )]
    StrangeState {
        /// The partition's device.
        device: String,
        /// What it holds.
        found: String,
    },
    /// A program of the image failed.
    #[error("`{program}` on {device} ended with {status}: {output}; {hint}")]
    Tool {
        /// The program.
        program: &'static str,
        /// What it worked on.
        device: String,
        /// How it ended.
        status: String,
        /// The end of what it said.
        output: String,
        /// What to do.
        hint: &'static str,
    },
    /// The list of writable paths is wrong.
    #[error(transparent)]
    Persist(#[from] PersistError),
    /// A writable path has another kind in the image or on state than the list says.
    #[error("`{path}` shall be a writable {expected}, but {place} has {found}: {hint}")]
    Kind {
        /// The path in the root.
        path: String,
        /// `directory` or `file`.
        expected: &'static str,
        /// Where the difference is.
        place: &'static str,
        /// What is there.
        found: &'static str,
        /// What to do.
        hint: &'static str,
    },
}

impl InitError {
    /// Wraps an I/O error with what was to be done to which path.
    pub fn io<E: Into<io::Error>>(act: &'static str, path: impl AsRef<Path>) -> impl FnOnce(E) -> Self {
        let path = path.as_ref().to_path_buf();
        move |source| Self::Io { act, path, source: source.into() }
    }
}
