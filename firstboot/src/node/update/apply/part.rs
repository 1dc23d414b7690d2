//! The two things that are written, block by block: a root file system on its partition, a kernel on the boot
//! partition. Each knows where it may copy from.

use crate::node::update::{select::Selector, slot::Region};
use contract::{slots::Slot, verity::BLOCK};
use std::io;

/// Something that is written in blocks of 4096 bytes.
pub(super) trait Part {
    /// What it is called in messages.
    fn name(&self) -> &'static str;
    /// Fills `bytes` (whole blocks) from block `first` on, from the medium.
    fn read(&mut self, first: u64, bytes: &mut [u8]) -> io::Result<()>;
    /// Writes whole blocks from block `first` on.
    fn write(&mut self, first: u64, bytes: &[u8]) -> io::Result<()>;
    /// Waits until all is on the medium.
    fn flush(&mut self) -> io::Result<()>;
    /// Fills `bytes` from a place to copy from, by its number.
    fn copy(&mut self, source: usize, first: u64, bytes: &mut [u8]) -> io::Result<()>;
}

/// A root file system.
pub(super) struct Root<'r> {
    target: &'r mut dyn Region,
    running: &'r mut dyn Region,
}

impl<'r> Root<'r> {
    pub(super) fn new(target: &'r mut dyn Region, running: &'r mut dyn Region) -> Self {
        Self { target, running }
    }
}

impl Part for Root<'_> {
    fn name(&self) -> &'static str {
        "root partition"
    }

    fn read(&mut self, first: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.target.read(first * BLOCK as u64, bytes)
    }

    fn write(&mut self, first: u64, bytes: &[u8]) -> io::Result<()> {
        self.target.write(first * BLOCK as u64, bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.target.flush()
    }

    fn copy(&mut self, _: usize, first: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.running.read(first * BLOCK as u64, bytes)
    }
}

/// A kernel image.
pub(super) struct Kernel<'s> {
    selector: &'s mut dyn Selector,
    sources: [Slot; 2],
    size: u64,
}

impl<'s> Kernel<'s> {
    pub(super) fn new(selector: &'s mut dyn Selector, sources: [Slot; 2], size: u64) -> Self {
        Self { selector, sources, size }
    }
}

/// How many of `length` bytes at `at` are before `size`.
fn inside(size: u64, at: u64, length: usize) -> usize {
    usize::try_from(size.saturating_sub(at)).unwrap_or(length).min(length)
}

impl Part for Kernel<'_> {
    fn name(&self) -> &'static str {
        "kernel on the boot partition"
    }

    fn read(&mut self, first: u64, bytes: &mut [u8]) -> io::Result<()> {
        let at = first * BLOCK as u64;
        let (part, rest) = bytes.split_at_mut(inside(self.size, at, bytes.len()));
        rest.fill(0);
        self.selector.read_kernel(at, part).map_err(io::Error::other)
    }

    fn write(&mut self, first: u64, bytes: &[u8]) -> io::Result<()> {
        let at = first * BLOCK as u64;
        self.selector.write_kernel(at, &bytes[..inside(self.size, at, bytes.len())]).map_err(io::Error::other)
    }

    fn flush(&mut self) -> io::Result<()> {
        // Every write of the boot partition is on the medium when it returns.
        Ok(())
    }

    fn copy(&mut self, source: usize, first: u64, bytes: &mut [u8]) -> io::Result<()> {
        let at = first * BLOCK as u64;
        let slot = *self.sources.get(source).ok_or(io::ErrorKind::NotFound)?;
        let size = self.selector.kernel_size(slot).map_err(io::Error::other)?;
        let (part, rest) = bytes.split_at_mut(inside(size.unwrap_or(0), at, bytes.len()));
        rest.fill(0);
        self.selector.read_installed(slot, at, part).map_err(io::Error::other)
    }
}
