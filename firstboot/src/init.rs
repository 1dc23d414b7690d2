//! The story of a boot, from the first mount to `exec` of systemd.

use crate::{
    choose, cmdline,
    coldplug::{Coldplug, Drivers},
    efi,
    error::InitError,
    log::Log,
    mapper::Device,
    medium::{OwnDisk, Shelf},
    node::{boot::Boot, place},
    state, sysfs,
    verity::{SUPERBLOCK, Superblock},
    watchdog::Watchdog,
};
use contract::{
    Digest, Guid,
    slots::{Part, Slot},
};
use rustix::{
    fs::statfs,
    mount::{MountFlags, mount, mount_move},
    process::{chdir, chroot},
};
use std::{
    convert::Infallible,
    fs::{self, File},
    io::{self, Read as _, Seek as _, SeekFrom},
    os::unix::{fs::MetadataExt as _, process::CommandExt as _},
    path::Path,
    process::Command,
    thread,
    time::Duration,
};

/// How long the disk may take to appear. USB disks that spin up need ten seconds.
const PATIENCE: Duration = Duration::from_secs(30);
/// Pause between two looks at the devices.
const PAUSE: Duration = Duration::from_millis(15);

const SYSROOT: &str = "/sysroot";
const EFIVARS: &str = "/sys/firmware/efi/efivars";
const SYSTEMD: &str = "/usr/lib/systemd/systemd";

/// Boots. Returns only with the reason why it could not.
pub fn run(log: &Log) -> Result<Infallible, InitError> {
    mount_kernel_file_systems()?;
    log.open_kernel_log().map_err(InitError::io("open", "/dev/kmsg"))?;
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    log.step(format_args!("hcinit {} on Linux {release}", env!("CARGO_PKG_VERSION")));

    let text = fs::read_to_string("/proc/cmdline").map_err(InitError::io("read", "/proc/cmdline"))?;
    let root = cmdline::root_hash(&text)?;
    let drivers = Drivers::open(&release, log)?;
    let mut coldplug = Coldplug::new(&drivers);
    load_first(&drivers, &mut coldplug)?;
    let esp = boot_partition(log)?;
    let mut disk = find_disk(&mut coldplug, esp, &root, log)?;
    let mut watchdog = Watchdog::default();
    watchdog.look(log);

    mount_root(&disk, &root, log)?;
    switch_root(log)?;
    disk.grow()?;
    let state = state::mount_state(&mut disk, log)?;
    state::settle_and_bind(&root, log)?;
    tell_services(&disk, esp, &root, &state, log)?;

    // One behind a bus that was slower than the disk.
    watchdog.look(log);
    log.step(format_args!("ready, starting {SYSTEMD}"));
    log.restore_rate_limit().map_err(InitError::io("write", "/proc/sys/kernel/printk_devkmsg"))?;
    let error = Command::new(SYSTEMD).arg0("/sbin/init").env_clear().env("TERM", "linux").exec();
    Err(InitError::io("start", SYSTEMD)(error))
}

