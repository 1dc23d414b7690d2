//! The boot partition of a machine that is off, as a laptop sees the card: files are put there and read back, by mtools.

use crate::{Output, Result, Tool, disk::Disk, machine::QEMU_IMG, tool};
use std::{
    ffi::OsString,
    ops::Range,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

const MCOPY: Tool = Tool { program: "mcopy", package: "mtools" };
const MTYPE: Tool = Tool { program: "mtype", package: "mtools" };
const MDIR: Tool = Tool { program: "mdir", package: "mtools" };
const LIMIT: Duration = Duration::from_secs(300);

/// A copy of the boot partition, and where it goes back to.
#[derive(Debug)]
pub struct Card {
    disk: Disk,
    extent: Range<u64>,
    dir: tempfile::TempDir,
}

impl Card {
    /// Takes the FAT file system in `extent` of the disk out.
    pub fn take(disk: Disk, extent: Range<u64>) -> Result<Self> {
        for tool in [MCOPY, MTYPE, MDIR] {
            tool.find()?;
        }
        let dir =
            tempfile::tempdir().map_err(crate::Error::file("create a directory in", std::env::temp_dir()))?;
        let card = Self { disk, extent, dir };
        let mut command = QEMU_IMG.command()?;
        command.args(["convert", "--image-opts", "-O", "raw"]).arg(card.window()).arg(card.file());
        finish(&mut command)?;
        Ok(card)
    }

    /// Reads a file; a missing one is an error of mtype.
    pub fn read(&self, name: &str) -> Result<String> {
        tool::run(MTYPE.command()?.arg("-i").arg(self.file()).arg(format!("::/{name}")), b"", LIMIT)
            .and_then(Output::success)
    }

    /// The names in the root directory, as mdir shows them.
    pub fn list(&self) -> Result<String> {
        tool::run(MDIR.command()?.args(["-b", "-i"]).arg(self.file()).arg("::/"), b"", LIMIT)
            .and_then(Output::success)
    }

    /// Whether these bytes are anywhere in the partition, in a file or in what is left of one.
    pub fn holds(&self, needle: &[u8]) -> Result<bool> {
        use std::io::Read as _;
        let path = self.file();
        let mut file = std::fs::File::open(&path).map_err(crate::Error::file("open", &path))?;
        let mut window = Vec::new();
        let mut piece = vec![0; 1 << 20];
        loop {
            let count = file.read(&mut piece).map_err(crate::Error::file("read", &path))?;
            if count == 0 {
                return Ok(false);
            }
            // Holes need no search.
            if window.is_empty() && piece[..count].iter().all(|byte| *byte == 0) {
                continue;
            }
            window.extend_from_slice(&piece[..count]);
            if window.windows(needle.len()).any(|found| found == needle) {
                return Ok(true);
            }
            window.drain(..window.len().saturating_sub(needle.len()));
        }
    }

    /// Writes a file and puts the partition back.
    pub fn write(&self, name: &str, content: &[u8]) -> Result<()> {
        let source = self.dir.path().join("content");
        std::fs::write(&source, content).map_err(crate::Error::file("write", &source))?;
        let mut command = MCOPY.command()?;
        command.args(["-o", "-i"]).arg(self.file()).arg(&source).arg(format!("::/{name}"));
        finish(&mut command)?;
        let mut command = QEMU_IMG.command()?;
        command
            .args(["convert", "-n", "-f", "raw", "--target-image-opts"])
            .arg(self.file())
            .arg(self.window());
        finish(&mut command)
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("card")
    }

    /// The partition as an image of QEMU's own.
    fn window(&self) -> OsString {
        let Range { start, end } = self.extent;
        let mut options = OsString::from(format!(
            "driver=raw,offset={start},size={},file.driver=qcow2,file.file.driver=file,file.file.filename=",
            end - start
        ));
        options.push(escaped(self.disk.overlay()));
        options
    }
}

/// QEMU reads `,,` in a value as a comma.
fn escaped(path: &Path) -> OsString {
    path.to_string_lossy().replace(',', ",,").into()
}

fn finish(command: &mut Command) -> Result<()> {
    tool::run(command, b"", LIMIT).and_then(Output::success).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};

    const MIB: u64 = 1 << 20;
    const MKFS: Tool = Tool { program: "mkfs.fat", package: "dosfstools" };

    /// A disk with a FAT file system from 1 MiB to 5 MiB.
    fn disk(dir: &Path) -> Result<Disk> {
        let (fat, image, overlay) = (dir.join("fat"), dir.join("image"), dir.join("a,b.qcow2"));
        File::create(&fat).unwrap().set_len(4 * MIB).unwrap();
        finish(MKFS.command()?.arg(&fat))?;
        let mut bytes = vec![0xee; MIB as usize];
        bytes.extend(fs::read(&fat).unwrap());
        bytes.extend(vec![0xee; MIB as usize]);
        fs::write(&image, bytes).unwrap();
        let mut command = QEMU_IMG.command()?;
        finish(command.args(["create", "-q", "-f", "qcow2", "-F", "raw", "-b"]).arg(&image).arg(&overlay))?;
        Ok(Disk::new(overlay, image))
    }

    #[test]
    fn what_is_put_on_a_card_is_there_and_nothing_else_changed() {
        let dir = tempfile::tempdir().unwrap();
        let taken = disk(dir.path()).and_then(|disk| Ok((disk.clone(), Card::take(disk, MIB..5 * MIB)?)));
        let (disk, card) = match taken {
            Err(error) if error.is_missing() && std::env::var_os("HCIMAGE_CI").is_none() => {
                eprintln!("skipped: what_is_put_on_a_card_is_there_and_nothing_else_changed: {error}");
                return;
            }
            taken => taken.unwrap(),
        };
        assert!(card.read("homecloud.toml").is_err());
        card.write("homecloud.toml", b"token = \"se\xc3\xa7ret\"\r\n").unwrap();
        let again = Card::take(disk.clone(), MIB..5 * MIB).unwrap();
        assert_eq!(again.read("homecloud.toml").unwrap(), "token = \"se\u{e7}ret\"\r");
        assert!(again.list().unwrap().contains("homecloud.toml"));
        assert!(again.holds("se\u{e7}ret".as_bytes()).unwrap() && !again.holds(b"secret").unwrap());
        disk.holds(0..MIB, 0xee).unwrap();
        disk.holds(5 * MIB..6 * MIB, 0xee).unwrap();
    }
}
