//! A machine's disk while the machine is off: what a guest left on it, and damage that is done to it.

use crate::{Output, Result, Tool, machine::QEMU_IMG, tool};
use std::{
    ops::Range,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

const QEMU_IO: Tool = Tool { program: "qemu-io", package: "qemu-utils" };
const LIMIT: Duration = Duration::from_secs(300);

/// The overlay that a machine writes to.
#[derive(Clone, Debug)]
pub struct Disk {
    overlay: PathBuf,
    image: PathBuf,
}

impl Disk {
    pub(crate) const fn new(overlay: PathBuf, image: PathBuf) -> Self {
        Self { overlay, image }
    }

    /// The overlay's file.
    pub(crate) fn overlay(&self) -> &Path {
        &self.overlay
    }

    /// Writes the disk as the guest sees it to the file `raw`, sparse.
    pub fn copy_to(&self, raw: &Path) -> Result<()> {
        let mut command = QEMU_IMG.command()?;
        finish(command.args(["convert", "-O", "raw"]).arg(&self.overlay).arg(raw))
    }

    /// Whether every byte is the image's, and zero behind its end.
    pub fn is_untouched(&self) -> Result<bool> {
        let mut command = QEMU_IMG.command()?;
        command.args(["compare", "-q", "-f", "qcow2", "-F", "raw"]).arg(&self.overlay).arg(&self.image);
        let output = tool::run(&mut command, b"", LIMIT)?;
        match output.status.code() {
            Some(0) => Ok(true),
            Some(1) => Ok(false),
            _ => output.success().map(|_| false),
        }
    }

    /// Fails unless all of `extent` holds `byte`.
    pub fn holds(&self, extent: Range<u64>, byte: u8) -> Result<()> {
        let read = format!("read -P {byte} {} {}", extent.start, extent.end - extent.start);
        let mut command = QEMU_IO.command()?;
        finish(command.args(["-r", "-f", "qcow2", "-c", &read]).arg(&self.overlay))
    }

    /// Writes `byte` to all of `extent`.
    pub fn fill(&self, extent: Range<u64>, byte: u8) -> Result<()> {
        let write = format!("write -P {byte} {} {}", extent.start, extent.end - extent.start);
        let mut command = QEMU_IO.command()?;
        finish(command.args(["-f", "qcow2", "-c", &write]).arg(&self.overlay))
    }
}

fn finish(command: &mut Command) -> Result<()> {
    tool::run(command, b"", LIMIT).and_then(Output::success).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn an_overlay_knows_whether_it_was_written() {
        if let Err(error) = QEMU_IO.find()
            && std::env::var_os("HCIMAGE_CI").is_none()
        {
            eprintln!("skipped: an_overlay_knows_whether_it_was_written: {error}");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let (image, overlay) = (dir.path().join("image"), dir.path().join("overlay"));
        fs::write(&image, [7; 1 << 20]).unwrap();
        let mut command = QEMU_IMG.command().unwrap();
        command.args(["create", "-q", "-f", "qcow2", "-F", "raw", "-b"]).arg(&image).arg(&overlay).arg("2M");
        finish(&mut command).unwrap();
        let disk = Disk::new(overlay, image);
        assert!(disk.is_untouched().unwrap());
        disk.fill(1024..2048, 7).unwrap();
        assert!(disk.is_untouched().unwrap(), "the same byte was written");
        disk.fill(1024..2048, 8).unwrap();
        assert!(!disk.is_untouched().unwrap());
        disk.holds(1024..2048, 8).unwrap();
        assert!(disk.holds(1024..2049, 8).is_err(), "one byte more is the image's");
        let raw = dir.path().join("raw");
        disk.copy_to(&raw).unwrap();
        let bytes = fs::read(raw).unwrap();
        assert_eq!((bytes.len(), bytes[1023], bytes[1024], bytes[2047], bytes[2048]), (2 << 20, 7, 8, 8, 7));
        assert_eq!(bytes[1 << 20], 0);
    }
}
