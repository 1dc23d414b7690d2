//! Tools that we did not write. A missing one skips its test, out loud, and fails it where CI has set up the machine.
#![allow(dead_code, reason = "every test binary uses its own part")]
#![allow(clippy::print_stderr, reason = "CI counts what is skipped")]

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

/// An installed tool.
pub(crate) struct Tool(PathBuf);

impl Tool {
    /// A new command line of this tool.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.0);
        command.stdin(Stdio::null()).env("LC_ALL", "C");
        command
    }
}

/// The tool `name` for the test `test`, or nothing when it is not installed.
pub(crate) fn tool(test: &str, name: &str) -> Option<Tool> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    let found =
        std::env::split_paths(&path).chain(system).map(|dir| dir.join(name)).find(|file| file.is_file());
    if found.is_none() {
        assert!(std::env::var_os("HCIMAGE_CI").is_none(), "{test}: {name} is not installed");
        skipped(test, name);
    }
    found.map(Tool)
}

/// Says that `test` is skipped because `what` is missing.
pub(crate) fn skipped(test: &str, what: &str) {
    eprintln!("skipped: {test}: {what} is not installed");
}

/// Runs `command`, which must succeed, and returns everything it said.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success(), "{command:?}: {}\n{said}", output.status);
    said
}
