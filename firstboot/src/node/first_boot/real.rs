//! The running node.

use super::machine::{CardFile, Machine};
use crate::{
    node::{
        boot::Boot,
        burn::Need,
        card::{self, CardError},
        disk::{self, DataPlace, Found},
        file, place,
        render::RunFile,
        say,
        settings::Settings,
    },
    sysfs,
};
use contract::seed;
use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// The paths that were rendered last, one a line: what is not rendered any more is removed.
const LIST: &str = "/run/hcimage/rendered";
/// How long the data disk may take to appear: disks that spin up need ten seconds.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(200);

/// What mke2fs is told beside the device. By name, so that its configuration does not decide; no discard, which takes
/// minutes on some disks.
const MKFS: [&str; 8] =
    ["-q", "-F", "-t", "ext4", "-L", "hcdata", "-E", "nodiscard,lazy_itable_init=1,lazy_journal_init=1"];

/// The node that this program runs on.
#[derive(Debug, Default)]
pub(super) struct Node {
    boot: Option<Boot>,
}

impl Node {
    fn boot(&mut self) -> Result<Boot, CardError> {
        if let Some(boot) = &self.boot {
            return Ok(boot.clone());
        }
        let loaded = Boot::load(Path::new(place::BOOT));
        let boot =
            loaded.map_err(|source| CardError::Io { act: "read", path: place::BOOT.into(), source })?;
        Ok(self.boot.insert(boot).clone())
    }
}

impl Machine for Node {
    fn seed(&mut self) -> Result<Option<CardFile>, CardError> {
        let boot = self.boot()?;
        card::with(&boot, |card| {
            for name in [seed::FILE, seed::PRESEED] {
                if let Some(bytes) = card.read(name)? {
                    return Ok(Some(CardFile { name: name.to_owned(), bytes }));
                }
            }
            Ok(None)
        })
    }

    fn burn(&mut self, settings: &Settings, done: &[Need]) -> Result<Option<String>, CardError> {
        let boot = self.boot()?;
        card::burn(&boot, settings, done)
    }

    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        file::read(Path::new(path))
    }

    fn has(&self, path: &str) -> bool {
        Path::new(path).exists()
    }

    fn keep(&mut self, path: &str, bytes: &[u8], mode: u32) -> io::Result<()> {
        file::replace(Path::new(path), bytes, mode)
    }

    fn forget(&mut self, path: &str) -> io::Result<()> {
        file::remove(Path::new(path))
    }

    fn show(&mut self, files: &[RunFile]) -> io::Result<()> {
        let list = file::read(Path::new(LIST))?.unwrap_or_default();
        let now: BTreeSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
        for old in String::from_utf8_lossy(&list).lines().filter(|path| !now.contains(path)) {
            file::remove(Path::new(old))?;
        }
        let list: String = now.iter().map(|path| format!("{path}\n")).collect();
        file::replace(Path::new(LIST), list.as_bytes(), 0o644)?;
        files.iter().try_for_each(|RunFile { path, text, mode }| {
            file::replace(Path::new(path), text.as_bytes(), *mode)
                .map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}")))
        })
    }

    fn set_name(&mut self, name: &str) -> io::Result<()> {
        Ok(rustix::system::sethostname(name.as_bytes())?)
    }

    fn data_disk(&mut self, disk: &str) -> io::Result<Option<Found>> {
        let Some(device) = wait_for(disk)? else { return Ok(None) };
        let name = device.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // The disk itself, or a partition of it: the disk's directory is in the partition's path.
        let sys = fs::canonicalize(Path::new("/sys/class/block").join(&name))?;
        let boot = self.boot().map_err(io::Error::other)?;
        let own = sys.components().any(|part| part.as_os_str() == boot.disk.as_str());
        let sectors = fs::read_to_string(sys.join("size"))?;
        let sectors: u64 = sectors.trim().parse().map_err(io::Error::other)?;
        let parts = !sys.join("partition").exists() && !sysfs::partitions(&name)?.is_empty();
        let holds = if parts {
            disk::Holds::Other("partitions".to_owned())
        } else {
            disk::look(&mut File::open(&device)?, sectors * 512)?
        };
        Ok(Some(Found { own, holds }))
    }

    fn format(&mut self, disk: &str) -> io::Result<()> {
        let Some(device) = wait_for(disk)? else { return Err(io::Error::from(io::ErrorKind::NotFound)) };
        run(Command::new("/usr/sbin/mkfs.ext4").args(MKFS).arg(&device))?;
        File::options().write(true).open(&device)?.sync_all()
    }

    fn mount_data(&mut self, data: &DataPlace) -> io::Result<()> {
        run(Command::new("/usr/bin/systemctl").arg("daemon-reload"))?;
        run(Command::new("/usr/bin/systemctl").args(["start", disk::UNIT]))?;
        match data {
            DataPlace::State | DataPlace::Closed => Ok(()),
            DataPlace::Disk(_) => run(Command::new("/usr/bin/systemd-tmpfiles")
                .args(["--create", &format!("--prefix={}", disk::PLACE)])),
        }
    }

    fn restart(&mut self) -> io::Result<()> {
        // As `systemctl reboot` does it, without asking logind, which does not run yet.
        let mode = "--job-mode=replace-irreversibly";
        run(Command::new("/usr/bin/systemctl").args(["--no-block", mode, "start", "reboot.target"]))
    }

    fn say(&mut self, text: String) {
        say::note(text);
    }
}

/// The device behind a name in `/dev/disk/by-id`, when it is there in time.
fn wait_for(disk: &str) -> io::Result<Option<PathBuf>> {
    let link = Path::new("/dev/disk/by-id").join(disk);
    let start = Instant::now();
    while !link.exists() {
        if start.elapsed() > PATIENCE {
            return Ok(None);
        }
        thread::sleep(PAUSE);
    }
    fs::canonicalize(&link).map(Some)
}

fn run(command: &mut Command) -> io::Result<()> {
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin").stdin(Stdio::null());
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    let program = command.get_program().to_string_lossy().into_owned();
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    Err(io::Error::other(format!("{program}: {}: {said}", output.status)))
}
