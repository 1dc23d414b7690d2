//! What k3s opens on its own machine: health addresses, containerd's socket, the service address; and sd_notify.

use crate::{Error, Result, http::Answer, log::Log};
use std::{
    env, fs,
    io::Read as _,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::net::{UnixDatagram, UnixListener},
    path::Path,
    process::Command,
    thread,
};

/// Answers `ok` to every request on a port of the loopback address.
pub fn healthz(port: u16) -> Result<()> {
    let door = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    thread::spawn(move || {
        for mut stream in door.incoming().flatten() {
            let mut head = [0; 1024];
            // A peer that goes away before its answer wants none.
            if stream.read(&mut head).is_ok() {
                drop(Answer::text("ok").write(&mut stream));
            }
        }
    });
    Ok(())
}

/// A socket where containerd's would be. Nobody speaks behind it.
pub fn containerd(socket: &Path) -> Result<UnixListener> {
    if let Some(dir) = socket.parent() {
        fs::create_dir_all(dir).map_err(Error::file("create", dir))?;
    }
    match fs::remove_file(socket) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::file("remove", socket)(error));
        }
        _ => {}
    }
    UnixListener::bind(socket).map_err(Error::file("listen on", socket))
}

/// Makes the service address of the API lead to the API, which is kube-proxy's work.
pub fn service_address(server: &str, log: &Log) {
    const API: &str = "10.43.0.1";
    let added = Command::new("ip").args(["addr", "replace", "10.43.0.1/32", "dev", "lo"]).status();
    let address = SocketAddr::from((Ipv4Addr::new(10, 43, 0, 1), 443));
    match added {
        Ok(status) if status.success() => match crate::balancer::start(address, server.to_owned()) {
            Ok(_) => {}
            Err(error) => log.error(format!("listen on {API}:443: {error}")),
        },
        Ok(status) => log.error(format!("ip addr replace {API}/32 dev lo: {status}")),
        Err(error) => log.error(format!("ip addr replace {API}/32 dev lo: {error}")),
    }
}

/// Tells systemd, if it asked to be told.
pub fn notify(state: &str) -> Result<()> {
    let Some(socket) = env::var_os("NOTIFY_SOCKET") else { return Ok(()) };
    let sender = UnixDatagram::unbound()?;
    sender.send_to(state.as_bytes(), Path::new(&socket)).map_err(Error::file("notify", &socket)).map(drop)
}
