//! What a machine is made of, and QEMU's command line for it.

use crate::{
    Accel, Disk, Error, Firmware, Link, Output, Result, Tool, line::ArgumentLine, service::Service, tool,
    verdict,
};
use contract::Arch;
use std::{
    ffi::OsString,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// A disk that a server has: what goes wrong there is told to the guest, and does not stop the machine.
const SERVED: &str = "if=none,id=disk,format=raw,cache=writeback,discard=unmap,werror=report,rerror=report";

/// The description of a machine around a disk image. The image itself is never written: a machine works on an
/// overlay over it.
#[derive(Clone, Debug)]
pub struct Machine {
    arch: Arch,
    image: PathBuf,
    served: bool,
    memory: u32,
    cpus: u32,
    disk_size: Option<u64>,
    further: Option<Further>,
    forwards: Vec<Forward>,
    link: Option<Link>,
    clock: Option<String>,
    words: Option<String>,
    watchdog: bool,
    reboots: bool,
    services: Vec<Service>,
    place: Option<PathBuf>,
}

/// A second disk: an overlay over a raw image, and its size in bytes.
#[derive(Clone, Debug)]
struct Further {
    image: PathBuf,
    size: u64,
}

/// A port of the guest that the host can reach on its loopback address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forward {
    /// The port on the host; 0 lets QEMU take a free one.
    pub host: u16,
    /// The TCP port of the guest.
    pub guest: u16,
}

/// A machine with a disk of its own that is not running.
#[derive(Debug)]
pub struct PoweredOff {
    pub(crate) machine: Machine,
    pub(crate) place: Place,
}

/// The directory of a machine's disk and variables; a throw-away one vanishes with the machine.
#[derive(Debug)]
pub(crate) enum Place {
    ThrowAway(tempfile::TempDir),
    Kept(PathBuf),
}

/// Where the guest's console and QEMU's monitor go.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wires<'a> {
    /// The console and the human monitor (Ctrl-A C) on this terminal.
    Terminal,
    /// Two sockets on which somebody listens.
    Sockets { serial: &'a Path, qmp: &'a Path },
}

impl Machine {
    /// A machine with 1 GiB of memory and 2 processors around the raw disk `image`.
    pub fn new(arch: Arch, image: impl Into<PathBuf>) -> Self {
        let image = image.into();
        Self {
            arch,
            image,
            served: false,
            memory: 1024,
            cpus: 2,
            disk_size: None,
            further: None,
            forwards: Vec::new(),
            link: None,
            clock: None,
            words: None,
            watchdog: false,
            reboots: false,
            services: Vec::new(),
            place: None,
        }
    }

    /// The same around a disk that somebody serves over NBD at the Unix socket `socket`. It is written, lives as long as
    /// its server, and what the guest flushes is flushed there. There is no [`PoweredOff::disk`] of it to look at.
    pub fn served(arch: Arch, socket: impl Into<PathBuf>) -> Self {
        Self { served: true, ..Self::new(arch, socket) }
    }

    /// The guest's memory in MiB.
    #[must_use]
    pub const fn memory(mut self, mib: u32) -> Self {
        self.memory = mib;
        self
    }

    /// The number of processors. An x86-64 guest under TCG gets one: with more of them QEMU 7.2 loses guests at their
    /// start, and with QEMU 10 on a busy host a guest now and then loses the timer of one of them (3 of 31 starts; none
    /// of 9 with one).
    #[must_use]
    pub const fn cpus(mut self, count: u32) -> Self {
        self.cpus = count;
        self
    }

    /// The size of the disk that the guest sees, in bytes: the medium that an image was written to is larger
    /// than the image.
    #[must_use]
    pub const fn disk_size(mut self, bytes: u64) -> Self {
        self.disk_size = Some(bytes);
        self
    }

    /// Attaches a second disk of `bytes` around the raw `image`. The guest finds it first, but is not started from it.
    #[must_use]
    pub fn further_disk(mut self, image: impl Into<PathBuf>, bytes: u64) -> Self {
        self.further = Some(Further { image: image.into(), size: bytes });
        self
    }

    /// Makes a TCP port of the guest reachable on a free port of the host's loopback address.
    #[must_use]
    pub fn forward(self, guest: u16) -> Self {
        self.forward_from(0, guest)
    }

    /// Makes a TCP port of the guest reachable on the given port of the host's loopback address.
    #[must_use]
    pub fn forward_from(mut self, host: u16, guest: u16) -> Self {
        self.forwards.push(Forward { host, guest });
        self
    }

    /// Gives the machine one end of a cable to another one.
    #[must_use]
    pub fn link(mut self, link: Link) -> Self {
        self.link = Some(link);
        self
    }

