//! State: the one file system that is written to. Made once, checked when it asks for it, grown when there is room,
//! seeded from the image, and bound over the paths that the image declares writable.
//!
//! Layout (docs/formats/state.md): `/state/var`, `/state/persist/<path>`, `/state/hcimage/{machine-id,seeded}`,
//! `/state/.staging`.

use crate::{
    error::InitError,
    ext4::{self, Content},
    layout,
    log::Log,
    medium::OwnDisk,
    persist::{self, Kept},
    stage::{self, Missing, Source},
    sysfs::Partition,
};
use contract::Digest;
use rustix::{
    mount::{MountFlags, mount, mount_bind},
    rand::{GetRandomFlags, getrandom},
};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _},
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Where state is mounted.
const STATE: &str = "/state";
/// The skeleton of /var that the image brings.
const FACTORY_VAR: &str = "/usr/share/factory/var";

/// A file system is grown only when at least this many bytes are to be won: the kernel leaves short tails unused.
const LEAST_GROWTH: u64 = 16 << 20;

/// What mke2fs is told. Features by name, so that neither its version nor its configuration decides; no discard,
/// which takes minutes on some cards; tables and journal are zeroed later by the kernel (stale journal blocks are
/// told apart by their checksum).
const MKFS: [&str; 16] = [
    "-q",
    "-F",
    "-t",
    "ext4",
    "-L",
    "hcstate",
    "-b",
    "4096",
    "-I",
    "256",
    "-O",
    "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,sparse_super,large_file,huge_file,dir_nlink,extra_isize,metadata_csum",
    "-m",
    "1",
    "-E",
    "nodiscard,lazy_itable_init=1,lazy_journal_init=1",
];

/// State as it was mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mounted {
    /// Its partition's device.
    pub device: PathBuf,
    /// Whether its file system was made just now.
    pub made: bool,
}

/// Makes the state file system if it was never made, checks it if it asks for it, mounts it and lets it fill its
/// partition.
pub fn mount_state(disk: &mut OwnDisk<'_>, log: &Log) -> Result<Mounted, InitError> {
    let missing = || InitError::Layout {
        disk: disk.name().to_owned(),
        source: layout::LayoutError::Missing(layout::STATE),
    };
    let (number, entry) = layout::state(disk.table()).ok_or_else(missing)?;
    let untouched = entry.name == layout::STATE_NEW;
    let partition = disk.partition(number)?;
    let content = probe(&partition)?;
    let made = untouched || content == Content::Empty;
    match content {
        _ if untouched => make(disk, &partition, log)?,
        Content::Empty => {
            disk.rename_state(layout::STATE_NEW)?;
            make(disk, &partition, log)?;
        }
        Content::Other(found) => {
            return Err(InitError::StrangeState { device: partition.device().display().to_string(), found });
        }
        Content::Ext4 { check, .. } => {
            if check {
                repair(&partition, log)?;
            }
        }
    }
    let device = partition.device();
    mount(&device, STATE, "ext4", MountFlags::NOATIME, None)
        .map_err(InitError::io("mount on /state", &device))?;
    log.step(format_args!("state: {} mounted on {STATE}", device.display()));
    if let Content::Ext4 { block, blocks, .. } = probe(&partition)? {
        fill(&partition, block, blocks, log);
    }
    Ok(Mounted { device, made })
}

fn probe(partition: &Partition) -> Result<Content, InitError> {
    let device = partition.device();
    let mut start = Vec::new();
    File::open(&device)
        .and_then(|file| file.take(ext4::PROBE as u64).read_to_end(&mut start))
        .map_err(InitError::io("read the start of", &device))?;
    Ok(ext4::probe(&start))
}

