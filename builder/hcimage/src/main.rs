//! `hcimage`: disk images from a profile and a lock. See `docs/ARCHITECTURE.md`.
#![forbid(unsafe_code)]

mod args;
mod board;
mod commands;
mod config;
mod error;
mod node;
mod pipeline;
mod printer;
mod settings;
mod signing;

use clap::Parser as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    commands::run(args::Cli::parse())
}
