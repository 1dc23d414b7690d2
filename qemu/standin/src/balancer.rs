//! The agent's client-side load balancer: 127.0.0.1:6444 leads to the server, byte for byte.

use crate::Result;
use std::{
    io,
    net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs as _},
    thread,
    time::Duration,
};

const LIMIT: Duration = Duration::from_secs(10);

/// Listens on `address` and leads to `server` (`host:port`); gives the port.
pub fn start(address: SocketAddr, server: String) -> Result<u16> {
    let door = TcpListener::bind(address)?;
    let port = door.local_addr()?.port();
    thread::spawn(move || {
        for stream in door.incoming().flatten() {
            let server = server.clone();
            // A connection without a reachable server is closed: its client sees EOF, as behind k3s's own.
            thread::spawn(move || drop(lead(&stream, &server)));
        }
    });
    Ok(port)
}

fn lead(client: &TcpStream, server: &str) -> io::Result<()> {
    let address = server.to_socket_addrs()?.next().ok_or(io::ErrorKind::NotFound)?;
    let server = TcpStream::connect_timeout(&address, LIMIT)?;
    let (mut to, mut from) = (server.try_clone()?, client.try_clone()?);
    let up = thread::spawn(move || {
        // Either end may hang up at any moment: the other one is told by the shutdown.
        drop(io::copy(&mut from, &mut to));
        drop(to.shutdown(Shutdown::Write));
    });
    let (mut from, mut to) = (server, client);
    drop(io::copy(&mut from, &mut to));
    drop(client.shutdown(Shutdown::Both));
    drop(up.join());
    Ok(())
}
