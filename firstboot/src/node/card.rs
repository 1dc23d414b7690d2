//! The boot partition: where the seed comes from and the report goes to. It is mounted for as long as somebody reads or
//! writes it, in a place of its own, read-only but for the moment of a write; found by what `hcinit` says, never by a
//! label.

use super::{
    boot::Boot,
    burn::{self, Need},
    file, place,
    settings::Settings,
};
use contract::{Blame, Code, Reason, seed};
use rustix::{
    fs::{FlockOperation, flock, syncfs},
    mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount},
};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{FileExt as _, FileTypeExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// How long the boot partition may take to appear.
pub const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(100);
/// Only root, no programs, no devices; names as other systems write them.
const OPTIONS: &std::ffi::CStr = c"umask=0077,iocharset=ascii,shortname=mixed";
const FLAGS: MountFlags =
    MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::NOEXEC).union(MountFlags::NOATIME);

/// Why the boot partition could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CardError {
    /// The disk has no boot partition.
    #[error("this disk has no boot partition")]
    None,
    /// It did not appear.
    #[error("the boot partition {device} did not appear after {seconds} s (card reader or card fault)")]
    Absent {
        /// Its device.
        device: String,
        /// How long.
        seconds: u64,
    },
    /// A system call failed.
    #[error("cannot {act} {path}: {source}", path = path.display())]
    Io {
        /// What was to be done.
        act: &'static str,
        /// To what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The node has no settings: there is nothing to burn.
    #[error("no seed was ever taken from this card")]
    NoSeed,
    /// The seed on the card is another one now.
    #[error("{file} on the card is not the one that this node was set up with any more; it was not touched")]
    Changed {
        /// Its name.
        file: String,
    },
    /// The medium still has the old content.
    #[error(
        "{file} still has its old content after it was overwritten: the card is write-protected or worn out"
    )]
    Unwritten {
        /// Its name.
        file: String,
    },
}

impl CardError {
    fn io<E: Into<io::Error>>(act: &'static str, path: impl AsRef<Path>) -> impl FnOnce(E) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io { act, path, source: source.into() }
    }
}

/// The mounted boot partition.
#[derive(Debug)]
pub struct Card {
    folder: PathBuf,
    device: PathBuf,
    /// Holds the others off.
    _lock: File,
}

/// Mounts the boot partition of `boot`, lets `act` work with it, and unmounts it whatever `act` says.
///
/// # Errors
/// When it does not appear or cannot be mounted, and those of `act`.
pub fn with<T>(boot: &Boot, act: impl FnOnce(&Card) -> Result<T, CardError>) -> Result<T, CardError> {
    let card = Card::open(boot)?;
    let done = act(&card);
    let closed = card.unmount();
    let done = done?;
    closed.map(|()| done)
}

/// Overwrites the cluster's token, and every secret that is still there, on the card: for the moment when the node is
/// in its cluster. Returns why deleted copies could not be trimmed, when they could not.
///
/// # Errors
/// When the card is not there, holds another seed by now, or does not take the bytes; [`not_erased`] makes the text.
pub fn burn_seed() -> Result<Option<String>, CardError> {
    let settings = Settings::load().map_err(CardError::io("read", place::SETTINGS))?;
    let settings = settings.ok_or(CardError::NoSeed)?;
    let boot = Boot::load(Path::new(place::BOOT)).map_err(CardError::io("read", place::BOOT))?;
    burn(&boot, &settings, &[Need::Settings, Need::Join])
}

/// Overwrites the secrets of the seed that `settings` are from and that are not needed any more, in place, and proves
/// it by reading the card again after it was unmounted.
///
/// # Errors
/// As [`burn_seed`].
pub fn burn(boot: &Boot, settings: &Settings, done: &[Need]) -> Result<Option<String>, CardError> {
    let name = &settings.file;
    let written = with(boot, |card| {
        let Some(found) = card.read(name)? else { return Ok(None) };
        if !burn::is_known(&found, settings.card.reveal()) {
            return Err(CardError::Changed { file: name.clone() });
        }
        let Ok(text) = String::from_utf8(found) else {
            return Err(CardError::Changed { file: name.clone() });
        };
        let ashes = burn::burned(&text, done);
        if ashes == text.as_bytes() {
            return Ok(None);
        }
        card.overwrite(name, &ashes)?;
        Ok(Some((ashes, card.trim())))
    })?;
    let Some((ashes, untrimmed)) = written else { return Ok(None) };
    let found = with(boot, |card| card.read(name))?;
    if found.as_deref() != Some(&ashes[..]) {
        return Err(CardError::Unwritten { file: name.clone() });
    }
    Ok(untrimmed)
}

/// Writes the report for a laptop to read, CRLF and all, as the caller made it.
///
/// # Errors
/// When the card is not there or full.
pub fn write_report(boot: &Boot, text: &str) -> Result<(), CardError> {
    with(boot, |card| card.replace(seed::REPORT, text.as_bytes()))
}

