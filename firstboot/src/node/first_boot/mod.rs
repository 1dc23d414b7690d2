//! `hcnode first-boot`: reads the seed and carries the settings out, at every boot.

mod machine;
mod real;
mod story;

use crate::node::{part::Part, say};
use contract::Stage;
use real::Node;
use std::process::ExitCode;
use story::Outcome;

/// The name of this service's part.
pub const SERVICE: &str = "first-boot";

/// Runs the service. It fails only when it cannot even say how it stands: a reason is no failure, the node starts with
/// what it has.
#[must_use]
pub fn run() -> ExitCode {
    let begun = Part {
        stage: Stage::FirstBoot,
        reason: None,
        next: "reading the settings".to_owned(),
        probes: Vec::new(),
    };
    let told = begun.write(SERVICE).and_then(|()| {
        let outcome = story::tell(&mut Node::default());
        for reason in &outcome.reasons {
            say::warn(reason);
        }
        part(outcome).write(SERVICE)
    });
    match told {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say::warn(format_args!("cannot say how first boot stands: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// How first boot stands after `outcome`.
fn part(outcome: Outcome) -> Part {
    let Outcome { name, settled, reasons, restarting } = outcome;
    let more = reasons.len().saturating_sub(1);
    let next = match (&reasons[..], settled) {
        _ if restarting => "restarting once, to become the node that the settings name".to_owned(),
        ([], true) => format!("{name} is set up"),
        ([], false) => format!(
            "{name} has no settings yet: put {} onto the boot partition to give it some",
            contract::seed::FILE
        ),
        ([reason], _) => next(reason.blame).to_owned(),
        _ => format!(
            "{}; {more} more in the journal: journalctl -u hcimage-first-boot",
            next(reasons[0].blame)
        ),
    };
    let stage = if reasons.is_empty() { Stage::Ready } else { Stage::Degraded };
    Part { stage, reason: reasons.into_iter().next(), next, probes: Vec::new() }
}

fn next(blame: contract::Blame) -> &'static str {
    match blame {
        contract::Blame::Settings => "mend the settings on the boot partition and restart",
        contract::Blame::Node => "try another medium",
        contract::Blame::Elsewhere => "mend it and restart",
    }
}

#[cfg(test)]
mod tests;
