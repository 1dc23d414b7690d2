//! One room per command; here is the door.

use crate::{
    args::{Cli, Command},
    error::Failure,
    printer::Printer,
    settings::Workshop,
};
use std::process::ExitCode;

mod build;
mod bundle;
mod diff;
mod key;
mod lock;
mod permit;
mod publish;
mod relock;
mod run;
mod scripts;
mod seed;
mod serve;
mod sign;
mod trust;
mod verify;
mod why;

pub(crate) use relock::relock;

/// Runs what was asked for: 0 when it is done, 1 when it was refused or failed. (2, for usage, is clap's.)
pub(crate) fn run(cli: Cli) -> ExitCode {
    let printer = Printer::new();
    match dispatch(cli, &printer) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            printer.error(&failure);
            ExitCode::FAILURE
        }
    }
}

fn dispatch(cli: Cli, printer: &Printer) -> Result<(), Failure> {
    let json = cli.global.json;
    let workshop = || Workshop::open(&cli.global);
    match cli.command {
        Command::Build(args) => build::run(args, &workshop()?, printer),
        Command::Lock(args) => lock::run(args, &workshop()?, printer),
        Command::Scripts(args) => scripts::run(&args, &workshop()?, printer),
        Command::Key { command } => key::run(&command, json, printer),
        Command::Seed { command } => seed::run(&command, json, printer),
        Command::Sign(args) => sign::run(&args, json, printer),
        Command::Bundle(args) => bundle::run(&args, json, printer),
        Command::Trust { command } => trust::run(&command, json, printer),
        Command::Permit(args) => permit::run(&args, json, printer),
        Command::Run(args) => run::run(&args, printer),
        Command::Verify(args) => verify::run(&args, json, printer),
        Command::Diff(args) => diff::run(&args, &cli.global, printer),
        Command::Publish(args) => publish::run(&args, json, printer),
        Command::Serve(args) => serve::run(&args, printer),
        Command::Why(args) => why::run(&args, &workshop()?, printer),
    }
}