/// HC-J15: a secret is still on the card.
#[must_use]
pub fn not_erased(error: &CardError, expires: Option<&str>) -> Reason {
    let end = expires.map_or_else(
        || "keep the card as you keep a key, or erase the file on a computer".to_owned(),
        |time| format!("it expires by itself at {time}"),
    );
    let text = format!("warning: could not erase the secrets from the card ({error}); {end}");
    Reason { code: Code::J15, area: "seed".to_owned(), text, blame: Blame::Node }
}

/// The boot partition's device, once it is there.
///
/// # Errors
/// When the disk has none, or it does not appear.
pub fn device(boot: &Boot) -> Result<PathBuf, CardError> {
    let device = boot.esp_device.as_deref().map(PathBuf::from).ok_or(CardError::None)?;
    let start = Instant::now();
    while !fs::metadata(&device).is_ok_and(|meta| meta.file_type().is_block_device()) {
        if start.elapsed() > PATIENCE {
            let (device, seconds) = (device.display().to_string(), PATIENCE.as_secs());
            return Err(CardError::Absent { device, seconds });
        }
        thread::sleep(PAUSE);
    }
    Ok(device)
}

/// Waits until nobody has the boot partition; it is given back when the file is closed.
///
/// # Errors
/// When the lock cannot be made.
pub fn lock() -> Result<File, CardError> {
    let lock = File::create(place::CARD_LOCK).map_err(CardError::io("open", place::CARD_LOCK))?;
    flock(&lock, FlockOperation::LockExclusive).map_err(CardError::io("lock", place::CARD_LOCK))?;
    Ok(lock)
}

impl Card {
    fn open(boot: &Boot) -> Result<Self, CardError> {
        let device = device(boot)?;
        let folder = PathBuf::from(place::CARD);
        fs::create_dir_all(&folder).map_err(CardError::io("create", &folder))?;
        let lock = lock()?;
        mount(&device, &folder, "vfat", FLAGS | MountFlags::RDONLY, OPTIONS)
            .map_err(CardError::io("mount", &device))?;
        Ok(Self { folder, device, _lock: lock })
    }

    fn unmount(self) -> Result<(), CardError> {
        unmount(&self.folder, UnmountFlags::NOFOLLOW).map_err(CardError::io("unmount", &self.device))
    }

    /// What the file `name` holds, if it is there; no more than one byte above the limit of a seed.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>, CardError> {
        let path = self.folder.join(name);
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(CardError::io("open", &path))?,
        };
        let mut bytes = Vec::new();
        let limit = seed::LIMIT as u64 + 1;
        file.take(limit).read_to_end(&mut bytes).map_err(CardError::io("read", &path))?;
        Ok(Some(bytes))
    }

    /// Writes a file: the old content stays until the new one is on the medium.
    ///
    /// # Errors
    /// When the card is full or does not take it.
    pub fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), CardError> {
        let path = self.folder.join(name);
        self.writable(|| {
            let new = self.folder.join("hc-new.txt");
            file::remove(&new)?;
            let mut file = File::create(&new)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&new, &path)
        })
    }

    /// Overwrites the first bytes of a file in place.
    fn overwrite(&self, name: &str, bytes: &[u8]) -> Result<(), CardError> {
        let path = self.folder.join(name);
        self.writable(|| {
            let file = OpenOptions::new().write(true).open(&path)?;
            file.write_all_at(bytes, 0)?;
            file.sync_all()
        })
    }

    fn writable(&self, act: impl FnOnce() -> io::Result<()>) -> Result<(), CardError> {
        let remount = |flags| {
            mount_remount(&self.folder, flags, OPTIONS)
                .map_err(CardError::io("mount for writing", &self.device))
        };
        remount(FLAGS)?;
        let done = act().and_then(|()| Ok(syncfs(File::open(&self.folder)?)?));
        let closed = remount(FLAGS | MountFlags::RDONLY);
        done.map_err(CardError::io("write to", &self.device))?;
        closed
    }

    /// Tells the medium which of its blocks hold nothing: copies that an editor has deleted. Returns why it could not.
    fn trim(&self) -> Option<String> {
        let mut command = Command::new("/usr/sbin/fstrim");
        command.arg(&self.folder).env_clear().stdin(Stdio::null());
        let said = match command.output() {
            Ok(output) if output.status.success() => return None,
            Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            Err(error) => format!("cannot run /usr/sbin/fstrim: {error}"),
        };
        Some(said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_erased_is_said_with_the_way_out() {
        let error = CardError::Unwritten { file: "homecloud.toml".to_owned() };
        let text = not_erased(&error, Some("2026-11-21 10:00")).to_string();
        assert!(text.starts_with("HC-J15 seed: warning: could not erase"), "{text}");
        assert!(
            text.contains("write-protected") && text.ends_with("expires by itself at 2026-11-21 10:00"),
            "{text}"
        );
        let text = not_erased(&CardError::None, None).to_string();
        assert!(
            text.contains("no boot partition") && text.ends_with("erase the file on a computer"),
            "{text}"
        );
    }
}
