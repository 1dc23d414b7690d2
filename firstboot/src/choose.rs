//! Which disk this machine was started from, and which slot of it belongs to the running kernel.

use crate::gpt::{Entry, OnDisk, Table};
use contract::{Digest, Guid, slots::ESP_TYPE};

/// A disk that has a readable partition table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// The kernel's name, such as `vda`.
    pub name: String,
    /// Its table.
    pub found: OnDisk,
}

/// Two disks that cannot be told apart, or a disk without our root.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChooseError {
    /// Two disks carry the ESP that the boot loader named.
    #[error(
        "disks {names} all carry the boot partition {id}: one is a copy of another; unplug all but the one to start from"
    )]
    Copies {
        /// The disks' names.
        names: String,
        /// The partition's GUID.
        id: Guid,
    },
    /// The boot loader left no trace, and several disks have our root.
    #[error(
        "disks {names} all carry the root {id}, and the boot loader did not say which one it used: unplug all but one"
    )]
    SeveralRoots {
        /// The disks' names.
        names: String,
        /// The partition's GUID.
        id: Guid,
    },
    /// No slot of the boot disk belongs to this kernel.
    #[error(
        "disk {disk}: this kernel was sealed with root hash {root}, but the disk has {slots}: kernel and root are from different images; choose another entry in the boot menu or write the image again"
    )]
    NoSlot {
        /// The disk's name.
        disk: String,
        /// The root hash that the kernel names.
        root: Digest,
        /// The slots there are, readable.
        slots: String,
    },
}

/// The disk that this machine was started from: the one with the partition `esp` if the boot loader named one, else
/// the only one that carries `root`. `None` while it has not appeared.
pub fn boot_disk<'d>(
    disks: &'d [Disk],
    esp: Option<Guid>,
    root: &Digest,
) -> Result<Option<&'d Disk>, ChooseError> {
    let id = esp.unwrap_or_else(|| Guid::from_half(root, 0));
    let carriers: Vec<&Disk> = disks.iter().filter(|disk| by_id(&disk.found.table, id).is_some()).collect();
    if carriers.len() < 2 {
        return Ok(carriers.first().copied());
    }
    let names = carriers.iter().map(|disk| disk.name.as_str()).collect::<Vec<_>>().join(", ");
    Err(match esp {
        Some(id) => ChooseError::Copies { names, id },
        None => ChooseError::SeveralRoots { names, id },
    })
}

/// The two partitions of a slot, by number.
#[derive(Debug, PartialEq, Eq)]
pub struct OwnSlot<'t> {
    /// The root's name, such as `root-a`.
    pub name: &'t str,
    /// Number of the partition with the file system.
    pub root: u32,
    /// Number of the partition with the hash tree.
    pub verity: u32,
}

/// The slot of `disk` whose partitions are named by the two halves of `root`.
pub fn slot<'d>(disk: &'d Disk, root: &Digest) -> Result<OwnSlot<'d>, ChooseError> {
    let table = &disk.found.table;
    let halves = [0, 1].map(|half| by_id(table, Guid::from_half(root, half)));
    if let [Some((data, entry)), Some((verity, _))] = halves {
        return Ok(OwnSlot { name: &entry.name, root: data, verity });
    }
    let roots = table.entries.values().filter(|entry| entry.name.starts_with("root-"));
    let slots = roots.map(|entry| format!("{} {}", entry.name, entry.id)).collect::<Vec<_>>().join(", ");
    let slots = if slots.is_empty() { "no slot at all".to_owned() } else { slots };
    Err(ChooseError::NoSlot { disk: disk.name.clone(), root: *root, slots })
}

/// The boot partition: the one that the boot loader named, else the first of its type.
#[must_use]
pub fn esp(table: &Table, named: Option<Guid>) -> Option<(u32, &Entry)> {
    let typed = || table.entries.iter().find(|(_, entry)| entry.kind == ESP_TYPE);
    named.and_then(|id| by_id(table, id)).or_else(|| typed().map(|(number, entry)| (*number, entry)))
}

