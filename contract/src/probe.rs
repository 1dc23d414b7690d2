//! Health probes: how an overlay says that its service works. One definition serves the boot tests, the
//! update gate and the status page.

use serde::{Deserialize, Serialize};

/// One check with its deadline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// The overlay that declares it.
    #[serde(default)]
    pub overlay: String,
    /// What holds when it passes, such as `smb answers`.
    pub name: String,
    /// How long it may take to become true, in seconds.
    pub deadline: u64,
    /// What is checked.
    pub check: Check,
}

/// What a probe checks, on the node itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Check {
    /// A systemd unit is active.
    Unit(String),
    /// A TCP address (`host:port`) accepts a connection.
    Tcp(String),
    /// An HTTP address answers with a status of 200 to 299.
    Http {
        /// The address, such as `http://127.0.0.1:8384/rest/noauth/health`.
        url: String,
        /// A text that the answer must hold, if any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expect: Option<String>,
    },
    /// A path exists.
    File(String),
    /// A setting of the running kernel has a value. Spaces and tabs between the parts of a value count as one space.
    Sysctl {
        /// Its name with dots, such as `kernel.kptr_restrict`.
        key: String,
        /// What it must be.
        value: String,
    },
}
