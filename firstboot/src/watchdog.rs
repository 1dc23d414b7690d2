//! The hardware watchdog: armed as soon as its driver is there, so that a kernel or a first program that hangs does not
//! hang for ever. systemd feeds it later, with a shorter patience (system.conf.d/90-node.conf).

use crate::{log::Log, sys};
use std::{fs::OpenOptions, io, path::Path};

const DEVICE: &str = "/dev/watchdog0";
/// What the rest of the initrd may take: state may be checked or made on a slow card.
const SECONDS: i32 = 240;

/// The watchdog of this machine, if it has one.
#[derive(Debug, Default)]
pub struct Watchdog {
    armed: bool,
}

impl Watchdog {
    /// Arms the watchdog if one has appeared and was not armed yet. A machine that has none, or one that does not take
    /// it, starts all the same.
    pub fn look(&mut self, log: &Log) {
        if self.armed || !Path::new(DEVICE).exists() {
            return;
        }
        self.armed = true;
        match arm() {
            Ok(seconds) => log.step(format_args!("watchdog: armed, {seconds} s")),
            Err(error) => log.warn(format_args!("watchdog: {DEVICE} cannot be armed: {error}")),
        }
    }
}

/// Opening starts it. It is closed without the letter that would stop it, so it goes on.
fn arm() -> io::Result<i32> {
    let device = OpenOptions::new().write(true).open(DEVICE)?;
    match sys::watchdog_timeout(&device, SECONDS) {
        Ok(seconds) => Ok(seconds),
        // One that has a time of its own and keeps it.
        Err(_) => sys::watchdog_time(&device).map_err(io::Error::from),
    }
}
