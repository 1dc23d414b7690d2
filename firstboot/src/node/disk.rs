//! A disk for the data directory: mounted over it when it is the owner's, formatted only when it is empty and the owner
//! says so, and otherwise left as it is, with the reason in words.

use crate::ext4;
use contract::{Blame, Code, Reason, seed::DataDisk};
use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
};

/// The data directory.
pub const PLACE: &str = "/var/lib/dnas";
/// The unit that mounts the disk over it.
pub const UNIT: &str = "var-lib-dnas.mount";
/// Where that unit is rendered.
pub const UNIT_FILE: &str = "/run/systemd/system/var-lib-dnas.mount";
/// Bytes at the start and at the end of an empty disk that must all be zero.
const MARGIN: u64 = 1 << 20;
/// Services of the overlays that use the data directory.
const USERS: &str =
    "smbd.service nfs-server.service nfs-mountd.service syncthing.service k3s.service k3s-agent.service";

/// What is at the data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataPlace {
    /// The directory on state.
    State,
    /// A disk, by its name in `/dev/disk/by-id`.
    Disk(String),
    /// Nothing, and nothing may be written: the owner's disk is not there, and what is written to state instead would
    /// vanish when it comes back.
    Closed,
}

/// What is on a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holds {
    /// Not a single byte where anything would be.
    Nothing,
    /// An ext4 file system.
    Ext4,
    /// Something else; the text says what is known of it.
    Other(String),
}

/// A disk as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Whether it is the disk that the node was started from, or a part of it.
    pub own: bool,
    /// What it holds.
    pub holds: Holds,
}

/// What is to be done with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// It is mounted.
    Mount,
    /// It is given a file system, then mounted.
    Format,
    /// It is left as it is.
    Leave(Reason),
}

/// What to do with the disk that the owner named. `begun` is the disk on which this node has begun, and not finished, to
/// make a file system.
#[must_use]
pub fn plan(wanted: &DataDisk, found: Option<&Found>, begun: Option<&str>) -> Plan {
    let disk = &wanted.disk;
    let leave = |text: String, blame| {
        Plan::Leave(Reason { code: Code::J03, area: "storage".to_owned(), text, blame })
    };
    let Some(found) = found else {
        let text = format!(
            "the data disk {disk} is not there: the shares are empty and read-only until it is back and the node was restarted"
        );
        return leave(text, Blame::Elsewhere);
    };
    if found.own {
        let text = format!(
            "the data disk {disk} is the disk that the node itself is on: name another one in [data]"
        );
        return leave(text, Blame::Settings);
    }
    match &found.holds {
        _ if begun == Some(disk) => Plan::Format,
        Holds::Ext4 => Plan::Mount,
        Holds::Nothing if wanted.format => Plan::Format,
        Holds::Nothing => {
            let text = format!(
                "the data disk {disk} is empty: write `format = true` into [data] to have a file system made on it"
            );
            leave(text, Blame::Settings)
        }
        Holds::Other(what) => {
            let text = format!(
                "the data disk {disk} holds {what} and was not touched: save what you need from it and erase it on a computer (`wipefs -a`), or name another disk in [data]"
            );
            leave(text, Blame::Settings)
        }
    }
}

/// Looks at what a disk of `size` bytes holds.
///
/// # Errors
/// When it cannot be read: then nothing is known of it.
pub fn look(disk: &mut File, size: u64) -> io::Result<Holds> {
    let mut margin = |start: u64| {
        let mut bytes = Vec::new();
        disk.seek(SeekFrom::Start(start))?;
        disk.by_ref().take(MARGIN).read_to_end(&mut bytes)?;
        io::Result::Ok(bytes)
    };
    let (start, end) = (margin(0)?, margin(size.saturating_sub(MARGIN))?);
    if start.is_empty() {
        return Ok(Holds::Other("no medium, or one of no size".to_owned()));
    }
    let head = &start[..start.len().min(ext4::PROBE)];
    Ok(match ext4::probe(head) {
        ext4::Content::Ext4 { .. } => Holds::Ext4,
        ext4::Content::Other(what) => Holds::Other(what),
        ext4::Content::Empty if start.iter().chain(&end).any(|byte| *byte != 0) => {
            Holds::Other("data of an unknown kind".to_owned())
        }
        ext4::Content::Empty => Holds::Nothing,
    })
}