fn by_id(table: &Table, id: Guid) -> Option<(u32, &Entry)> {
    table.entries.iter().find(|(_, entry)| entry.id == id).map(|(number, entry)| (*number, entry))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(name: &str, partitions: &[(&str, Guid)]) -> Disk {
        let entries = (1..).zip(partitions).map(|(number, (name, id))| {
            let (first, last) = (u64::from(number) * 2048, u64::from(number) * 2048 + 2047);
            (
                number,
                Entry { kind: Guid([1; 16]), id: *id, first, last, attributes: 0, name: (*name).to_owned() },
            )
        });
        let table = Table {
            disk: Guid([9; 16]),
            first_usable: 34,
            last_usable: 99_999,
            slots: 128,
            entries: entries.collect(),
        };
        Disk { name: name.to_owned(), found: OnDisk { table, primary: true, backup: true } }
    }

    #[test]
    fn the_disk_of_the_boot_loader_is_ours_whatever_others_carry() {
        let root = Digest::of(b"root");
        let (esp, other, half) = (Guid([1; 16]), Guid([2; 16]), Guid::from_half(&root, 0));
        let disks = [
            disk("sda", &[("esp", other), ("root-a", half)]),
            disk("vda", &[("esp", esp), ("root-a", half)]),
        ];
        assert_eq!(boot_disk(&disks, Some(esp), &root).unwrap().unwrap().name, "vda");
        assert_eq!(boot_disk(&disks, Some(Guid([3; 16])), &root), Ok(None));
        assert_eq!(boot_disk(&disks[..1], None, &root).unwrap().unwrap().name, "sda");
        let message = boot_disk(&disks, None, &root).unwrap_err().to_string();
        assert!(message.contains("disks sda, vda all carry the root"), "{message}");
        let copies = [disks[1].clone(), disk("sdb", &[("esp", esp)])];
        let message = boot_disk(&copies, Some(esp), &root).unwrap_err().to_string();
        assert!(message.contains("disks vda, sdb all carry the boot partition 01010101-"), "{message}");
    }

    #[test]
    fn the_boot_partition_is_the_one_that_was_used() {
        let (first, second) = (Guid([1; 16]), Guid([2; 16]));
        let mut table = disk("vda", &[("state", Guid([3; 16])), ("esp", first), ("esp", second)]).found.table;
        assert_eq!(esp(&table, None), None);
        for entry in table.entries.values_mut().skip(1) {
            entry.kind = ESP_TYPE;
        }
        let number = |named| esp(&table, named).map(|(number, _)| number);
        assert_eq!(
            [number(None), number(Some(second)), number(Some(Guid([9; 16])))],
            [Some(2), Some(3), Some(2)]
        );
    }

    #[test]
    fn a_slot_needs_both_halves() {
        let (root, old) = (Digest::of(b"new"), Digest::of(b"old"));
        let half = |digest, half| Guid::from_half(digest, half);
        let whole = disk(
            "vda",
            &[
                ("esp", Guid([1; 16])),
                ("root-a", half(&old, 0)),
                ("root-a-verity", half(&old, 1)),
                ("root-b", half(&root, 0)),
                ("root-b-verity", half(&root, 1)),
            ],
        );
        assert_eq!(slot(&whole, &root), Ok(OwnSlot { name: "root-b", root: 4, verity: 5 }));
        assert_eq!(slot(&whole, &old), Ok(OwnSlot { name: "root-a", root: 2, verity: 3 }));
        let torn = disk("vda", &[("root-a", half(&root, 0)), ("root-a-verity", half(&old, 1))]);
        let message = slot(&torn, &root).unwrap_err().to_string();
        assert!(message.contains(&root.to_string()) && message.contains("root-a "), "{message}");
        let message = slot(&disk("vda", &[]), &root).unwrap_err().to_string();
        assert!(message.contains("the disk has no slot at all"), "{message}");
    }
}
