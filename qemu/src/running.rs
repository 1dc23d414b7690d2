//! A running guest: started, watched, cut off, and never left behind.

use crate::{
    Accel, Console, Error, Machine, PoweredOff, Qmp, Result, Tool,
    machine::{Place, Wires, emulator},
    tool, verdict,
};
use std::{
    collections::BTreeMap,
    io,
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    process::{Child, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

/// A guest that runs. Dropping it kills QEMU.
#[derive(Debug)]
pub struct Running {
    machine: Machine,
    // Dropped in this order: QEMU must be gone before its disk is.
    emulator: Emulator,
    place: Place,
    sockets: tempfile::TempDir,
    ports: BTreeMap<u16, u16>,
    start: Instant,
    /// The serial console.
    pub console: Console,
    /// QEMU's monitor.
    pub qmp: Qmp,
}

/// How a guest ended by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It switched itself off.
    PoweredOff,
    /// It asked for a reset, as a kernel does after a panic.
    Reset,
    /// Anything else, in QEMU's words.
    Other(String),
}

/// The child, and a guard that kills it when this process is killed: the guard waits for the end of a pipe
/// that only we hold. (A parent-death signal would need unsafe code, and goes off when a *thread* ends.)
#[derive(Debug)]
struct Emulator {
    child: Child,
    guard: Child,
    stderr: Option<thread::JoinHandle<String>>,
}

impl PoweredOff {
    /// Switches the machine on. Returns as soon as QEMU answers; the guest is then in its firmware.
    pub fn start(self) -> Result<Running> {
        let accel = verdict(self.machine.arch())?.accel;
        self.start_with(accel)
    }

    pub(crate) fn start_with(self, accel: Accel) -> Result<Running> {
        let sockets = tempfile::Builder::new()
            .prefix("hcq-")
            .tempdir()
            .map_err(Error::file("create a directory in", std::env::temp_dir()))?;
        // We listen and QEMU connects: nothing that the guest writes is lost, and nothing has to be polled.
        let (serial, qmp) = (sockets.path().join("serial"), sockets.path().join("qmp"));
        let (serial_door, qmp_door) = (listen(&serial)?, listen(&qmp)?);
        let mut command = self.command(Wires::Sockets { serial: &serial, qmp: &qmp }, accel)?;
        let start = Instant::now();
        let mut emulator = Emulator::spawn(&mut command)?;
        let serial = emulator.accept(&serial_door, "the serial console")?;
        let console = Console::attach(serial, start)
            .map_err(|source| Error::Socket { socket: "the serial console", source })?;
        let mut qmp = Qmp::attach(emulator.accept(&qmp_door, "QMP")?)?;
        let ports = forwarded(&qmp.human("info usernet")?);
        let Self { machine, place } = self;
        Ok(Running { machine, emulator, place, sockets, ports, start, console, qmp })
    }
}

impl Running {
    /// The port of the host's loopback address that leads to `guest`.
    pub fn port(&self, guest: u16) -> Result<u16> {
        self.ports.get(&guest).copied().ok_or(Error::NotForwarded(guest))
    }

    /// QEMU's process number.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.emulator.child.id()
    }

    /// Time since QEMU was started.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.start.elapsed()
    }

    /// Takes the power away: QEMU is killed where it stands. The disk stays as the guest left it.
    pub fn power_cut(mut self) -> Result<PoweredOff> {
        self.emulator.kill().map_err(|source| self.spawn_error(source))?;
        Ok(self.off())
    }

    /// Presses the power button and waits for the guest to shut down.
    pub fn shut_down(mut self, limit: Duration) -> Result<PoweredOff> {
        self.qmp.power_down()?;
        match self.ending(limit)? {
            Ending::PoweredOff => Ok(self.off()),
            other => Err(Error::Qmp { command: "system_powerdown".into(), answer: format!("{other:?}") }),
        }
    }

    /// Waits until the guest ends by itself, and tells how.
    pub fn ending(&mut self, limit: Duration) -> Result<Ending> {
        let reason = match self.qmp.await_event("SHUTDOWN", limit) {
            Ok(event) => event["reason"].as_str().unwrap_or("no reason").to_owned(),
            Err(Error::Qmp { .. }) => {
                return Err(Error::StillRunning { limit, tail: self.console.tail() });
            }
            Err(error) => return Err(error),
        };
        tool::wait(&mut self.emulator.child, Duration::from_secs(30))
            .map_err(|source| self.spawn_error(source))?;
        Ok(match reason.as_str() {
            "guest-shutdown" => Ending::PoweredOff,
            "guest-reset" => Ending::Reset,
            _ => Ending::Other(reason),
        })
    }

    fn off(self) -> PoweredOff {
        let Self { machine, emulator, place, sockets, .. } = self;
        drop(emulator);
        drop(sockets);
        PoweredOff { machine, place }
    }

    fn spawn_error(&self, source: io::Error) -> Error {
        Error::Spawn { program: emulator(self.machine.arch()).program.into(), source }
    }
}

