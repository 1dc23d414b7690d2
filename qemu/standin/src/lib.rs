//! **A test tool, never shipped.** It stands in for the `k3s` binary in boot tests, on machines without a network to
//! fetch the real one from: `hcimage build --substitute k3s=FILE` puts it where k3s would be.
//!
//! It speaks the protocol of k3s's supervisor with real TLS and a CA of its own, and performs the agent's calls in the
//! agent's order, with the agent's files and the agent's words. It runs no container. What it does wrong can be chosen
//! while it runs: see [`switches`].
//!
//! Sources: k3s `pkg/clientaccess/token.go`, `pkg/agent/config/config.go`, `pkg/agent/run.go`,
//! `pkg/server/handlers/`, `pkg/daemons/config/types.go`, `pkg/nodepassword/`.
#![forbid(unsafe_code)]

pub mod agent;
pub mod balancer;
pub mod client;
mod cluster;
pub mod config;
pub mod error;
pub mod http;
pub mod kubectl;
pub mod local;
pub mod log;
pub mod node;
pub mod pki;
pub mod places;
pub mod server;
pub mod switches;
pub mod tls;
pub mod token;

pub use error::{Error, Result};

/// What `k3s --version` and the kubelet say.
pub const VERSION: &str = "v1.34.3+k3s1";
