//! What can go wrong around a guest.

use std::{io, path::PathBuf, process::ExitStatus, time::Duration};

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong around a guest; each message is meant for the person who started it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A program is not on `PATH`.
    #[error("`{program}` is not installed: it is in Debian's package {package}")]
    MissingTool {
        /// The program's name.
        program: &'static str,
        /// The Debian package that has it.
        package: &'static str,
    },
    /// None of the known places holds UEFI firmware for the architecture.
    #[error("no UEFI firmware for {arch} found: install {package} (looked for {looked})")]
    MissingFirmware {
        /// The guest's architecture.
        arch: contract::Arch,
        /// The Debian package that has it.
        package: &'static str,
        /// All paths that were tried.
        looked: String,
    },
    /// `HCIMAGE_ACCEL` holds a word that is not an accelerator.
    #[error("HCIMAGE_ACCEL is `{0}`: expected auto, tcg or kvm")]
    UnknownAccel(String),
    /// A file or directory could not be used.
    #[error("{act} {path}: {source}")]
    File {
        /// What was being done, such as `copy`.
        act: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A program could not be started or waited for.
    #[error("run {program}: {source}")]
    Spawn {
        /// The program's name.
        program: String,
        /// Why not.
        source: io::Error,
    },
    /// A program that had to succeed did not.
    #[error("{program} ended with {status}: {stderr}")]
    Failed {
        /// The command, as it could be typed.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// What it wrote to standard error.
        stderr: String,
    },
    /// A program did not end in time and was killed.
    #[error("{program} did not end within {limit:?}")]
    TimedOut {
        /// The command, as it could be typed.
        program: String,
        /// How long it was given.
        limit: Duration,
    },
    /// QEMU ended before it had connected its console and its monitor.
    #[error("QEMU ended at once ({status}): {stderr}")]
    NeverStarted {
        /// How it ended.
        status: ExitStatus,
        /// What it wrote to standard error.
        stderr: String,
    },
    /// The console did not show what was waited for.
    #[error("the console did not show {wanted} within {waited:?}; its last lines:\n{tail}")]
    Silent {
        /// The texts that were waited for.
        wanted: String,
        /// How long was waited.
        waited: Duration,
        /// The last 50 lines of the console.
        tail: String,
    },
    /// The guest ended while its console was waited for.
    #[error("the guest ended before its console showed {wanted}; its last lines:\n{tail}")]
    Ended {
        /// The texts that were waited for.
        wanted: String,
        /// The last 50 lines of the console.
        tail: String,
    },
    /// A guest that should have ended is still running.
    #[error("the guest was still running after {limit:?}; its last lines:\n{tail}")]
    StillRunning {
        /// How long was waited.
        limit: Duration,
        /// The last 50 lines of the console.
        tail: String,
    },
    /// A socket of QEMU's failed.
    #[error("{socket}: {source}")]
    Socket {
        /// `the serial console` or `QMP`.
        socket: &'static str,
        /// Why.
        source: io::Error,
    },
    /// QMP answered something that the protocol does not allow here.
    #[error("QMP: {command} was answered with {answer}")]
    Qmp {
        /// The command that was sent.
        command: String,
        /// The answer, as it came.
        answer: String,
    },
    /// A port was asked for that the machine does not forward.
    #[error("guest port {0} is not forwarded: name it with `Machine::forward`")]
    NotForwarded(u16),
    /// The guest did not let us in over SSH.
    #[error("ssh did not answer within {waited:?}: {last}; the console's last lines:\n{tail}")]
    NoSsh {
        /// How long was waited.
        waited: Duration,
        /// The last complaint of the client.
        last: String,
        /// The last 50 lines of the console.
        tail: String,
    },
}

impl Error {
    /// Wraps an I/O error with what was being done to which file.
    pub(crate) fn file(act: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { act, path, source }
    }

    /// Whether something that this machine lacks is to blame, so that a test may be skipped.
    #[must_use]
    pub const fn is_missing(&self) -> bool {
        matches!(self, Self::MissingTool { .. } | Self::MissingFirmware { .. })
    }
}
