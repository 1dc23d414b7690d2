//! Servers of the host that a guest reaches, although it reaches nothing else.

use std::net::SocketAddr;

/// Where a guest finds the servers that [`crate::Machine::service`] names.
pub const SERVICES: &str = "10.0.2.100";

/// A server of the host's, and the port at [`SERVICES`] where the guest finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Service {
    pub(crate) guest: u16,
    pub(crate) host: SocketAddr,
}

impl Service {
    /// A rule of QEMU's network. For each connection QEMU starts a program, whose standard input and output are the
    /// guest's end. It ends with the server's side: then the other direction has nobody to talk to.
    pub(crate) fn rule(&self) -> String {
        let (ip, port) = (self.host.ip(), self.host.port());
        let carry = format!("exec 3<>/dev/tcp/{ip}/{port}; cat <&0 >&3 & cat <&3; kill $!");
        format!(",guestfwd=tcp:{SERVICES}:{}-cmd:bash -c '{carry}'", self.guest)
    }
}