/// Makes the file system; the partition gets its final name when all of it is on the medium.
fn make(disk: &mut OwnDisk<'_>, partition: &Partition, log: &Log) -> Result<(), InitError> {
    let device = partition.device();
    log.step(format_args!("state: making ext4 on {} ({} MiB)", device.display(), partition.extent.1 >> 20));
    let hint = "the medium may be worn out, try another one";
    run("/usr/sbin/mkfs.ext4", &MKFS, partition, &[0], hint)?;
    OpenOptions::new()
        .write(true)
        .open(&device)
        .and_then(|file| file.sync_all())
        .map_err(InitError::io("flush", &device))?;
    disk.rename_state(layout::STATE)
}

fn repair(partition: &Partition, log: &Log) -> Result<(), InitError> {
    log.warn(format_args!("state: {} has recorded errors, checking it", partition.device().display()));
    let hint = "put the medium into another Linux machine, save what you need, and run `e2fsck -f` on this partition";
    let code = run("/usr/sbin/e2fsck", &["-p"], partition, &[0, 1], hint)?;
    log.step(if code == 0 { "state: nothing to repair" } else { "state: repaired" });
    Ok(())
}

/// Lets the mounted file system fill its partition. It works without, so failure is told and not fatal.
fn fill(partition: &Partition, block: u64, blocks: u64, log: &Log) {
    let room = partition.extent.1 / block;
    if (room.saturating_sub(blocks)).saturating_mul(block) < LEAST_GROWTH {
        return;
    }
    let grown = File::open(STATE).and_then(|root| Ok(rustix::fs::ext4_ioc_resize_fs(root, room)?));
    match grown {
        Ok(()) => log.step(format_args!("state: grown from {blocks} to {room} blocks of {block} bytes")),
        Err(error) => log.warn(format_args!("state: stays at {blocks} of {room} blocks: {error}")),
    }
}

/// Runs a program of the image on a partition; one of the exit codes `good` is a success.
fn run(
    program: &'static str,
    arguments: &[&str],
    partition: &Partition,
    good: &[i32],
    hint: &'static str,
) -> Result<i32, InitError> {
    let device = partition.device();
    let mut command = Command::new(program);
    command.args(arguments).arg(&device).env_clear().env("PATH", "/usr/sbin:/usr/bin").stdin(Stdio::null());
    let output = command.output().map_err(InitError::io("run", program))?;
    if let Some(code) = output.status.code().filter(|code| good.contains(code)) {
        return Ok(code);
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).split_whitespace().collect::<Vec<_>>().join(" ");
    let tail = said.chars().count().saturating_sub(300);
    let status = match (output.status.code(), output.status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, signal) => format!("signal {}", signal.unwrap_or_default()),
    };
    let output = said.chars().skip(tail).collect();
    Err(InitError::Tool { program, device: device.display().to_string(), status, output, hint })
}

/// Brings what the image ships for state onto it, once for each root hash, and binds it over the read-only root.
pub fn settle_and_bind(root: &Digest, log: &Log) -> Result<(), InitError> {
    let list = match fs::read_to_string(persist::LIST) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        other => other.map_err(InitError::io("read", persist::LIST))?,
    };
    let kept = persist::parse(&list)?;
    let state = Path::new(STATE);
    let own = state.join("hcimage");
    create_dirs(&own)?;

    let seeded = own.join("seeded");
    let mark = format!("{root}\n");
    let var = state.join("var");
    let fresh = fs::read_to_string(&seeded).is_ok_and(|text| text == mark);
    let mut wanted = if fresh { Vec::new() } else { missing_var(&var)? };
    for kept in &kept {
        wanted.extend(missing_kept(kept)?);
    }
    let id = own.join("machine-id");
    if !fs::read_to_string(&id).is_ok_and(|text| is_machine_id(&text)) {
        if id.exists() {
            log.warn(format_args!("state: {} is no machine id, making a new one", id.display()));
            fs::remove_file(&id).map_err(InitError::io("remove", &id))?;
        }
        wanted.push(Missing { from: Source::Bytes(machine_id()?), to: id.clone() });
    }
    let staging = state.join(".staging");
    stage::settle(&staging, &wanted).map_err(InitError::io("copy the image's files through", &staging))?;
    if !fresh {
        stage::replace(&seeded, mark.as_bytes()).map_err(InitError::io("write", &seeded))?;
    }
    if !wanted.is_empty() {
        log.step(format_args!("state: {} new entries from the image", wanted.len()));
    }

    bind(&var, Path::new("/var"))?;
    bind(&id, Path::new("/etc/machine-id"))?;
    for kept in &kept {
        bind(&kept_on_state(kept), Path::new(&kept.path))?;
    }
    log.step(format_args!("state: /var, /etc/machine-id and {} more writable paths", kept.len()));
    Ok(())
}

