//! `hcimage seed`: a node's settings.

use crate::{args::SeedCommand, error::Failure, printer::Printer};

mod ask;
mod check;
mod new;
mod plan;

pub(crate) use new::public_keys;

pub(crate) fn run(command: &SeedCommand, json: bool, printer: &Printer) -> Result<(), Failure> {
    match command {
        SeedCommand::Check { file } => check::run(file, json, printer),
        SeedCommand::New(args) => new::run(args, json, printer),
    }
}
