//! A cable between two machines: nothing else is on it, and nothing leaves it.

use crate::line::ArgumentLine;
use std::path::{Path, PathBuf};

/// One end of a cable: a network port of its machine, at the PCI slot 16 (`enp0s16` on a PC, `enp0s16` on `virt`).
///
/// Frames travel as datagrams between two sockets, so either machine may be switched off and on; what is sent meanwhile
/// is lost, as on any cable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    ours: PathBuf,
    theirs: PathBuf,
    station: u8,
}

impl Link {
    /// Both ends of a cable, with their sockets in `dir`.
    #[must_use]
    pub fn pair(dir: &Path) -> (Self, Self) {
        let (first, second) = (dir.join("first"), dir.join("second"));
        (
            Self { ours: first.clone(), theirs: second.clone(), station: 1 },
            Self { ours: second, theirs: first, station: 2 },
        )
    }

    pub(crate) fn arguments(&self, line: &mut ArgumentLine) {
        let ours = "dgram,id=link,local.type=unix,local.path=";
        line.word("-netdev").with_path(ours, &self.ours);
        line.more_path(",remote.type=unix,remote.path=", &self.theirs);
        let device =
            format!("virtio-net-pci,netdev=link,romfile=,addr=0x10,mac=52:54:00:00:77:{:02x}", self.station);
        line.pair("-device", &device);
    }
}
