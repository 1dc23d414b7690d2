//! The only unsafe code of `hcinit`: ioctls that no crate wraps.
#![expect(unsafe_code, reason = "raw ioctls: device mapper, BLKPG and watchdog")]

use rustix::{
    fd::AsFd,
    io,
    ioctl::{Getter, Ioctl, IoctlOutput, Opcode, Updater, ioctl, opcode},
};
use std::ffi::c_void;

/// Bytes of `struct dm_ioctl` (linux/dm-ioctl.h), which every device-mapper request starts with.
pub const DM_HEADER: usize = 312;

/// A request whose argument is a buffer that the kernel reads and writes.
struct Request<'b> {
    opcode: Opcode,
    buffer: &'b mut [u8],
}

// SAFETY: `as_ptr` points to a live, exclusively borrowed buffer. Both callers below make sure that the kernel touches
// no byte beyond it, and no output is read through the pointer.
unsafe impl Ioctl for Request<'_> {
    type Output = ();
    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        self.opcode
    }

    fn as_ptr(&mut self) -> *mut c_void {
        self.buffer.as_mut_ptr().cast()
    }

    unsafe fn output_from_ptr(_: IoctlOutput, _: *mut c_void) -> io::Result<()> {
        Ok(())
    }
}

/// Sends device-mapper command `number` (linux/dm-ioctl.h) with `buffer`, a `struct dm_ioctl` and its payload, to
/// `control`. The buffer's size field is set here.
///
/// # Panics
/// If `buffer` is shorter than [`DM_HEADER`].
pub fn device_mapper(control: impl AsFd, number: u8, buffer: &mut [u8]) -> io::Result<()> {
    assert!(buffer.len() >= DM_HEADER, "a device-mapper request starts with its header");
    let size = u32::try_from(buffer.len()).map_err(|_| io::Errno::INVAL)?;
    buffer[12..16].copy_from_slice(&size.to_ne_bytes());
    let opcode = opcode::read_write::<[u8; DM_HEADER]>(0xfd, number);
    // SAFETY: the kernel copies `data_size` bytes, the field just set to the buffer's length, in and at most as many
    // back out.
    unsafe { ioctl(control, Request { opcode, buffer }) }
}

/// What BLKPG does to a partition (linux/blkpg.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum PartitionCommand {
    /// `BLKPG_ADD_PARTITION`.
    Add = 1,
    /// `BLKPG_RESIZE_PARTITION`.
    Resize = 3,
}

/// `struct blkpg_partition` (linux/blkpg.h).
#[repr(C)]
struct BlkpgPartition {
    start: i64,
    length: i64,
    number: i32,
    names: [u8; 128],
}

/// `struct blkpg_ioctl_arg` (linux/blkpg.h).
#[repr(C)]
struct BlkpgArgument {
    command: i32,
    flags: i32,
    length: i32,
    partition: *mut BlkpgPartition,
}

// SAFETY: `as_ptr` points to a live argument, whose own pointer is to a live partition (see `change_partition`).
unsafe impl Ioctl for BlkpgArgument {
    type Output = ();
    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        opcode::none(0x12, 105)
    }

    fn as_ptr(&mut self) -> *mut c_void {
        std::ptr::from_mut(self).cast()
    }

    unsafe fn output_from_ptr(_: IoctlOutput, _: *mut c_void) -> io::Result<()> {
        Ok(())
    }
}

/// Tells the kernel that partition `number` of `disk` is at byte `start` and `length` bytes long, without reading the
/// table again.
pub fn change_partition(
    disk: impl AsFd,
    command: PartitionCommand,
    number: u32,
    start: u64,
    length: u64,
) -> io::Result<()> {
    let signed = |value: u64| i64::try_from(value).map_err(|_| io::Errno::OVERFLOW);
    let number = i32::try_from(number).map_err(|_| io::Errno::OVERFLOW)?;
    let mut partition =
        BlkpgPartition { start: signed(start)?, length: signed(length)?, number, names: [0; 128] };
    let argument = BlkpgArgument {
        command: command as i32,
        flags: 0,
        length: size_of::<BlkpgPartition>() as i32,
        partition: &raw mut partition,
    };
    // SAFETY: both structures have the kernel's layout and outlive the call; the kernel only reads them.
    unsafe { ioctl(disk, argument) }
}

/// `WDIOC_SETTIMEOUT` (linux/watchdog.h).
const SET_TIMEOUT: Opcode = opcode::read_write::<i32>(b'W', 6);
/// `WDIOC_GETTIMEOUT`.
const GET_TIMEOUT: Opcode = opcode::read::<i32>(b'W', 7);

/// Asks a watchdog to wait `seconds` for its next sign of life; gives the time that it took.
pub fn watchdog_timeout(device: impl AsFd, seconds: i32) -> io::Result<i32> {
    let mut seconds = seconds;
    // SAFETY: the request reads and writes one `int`, which is what the updater points it to.
    unsafe { ioctl(device, Updater::<SET_TIMEOUT, i32>::new(&mut seconds))? };
    Ok(seconds)
}

/// The seconds that a watchdog waits for a sign of life.
pub fn watchdog_time(device: impl AsFd) -> io::Result<i32> {
    // SAFETY: the request writes one `int`, which is what the getter gives it room for.
    unsafe { ioctl(device, Getter::<GET_TIMEOUT, i32>::new()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_have_the_kernels_sizes() {
        assert_eq!((size_of::<BlkpgPartition>(), size_of::<BlkpgArgument>()), (152, 24));
        // _IOWR(0xfd, 3, struct dm_ioctl) of linux/dm-ioctl.h.
        assert_eq!(opcode::read_write::<[u8; DM_HEADER]>(0xfd, 3) as u32, 0xc138_fd03);
        // As <linux/watchdog.h> gives them.
        assert_eq!((SET_TIMEOUT, GET_TIMEOUT), (0xc004_5706, 0x8004_5707));
    }
}
