//! What a service tells systemd (sd_notify(3)): that it is ready, that it is alive. Without systemd: nothing.

use std::{
    env, io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::{
            ffi::OsStrExt as _,
            net::{SocketAddr, UnixDatagram},
        },
    },
};

/// The service works from now on.
///
/// # Errors
/// When systemd's socket is named and does not take it.
pub fn ready() -> io::Result<()> {
    send("READY=1\nWATCHDOG=1")
}

/// The service is not stuck.
///
/// # Errors
/// As [`ready`].
pub fn alive() -> io::Result<()> {
    send("WATCHDOG=1")
}

fn send(text: &str) -> io::Result<()> {
    let Some(name) = env::var_os("NOTIFY_SOCKET") else { return Ok(()) };
    let address = match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(&name)?,
    };
    UnixDatagram::unbound()?.send_to_addr(text.as_bytes(), &address).map(drop)
}
