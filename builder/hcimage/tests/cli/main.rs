//! The program as its users run it: against a mirror on loopback, with packages made here.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "the functions around the tests are tests too")]

mod artifacts;
mod bad_archive;
mod bad_input;
mod bundle;
mod golden;
mod keys;
mod kit;
mod same_bytes;
mod seed;
mod trouble;
mod verify;