fn mount_kernel_file_systems() -> Result<(), InitError> {
    let strict = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let table = [
        ("/proc", "proc", strict, None),
        ("/sys", "sysfs", strict, None),
        ("/dev", "devtmpfs", MountFlags::NOSUID, Some(c"mode=0755")),
        ("/run", "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, Some(c"mode=0755")),
    ];
    for (target, kind, flags, data) in table {
        fs::create_dir_all(target).map_err(InitError::io("create", target))?;
        mount(kind, target, kind, flags, data).map_err(InitError::io("mount", target))?;
    }
    Ok(())
}

/// File systems and dm-verity are loaded while the disks' drivers wait for their hardware.
fn load_first(drivers: &Drivers<'_>, coldplug: &mut Coldplug<'_>) -> Result<(), InitError> {
    thread::scope(|scope| {
        let listed = scope.spawn(|| drivers.load_always());
        coldplug.pass()?;
        listed.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// The ESP that the boot loader says it was started from, if this machine has EFI variables and the loader set one.
fn boot_partition(log: &Log) -> Result<Option<Guid>, InitError> {
    if !Path::new(EFIVARS).is_dir() {
        log.step("no EFI variables: looking for the root itself");
        return Ok(None);
    }
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("efivarfs", EFIVARS, "efivarfs", flags, None).map_err(InitError::io("mount", EFIVARS))?;
    for variable in efi::ESP_VARIABLES {
        let path = Path::new(EFIVARS).join(variable);
        match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => {
                let content = other.map_err(InitError::io("read", &path))?;
                return Ok(Some(efi::part_uuid(variable, &content)?));
            }
        }
    }
    log.step("the boot loader does not say which disk it used: looking for the root itself");
    Ok(None)
}

/// Loads drivers until the disk is there and no device waits for a driver any more, so that a copy of the disk which
/// appears at the same time is not missed.
fn find_disk<'l>(
    coldplug: &mut Coldplug<'_>,
    esp: Option<Guid>,
    root: &Digest,
    log: &'l Log,
) -> Result<OwnDisk<'l>, InitError> {
    let start = log.elapsed();
    let mut shelf = Shelf::default();
    loop {
        let loaded = coldplug.pass()?;
        let changed = shelf.refresh()?;
        let found = choose::boot_disk(&shelf.disks, esp, root)?;
        if let Some(disk) =
            found.filter(|_| loaded == 0 && !changed).and_then(|disk| OwnDisk::new(disk, &shelf, log))
        {
            let seen = sysfs::summary(&shelf.media);
            log.step(format_args!("disk {} of {seen}; {} modules loaded", disk.name(), coldplug.loaded()));
            return Ok(disk);
        }
        if log.elapsed() - start > PATIENCE {
            let wanted = match esp {
                Some(id) => format!("the boot partition {id} that the boot loader used"),
                None => format!("the root partition {}", Guid::from_half(root, 0)),
            };
            let (seen, damaged, seconds) = (sysfs::summary(&shelf.media), shelf.damage(), PATIENCE.as_secs());
            return Err(InitError::NoDisk { wanted, seconds, seen, damaged });
        }
        if found.is_none() {
            thread::sleep(PAUSE);
        }
    }
}

/// Opens the slot that belongs to this kernel and mounts it.
fn mount_root(disk: &OwnDisk<'_>, root: &Digest, log: &Log) -> Result<(), InitError> {
    let view = disk.view();
    let slot = choose::slot(&view, root)?;
    let (data, hash) = (disk.partition(slot.root)?, disk.partition(slot.verity)?);
    let hash_device = hash.device();
    let mut superblock = [0; SUPERBLOCK];
    File::open(&hash_device)
        .and_then(|mut file| {
            file.seek(SeekFrom::Start(0))?;
            file.read_exact(&mut superblock)
        })
        .map_err(InitError::io("read the verity superblock of", &hash_device))?;
    let verity = Superblock::parse(&superblock, data.extent.1)
        .map_err(|source| InitError::Verity { disk: disk.name().to_owned(), source })?;
    let device = Device {
        name: "root",
        uuid: &format!("CRYPT-VERITY-{}-root", verity.uuid),
        target: "verity",
        sectors: verity.sectors(),
        table: &verity.table(&data.number, &hash.number, root),
    };
    let path = device.open().map_err(InitError::io("open dm-verity over", data.device()))?;
    fs::create_dir_all(SYSROOT).map_err(InitError::io("create", SYSROOT))?;
    mount(&path, SYSROOT, "erofs", MountFlags::RDONLY, None).map_err(InitError::io("mount", &path))?;
    log.step(format_args!("root: {} ({}), verified against {root}", slot.name, data.name));
    Ok(())
}

/// Moves into the root. The initrd's memory is given back.
fn switch_root(log: &Log) -> Result<(), InitError> {
    for dir in ["/dev", "/proc", "/sys", "/run"] {
        let target = format!("{SYSROOT}{dir}");
        mount_move(dir, &target)
            .map_err(InitError::io("move the mount to (does the image have it?)", &target))?;
    }
    let freed = free_initrd().map_err(InitError::io("empty the initrd below", "/"))?;
    chdir(SYSROOT).map_err(InitError::io("enter", SYSROOT))?;
    mount_move(".", "/").map_err(InitError::io("move to /", SYSROOT))?;
    chroot(".").map_err(InitError::io("change root to", SYSROOT))?;
    chdir("/").map_err(InitError::io("enter", "/"))?;
    log.step(format_args!("root: switched, {} KiB of initrd given back", freed >> 10));
    Ok(())
}

/// Leaves what is known of this boot to the services.
fn tell_services(
    disk: &OwnDisk<'_>,
    esp: Option<Guid>,
    root: &Digest,
    state: &state::Mounted,
    log: &Log,
) -> Result<(), InitError> {
    let view = disk.view();
    let slot = choose::slot(&view, root)?;
    let slot = Slot::ALL.into_iter().find(|known| Part::Root(*known).label() == slot.name);
    let Some(slot) = slot else {
        log.warn("the running slot is neither `root-a` nor `root-b`: services are told nothing of this boot");
        return Ok(());
    };
    let esp = choose::esp(disk.table(), esp);
    let esp_device = esp.map(|(number, _)| disk.partition(number)).transpose()?;
    let boot = Boot {
        slot,
        root: *root,
        disk: disk.name().to_owned(),
        esp: esp.map(|(_, entry)| entry.id),
        esp_device: esp_device.map(|partition| partition.device().display().to_string()),
        state: state.device.display().to_string(),
        state_made: state.made,
    };
    let folder = Path::new("/run/hcimage");
    fs::create_dir_all(folder).map_err(InitError::io("create", folder))?;
    fs::write(place::BOOT, boot.to_string()).map_err(InitError::io("write", place::BOOT))
}

/// Removes every file of the initrd; returns their size in bytes. Refuses to on anything but a memory file system.
fn free_initrd() -> io::Result<u64> {
    const RAMFS: u32 = 0x8584_58f6;
    const TMPFS: u32 = 0x0102_1994;
    let kind = statfs("/")?.f_type as u32;
    if !matches!(kind, RAMFS | TMPFS) {
        return Err(io::Error::other(format!("/ is no memory file system (type {kind:#x})")));
    }
    free_below(Path::new("/"), fs::symlink_metadata("/")?.dev())
}

fn free_below(dir: &Path, device: u64) -> io::Result<u64> {
    let mut freed = 0;
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let meta = fs::symlink_metadata(&path)?;
        if meta.dev() != device {
            continue;
        }
        if meta.is_dir() {
            freed += free_below(&path, device)?;
            fs::remove_dir(&path)?;
        } else {
            freed += meta.len();
            fs::remove_file(&path)?;
        }
    }
    Ok(freed)
}
