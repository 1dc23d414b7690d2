//! The server's side of the NBD protocol, as far as QEMU asks for it
//! (<https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md>): fixed newstyle, simple replies.
//!
//! Requests are answered one after the other, in the order in which they come: so the log's order is the guest's, and a
//! flush covers what was answered before it.

use crate::{device::Shared, layers::SECTOR};
use std::{
    io::{self, Read as _, Write as _},
    os::unix::net::UnixStream,
};

const OPTION: u64 = 0x4948_4156_454f_5054;
const OPTION_REPLY: u64 = 0x0003_e889_0455_65a9;
const REQUEST: u32 = 0x2560_9513;
const SIMPLE_REPLY: u32 = 0x6744_6698;

const EXPORT_NAME: u32 = 1;
const ABORT: u32 = 2;
const INFO: u32 = 6;
const GO: u32 = 7;

const REP_ACK: u32 = 1;
const REP_INFO: u32 = 3;
const REP_ERR_UNSUP: u32 = 0x8000_0001;

/// Flags of the export: flush, trim, write zeroes. No forced unit access: QEMU then flushes, which the log shows.
const FLAGS: u16 = 1 | 1 << 2 | 1 << 5 | 1 << 6;
/// The largest request, as QEMU keeps it.
const LARGEST: u32 = 32 << 20;

/// Serves one guest until it goes.
pub(crate) fn serve(mut guest: UnixStream, disk: &Shared) -> io::Result<()> {
    guest.write_all(b"NBDMAGICIHAVEOPT")?;
    // Fixed newstyle, no zeroes.
    guest.write_all(&3_u16.to_be_bytes())?;
    let client = u32::from_be_bytes(take(&mut guest)?);
    if !negotiate(&mut guest, disk, client & 2 != 0)? {
        return Ok(());
    }
    loop {
        if !answer(&mut guest, disk)? {
            return Ok(());
        }
    }
}

/// Whether the guest goes on to the transmission.
fn negotiate(guest: &mut UnixStream, disk: &Shared, no_zeroes: bool) -> io::Result<bool> {
    loop {
        if u64::from_be_bytes(take(guest)?) != OPTION {
            return Err(io::Error::other("NBD: this is no option"));
        }
        let (option, length) = (u32::from_be_bytes(take(guest)?), u32::from_be_bytes(take(guest)?));
        if length > 4096 {
            return Err(io::Error::other(format!("NBD: option {option} has {length} bytes")));
        }
        let mut data = vec![0; length as usize];
        guest.read_exact(&mut data)?;
        let mut reply = |kind: u32, data: &[u8]| {
            let mut message = OPTION_REPLY.to_be_bytes().to_vec();
            message.extend(option.to_be_bytes());
            message.extend(kind.to_be_bytes());
            message.extend((data.len() as u32).to_be_bytes());
            message.extend(data);
            guest.write_all(&message)
        };
        match option {
            GO | INFO => {
                let mut export = 0_u16.to_be_bytes().to_vec();
                export.extend(disk.size.to_be_bytes());
                export.extend(FLAGS.to_be_bytes());
                reply(REP_INFO, &export)?;
                let mut sizes = 3_u16.to_be_bytes().to_vec();
                sizes.extend([SECTOR as u32, 4096, LARGEST].iter().flat_map(|size| size.to_be_bytes()));
                reply(REP_INFO, &sizes)?;
                reply(REP_ACK, b"")?;
                if option == GO {
                    return Ok(true);
                }
            }
            EXPORT_NAME => {
                let mut message = disk.size.to_be_bytes().to_vec();
                message.extend(FLAGS.to_be_bytes());
                message.resize(message.len() + if no_zeroes { 0 } else { 124 }, 0);
                guest.write_all(&message)?;
                return Ok(true);
            }
            ABORT => {
                reply(REP_ACK, b"")?;
                return Ok(false);
            }
            _ => reply(REP_ERR_UNSUP, b"")?,
        }
    }
}

/// Answers one request; whether there may be more.
fn answer(guest: &mut UnixStream, disk: &Shared) -> io::Result<bool> {
    let magic = u32::from_be_bytes(take(guest)?);
    if magic != REQUEST {
        return Err(io::Error::other(format!("NBD: {magic:08x} is no request")));
    }
    let (_flags, kind) = (u16::from_be_bytes(take(guest)?), u16::from_be_bytes(take(guest)?));
    let cookie: [u8; 8] = take(guest)?;
    let (offset, length) = (u64::from_be_bytes(take(guest)?), u32::from_be_bytes(take(guest)?));
    let end = offset.saturating_add(length.into());
    let mut data = Vec::new();
    if kind <= 1 {
        if length > LARGEST {
            return Err(io::Error::other(format!("NBD: a request of {length} bytes")));
        }
        data.resize(length as usize, 0);
    }
    if kind == 1 {
        guest.read_exact(&mut data)?;
    }
    let aligned = offset % SECTOR == 0 && u64::from(length) % SECTOR == 0 && end <= disk.size;
    let outcome = match kind {
        2 => return Ok(false),
        3 => disk.flush(),
        _ if !aligned => Err(io::Error::from_raw_os_error(22)),
        0 => disk.read(offset, &mut data),
        1 => disk.write(offset, &mut data),
        // Trimmed bytes may be anything; zeros are what a guest is most likely to take for something.
        4 | 6 => disk.zero(offset..end),
        _ => Err(io::Error::from_raw_os_error(22)),
    };
    let errno = outcome.map_or_else(|error| error.raw_os_error().unwrap_or(5), |()| 0);
    let mut reply = SIMPLE_REPLY.to_be_bytes().to_vec();
    reply.extend(errno.to_be_bytes());
    reply.extend(cookie);
    if kind == 0 && errno == 0 {
        reply.append(&mut data);
    }
    guest.write_all(&reply)?;
    Ok(true)
}

fn take<const N: usize>(guest: &mut UnixStream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    guest.read_exact(&mut bytes)?;
    Ok(bytes)
}
