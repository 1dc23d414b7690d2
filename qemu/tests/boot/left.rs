//! What a guest left on its disk, as programs see it that we did not write: sgdisk, e2fsck, debugfs.

use qemu::{Disk, Output, Result, Tool};
use std::{
    fmt,
    fs::File,
    io::{self, Seek as _, SeekFrom},
    path::Path,
    time::Duration,
};

const SGDISK: Tool = Tool { program: "sgdisk", package: "gdisk" };
const E2FSCK: Tool = Tool { program: "e2fsck", package: "e2fsprogs" };
const DEBUGFS: Tool = Tool { program: "debugfs", package: "e2fsprogs" };
const LIMIT: Duration = Duration::from_secs(300);
const SECTOR: u64 = 512;

/// A disk after a power cut.
#[derive(Debug)]
pub(crate) struct Left {
    /// What sgdisk finds wrong with the table, if anything.
    table: Option<String>,
    /// The partition of the state, if there is one.
    pub(crate) state: Option<State>,
}

/// The state partition, after its journal was replayed.
#[derive(Debug)]
pub(crate) struct State {
    /// Its first byte.
    pub(crate) start: u64,
    label: String,
    /// What e2fsck says of a file system that is not clean.
    damage: Option<String>,
    /// The file system's UUID.
    uuid: Option<String>,
    /// The file `hcimage/machine-id`.
    machine_id: Option<String>,
}

impl Left {
    /// Whether this host has the programs.
    pub(crate) fn tools() -> Result<()> {
        [SGDISK, E2FSCK, DEBUGFS].into_iter().try_for_each(|tool| tool.find().map(drop))
    }

    /// Looks at a copy of `disk`.
    pub(crate) fn on(disk: &Disk) -> Result<Self> {
        let dir = tempfile::tempdir().unwrap();
        let raw = dir.path().join("raw");
        disk.copy_to(&raw)?;
        Self::in_file(&raw)
    }

    /// Looks at a raw disk in a folder that may be written.
    pub(crate) fn in_file(raw: &Path) -> Result<Self> {
        let verdict = run(SGDISK, &["-v"], raw)?;
        let sound = verdict.stdout.contains("No problems found");
        let table = (!sound).then_some(verdict.stdout);
        let mut state = None;
        for number in 1..=8 {
            let text = run(SGDISK, &[&format!("-i={number}")], raw)?.stdout;
            let Some(label) = between(&text, "Partition name: '", "'") else { continue };
            if label.starts_with("state") {
                let number = |key| between(&text, key, " ").and_then(|digits| digits.parse::<u64>().ok());
                let (Some(first), Some(sectors)) = (number("First sector: "), number("Partition size: "))
                else {
                    panic!("sgdisk printed: {text}")
                };
                state = Some(State::in_partition(raw, label.to_owned(), first, sectors)?);
            }
        }
        Ok(Self { table, state })
    }

    /// Whether table and file system have nothing to repair, under their final name.
    pub(crate) fn whole(&self) -> Result<(), String> {
        let state = self.state.as_ref().ok_or("no state partition")?;
        let complaints: Vec<&str> =
            [&self.table, &state.damage].into_iter().flatten().map(String::as_str).collect();
        match (complaints.is_empty(), state.label == "state", &state.machine_id) {
            (true, true, Some(_)) => Ok(()),
            _ => Err(format!("{self}: {}", complaints.join("; "))),
        }
    }

    /// Whether a later look, `after`, has all that this one has. A file system that had its final name may not
    /// have been made again.
    pub(crate) fn kept_in(&self, after: &Self, formatted: bool) -> Result<(), String> {
        let Some(before) = self.state.as_ref().filter(|state| state.label == "state") else { return Ok(()) };
        let Some(after) = &after.state else { return Err("the state partition is gone".into()) };
        let same_id = before.machine_id.is_none() || before.machine_id == after.machine_id;
        match formatted || before.uuid != after.uuid || before.start != after.start || !same_id {
            true => Err(format!("{before:?} became {after:?}, formatted: {formatted}")),
            false => Ok(()),
        }
    }
}

