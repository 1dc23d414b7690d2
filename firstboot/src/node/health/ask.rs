//! Asks the machine what a probe wants to know.

use super::http;
use contract::{Check, Outcome, Probe};
use std::{
    fs,
    io::{self, Read as _},
    net::{TcpStream, ToSocketAddrs as _},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// How long one question may take. A probe's deadline is about becoming true, this is about an answer.
pub const PATIENCE: Duration = Duration::from_secs(5);
const SYSTEMCTL: &str = "/usr/bin/systemctl";
/// What `systemctl is-active` says of units is no longer than this, in bytes.
const SAID: u64 = 64 << 10;

/// A machine that can be asked. An `Err` is what was found instead, in a few words.
pub trait Ask: Sync {
    /// Whether each unit is active, in their order.
    fn units(&self, names: &[&str]) -> Vec<Result<(), String>>;
    /// Whether any other check passes.
    fn check(&self, check: &Check) -> Result<(), String>;
}

/// Asks all probes once, at the same time: units together in one question.
pub fn round(ask: &dyn Ask, probes: &[&Probe]) -> Vec<Outcome> {
    let names: Vec<&str> = probes.iter().filter_map(|probe| unit(probe)).collect();
    let results: Vec<Result<(), String>> = thread::scope(|scope| {
        let others: Vec<_> = probes
            .iter()
            .map(|probe| unit(probe).is_none().then(|| scope.spawn(|| ask.check(&probe.check))))
            .collect();
        let mut units = if names.is_empty() { Vec::new() } else { ask.units(&names) }.into_iter();
        let lost = || Err("no answer".to_owned());
        others
            .into_iter()
            .map(|other| match other {
                Some(thread) => thread.join().unwrap_or_else(|_| lost()),
                None => units.next().unwrap_or_else(lost),
            })
            .collect()
    });
    probes.iter().zip(results).map(|(probe, result)| outcome(probe, result)).collect()
}

fn unit(probe: &Probe) -> Option<&str> {
    match &probe.check {
        Check::Unit(name) => Some(name),
        _ => None,
    }
}

fn outcome(probe: &Probe, result: Result<(), String>) -> Outcome {
    let (overlay, name) = (probe.overlay.clone(), probe.name.clone());
    Outcome { overlay, name, passed: result.is_ok(), found: result.err() }
}

/// This machine.
#[derive(Clone, Copy, Debug)]
pub struct Machine;

impl Ask for Machine {
    fn units(&self, names: &[&str]) -> Vec<Result<(), String>> {
        let mut command = Command::new(SYSTEMCTL);
        command.args(["is-active", "--"]).args(names).env_clear().env("LC_ALL", "C");
        match said(command, PATIENCE) {
            Ok(text) => states(names, &text),
            Err(error) => vec![Err(format!("systemctl: {error}")); names.len()],
        }
    }

    fn check(&self, check: &Check) -> Result<(), String> {
        match check {
            Check::Unit(name) => self.units(&[name]).pop().unwrap_or_else(|| Err("no answer".to_owned())),
            Check::Tcp(address) => connect(address, Instant::now() + PATIENCE).map(drop),
            Check::Http { url, expect } => http::get(url, expect.as_deref(), Instant::now() + PATIENCE),
            Check::File(path) => match fs::metadata(path) {
                Ok(_) => Ok(()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Err("it is not there".to_owned()),
                Err(error) => Err(error.to_string()),
            },
            Check::Sysctl { key, value } => setting(key, value),
        }
    }
}

/// Whether a setting of the kernel has its value.
fn setting(key: &str, value: &str) -> Result<(), String> {
    let path = format!("/proc/sys/{}", key.replace('.', "/"));
    let found = fs::read_to_string(&path).map_err(|error| format!("{key}: {error}"))?;
    let found = found.split_whitespace().collect::<Vec<_>>().join(" ");
    if found == value { Ok(()) } else { Err(format!("{key} is {found}")) }
}

/// One line for each unit, in their order (systemctl(1)).
fn states(names: &[&str], text: &str) -> Vec<Result<(), String>> {
    let mut lines = text.lines();
    let state = |name: &&str| match lines.next().map(str::trim) {
        Some("active") => Ok(()),
        Some(state) if !state.is_empty() => Err(format!("{name} is {state}")),
        _ => Err(format!("systemd says nothing of {name}")),
    };
    names.iter().map(state).collect()
}

/// A connection to `address` (`host:port`), before `end`.
pub(super) fn connect(address: &str, end: Instant) -> Result<TcpStream, String> {
    let places = address.to_socket_addrs().map_err(|error| format!("{address}: {error}"))?;
    let mut why = format!("{address}: no such address");
    for place in places {
        match left(end).and_then(|left| TcpStream::connect_timeout(&place, left)) {
            Ok(stream) => return Ok(stream),
            Err(error) => why = format!("{place}: {}", plainly(&error)),
        }
    }
    Err(why)
}

/// The time until `end`.
pub(super) fn left(end: Instant) -> io::Result<Duration> {
    let left = end.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// An error of the network in words.
pub(super) fn plainly(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => "no answer in time".to_owned(),
        _ => error.to_string(),
    }
}

/// What a command writes to its standard output, whatever its exit code. One that takes longer than `patience` is
/// killed.
pub(crate) fn said(mut command: Command, patience: Duration) -> io::Result<String> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let pipe = child.stdout.take().ok_or_else(|| io::Error::other("no pipe"))?;
    let reader = thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.take(SAID).read_to_end(&mut bytes).map(|_| bytes)
    });
    let end = Instant::now() + patience;
    while child.try_wait()?.is_none() {
        if Instant::now() > end {
            child.kill()?;
            child.wait()?;
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("no answer in {} s", patience.as_secs()),
            ));
        }
        thread::sleep(Duration::from_millis(20));
    }
    let bytes = reader.join().map_err(|_| io::Error::other("its output could not be read"))??;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn every_unit_has_its_line() {
        let names = ["a.service", "b.service", "c.service"];
        assert_eq!(
            states(&names, "active\nactivating\n"),
            [
                Ok(()),
                Err("b.service is activating".to_owned()),
                Err("systemd says nothing of c.service".to_owned())
            ]
        );
        assert_eq!(states(&names, "active\nactive\nactive\n"), [Ok(()), Ok(()), Ok(())]);
    }

    #[test]
    fn files_and_ports_are_looked_for() {
        let door = TcpListener::bind("127.0.0.1:0").unwrap();
        let open = door.local_addr().unwrap().to_string();
        assert_eq!(Machine.check(&Check::Tcp(open.clone())), Ok(()));
        drop(door);
        assert_eq!(Machine.check(&Check::Tcp(open.clone())), Err(format!("{open}: connection refused")));
        assert!(Machine.check(&Check::Tcp("nowhere".to_owned())).is_err());
        assert_eq!(Machine.check(&Check::File("/proc/self".to_owned())), Ok(()));
        let missing = Check::File("/it's not there".to_owned());
        assert_eq!(Machine.check(&missing), Err("it is not there".to_owned()));
    }

    #[test]
    fn settings_of_the_kernel_are_read() {
        let sysctl = |key: &str| Machine.check(&Check::Sysctl { key: key.into(), value: "Linux".into() });
        assert_eq!(sysctl("kernel.ostype"), Ok(()));
        assert!(sysctl("kernel.osrelease").unwrap_err().starts_with("kernel.osrelease is "));
        assert!(sysctl("kernel.not_there").unwrap_err().starts_with("kernel.not_there: "));
    }

    #[test]
    fn a_command_has_its_time_and_no_more() {
        let shell = |script: &str| {
            let mut command = Command::new("/bin/sh");
            command.args(["-c", script]);
            command
        };
        assert_eq!(said(shell("echo active; exit 3"), PATIENCE).unwrap(), "active\n");
        let late = said(shell("exec sleep 60"), Duration::ZERO).unwrap_err();
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
        assert!(said(Command::new("/nowhere"), PATIENCE).is_err());
    }
}
