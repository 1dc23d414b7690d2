//! The programs that are run beside the guest: found on `PATH`, bounded in time, their output kept.

use crate::{Error, Result};
use std::{
    env,
    ffi::OsStr,
    io::{Read, Write as _},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

/// A program of the host, and the Debian package that has it.
#[derive(Clone, Copy, Debug)]
pub struct Tool {
    /// The program's name.
    pub program: &'static str,
    /// The Debian package.
    pub package: &'static str,
}

/// What a program did.
#[derive(Clone, Debug)]
pub struct Output {
    /// The command, as it could be typed.
    pub program: String,
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Output {
    /// The standard output of a program that had to succeed, without the last line end.
    pub fn success(self) -> Result<String> {
        if !self.status.success() {
            let stderr = format!("{}{}", self.stdout, self.stderr);
            return Err(Error::Failed { program: self.program, status: self.status, stderr });
        }
        Ok(self.stdout.trim_end_matches('\n').to_owned())
    }
}

impl Tool {
    /// Where the program is.
    pub fn find(self) -> Result<PathBuf> {
        let path = env::var_os("PATH").unwrap_or_default();
        env::split_paths(&path)
            .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")])
            .map(|dir| dir.join(self.program))
            .find(|file| file.is_file())
            .ok_or(Error::MissingTool { program: self.program, package: self.package })
    }

    /// Runs the program with `arguments`, for at most `limit`. How it ended is the caller's to judge.
    pub fn run(self, arguments: &[&OsStr], limit: Duration) -> Result<Output> {
        run(self.command()?.args(arguments), b"", limit)
    }

    /// A command that runs the program.
    pub fn command(self) -> Result<Command> {
        self.find().map(Command::new)
    }
}

/// Runs `command` with `input` on its standard input, for at most `limit`.
pub(crate) fn run(command: &mut Command, input: &[u8], limit: Duration) -> Result<Output> {
    let program = typed(command);
    let spawn = |source| Error::Spawn { program: program.clone(), source };
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(spawn)?;
    let stdout = drain(child.stdout.take());
    let stderr = drain(child.stderr.take());
    let fed = feed(child.stdin.take(), input.to_vec());
    let status = wait(&mut child, limit).map_err(spawn)?;
    let joined = |handle: thread::JoinHandle<String>| handle.join().unwrap_or_default();
    let Some(status) = status else {
        child.kill().and_then(|()| child.wait()).map_err(spawn)?;
        return Err(Error::TimedOut { program, limit });
    };
    // A program may end without reading all of its input: its status tells whether that was a failure.
    drop(fed.join());
    Ok(Output { program, status, stdout: joined(stdout), stderr: joined(stderr) })
}

/// Waits for the end of `child`; `None` when it is still running after `limit`.
pub(crate) fn wait(child: &mut Child, limit: Duration) -> std::io::Result<Option<ExitStatus>> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Reads a stream to its end on a thread of its own, so that no pipe fills up.
pub(crate) fn drain(stream: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut stream) = stream
            && let Err(error) = stream.read_to_end(&mut bytes)
        {
            bytes.extend_from_slice(format!("\n[the stream broke: {error}]").as_bytes());
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn feed(stdin: Option<std::process::ChildStdin>, input: Vec<u8>) -> thread::JoinHandle<std::io::Result<()>> {
    thread::spawn(move || stdin.map_or(Ok(()), |mut stdin| stdin.write_all(&input)))
}

fn typed(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_names_its_package() {
        let error = Tool { program: "no-such-program", package: "no-such-package" }.find().unwrap_err();
        assert_eq!(
            error.to_string(),
            "`no-such-program` is not installed: it is in Debian's package no-such-package"
        );
        assert!(error.is_missing());
    }

    #[test]
    fn output_input_and_status_are_kept() {
        let second = Duration::from_secs(20);
        let output =
            run(Command::new("sh").args(["-c", "cat; echo no >&2; exit 3"]), b"yes\n", second).unwrap();
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("yes\n", "no\n"));
        assert_eq!(output.status.code(), Some(3));
        let error = output.success().unwrap_err().to_string();
        assert!(error.contains("exit status: 3") && error.ends_with("yes\nno\n"), "{error}");
    }

    #[test]
    fn a_program_that_hangs_is_killed() {
        let error = run(Command::new("sleep").arg("1000"), b"", Duration::from_millis(100)).unwrap_err();
        assert_eq!(error.to_string(), "sleep 1000 did not end within 100ms");
    }
}
