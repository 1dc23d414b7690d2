//! J11: systemd, the journal, and the files that an agent makes one after another.

use crate::node::join::{facts::Unit, k3s};
use std::{fs, io, path::Path, process::Command};

/// So many lines of the journal are read: enough to count images in one start.
const LINES: &str = "400";
/// So many of them are kept.
const KEPT: usize = 40;

/// Runs a program of the image and returns what it said.
pub(super) fn run(program: &str, arguments: &[&str]) -> io::Result<String> {
    let output = Command::new(program).args(arguments).env("SYSTEMD_COLORS", "0").output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.lines().last().unwrap_or("it says nothing");
        return Err(io::Error::other(format!(
            "{program} {}: {}: {said}",
            arguments.join(" "),
            output.status
        )));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

pub(super) fn start(unit: &str) -> io::Result<()> {
    run("systemctl", &["start", "--no-block", unit]).map(|_| ())
}

pub(super) fn look(unit: &str) -> io::Result<Unit> {
    let state = run("systemctl", &["show", "--property=ActiveState", "--value", unit])?.trim().to_owned();
    let journal =
        run("journalctl", &["--boot", "--unit", unit, "--output=cat", "--no-pager", "--lines", LINES])?;
    let there = k3s::FILES.iter().take_while(|name| Path::new(k3s::AGENT).join(name).exists()).count();
    let archives = match fs::read_dir(Path::new(k3s::AGENT).join("images")) {
        Ok(entries) => {
            let mut archives = 0;
            for entry in entries {
                archives += usize::from(entry?.file_name().to_string_lossy().contains(".t"));
            }
            archives
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(error),
    };
    let lines: Vec<String> = journal.lines().map(str::to_owned).collect();
    let imported = lines.iter().filter(|line| line.contains("Imported images from")).count();
    let log = lines[lines.len().saturating_sub(KEPT)..].to_vec();
    Ok(Unit { state, files: (there, k3s::FILES.len()), imported, archives, log })
}