fn missing_var(var: &Path) -> Result<Vec<Missing>, InitError> {
    let factory = Path::new(FACTORY_VAR);
    if factory.is_dir() {
        return stage::missing(factory, var).map_err(InitError::io("compare with the image's skeleton", var));
    }
    let absent = !var.exists();
    Ok(absent.then(|| Missing { from: Source::Directory, to: var.to_owned() }).into_iter().collect())
}

/// What a writable path lacks on state: all of it, at its first use, and nothing later.
fn missing_kept(kept: &Kept) -> Result<Option<Missing>, InitError> {
    let image = Path::new(&kept.path);
    require_kind(kept, image, "the image", "mend the overlay that declares it and build again")?;
    let to = kept_on_state(kept);
    match fs::symlink_metadata(&to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Some(parent) = to.parent() {
                create_dirs(parent)?;
            }
            Ok(Some(Missing { from: Source::Copy(image.to_owned()), to }))
        }
        Err(error) => Err(InitError::io("look at", &to)(error)),
        Ok(_) => {
            require_kind(kept, &to, "/state/persist", "save what it holds and remove it there").map(|()| None)
        }
    }
}

fn require_kind(kept: &Kept, path: &Path, place: &'static str, hint: &'static str) -> Result<(), InitError> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => "nothing",
        Err(error) => return Err(InitError::io("look at", path)(error)),
        Ok(meta) if meta.is_dir() => "directory",
        Ok(meta) if meta.is_file() => "file",
        Ok(meta) if meta.is_symlink() => "a symbolic link",
        Ok(_) => "a device or socket",
    };
    let expected = if kept.directory { "directory" } else { "file" };
    if found == expected {
        return Ok(());
    }
    Err(InitError::Kind { path: kept.path.clone(), expected, place, found, hint })
}

fn kept_on_state(kept: &Kept) -> PathBuf {
    Path::new(STATE).join("persist").join(kept.path.trim_start_matches('/'))
}

fn create_dirs(dir: &Path) -> Result<(), InitError> {
    fs::create_dir_all(dir).map_err(InitError::io("create", dir))
}

fn bind(from: &Path, to: &Path) -> Result<(), InitError> {
    mount_bind(from, to).map_err(InitError::io("bind from state (does the image have it?)", to))
}

/// A new machine id (machine-id(5)): 32 hexadecimal digits, random, with the version bits of a random UUID.
fn machine_id() -> Result<Vec<u8>, InitError> {
    let mut bytes = [0; 16];
    let got =
        getrandom(&mut bytes[..], GetRandomFlags::empty()).map_err(InitError::io("read", "getrandom"))?;
    if got != bytes.len() {
        return Err(InitError::io("read", "getrandom")(io::Error::from(io::ErrorKind::UnexpectedEof)));
    }
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("{digits}\n").into_bytes())
}

fn is_machine_id(text: &str) -> bool {
    let digits = text.trim_end();
    digits.len() == 32
        && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        && digits.bytes().any(|byte| byte != b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machine_ids_are_random_and_recognised() {
        let made = || String::from_utf8(machine_id().unwrap()).unwrap();
        let (one, two) = (made(), made());
        assert!(is_machine_id(&one) && is_machine_id(&two) && one != two, "{one}{two}");
        for text in ["", "uninitialized\n", "0".repeat(32).as_str(), "A".repeat(32).as_str(), &one[..31]] {
            assert!(!is_machine_id(text), "{text}");
        }
    }
}
