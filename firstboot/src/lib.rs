//! What runs on a node before its services: the decisions of `hcinit`, and the thin ports that carry them out.
//!
//! Decisions are functions over values and have unit tests: [`cmdline`], [`choose`], [`gpt`], [`layout`],
//! [`modules`], [`persist`], [`verity`], [`ext4`], [`efi`]. Ports touch the machine and decide nothing: [`sys`]
//! (the only unsafe code), [`log`], [`sysfs`], [`coldplug`], [`mapper`], [`state`], [`stage`]. [`init`] is the
//! story from the first mount to `exec`, and reads aloud.

pub mod choose;
pub mod cmdline;
pub mod coldplug;
pub mod efi;
mod error;
pub mod ext4;
pub mod gpt;
pub mod init;
pub mod layout;
pub mod log;
pub mod mapper;
pub mod medium;
pub mod modules;
pub mod node;
pub mod persist;
pub mod stage;
pub mod state;
pub mod sys;
pub mod sysfs;
pub mod verity;
pub mod watchdog;

pub use error::InitError;
