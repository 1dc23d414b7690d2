//! Opens a dm-verity device through `/dev/mapper/control`.

use crate::sys::{self, DM_HEADER};
use std::{
    fs::{File, OpenOptions},
    io,
};

/// `DM_DEV_CREATE`, `DM_DEV_SUSPEND` (which also resumes) and `DM_TABLE_LOAD`.
const CREATE: u8 = 3;
const RESUME: u8 = 6;
const LOAD: u8 = 9;
/// `DM_READONLY_FLAG`.
const READ_ONLY: u32 = 1;

/// A read-only device with one target.
#[derive(Debug)]
pub struct Device<'a> {
    /// Its name, such as `root`.
    pub name: &'a str,
    /// Its UUID, as `dmsetup info` shows it.
    pub uuid: &'a str,
    /// The kind of its target, such as `verity`.
    pub target: &'a str,
    /// Length in sectors of 512 bytes.
    pub sectors: u64,
    /// The target's parameters.
    pub table: &'a str,
}

impl Device<'_> {
    /// Makes the device and returns its path.
    pub fn open(&self) -> io::Result<String> {
        let control = OpenOptions::new().read(true).write(true).open("/dev/mapper/control")?;
        let mut create = header(self.name, self.uuid, 0, 0);
        send(&control, CREATE, &mut create)?;
        let device = u64::from_ne_bytes(create[40..48].try_into().expect("eight bytes"));
        let mut load = header(self.name, "", READ_ONLY, 1);
        load.extend(self.target_spec());
        send(&control, LOAD, &mut load)?;
        send(&control, RESUME, &mut header(self.name, "", READ_ONLY, 0))?;
        // huge_encode_dev: the minor number is in the low 8 and the high 12 bits.
        let minor = device & 0xff | (device >> 12) & 0xf_ff00;
        Ok(format!("/dev/dm-{minor}"))
    }

    /// `struct dm_target_spec` and the parameters behind it, padded to eight bytes.
    fn target_spec(&self) -> Vec<u8> {
        let mut spec = Vec::new();
        spec.extend(0_u64.to_ne_bytes());
        spec.extend(self.sectors.to_ne_bytes());
        spec.extend([0; 8]);
        spec.extend(padded(self.target, 16));
        spec.extend(padded(self.table, (self.table.len() + 1).next_multiple_of(8)));
        spec
    }
}

fn send(control: &File, command: u8, buffer: &mut [u8]) -> io::Result<()> {
    sys::device_mapper(control, command, buffer).map_err(io::Error::from)
}

/// `struct dm_ioctl`: version 4.0.0, payload right behind it.
fn header(name: &str, uuid: &str, flags: u32, targets: u32) -> Vec<u8> {
    let words = [4, 0, 0, 0, DM_HEADER as u32, targets, 0, flags, 0, 0];
    let mut bytes: Vec<u8> = words.iter().flat_map(|word: &u32| word.to_ne_bytes()).collect();
    bytes.extend([0; 8]);
    bytes.extend(padded(name, 128));
    bytes.extend(padded(uuid, 129));
    bytes.resize(DM_HEADER, 0);
    bytes
}

/// `text` cut or filled with NULs to `length` bytes, with at least one NUL.
fn padded(text: &str, length: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = text.bytes().take(length - 1).collect();
    bytes.resize(length, 0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_have_the_kernels_layout() {
        let bytes = header("root", "CRYPT-VERITY-x", READ_ONLY, 1);
        assert_eq!(bytes.len(), DM_HEADER);
        let word = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_eq!((word(0), word(16), word(20), word(28)), (4, 312, 1, READ_ONLY));
        assert_eq!((&bytes[48..53], &bytes[176..181]), (&b"root\0"[..], &b"CRYPT"[..]));
        let device = Device { name: "root", uuid: "", target: "verity", sectors: 24, table: "1 8:1" };
        let spec = device.target_spec();
        assert_eq!((spec.len(), &spec[24..31], &spec[40..]), (48, &b"verity\0"[..], &b"1 8:1\0\0\0"[..]));
    }
}
