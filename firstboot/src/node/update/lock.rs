//! One update at a time: whoever changes a slot or the boot entries holds a lock, and says who it is.

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
    process::{Pid, Signal, kill_process},
};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::Path,
    thread,
    time::{Duration, Instant},
};

/// How long a holder that was asked to stop may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Held until it is dropped, or until its process ends in whatever way.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes it; none while somebody else has it.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn take(path: &Path) -> io::Result<Option<Self>> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => return Ok(None),
            other => other?,
        }
        file.set_len(0)?;
        write!(file, "{}", std::process::id())?;
        Ok(Some(Self { _file: file }))
    }

    /// Takes it after whoever has it was asked to stop. An update can be stopped at any point.
    ///
    /// # Errors
    /// When the holder does not stop, or the file cannot be made.
    pub fn take_over(path: &Path) -> io::Result<(Self, bool)> {
        if let Some(lock) = Self::take(path)? {
            return Ok((lock, false));
        }
        let holder = fs::read_to_string(path)?;
        let holder = holder.trim().parse().ok().and_then(Pid::from_raw);
        let holder = holder.ok_or_else(|| io::Error::other(format!("{} names nobody", path.display())))?;
        match kill_process(holder, Signal::TERM) {
            // It ended by itself meanwhile.
            Err(Errno::SRCH) => {}
            other => other?,
        }
        let start = Instant::now();
        loop {
            if let Some(lock) = Self::take(path)? {
                return Ok((lock, true));
            }
            if start.elapsed() > PATIENCE {
                let holder = holder.as_raw_nonzero();
                return Err(io::Error::other(format!(
                    "process {holder} does not stop: kill it, and try again"
                )));
            }
            thread::sleep(Duration::from_millis(100));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn one_holder_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let lock = Lock::take(&path).unwrap().unwrap();
        assert!(Lock::take(&path).unwrap().is_none());
        assert_eq!(fs::read_to_string(&path).unwrap(), std::process::id().to_string());
        drop(lock);
        assert!(!Lock::take_over(&path).unwrap().1);
    }

    #[test]
    fn a_holder_is_asked_to_stop() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let mut command = Command::new("flock");
        let Ok(mut child) = command.arg("--no-fork").arg(&path).args(["sleep", "60"]).spawn() else {
            eprintln!("skipped: a_holder_is_asked_to_stop: flock is not installed");
            assert!(std::env::var_os("HCIMAGE_CI").is_none(), "flock is not installed");
            return;
        };
        while Lock::take(&path).unwrap().is_some() {
            thread::sleep(Duration::from_millis(10));
        }
        fs::write(&path, child.id().to_string()).unwrap();
        let (_lock, stopped) = Lock::take_over(&path).unwrap();
        assert!(stopped && !child.wait().unwrap().success());
    }
}
