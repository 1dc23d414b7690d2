//! What `hcinit` says: one line a step, with the time since it started, to the kernel's log and so to every console.

use std::{
    fmt::Display,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The kernel's switch for how many lines a program may log; it drops lines by default.
const RATE_LIMIT: &str = "/proc/sys/kernel/printk_devkmsg";

/// Where steps are told. Before `/dev` is there, and when the kernel's log cannot be opened, that is the console.
#[derive(Debug)]
pub struct Log {
    started: Instant,
    kmsg: Mutex<Option<File>>,
}

impl Log {
    /// A log whose clock starts now.
    #[must_use]
    pub fn start() -> Self {
        Self { started: Instant::now(), kmsg: Mutex::new(None) }
    }

    /// Writes to the kernel's log from now on.
    pub fn open_kernel_log(&self) -> io::Result<()> {
        fs::write(RATE_LIMIT, "on\n")?;
        *self.kmsg.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(OpenOptions::new().write(true).open("/dev/kmsg")?);
        Ok(())
    }

    /// Gives the kernel its limit back, before services start.
    pub fn restore_rate_limit(&self) -> io::Result<()> {
        fs::write(RATE_LIMIT, "ratelimit\n")
    }

    /// Time since the start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Tells a step that was done.
    pub fn step(&self, text: impl Display) {
        self.line(6, text);
    }

    /// Tells of something that is wrong but does not stop the boot.
    pub fn warn(&self, text: impl Display) {
        self.line(4, text);
    }

    /// Tells why the boot stops.
    pub fn fatal(&self, text: impl Display) {
        self.line(2, text);
    }

    fn line(&self, level: u8, text: impl Display) {
        let millis = self.started.elapsed().as_millis();
        let line = format!("hcinit: [{millis:5} ms] {text}\n");
        let mut kmsg = self.kmsg.lock().unwrap_or_else(PoisonError::into_inner);
        let told = kmsg.as_mut().map(|kmsg| kmsg.write_all(format!("<{level}>{line}").as_bytes()));
        // A log that cannot be written must not stop a boot, and there is nowhere left to say so.
        if !matches!(told, Some(Ok(()))) && io::stderr().write_all(line.as_bytes()).is_err() {
            *kmsg = None;
        }
    }
}