/// The unit for the data directory, if anything is mounted there.
#[must_use]
pub fn mount_unit(data: &DataPlace) -> Option<String> {
    let (what, kind, options, check) = match data {
        DataPlace::State => return None,
        DataPlace::Disk(disk) => {
            let device = format!("/dev/disk/by-id/{disk}");
            let check = format!("systemd-fsck@{}.service", escaped(&device));
            let check = format!("Wants={check}\nAfter={check}\n");
            (device, "ext4", "noatime,nosuid,nodev", check)
        }
        DataPlace::Closed => {
            ("tmpfs".to_owned(), "tmpfs", "ro,nosuid,nodev,noexec,size=4k,mode=0555", String::new())
        }
    };
    Some(format!(
        "[Unit]\nDescription=The data directory's disk\n{check}Before={USERS}\n\n\
         [Mount]\nWhat={}\nWhere={PLACE}\nType={kind}\nOptions={options}\n",
        what.replace('%', "%%")
    ))
}

/// A path as systemd writes it into a unit's name (systemd-escape --path).
fn escaped(path: &str) -> String {
    let mut name = String::new();
    for (index, byte) in path.trim_matches('/').bytes().enumerate() {
        match byte {
            b'/' => name.push('-'),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b':' | b'_' => name.push(char::from(byte)),
            b'.' if index > 0 => name.push('.'),
            _ => name += &format!("\\x{byte:02x}"),
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn wanted(format: bool) -> DataDisk {
        DataDisk { disk: "ata-X_1".to_owned(), format }
    }

    #[test]
    fn a_disk_that_holds_anything_is_never_formatted() {
        let found = |own, holds| Some(Found { own, holds });
        let other = || Holds::Other("an XFS file system".to_owned());
        let cases = [
            (found(false, Holds::Nothing), true, None, "format"),
            (found(false, Holds::Nothing), false, None, "write `format = true`"),
            (found(false, Holds::Ext4), true, None, "mount"),
            (found(false, Holds::Ext4), false, None, "mount"),
            (found(false, other()), true, None, "holds an XFS file system and was not touched"),
            (found(false, other()), true, Some("ata-Y_2"), "was not touched"),
            (found(false, other()), true, Some("ata-X_1"), "format"),
            (found(true, Holds::Nothing), true, None, "the node itself is on"),
            (found(true, Holds::Ext4), true, Some("ata-X_1"), "the node itself is on"),
            (None, true, None, "is not there"),
            (None, true, Some("ata-X_1"), "is not there"),
        ];
        for (found, format, begun, expected) in cases {
            let said = match plan(&wanted(format), found.as_ref(), begun) {
                Plan::Mount => "mount".to_owned(),
                Plan::Format => "format".to_owned(),
                Plan::Leave(reason) => reason.to_string(),
            };
            assert!(said.contains(expected), "{found:?}: {said}");
        }
    }

    #[test]
    fn one_byte_at_either_end_is_something() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk");
        let size = 8 << 20;
        for (at, expected) in [(None, true), (Some(0), false), (Some(70_000), false), (Some(size - 1), false)]
        {
            let mut bytes = vec![0_u8; size];
            if let Some(at) = at {
                bytes[at] = 1;
            }
            std::fs::write(&path, &bytes).unwrap();
            let holds = look(&mut File::open(&path).unwrap(), size as u64).unwrap();
            assert_eq!(holds == Holds::Nothing, expected, "{at:?}: {holds:?}");
        }
        std::fs::write(&path, "").unwrap();
        assert!(matches!(look(&mut File::open(&path).unwrap(), 0).unwrap(), Holds::Other(_)));
    }

    #[test]
    fn units_are_named_as_systemd_names_them() {
        let device = "/dev/disk/by-id/usb-Some_Disk-0:0.part%1";
        let ours = escaped(device);
        assert_eq!(ours, r"dev-disk-by\x2did-usb\x2dSome_Disk\x2d0:0.part\x251");
        match Command::new("systemd-escape").args(["--path", device]).output() {
            Ok(output) => assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), ours),
            Err(_) => {
                assert!(std::env::var_os("HCIMAGE_CI").is_none(), "systemd-escape is not installed");
                eprintln!("skipped: units_are_named_as_systemd_names_them: systemd-escape is not installed");
            }
        }
        let unit = mount_unit(&DataPlace::Disk("a%b".to_owned())).unwrap();
        assert!(unit.contains("What=/dev/disk/by-id/a%%b\n") && unit.contains("After=systemd-fsck@dev-disk"));
        assert!(mount_unit(&DataPlace::Closed).unwrap().contains("Options=ro,"));
        assert_eq!(mount_unit(&DataPlace::State), None);
    }
}
