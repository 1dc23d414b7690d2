//! `hcnode first-boot`: reads the seed and carries the settings out, at every boot.

use crate::node::{part::Part, say};
use contract::Stage;
use std::process::ExitCode;

/// Runs the service.
#[must_use]
pub fn run() -> ExitCode {
    let part = Part { stage: Stage::FirstBoot, reason: None, next: String::new(), probes: Vec::new() };
    match part.write("first-boot") {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say::warn(error);
            ExitCode::FAILURE
        }
    }
}
