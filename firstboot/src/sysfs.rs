//! What the kernel shows of block devices in `/sys`.

use crate::{gpt::Geometry, layout::Extent};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

/// Kinds of block devices that nothing is ever started from.
const VIRTUAL: [&str; 9] = ["loop", "ram", "zram", "dm-", "md", "sr", "fd", "nbd", "mtdblock"];

/// A whole disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Medium {
    /// The kernel's name, such as `vda`.
    pub name: String,
    /// Its shape.
    pub geometry: Geometry,
}

impl Medium {
    /// The device's path.
    #[must_use]
    pub fn device(&self) -> PathBuf {
        Path::new("/dev").join(&self.name)
    }
}

/// A partition as the kernel knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// The kernel's name, such as `vda2`.
    pub name: String,
    /// `major:minor`.
    pub number: String,
    /// Start and length in bytes.
    pub extent: Extent,
}

impl Partition {
    /// The device's path.
    #[must_use]
    pub fn device(&self) -> PathBuf {
        Path::new("/dev").join(&self.name)
    }
}

/// The disks that have a medium in them, sorted by name.
pub fn media() -> io::Result<Vec<Medium>> {
    let mut media = Vec::new();
    for name in names(Path::new("/sys/block"))? {
        if VIRTUAL.iter().any(|prefix| name.starts_with(prefix)) {
            continue;
        }
        let dir = Path::new("/sys/block").join(&name);
        // The paths below a multipath NVMe disk are listed like disks, but have no device.
        let hidden = dir.join("hidden");
        if hidden.exists() && number(&hidden)? != 0 {
            continue;
        }
        let bytes = number(&dir.join("size"))? * 512;
        let sector = number(&dir.join("queue/logical_block_size"))?;
        if bytes > 0 && sector > 0 {
            media.push(Medium { name, geometry: Geometry { sector, sectors: bytes / sector } });
        }
    }
    Ok(media)
}

/// The partitions of `disk`, by number.
pub fn partitions(disk: &str) -> io::Result<BTreeMap<u32, Partition>> {
    let dir = Path::new("/sys/block").join(disk);
    let mut partitions = BTreeMap::new();
    for name in names(&dir)? {
        let dir = dir.join(&name);
        if !dir.join("partition").exists() {
            continue;
        }
        let extent = (number(&dir.join("start"))? * 512, number(&dir.join("size"))? * 512);
        let index = u32::try_from(number(&dir.join("partition"))?).map_err(io::Error::other)?;
        let number = text(&dir.join("dev"))?;
        partitions.insert(index, Partition { name, number, extent });
    }
    Ok(partitions)
}

/// One line on every block device, for the operator who must see why ours is not among them.
#[must_use]
pub fn summary(media: &[Medium]) -> String {
    if media.is_empty() {
        return "no block device at all".to_owned();
    }
    let size = |medium: &Medium| (medium.geometry.sector * medium.geometry.sectors) >> 20;
    media
        .iter()
        .map(|medium| format!("{} ({} MiB)", medium.name, size(medium)))
        .collect::<Vec<_>>()
        .join(", ")
}

/// Sorted names in a directory of `/sys`.
pub fn names(dir: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort_unstable();
    Ok(names)
}

fn text(path: &Path) -> io::Result<String> {
    Ok(fs::read_to_string(path)?.trim().to_owned())
}

fn number(path: &Path) -> io::Result<u64> {
    let text = text(path)?;
    text.parse().map_err(|_| io::Error::other(format!("{}: `{text}` is no number", path.display())))
}
