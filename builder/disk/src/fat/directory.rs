//! Directory entries: 32 bytes each, long ones in front of their short one.

use super::{
    FatError,
    name::{self, ShortName},
    stamp::Stamp,
};

/// Bytes in an entry.
pub(super) const ENTRY: u64 = 32;
/// The specification's limit: 65,536 entries a directory.
pub(super) const MAX_DIRECTORY: u64 = 65_536 * ENTRY;
/// UTF-16 units in one long entry.
const UNITS: usize = 13;

const VOLUME_LABEL: u8 = 0x08;
pub(super) const DIRECTORY: u8 = 0x10;
pub(super) const ARCHIVE: u8 = 0x20;
const LONG_NAME: u8 = 0x0f;
/// Set in the number of the long entry that comes first on disk and holds the end of the name.
const LAST_LONG: u8 = 0x40;

/// What a short entry says about a file or directory.
#[derive(Clone, Copy)]
pub(super) struct Target {
    pub(super) attributes: u8,
    /// The first cluster, or 0 for an empty file and for the root seen from below.
    pub(super) cluster: u32,
    /// Bytes of a file; 0 for a directory.
    pub(super) size: u32,
}

/// The bytes that the entries of `name` take.
pub(super) fn space(short: &ShortName, name: &str) -> u64 {
    let long = if name::shows_as(short, name) { 0 } else { name.encode_utf16().count().div_ceil(UNITS) };
    (long as u64 + 1) * ENTRY
}

/// The entries of one directory, in the making.
pub(super) struct Entries {
    bytes: Vec<u8>,
    stamp: Stamp,
}

impl Entries {
    pub(super) fn new(stamp: Stamp) -> Self {
        Self { bytes: Vec::new(), stamp }
    }

    /// The volume's label, which only a root has.
    pub(super) fn label(&mut self, label: &ShortName) {
        self.short(label, Target { attributes: VOLUME_LABEL, cluster: 0, size: 0 });
    }

    /// `.` and `..`, which only the root lacks. They never have long entries.
    pub(super) fn links(&mut self, own: u32, parent: u32) {
        for (name, cluster) in [(b".          ", own), (b"..         ", parent)] {
            self.short(name, Target { attributes: DIRECTORY, cluster, size: 0 });
        }
    }

    /// A file or directory under its long and its short name.
    pub(super) fn named(&mut self, name: &str, short: &ShortName, target: Target) -> Result<(), FatError> {
        if !name::shows_as(short, name) {
            self.long(name, name::checksum(short))?;
        }
        self.short(short, target);
        Ok(())
    }

    /// The entries, as they go on the disk.
    pub(super) fn finish(self) -> Vec<u8> {
        self.bytes
    }

    fn short(&mut self, name: &ShortName, target: Target) {
        let Stamp { time, date, hundredths } = self.stamp;
        let cluster = target.cluster.to_le_bytes();
        self.bytes.extend(name);
        self.bytes.extend([target.attributes, 0, hundredths]);
        for field in [time, date, date] {
            self.bytes.extend(field.to_le_bytes());
        }
        self.bytes.extend(&cluster[2..]);
        for field in [time, date] {
            self.bytes.extend(field.to_le_bytes());
        }
        self.bytes.extend(&cluster[..2]);
        self.bytes.extend(target.size.to_le_bytes());
    }

    fn long(&mut self, name: &str, checksum: u8) -> Result<(), FatError> {
        let mut units: Vec<u16> = name.encode_utf16().collect();
        let count = units.len().div_ceil(UNITS);
        if !units.len().is_multiple_of(UNITS) {
            units.push(0);
            units.resize(count * UNITS, 0xffff);
        }
        for (index, part) in units.chunks(UNITS).enumerate().rev() {
            let last = if index + 1 == count { LAST_LONG } else { 0 };
            // `name::check` allows 255 units, so 20 entries.
            let number = u8::try_from(index + 1).map_err(|_| FatError::Name {
                path: name.to_owned(),
                name: name.to_owned(),
                problem: "has more than 255 UTF-16 units",
            })?;
            self.bytes.push(number | last);
            self.units(&part[..5]);
            self.bytes.extend([LONG_NAME, 0, checksum]);
            self.units(&part[5..11]);
            self.bytes.extend([0, 0]);
            self.units(&part[11..]);
        }
        Ok(())
    }

    fn units(&mut self, units: &[u16]) {
        self.bytes.extend(units.iter().flat_map(|unit| unit.to_le_bytes()));
    }
}