impl Emulator {
    fn spawn(command: &mut std::process::Command) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|source| Error::Spawn { program: name, source })?;
        let stderr = Some(tool::drain(child.stderr.take()));
        let guard = Tool { program: "sh", package: "dash" }.command().and_then(|mut shell| {
            shell.arg("-c").arg(format!("read -r _; kill -9 {}", child.id()));
            // A group of its own, so that Ctrl-C at a terminal does not end the guard before its work.
            std::os::unix::process::CommandExt::process_group(&mut shell, 0);
            let shell = shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
            shell.spawn().map_err(|source| Error::Spawn { program: "sh".into(), source })
        });
        match guard {
            Ok(guard) => Ok(Self { child, guard, stderr }),
            Err(error) => {
                child
                    .kill()
                    .and_then(|()| child.wait())
                    .map_err(|source| Error::Spawn { program: "kill".into(), source })?;
                Err(error)
            }
        }
    }

    /// Waits for QEMU to connect; its early end is told with its own words.
    fn accept(&mut self, door: &UnixListener, socket: &'static str) -> Result<UnixStream> {
        let failed = |source| Error::Socket { socket, source };
        door.set_nonblocking(true).map_err(failed)?;
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            match door.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false).map_err(failed)?;
                    return Ok(stream);
                }
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(failed(error)),
                Err(error) if Instant::now() > deadline => return Err(failed(error)),
                Err(_) => thread::sleep(Duration::from_millis(5)),
            }
            if let Some(status) = self.child.try_wait().map_err(failed)? {
                return Err(self.never_started(status));
            }
        }
    }

    fn never_started(&mut self, status: ExitStatus) -> Error {
        let stderr = self.stderr.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        Error::NeverStarted { status, stderr: stderr.trim_end().to_owned() }
    }

    /// The guard goes first: it must never kill a process that took over our child's number.
    fn kill(&mut self) -> io::Result<()> {
        self.guard.kill()?;
        self.guard.wait()?;
        self.child.kill()?;
        self.child.wait().map(drop)
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // A process that cannot be killed is beyond our help, and panicking here would hide the first failure.
        drop(self.kill());
    }
}

fn listen(path: &Path) -> Result<UnixListener> {
    UnixListener::bind(path).map_err(Error::file("listen on", path))
}

/// The forwarded ports, guest to host, from the human monitor's `info usernet`:
/// `TCP[HOST_FORWARD]  12  127.0.0.1 34567  10.0.2.15  22  0  0`.
fn forwarded(table: &str) -> BTreeMap<u16, u16> {
    let row = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [kind, _, _, host, _, guest, ..] = fields[..] else { return None };
        (kind == "TCP[HOST_FORWARD]").then(|| Some((guest.parse().ok()?, host.parse().ok()?)))?
    };
    table.lines().filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn forwarded_ports_are_read_from_the_monitor() {
        let table = "Hub -1 (net):\r\n  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\r\n  \
             TCP[HOST_FORWARD]  14       127.0.0.1 38713       10.0.2.15    22     0     0\r\n  \
             UDP[236 sec]       54       10.0.2.15 49963      10.0.2.3    53     0     0\r\n";
        assert_eq!(forwarded(table), BTreeMap::from([(22, 38713)]));
    }

    #[test]
    fn a_dropped_emulator_is_dead_and_so_is_its_guard() {
        let emulator = Emulator::spawn(Command::new("sleep").arg("1000")).unwrap();
        let alive = |pid: u32| Path::new(&format!("/proc/{pid}")).exists();
        let (child, guard) = (emulator.child.id(), emulator.guard.id());
        assert!(alive(child) && alive(guard));
        drop(emulator);
        assert!(!alive(child) && !alive(guard));
    }

    #[test]
    fn the_guard_kills_when_we_are_gone() {
        let mut emulator = Emulator::spawn(Command::new("sleep").arg("1000")).unwrap();
        // What the kernel does to our end of the pipe when this process is killed.
        drop(emulator.guard.stdin.take());
        let status = tool::wait(&mut emulator.child, Duration::from_secs(20)).unwrap().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
    }

    #[test]
    fn an_emulator_that_dies_at_once_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let door = listen(&dir.path().join("door")).unwrap();
        let mut emulator =
            Emulator::spawn(Command::new("sh").args(["-c", "echo no such device >&2; exit 1"])).unwrap();
        let error = emulator.accept(&door, "QMP").unwrap_err().to_string();
        assert_eq!(error, "QEMU ended at once (exit status: 1): no such device");
    }
}