    /// Sets the clock of the hardware, such as `1970-01-01T00:00:00`.
    #[must_use]
    pub fn clock(mut self, at: &str) -> Self {
        self.clock = Some(at.to_owned());
        self
    }

    /// Adds words to the kernel's command line, through the firmware's tables (SMBIOS type 11): systemd-stub takes them
    /// where Secure Boot is off.
    #[must_use]
    pub fn kernel_words(mut self, words: &str) -> Self {
        self.words = Some(words.to_owned());
        self
    }

    /// Gives the machine a watchdog (i6300esb) that resets it.
    #[must_use]
    pub const fn watchdog(mut self) -> Self {
        self.watchdog = true;
        self
    }

    /// Lets the machine start again when it resets itself, as real ones do. Without it a reset is its end.
    #[must_use]
    pub const fn reboots(mut self) -> Self {
        self.reboots = true;
        self
    }

    /// Lets the guest reach a TCP server of this host at [`crate::SERVICES`] and this port, although it reaches nothing else.
    #[must_use]
    pub fn service(mut self, guest: u16, host: SocketAddr) -> Self {
        self.services.push(Service { guest, host });
        self
    }

    /// Keeps the disk and the firmware's variables in the directory `place`, and goes on with what is there
    /// already. Without this a machine's disk is thrown away with it.
    #[must_use]
    pub fn keep(mut self, place: impl Into<PathBuf>) -> Self {
        self.place = Some(place.into());
        self
    }

    /// The architecture.
    #[must_use]
    pub const fn arch(&self) -> Arch {
        self.arch
    }

    /// Makes the disk overlay and the copy of the firmware's variables.
    pub fn prepare(self) -> Result<PoweredOff> {
        let firmware = Firmware::find(self.arch)?;
        emulator(self.arch).find()?;
        let place = match &self.place {
            Some(path) => {
                fs::create_dir_all(path).map_err(Error::file("create directory", path))?;
                Place::Kept(path.clone())
            }
            None => Place::ThrowAway(
                tempfile::Builder::new()
                    .prefix("hcimage-")
                    .tempdir()
                    .map_err(Error::file("create a directory in", std::env::temp_dir()))?,
            ),
        };
        let variables = place.variables();
        if !variables.exists() {
            let template = &firmware.variables;
            fs::copy(template, &variables).map_err(Error::file("copy", template))?;
            writable(&variables)?;
        }
        if !self.served {
            make_overlay(&self.image, self.disk_size.unwrap_or(0), &place.disk())?;
        }
        if let Some(further) = &self.further {
            make_overlay(&further.image, further.size, &place.further())?;
        }
        Ok(PoweredOff { machine: self, place })
    }

    /// QEMU's arguments; `accel` is a fact about this host.
    fn arguments(&self, firmware: &Firmware, place: &Place, wires: Wires<'_>, accel: Accel) -> Vec<OsString> {
        let mut line = ArgumentLine::default();
        let (machine, cpu) = match (self.arch, accel) {
            (Arch::X86_64, Accel::Tcg) => ("q35", "max"),
            (Arch::Aarch64, Accel::Tcg) => ("virt", "cortex-a72"),
            (Arch::X86_64, Accel::Kvm) => ("q35", "host"),
            (Arch::Aarch64, Accel::Kvm) => ("virt,gic-version=host", "host"),
        };
        let cpus = if self.arch == Arch::X86_64 && accel == Accel::Tcg { 1 } else { self.cpus };
        line.word("-nodefaults").word("-no-user-config");
        line.pair("-machine", machine).pair("-accel", accel.name()).pair("-cpu", cpu);
        line.pair("-smp", &cpus.to_string()).pair("-m", &format!("{}M", self.memory));
        line.drive("if=pflash,unit=0,format=raw,readonly=on", &firmware.code);
        line.drive("if=pflash,unit=1,format=raw", &place.variables());
        // Devices get their names in the order of their slots.
        if self.further.is_some() {
            line.drive("if=none,id=further,format=qcow2,cache=writeback", &place.further());
            line.pair("-device", "virtio-blk-pci,drive=further");
        }
        match self.served {
            true => line.word("-drive").with_path(
                &format!("{SERVED},file.driver=nbd,file.server.type=unix,file.server.path="),
                &self.image,
            ),
            false => line.drive("if=none,id=disk,format=qcow2,cache=writeback,discard=unmap", &place.disk()),
        };
        line.pair("-device", "virtio-blk-pci,drive=disk,bootindex=0");
        line.pair("-netdev", &self.network()).pair("-device", "virtio-net-pci,netdev=net,romfile=");
        if let Some(link) = &self.link {
            link.arguments(&mut line);
        }
        if let Some(clock) = &self.clock {
            line.pair("-rtc", &format!("base={clock}"));
        }
        if let Some(words) = &self.words {
            let words = words.replace(',', ",,");
            line.pair("-smbios", &format!("type=11,value=io.systemd.stub.kernel-cmdline-extra={words}"));
        }
        if self.watchdog {
            line.pair("-device", "i6300esb").pair("-action", "watchdog=reset");
        }
        line.pair("-device", "virtio-rng-pci");
        match wires {
            Wires::Terminal => {
                line.word("-nographic").pair("-serial", "mon:stdio");
            }
            Wires::Sockets { serial, qmp } => {
                line.pair("-display", "none");
                line.socket("serial", serial).pair("-serial", "chardev:serial");
                line.socket("qmp", qmp).pair("-mon", "chardev=qmp,mode=control");
                if !self.reboots {
                    // A guest that panics and reboots must be seen as one that ended.
                    line.word("-no-reboot");
                }
            }
        }
        line.words
    }

