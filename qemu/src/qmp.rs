//! QEMU's machine protocol: one JSON object a line
//! (<https://www.qemu.org/docs/master/interop/qmp-spec.html>).

use crate::{Error, Result};
use serde_json::{Value, json};
use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

/// How long QEMU may take to answer: it is busy for seconds when its disk is.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection to QEMU's monitor.
#[derive(Debug)]
pub struct Qmp {
    stream: BufReader<UnixStream>,
    /// The line that is being read: kept over a time-out, so that half a line is not lost.
    partial: Vec<u8>,
    events: Vec<Value>,
}

impl Qmp {
    /// Takes the greeting and leaves the negotiation mode.
    pub(crate) fn attach(stream: UnixStream) -> Result<Self> {
        let mut qmp = Self { stream: BufReader::new(stream), partial: Vec::new(), events: Vec::new() };
        match qmp.read(PATIENCE)? {
            Some(greeting) if greeting.get("QMP").is_some() => {}
            other => return Err(unexpected("the greeting", other)),
        }
        qmp.execute("qmp_capabilities", json!({}))?;
        Ok(qmp)
    }

    /// Runs a command and gives its `return` value.
    pub fn execute(&mut self, command: &str, arguments: Value) -> Result<Value> {
        let mut line = json!({"execute": command, "arguments": arguments}).to_string();
        line.push('\n');
        self.stream.get_mut().write_all(line.as_bytes()).map_err(broken)?;
        loop {
            match self.read(PATIENCE)? {
                Some(mut answer) if answer.get("return").is_some() => return Ok(answer["return"].take()),
                Some(event) if event.get("event").is_some() => self.events.push(event),
                other => return Err(unexpected(command, other)),
            }
        }
    }

    /// The state of the machine, such as `running`, `paused` or `internal-error`.
    pub fn status(&mut self) -> Result<String> {
        let answer = self.execute("query-status", json!({}))?;
        let status = answer["status"].as_str().map(str::to_owned);
        status.ok_or_else(|| unexpected("query-status", Some(answer)))
    }

    /// Presses the power button.
    pub fn power_down(&mut self) -> Result<()> {
        self.execute("system_powerdown", json!({})).map(drop)
    }

    /// Presses the reset button. A machine that ends at a guest's own reset survives this one.
    pub fn reset(&mut self) -> Result<()> {
        self.execute("set-action", json!({"reboot": "reset"}))?;
        self.execute("system_reset", json!({}))?;
        self.await_event("RESET", PATIENCE)?;
        self.execute("set-action", json!({"reboot": "shutdown"})).map(drop)
    }

    /// Ends QEMU.
    pub fn quit(&mut self) -> Result<()> {
        self.execute("quit", json!({})).map(drop)
    }

    /// Runs a command of the human monitor: some facts are told nowhere else.
    pub fn human(&mut self, command: &str) -> Result<String> {
        let answer = self.execute("human-monitor-command", json!({"command-line": command}))?;
        answer.as_str().map(str::to_owned).ok_or_else(|| unexpected(command, Some(answer.clone())))
    }

    /// Waits for an event and gives its data; earlier events that nobody waited for count too.
    pub fn await_event(&mut self, name: &str, limit: Duration) -> Result<Value> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(at) = self.events.iter().position(|event| event["event"] == name) {
                return Ok(self.events.remove(at)["data"].take());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.read(left)? {
                Some(event) if event.get("event").is_some() => self.events.push(event),
                other => return Err(unexpected(&format!("waiting for {name}"), other)),
            }
        }
    }

    /// The next message; `None` when none comes within `limit`.
    fn read(&mut self, limit: Duration) -> Result<Option<Value>> {
        let limit = limit.max(Duration::from_millis(1));
        self.stream.get_ref().set_read_timeout(Some(limit)).map_err(broken)?;
        match self.stream.read_until(b'\n', &mut self.partial) {
            Ok(0) => Err(broken(io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => {
                let line = std::mem::take(&mut self.partial);
                let message = serde_json::from_slice(&line);
                message.map(Some).map_err(|error| broken(io::Error::new(io::ErrorKind::InvalidData, error)))
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                Ok(None)
            }
            Err(error) => Err(broken(error)),
        }
    }
}

fn broken(source: io::Error) -> Error {
    Error::Socket { socket: "QMP", source }
}

fn unexpected(command: &str, answer: Option<Value>) -> Error {
    let answer = answer.map_or_else(|| "silence".to_owned(), |value| value.to_string());
    Error::Qmp { command: command.to_owned(), answer }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    /// A monitor that gives one scripted answer to the greeting and to each line.
    fn monitor(answers: &'static [&'static str]) -> UnixStream {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        thread::spawn(move || {
            theirs.write_all(b"{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n").unwrap();
            let mut lines = BufReader::new(theirs.try_clone().unwrap()).lines();
            for answer in [&"{\"return\": {}}"].into_iter().chain(answers) {
                lines.next();
                theirs.write_all(format!("{answer}\r\n").as_bytes()).unwrap();
            }
            lines.next();
        });
        ours
    }

    #[test]
    fn events_between_a_command_and_its_answer_are_kept() {
        let answer = "{\"event\": \"SHUTDOWN\", \"data\": {\"reason\": \"guest-reset\"}}\n{\"return\": {\"status\": \"shutdown\"}}";
        let answers: &'static [&'static str] = Box::leak(Box::new([answer]));
        let mut qmp = Qmp::attach(monitor(answers)).unwrap();
        assert_eq!(qmp.status().unwrap(), "shutdown");
        assert_eq!(qmp.await_event("SHUTDOWN", PATIENCE).unwrap()["reason"], "guest-reset");
        let error = qmp.await_event("RESET", Duration::from_millis(20)).unwrap_err().to_string();
        assert_eq!(error, "QMP: waiting for RESET was answered with silence");
    }

    #[test]
    fn an_error_shows_the_command_and_the_answer() {
        let mut qmp = Qmp::attach(monitor(&["{\"error\": {\"class\": \"CommandNotFound\"}}"])).unwrap();
        let error = qmp.power_down().unwrap_err().to_string();
        assert!(error.starts_with("QMP: system_powerdown was answered with {\"error\""), "{error}");
    }
}
