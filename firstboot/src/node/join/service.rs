//! `hcnode join`: the service, and the rehearsal of its first half.

use super::{
    drive::Way,
    facts::Look,
    machine::{Door, Real},
    next::Step,
    order::Order,
};
use crate::node::{clock::Minute, notify, part::Part, say, settings::Settings};
use contract::{Blame, Code, Reason, Stage};
use std::{io, process::ExitCode, thread, time::Duration};

/// After a fault of the machine itself, in seconds.
const AGAIN: Duration = Duration::from_secs(10);

/// What the settings ask for.
enum Asked {
    /// No cluster.
    Nothing,
    /// This one.
    Join(Box<Order>),
    /// Something that its owner must mend.
    Wrong(Reason),
}

fn asked() -> io::Result<Asked> {
    let Some(cluster) = Settings::load()?.and_then(|settings| settings.seed.cluster) else {
        return Ok(Asked::Nothing);
    };
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    Ok(match Order::check(&name, &cluster) {
        Ok(order) => Asked::Join(Box::new(order)),
        Err(reason) => Asked::Wrong(reason),
    })
}

fn beat() {
    if let Err(error) = notify::alive() {
        say::warn(format_args!("systemd's watchdog: {error}"));
    }
}

fn tell(stage: Stage, reason: Option<Reason>, next: &str) -> io::Result<()> {
    Part { stage, reason, next: next.to_owned(), probes: Vec::new() }.write("join")
}

/// The service: brings the node into its cluster, and then says how it stands there, for as long as the node runs.
#[must_use]
pub fn run() -> ExitCode {
    let ready = notify::ready();
    match ready.and_then(|()| serve()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say::warn(format_args!("the join stopped: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn serve() -> io::Result<()> {
    let order = match asked()? {
        Asked::Nothing => {
            say::note("no cluster asked for");
            return tell(Stage::Ready, None, "no cluster asked for");
        }
        Asked::Wrong(reason) => {
            say::warn(&reason);
            return tell(
                Stage::Joining,
                Some(reason),
                "mend homecloud.toml on the card and restart the node",
            );
        }
        Asked::Join(order) => *order,
    };
    loop {
        let mut machine = Real::new(beat as fn(), false);
        let error = match follow(order.clone(), &mut machine) {
            Err(error) => error,
            Ok(never) => match never {},
        };
        let text = format!("this machine does not do as it should: {error}.");
        let reason = Reason { code: Code::J03, area: "machine".to_owned(), text, blame: Blame::Node };
        say::warn(&reason);
        tell(Stage::Degraded, Some(reason), "the node tries again by itself")?;
        beat();
        thread::sleep(AGAIN);
    }
}

fn follow(order: Order, machine: &mut Real<fn()>) -> io::Result<std::convert::Infallible> {
    let mut door = Door;
    let mut way = Way::begin(order, machine, &mut door)?;
    loop {
        beat();
        way.step()?;
    }
}

/// The rehearsal: J1 to J9 on this node, one line each, and nothing is changed.
#[must_use]
pub fn rehearse() -> ExitCode {
    match rehearsal() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say::tell(format_args!("the rehearsal stopped: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn rehearsal() -> io::Result<bool> {
    let order = match asked()? {
        Asked::Nothing => {
            say::tell("no cluster asked for");
            return Ok(true);
        }
        Asked::Wrong(reason) => {
            say::tell(reason);
            return Ok(false);
        }
        Asked::Join(order) => *order,
    };
    say::tell(format_args!("J1 seed: {} as {}", order.name, order.user()));
    let mut machine = Real::new(|| (), true);
    let mut door = Door;
    let mut way = Way::begin(order, &mut machine, &mut door)?;
    loop {
        match way.peek() {
            Step::Wait(wait) => {
                if let Some(reason) = wait.reason {
                    say::tell(reason);
                    return Ok(false);
                }
                way.step()?;
            }
            Step::SetClock(to) => {
                say::tell(format_args!("J5 clock: would be set to {}", Minute(to)));
                way.step()?;
            }
            Step::Look(look) if look < Look::Artifacts => {
                say::tell(name(look));
                way.step()?;
            }
            Step::Record(_) => {
                way.step()?;
            }
            _ => {
                say::tell("J1 to J9 hold: this node may join");
                return Ok(true);
            }
        }
    }
}

fn name(look: Look) -> &'static str {
    match look {
        Look::Host => "J2 J3 this machine",
        Look::Network => "J4 network",
        Look::Clock => "J5 clock",
        Look::Server => "J6 the way to the server",
        Look::Authority => "J7 the server's CA",
        Look::Proof => "J8 the server's certificate",
        Look::Cluster => "J9 the token",
        _ => "more",
    }
}
