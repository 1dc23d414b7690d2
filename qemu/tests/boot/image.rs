//! The images that the environment names, and what their manifests say.

use contract::{Arch, Release, release::Part};
use qemu::{Machine, Running, Ssh, SshKey};
use std::{env, fs, ops::Range, path::PathBuf, sync::Once};

/// A built image and its manifest.
pub(crate) struct Image {
    pub(crate) arch: Arch,
    pub(crate) disk: PathBuf,
    key: SshKey,
    release: Release,
}

impl Image {
    /// The nas image for `arch`; `None` when the environment names none or this host cannot boot it.
    pub(crate) fn find(test: &str, arch: Arch) -> Option<Self> {
        Self::of(test, "nas", arch, "HCIMAGE_IMAGES")
    }

    /// The image of another profile, below the directory that the variable `place` names.
    pub(crate) fn of(test: &str, profile: &str, arch: Arch, place: &str) -> Option<Self> {
        let (Some(images), Some(key)) = (env::var_os(place), env::var_os("HCIMAGE_TEST_KEY")) else {
            eprintln!("skipped: {test}: no image; ci/test builds one");
            return None;
        };
        let dir = PathBuf::from(images).join(format!("{profile}-{arch}"));
        let manifest = dir.join("release.json");
        let text = fs::read(&manifest).unwrap_or_else(|error| panic!("read {}: {error}", manifest.display()));
        let release = Release::parse(&text).unwrap();
        assert_eq!(release.arch, arch, "{} is of another architecture", manifest.display());
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

    /// Where the boot partition is on the disk: up to the next one. (The manifest knows the bytes that are not zero.)
    pub(crate) fn card(&self) -> Range<u64> {
        let start = self.part("esp").offset;
        let ends = self.release.parts.iter().map(|part| part.offset).filter(|offset| *offset > start);
        start..ends.min().unwrap()
    }

    /// The partition `name`.
    pub(crate) fn part(&self, name: &str) -> &Part {
        let names = || self.release.parts.iter().map(|part| part.name.as_str()).collect::<Vec<_>>();
        self.release
            .part(name)
            .unwrap_or_else(|| panic!("release.json has no part `{name}`, only {:?}", names()))
    }

    /// The verity root hash, in hexadecimal digits.
    pub(crate) fn root_hash(&self) -> String {
        self.release.verity.root_hash.to_string()
    }

    /// The ports on which the image says that it listens to the network, such as `tcp/22`.
    pub(crate) fn ports(&self) -> &[String] {
        &self.release.ports
    }
}
