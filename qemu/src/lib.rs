//! Machines to boot an image in: firmware, disk overlays, serial console, QMP, power cuts, and the clients that
//! look at a guest from outside. The image is a black box: this crate knows `contract` and what a user could
//! see, never the builder.
//!
//! A machine has three lives. A [`Machine`] is a description. [`Machine::prepare`] gives it a disk that may be
//! written and a copy of the firmware's variables: a [`PoweredOff`]. [`PoweredOff::start`] makes it a
//! [`Running`] one, and [`Running::power_cut`] gives the same disk back, so that it can be started again.
#![forbid(unsafe_code)]

mod accel;
mod card;
mod clients;
mod console;
mod disk;
mod error;
mod firmware;
mod line;
mod link;
mod machine;
mod plain;
mod qmp;
mod running;
mod service;
mod tool;

pub use accel::{Accel, Verdict, verdict};
pub use card::Card;
pub use clients::nfs::Nfs;
pub use clients::smb::Smb;
pub use clients::ssh::{Ssh, SshKey};
pub use console::{Console, Mark, Step};
pub use disk::Disk;
pub use error::{Error, Result};
pub use firmware::Firmware;
pub use link::Link;
pub use machine::{Forward, Machine, PoweredOff};
pub use plain::Plain;
pub use qmp::Qmp;
pub use running::{Ending, Running};
pub use service::SERVICES;
pub use tool::{Output, Tool};