impl State {
    fn in_partition(raw: &Path, label: String, first: u64, sectors: u64) -> Result<Self> {
        let partition = raw.with_file_name("state");
        let copied = copy(raw, &partition, first * SECTOR, sectors * SECTOR);
        copied.unwrap_or_else(|error| panic!("copy {}: {error}", raw.display()));
        let state = Self { start: first * SECTOR, label, damage: None, uuid: None, machine_id: None };
        // Where no file system was finished there is nothing to ask it.
        let replayed = run(E2FSCK, &["-y", "-E", "journal_only"], &partition)?;
        let checked = run(E2FSCK, &["-fn"], &partition)?;
        let damage = (!checked.status.success())
            .then(|| format!("{}{}{}{}", replayed.stdout, replayed.stderr, checked.stdout, checked.stderr));
        let about = run(DEBUGFS, &["-R", "stats -h"], &partition)?.stdout;
        let uuid = between(&about, "Filesystem UUID:", "\n").map(|text| text.trim().to_owned());
        let id = run(DEBUGFS, &["-R", "cat /hcimage/machine-id"], &partition)?.stdout;
        let machine_id = (id.trim().len() == 32).then(|| id.trim().to_owned());
        Ok(Self { damage, uuid, machine_id, ..state })
    }
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = if self.table.is_some() { "a table to mend" } else { "a sound table" };
        let Some(state) = &self.state else { return write!(f, "{table}, no state") };
        let id = if state.machine_id.is_some() { "a machine id" } else { "no machine id" };
        let clean = if state.damage.is_some() { "no clean ext4" } else { "clean ext4" };
        write!(f, "{table}, `{}` with {clean} and {id}", state.label)
    }
}

/// Copies a stretch of a file into one of its own; holes stay holes.
fn copy(from: &Path, to: &Path, start: u64, length: u64) -> io::Result<()> {
    let (mut from, mut to) = (File::open(from)?, File::create(to)?);
    to.set_len(length)?;
    from.seek(SeekFrom::Start(start))?;
    let mut piece = vec![0; 1 << 20];
    let mut done = 0;
    while done < length {
        let count = piece.len().min((length - done) as usize);
        io::Read::read_exact(&mut from, &mut piece[..count])?;
        if piece[..count].iter().any(|byte| *byte != 0) {
            to.seek(SeekFrom::Start(done))?;
            io::Write::write_all(&mut to, &piece[..count])?;
        }
        done += count as u64;
    }
    Ok(())
}

fn run(tool: Tool, arguments: &[&str], file: &Path) -> Result<Output> {
    tool.run(&arguments.iter().map(AsRef::as_ref).chain([file.as_os_str()]).collect::<Vec<_>>(), LIMIT)
}

fn between<'t>(text: &'t str, start: &str, end: &str) -> Option<&'t str> {
    let rest = text.split_once(start)?.1;
    Some(rest.split_once(end).map_or(rest, |(found, _)| found))
}

#[test]
fn what_sgdisk_prints_is_read() {
    let text = "First sector: 3180544 (at 1.5 GiB)\nPartition size: 1011712 sectors (494.0 MiB)\nPartition name: 'state-new'\n";
    assert_eq!(between(text, "Partition name: '", "'"), Some("state-new"));
    assert_eq!(between(text, "First sector: ", " "), Some("3180544"));
    assert_eq!(between("Partition #7 does not exist.", "Partition name: '", "'"), None);
}

#[test]
fn a_file_system_with_its_final_name_may_not_be_made_again() {
    let left = |label: &str, uuid: &str, id: Option<&str>| {
        let (label, uuid) = (label.to_owned(), Some(uuid.to_owned()));
        let state = State { start: 1, label, damage: None, uuid, machine_id: id.map(str::to_owned) };
        Left { table: None, state: Some(state) }
    };
    let new = left("state", "b", Some("2"));
    assert!(left("state-new", "a", None).kept_in(&new, true).is_ok());
    assert!(left("state", "a", None).kept_in(&new, false).is_err(), "another file system");
    assert!(left("state", "b", None).kept_in(&new, false).is_ok());
    assert!(left("state", "b", Some("1")).kept_in(&new, false).is_err(), "another machine id");
    assert!(left("state", "b", None).kept_in(&new, true).is_err(), "formatted");
    assert!(new.whole().is_ok() && left("state-new", "b", None).whole().is_err());
    let cut = Left { table: Some("Problem: no backup".to_owned()), ..left("state", "b", Some("2")) };
    assert!(cut.whole().unwrap_err().contains("Problem"));
}
