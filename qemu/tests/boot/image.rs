//! The images that the environment names, and what their manifests say.

use contract::Arch;
use qemu::{Machine, Running, Ssh, SshKey};
use std::{env, fs, path::PathBuf, sync::Once};

/// A built image and its manifest.
pub(crate) struct Image {
    pub(crate) arch: Arch,
    pub(crate) disk: PathBuf,
    key: SshKey,
    release: serde_json::Value,
}

/// A partition, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) offset: u64,
    pub(crate) size: u64,
}

impl Image {
    /// The nas image for `arch`; `None` when the environment names none or this host cannot boot it.
    pub(crate) fn find(test: &str, arch: Arch) -> Option<Self> {
        let (Some(images), Some(key)) = (env::var_os("HCIMAGE_IMAGES"), env::var_os("HCIMAGE_TEST_KEY"))
        else {
            eprintln!("skipped: {test}: no image; ci/test builds one");
            return None;
        };
        let dir = PathBuf::from(images).join(format!("nas-{arch}"));
        let manifest = dir.join("release.json");
        let text = fs::read(&manifest).unwrap_or_else(|error| panic!("read {}: {error}", manifest.display()));
        let release = serde_json::from_slice(&text).unwrap();
        let image = Self { arch, disk: dir.join("disk.img"), key: SshKey { file: key.into() }, release };
        // What this host lacks is found out here, once, and not in the middle of a life.
        match image.machine().prepare().and_then(|_| Ssh::new(22, &image.key)) {
            Err(error) if error.is_missing() && env::var_os("HCIMAGE_CI").is_none() => {
                eprintln!("skipped: {test}: {error}");
                return None;
            }
            prepared => drop(prepared.unwrap()),
        }
        static TOLD: Once = Once::new();
        TOLD.call_once(|| {
            for arch in Arch::ALL {
                let verdict = qemu::verdict(arch).unwrap();
                eprintln!("accelerator for {arch}: {} ({})", verdict.accel.name(), verdict.why);
            }
        });
        Some(image)
    }

    /// A machine around the image on a medium of 4 GiB, with the doors that the tests knock at.
    pub(crate) fn machine(&self) -> Machine {
        let machine = Machine::new(self.arch, &self.disk).disk_size(4 << 30);
        [22, 445, 2049, 8384].into_iter().fold(machine, Machine::forward)
    }

    pub(crate) fn ssh(&self, guest: &Running) -> Ssh {
        Ssh::new(guest.port(22).unwrap(), &self.key).unwrap()
    }

    /// Where the partition `name` is in the disk image.
    pub(crate) fn part(&self, name: &str) -> Part {
        let parts = self.release["parts"].as_array().unwrap();
        let names: Vec<_> = parts.iter().map(|part| part["name"].as_str().unwrap_or("?")).collect();
        let part = parts.iter().find(|part| part["name"] == name);
        let part = part.unwrap_or_else(|| panic!("release.json has no part `{name}`, only {names:?}"));
        Part { offset: part["offset"].as_u64().unwrap(), size: part["size"].as_u64().unwrap() }
    }

    /// The verity root hash, in hexadecimal digits.
    pub(crate) fn root_hash(&self) -> &str {
        self.release["verity"]["root_hash"].as_str().expect("release.json has no verity.root_hash")
    }

    /// The ports on which the image says that it listens to the network, such as `tcp/22`.
    pub(crate) fn ports(&self) -> Vec<String> {
        let ports = self.release["ports"].as_array().expect("release.json has no list `ports`");
        ports.iter().map(|port| port.as_str().unwrap().to_owned()).collect()
    }
}
