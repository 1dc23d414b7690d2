//! The partitions of an image: their labels, their type GUIDs and their attribute bits. Types follow the
//! Discoverable Partitions Specification (UAPI.2).

use crate::{Arch, Guid};
use std::{fmt, str::FromStr};

/// The EFI system partition.
pub const ESP_TYPE: Guid = guid(0xc12a7328_f81f_11d2_ba4b_00a0c93ec93b);
/// Linux file systems that nothing mounts by their type.
pub const LINUX_TYPE: Guid = guid(0x0fc63daf_8483_4772_8e79_3d69d8477de4);
/// `/var`. Systemd mounts it by itself only if its GUID is derived from the machine's id, so state is not this type.
pub const VAR_TYPE: Guid = guid(0x4d21b016_b534_45c2_a9fb_5c16e091fd2d);
/// Root for x86-64.
pub const ROOT_X86_64_TYPE: Guid = guid(0x4f68bce3_e8cd_4db1_96e7_fbcaf984b709);
/// The dm-verity tree of a root for x86-64.
pub const ROOT_X86_64_VERITY_TYPE: Guid = guid(0x2c7357ed_ebd2_46d9_aec1_23d437ec2bf5);
/// Root for 64-bit ARM.
pub const ROOT_ARM64_TYPE: Guid = guid(0xb921b045_1df0_41c3_af44_4c6f280d3fae);
/// The dm-verity tree of a root for 64-bit ARM.
pub const ROOT_ARM64_VERITY_TYPE: Guid = guid(0xdf3300ce_d69f_4c92_978c_9bfb0f38d820);

/// GPT attribute: the file system may be grown to the partition's size when it is mounted.
pub const GROW_FILE_SYSTEM: u64 = 1 << 59;
/// GPT attribute: nothing may write here.
pub const READ_ONLY: u64 = 1 << 60;
/// GPT attribute: not to be mounted because of its type alone.
pub const NO_AUTO: u64 = 1 << 63;

const fn guid(text: u128) -> Guid {
    Guid(text.to_be_bytes())
}

/// One of the two places for a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Slot {
    /// The slot that an image is shipped with.
    A,
    /// The slot that the first boot makes.
    B,
}

impl Slot {
    /// Both slots.
    pub const ALL: [Self; 2] = [Self::A, Self::B];

    /// The other slot: where an update goes.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    /// `a` or `b`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
        }
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a partition is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// The EFI system partition: boot loader and UKIs.
    Esp,
    /// The root file system of a slot.
    Root(Slot),
    /// The dm-verity tree of a slot's root.
    Verity(Slot),
    /// Everything that changes: ext4, mounted by the initrd.
    State,
}

impl Part {
    /// Every partition, in the order in which they lie on a disk.
    pub const ALL: [Self; 6] = [
        Self::Esp,
        Self::Root(Slot::A),
        Self::Verity(Slot::A),
        Self::Root(Slot::B),
        Self::Verity(Slot::B),
        Self::State,
    ];

    /// The name in the partition table, by which the node finds it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Esp => "esp",
            Self::Root(Slot::A) => "root-a",
            Self::Verity(Slot::A) => "root-a-verity",
            Self::Root(Slot::B) => "root-b",
            Self::Verity(Slot::B) => "root-b-verity",
            Self::State => "state",
        }
    }

    /// The GPT type of this partition in an image for `arch`.
    #[must_use]
    pub const fn type_guid(self, arch: Arch) -> Guid {
        match (self, arch) {
            (Self::Esp, _) => ESP_TYPE,
            (Self::Root(_), Arch::X86_64) => ROOT_X86_64_TYPE,
            (Self::Root(_), Arch::Aarch64) => ROOT_ARM64_TYPE,
            (Self::Verity(_), Arch::X86_64) => ROOT_X86_64_VERITY_TYPE,
            (Self::Verity(_), Arch::Aarch64) => ROOT_ARM64_VERITY_TYPE,
            (Self::State, _) => LINUX_TYPE,
        }
    }

    /// The GPT attribute bits. Only the initrd mounts what is ours, so nothing of it is automatic.
    #[must_use]
    pub const fn attributes(self) -> u64 {
        match self {
            Self::Esp => 0,
            Self::Root(_) | Self::Verity(_) => READ_ONLY | NO_AUTO,
            Self::State => GROW_FILE_SYSTEM | NO_AUTO,
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// A label that is no partition of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no partition of an image: expected esp, root-a, root-a-verity, root-b, root-b-verity or state"
)]
pub struct UnknownPart(pub String);

impl FromStr for Part {
    type Err = UnknownPart;

    fn from_str(label: &str) -> Result<Self, UnknownPart> {
        let known = Self::ALL.into_iter().find(|part| part.label() == label);
        known.ok_or_else(|| UnknownPart(label.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_round_trip_and_others_are_refused() {
        for part in Part::ALL {
            assert_eq!(part.label().parse(), Ok(part));
            assert!(part.label().len() <= 36, "gpt holds 36 letters");
        }
        assert!("root-c".parse::<Part>().unwrap_err().to_string().contains("`root-c` is no partition"));
    }

    #[test]
    fn slots_lead_to_each_other() {
        for slot in Slot::ALL {
            assert_eq!(slot.other().other(), slot);
            assert_ne!(slot.other(), slot);
            assert_eq!(serde_json::to_string(&slot).unwrap(), format!("\"{slot}\""));
            assert_eq!(Part::Root(slot).label(), format!("root-{slot}"));
            assert_eq!(Part::Verity(slot).label(), format!("root-{slot}-verity"));
        }
    }

    #[test]
    fn types_are_those_of_the_specification() {
        let known = [
            (Part::Esp.type_guid(Arch::X86_64), "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"),
            (Part::Root(Slot::A).type_guid(Arch::X86_64), "4f68bce3-e8cd-4db1-96e7-fbcaf984b709"),
            (Part::Verity(Slot::B).type_guid(Arch::X86_64), "2c7357ed-ebd2-46d9-aec1-23d437ec2bf5"),
            (Part::Root(Slot::B).type_guid(Arch::Aarch64), "b921b045-1df0-41c3-af44-4c6f280d3fae"),
            (Part::Verity(Slot::A).type_guid(Arch::Aarch64), "df3300ce-d69f-4c92-978c-9bfb0f38d820"),
            (Part::State.type_guid(Arch::Aarch64), "0fc63daf-8483-4772-8e79-3d69d8477de4"),
            (VAR_TYPE, "4d21b016-b534-45c2-a9fb-5c16e091fd2d"),
        ];
        for (guid, text) in known {
            assert_eq!(guid.to_string(), text);
        }
    }
}