    /// The guest reaches nothing; only the host reaches in.
    fn network(&self) -> String {
        let rule = |forward: &Forward| format!(",hostfwd=tcp:127.0.0.1:{}-:{}", forward.host, forward.guest);
        let forwards = self.forwards.iter().map(rule).collect::<String>();
        let services = self.services.iter().map(Service::rule).collect::<String>();
        format!("user,id=net,restrict=on{forwards}{services}")
    }
}

impl PoweredOff {
    /// The disk that the machine is started from; a served one is its server's to show.
    #[must_use]
    pub fn disk(&self) -> Disk {
        Disk::new(self.place.disk(), self.machine.image.clone())
    }

    /// The second disk, if there is one.
    #[must_use]
    pub fn further_disk(&self) -> Option<Disk> {
        let further = self.machine.further.as_ref()?;
        Some(Disk::new(self.place.further(), further.image.clone()))
    }

    /// Adds words to the kernel's command line for the next start, or no more of them.
    #[must_use]
    pub fn kernel_words(mut self, words: Option<&str>) -> Self {
        self.machine.words = words.map(str::to_owned);
        self
    }

    /// Sets the clock of the hardware for the next start.
    #[must_use]
    pub fn clock(mut self, at: Option<&str>) -> Self {
        self.machine.clock = at.map(str::to_owned);
        self
    }

    /// The command that runs this machine with its console on the terminal; what `hcimage run` starts. The
    /// disk lives as long as `self`.
    pub fn terminal_command(&self) -> Result<Command> {
        self.command(Wires::Terminal, verdict(self.machine.arch)?.accel)
    }

    pub(crate) fn command(&self, wires: Wires<'_>, accel: Accel) -> Result<Command> {
        let machine = &self.machine;
        let firmware = Firmware::find(machine.arch)?;
        let mut command = emulator(machine.arch).command()?;
        command.args(machine.arguments(&firmware, &self.place, wires, accel));
        Ok(command)
    }
}

impl Place {
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::ThrowAway(dir) => dir.path(),
            Self::Kept(path) => path,
        }
    }

    fn disk(&self) -> PathBuf {
        self.path().join("disk.qcow2")
    }

    fn further(&self) -> PathBuf {
        self.path().join("further.qcow2")
    }

    fn variables(&self) -> PathBuf {
        self.path().join("variables.fd")
    }
}

/// An overlay of at least `size` bytes over `image`, unless it is there already.
fn make_overlay(image: &Path, size: u64, overlay: &Path) -> Result<()> {
    if overlay.exists() {
        return Ok(());
    }
    let image = fs::canonicalize(image).map_err(Error::file("find", image))?;
    let length = fs::metadata(&image).map_err(Error::file("find", &image))?.len();
    let mut command = QEMU_IMG.command()?;
    command.args(["create", "-q", "-f", "qcow2", "-F", "raw", "-b"]).arg(image).arg(overlay);
    command.arg(size.max(length).to_string());
    tool::run(&mut command, b"", Duration::from_secs(60)).and_then(Output::success).map(drop)
}

pub(crate) const QEMU_IMG: Tool = Tool { program: "qemu-img", package: "qemu-utils" };

pub(crate) const fn emulator(arch: Arch) -> Tool {
    match arch {
        Arch::X86_64 => Tool { program: "qemu-system-x86_64", package: "qemu-system-x86" },
        Arch::Aarch64 => Tool { program: "qemu-system-aarch64", package: "qemu-system-arm" },
    }
}

/// Firmware templates are read-only files on some distributions, and a copy keeps the mode.
fn writable(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(Error::file("make writable", path))
}

#[cfg(test)]
mod tests;
