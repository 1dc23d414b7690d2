//! The boot partition and the loader's variables of this machine.

use super::{
    SelectError,
    efi_entry::{EfiEntry, Esp, Port},
};
use crate::node::{boot::Boot, card};
use fat::{ReadAt, WriteAt};
use rustix::fs::{Mode, OFlags, ioctl_blksszget, open};
use std::{
    fs::File,
    io::{self, Seek as _, SeekFrom},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

const EFIVARS: &str = "/sys/firmware/efi/efivars";
const LOADER: &str = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
/// What memory for direct reads and writes is aligned to.
const ALIGNMENT: usize = 4096;

/// The machine's boot partition.
#[derive(Debug)]
pub struct Machine {
    device: PathBuf,
}

/// The selector of this machine.
///
/// # Errors
/// When the disk has no boot partition, or it does not appear.
pub fn selector(boot: &Boot) -> Result<EfiEntry<Machine>, SelectError> {
    Ok(EfiEntry::new(Machine { device: card::device(boot)? }))
}

impl Port for Machine {
    type Esp = RawEsp;

    fn open(&mut self) -> Result<RawEsp, SelectError> {
        let lock = card::lock()?;
        RawEsp::open(&self.device, lock).map_err(|error| SelectError::medium("open", error))
    }

    fn variable(&mut self, name: &str) -> io::Result<Option<String>> {
        match std::fs::read(Path::new(EFIVARS).join(format!("{name}-{LOADER}"))) {
            Ok(content) => Ok(Some(text(&content))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The text of a variable as efivarfs gives it: four bytes of attributes, UTF-16, a closing NUL.
fn text(content: &[u8]) -> String {
    let units = content.get(4..).unwrap_or_default().as_chunks::<2>().0.iter();
    let units: Vec<u16> = units.map(|pair| u16::from_le_bytes(*pair)).take_while(|unit| *unit != 0).collect();
    String::from_utf16_lossy(&units)
}

/// A device that is read and written past the page cache, so that one sector is one write.
#[derive(Debug)]
pub struct RawEsp {
    file: File,
    size: u64,
    /// The device's own block in bytes.
    block: usize,
    /// Holds the others off.
    _lock: File,
}

impl RawEsp {
    fn open(device: &Path, lock: File) -> io::Result<Self> {
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::DIRECT;
        let mut file = File::from(open(device, flags, Mode::empty())?);
        let size = file.seek(SeekFrom::End(0))?;
        let block = ioctl_blksszget(&file)? as usize;
        Ok(Self { file, size, block, _lock: lock })
    }

    /// The whole blocks around `length` bytes at `offset`, as read from the medium, and where the bytes are in them.
    fn around(&self, offset: u64, length: usize) -> io::Result<(Aligned, u64, usize)> {
        let skip = (offset % self.block as u64) as usize;
        let mut blocks = Aligned::new((skip + length).next_multiple_of(self.block));
        let start = offset - skip as u64;
        self.file.read_exact_at(blocks.bytes(), start)?;
        Ok((blocks, start, skip))
    }
}

impl Esp for RawEsp {
    fn size(&self) -> u64 {
        self.size
    }
}

impl ReadAt for RawEsp {
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        let (mut blocks, _, skip) = self.around(offset, bytes.len())?;
        bytes.copy_from_slice(&blocks.bytes()[skip..skip + bytes.len()]);
        Ok(())
    }
}

impl WriteAt for RawEsp {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let whole = offset.is_multiple_of(self.block as u64) && bytes.len().is_multiple_of(self.block);
        let (mut blocks, start, skip) =
            if whole { (Aligned::new(bytes.len()), offset, 0) } else { self.around(offset, bytes.len())? };
        blocks.bytes()[skip..skip + bytes.len()].copy_from_slice(bytes);
        self.file.write_all_at(blocks.bytes(), start)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }
}

/// Memory that the kernel can hand to a device as it is.
struct Aligned {
    memory: Vec<u8>,
    start: usize,
    length: usize,
}

impl Aligned {
    fn new(length: usize) -> Self {
        let memory = vec![0; length + ALIGNMENT];
        let start = memory.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
        Self { memory, start, length }
    }

    fn bytes(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.start + self.length]
    }
}
