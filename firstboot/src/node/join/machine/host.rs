//! J2 and J3: this machine, as /proc, /sys and /var show it.

use crate::node::{
    file,
    join::{
        facts::{Host, K3s},
        k3s,
    },
    place, say,
    supervisor::Certificate,
};
use contract::Deferred;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use std::{io, path::Path};

/// k3s itself.
pub(super) const BINARY: &str = "/usr/bin/k3s";
/// What containers cannot do without, and what carries traffic of pods, one or the other.
const MODULES: [&str; 5] = ["overlay", "br_netfilter", "nf_tables", "vxlan", "wireguard"];
/// What is kept over a restart.
const RANCHER: &str = "/etc/rancher";

pub(super) fn look(version: &mut Option<String>) -> io::Result<Host> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
    let room = rustix::fs::statvfs("/var")?;
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let known = |list: &str| match std::fs::read_to_string(format!("/usr/lib/modules/{release}/{list}")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        other => other,
    };
    let lists = known("modules.builtin")? + &known("modules.dep")?;
    let missing = MODULES
        .iter()
        .filter(|module| !Path::new("/sys/module").join(module).exists() && !lists_module(&lists, module));
    let joined = file::read(Path::new(place::JOINED_AS))?;
    Ok(Host {
        joined_as: joined.map(|name| String::from_utf8_lossy(&name).trim().to_owned()),
        controllers: words("/sys/fs/cgroup/cgroup.controllers")?,
        missing_modules: missing.map(|module| (*module).to_owned()).collect(),
        var: kind_of(&mounts, "/var/lib/rancher").unwrap_or_default().to_owned(),
        free: room.f_bavail.saturating_mul(room.f_frsize),
        rancher: is_kept(&mounts, RANCHER) && writes(RANCHER),
        root_maxkeys: words("/proc/sys/kernel/keys/root_maxkeys")?.join("").parse().unwrap_or(0),
        k3s: k3s(version)?,
        certificate: certificate()?,
    })
}

fn words(path: &str) -> io::Result<Vec<String>> {
    let text = file::read(Path::new(path))?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&text).split_whitespace().map(str::to_owned).collect())
}

/// Whether a list of module files names this module; `-` and `_` are the same to the kernel.
fn lists_module(list: &str, module: &str) -> bool {
    list.lines().any(|line| {
        let path = line.split(':').next().unwrap_or("");
        let name = path.rsplit('/').next().unwrap_or("").split(".ko").next().unwrap_or("");
        name.replace('-', "_") == module.replace('-', "_")
    })
}

/// The kind of the file system that holds a path; of mounts above each other the last counts.
pub(super) fn kind_of<'m>(mounts: &'m str, path: &str) -> Option<&'m str> {
    let mut best: Option<(usize, &str)> = None;
    for line in mounts.lines() {
        let (left, right) = line.split_once(" - ")?;
        let (point, kind) = (left.split(' ').nth(4)?, right.split(' ').next()?);
        if Path::new(path).starts_with(point) && best.is_none_or(|(length, _)| point.len() >= length) {
            best = Some((point.len(), kind));
        }
    }
    best.map(|(_, kind)| kind)
}

fn is_kept(mounts: &str, path: &str) -> bool {
    kind_of(mounts, path).is_some_and(|kind| ["ext4", "xfs", "btrfs", "f2fs"].contains(&kind))
}

/// Whether a file can be made there and is what was written.
fn writes(folder: &str) -> bool {
    let path = Path::new(folder).join(".hcnode-writes");
    let tried = file::replace(&path, b"hcnode", 0o600).and_then(|()| {
        let same = file::read(&path)?.as_deref() == Some(b"hcnode");
        file::remove(&path).map(|()| same)
    });
    // The reason is told as J03; which error it was matters to nobody then.
    tried.unwrap_or(false)
}

fn k3s(version: &mut Option<String>) -> io::Result<K3s> {
    if !Path::new(BINARY).exists() {
        let deferred = deferred()?;
        return Ok(if deferred.iter().any(|file| file.path == BINARY) {
            K3s::Deferred
        } else {
            K3s::Missing
        });
    }
    if version.is_none() {
        *version = Some(match super::unit::run(BINARY, &["--version"]) {
            Ok(said) => version_in(&said).unwrap_or("unknown").to_owned(),
            // It is started all the same: what is wrong with it, its unit will say.
            Err(error) => {
                say::warn(error);
                "unknown".to_owned()
            }
        });
    }
    Ok(K3s::There(version.clone().unwrap_or_default()))
}

/// The version in `k3s version v1.34.3+k3s1 (48ffa7b6)`.
fn version_in(said: &str) -> Option<&str> {
    let digit = |word: &str| {
        word.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    said.lines().next()?.split_whitespace().find(|word| digit(word))
}

/// What the node fetches itself.
pub(super) fn deferred() -> io::Result<Vec<Deferred>> {
    let list = file::read(Path::new(place::DEFERRED))?;
    list.map_or(Ok(Vec::new()), |list| serde_json::from_slice(&list).map_err(io::Error::other))
}

fn certificate() -> io::Result<Option<(u64, u64)>> {
    let pem = file::read(&Path::new(k3s::AGENT).join("client-kubelet.crt"))?;
    // One that is damaged is none: the node then asks for another.
    Ok(pem.and_then(|pem| {
        let der = CertificateDer::from_pem_slice(&pem).ok()?;
        let certificate = Certificate::parse(&der).ok()?;
        Some((certificate.not_before, certificate.not_after))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_mount_over_a_path_counts() {
        let mounts = "22 1 254:0 / / ro - erofs /dev/dm-0 ro\n\
                      30 22 254:2 /var /var rw - ext4 /dev/vda6 rw\n\
                      31 22 254:2 /persist/etc/rancher /etc/rancher rw - ext4 /dev/vda6 rw\n\
                      40 22 0:40 / /tmp rw - tmpfs tmpfs rw\n";
        assert_eq!(kind_of(mounts, "/var/lib/rancher"), Some("ext4"));
        assert!(is_kept(mounts, "/etc/rancher"));
        assert!(!is_kept(mounts, "/etc/other"));
        let over = format!("{mounts}50 30 0:50 / /var rw - overlay overlay rw\n");
        assert_eq!(kind_of(&over, "/var/lib/rancher"), Some("overlay"));
        assert!(!is_kept(mounts, "/tmp/x"));
        assert_eq!(kind_of(mounts, "/variety"), Some("erofs"));
    }

    #[test]
    fn versions_are_found_in_what_k3s_says() {
        assert_eq!(
            version_in("k3s version v1.34.3+k3s1 (48ffa7b6)\ngo version go1.24.1"),
            Some("v1.34.3+k3s1")
        );
        assert_eq!(version_in("version very new"), None);
        assert_eq!(version_in(""), None);
    }

    #[test]
    fn modules_are_found_in_the_kernel_s_lists() {
        let list = "kernel/fs/overlayfs/overlay.ko.xz: \nkernel/net/bridge/br-netfilter.ko: kernel/net/bridge/bridge.ko\n";
        assert!(lists_module(list, "overlay") && lists_module(list, "br_netfilter"));
        assert!(!lists_module(list, "bridge") && !lists_module(list, "over"));
    }
}
