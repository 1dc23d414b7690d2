//! The release manifest, `release.json`: every part of one image by digest. What the builder writes, `verify`
//! checks and the node's updater will believe once its signature holds.

use crate::{Arch, Digest, Epoch};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

/// The version of the manifest's schema that this code writes and reads.
pub const SCHEMA: u32 = 1;

/// One build's manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The profile's name, such as `nas`.
    pub profile: String,
    /// The target architecture.
    pub arch: Arch,
    /// The board, such as `uefi`.
    pub board: String,
    /// The image's version: the epoch as a date and time, so that versions sort by age, then the first digits of
    /// a digest of everything that was put in.
    pub version: String,
    /// The build's one moment: the newest package date of the lock.
    pub epoch: Epoch,
    /// Digest of everything the image holds; ids, salts and GUIDs are derived from it.
    pub content_id: Digest,
    /// Digest of the lock file.
    pub lock: Digest,
    /// The builder.
    pub tool: Tool,
    /// The node's own binaries, by name.
    pub node: BTreeMap<String, NodeBinary>,
    /// Files that are no Debian packages, by name. Manifests older than the key have none.
    #[serde(default)]
    pub artifacts: BTreeMap<String, Artifact>,
    /// The whole disk image.
    pub disk: Extent,
    /// The disk's parts in order of their offsets.
    pub parts: Vec<Part>,
    /// The root file system's dm-verity tree.
    pub verity: Verity,
    /// The kernel's release and command line.
    pub kernel: Kernel,
    /// Every port that may listen on an address other than loopback, such as `tcp/22`.
    pub ports: Vec<String>,
    /// Inputs that are not what the lock would fetch, such as `ssh-key`: a release key refuses these.
    pub lab: Vec<String>,
    /// What its updates say of it. Manifests older than the key have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update: Option<Update>,
}

/// The builder of a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// Version of `hcimage`.
    pub version: String,
    /// Digest of the executable.
    pub sha256: Digest,
}

/// A binary of ours which the image runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeBinary {
    /// Digest of the file.
    pub sha256: Digest,
    /// Size in bytes.
    pub size: u64,
    /// What compiled it, as `rustc --version` says, or `given` for `--node-bin`.
    pub compiler: String,
    /// The compiler's target, or `given`.
    pub target: String,
}

/// A file of the image that no Debian package ships, pinned by hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Artifact {
    /// Its version, such as `v1.34.3+k3s1`.
    pub version: String,
    /// Digest of the file: the pinned one, unless it was substituted.
    pub sha256: Digest,
    /// Size in bytes; unknown of a deferred one, which no builder has seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// How it came into the image, or did not.
    pub how: How,
}

/// How an artifact came into an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum How {
    /// Fetched from where it is published; its bytes are the pinned ones.
    Pinned,
    /// Given to the builder as a file; its bytes are the pinned ones.
    Given,
    /// Not in the image: the node fetches it, and believes the pinned bytes alone.
    Deferred,
    /// Another file in its place, for labs: a release key refuses it.
    Substituted,
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pinned => "pinned",
            Self::Given => "given",
            Self::Deferred => "deferred",
            Self::Substituted => "substituted",
        })
    }
}

/// Size and digest of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Extent {
    /// Size in bytes.
    pub size: u64,
    /// SHA-256 of the bytes.
    pub sha256: Digest,
}

/// One part of the disk: what a partition holds up to where its zeros begin, or one of the two tables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// The partition's label, such as `root-a`, or `table` and `table-backup`.
    pub name: String,
    /// Offset from the start of the disk in bytes.
    pub offset: u64,
    /// Size in bytes.
    pub size: u64,
    /// SHA-256 of the bytes.
    pub sha256: Digest,
}

/// The parameters of the root's dm-verity tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verity {
    /// The root hash which the kernel's command line names.
    pub root_hash: Digest,
    /// The salt.
    pub salt: Digest,
    /// Number of 4 KiB data blocks.
    pub data_blocks: u64,
}

/// What is booted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kernel {
    /// The kernel's release, as `uname -r` prints it.
    pub release: String,
    /// Its command line.
    pub cmdline: String,
}

/// A release's place in the order of releases, and whose signatures its updates must have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Update {
    /// The release's number: a higher one is newer.
    pub sequence: u64,
    /// The lowest sequence that may follow it.
    pub floor: u64,
    /// SHA-256 of `trust.json` beside the manifest, if nodes believe anybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<Digest>,
}

/// A manifest that cannot be believed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReleaseError {
    /// No manifest at all, or one with a key that this version does not know.
    #[error("release manifest: {0}")]
    Malformed(#[from] serde_json::Error),
    /// A manifest of another schema.
    #[error("release manifest has schema {found}, this program reads {SCHEMA}")]
    Schema {
        /// What the manifest says.
        found: u32,
    },
    /// A part lies outside the disk, or two parts overlap.
    #[error(
        "release manifest: part `{name}` (offset {offset}, size {size}) does not fit its disk of {disk} bytes"
    )]
    Misplaced {
        /// The part.
        name: String,
        /// Its offset.
        offset: u64,
        /// Its size.
        size: u64,
        /// The disk's size.
        disk: u64,
    },
}

impl Release {
    /// Parses and checks a manifest.
    ///
    /// # Errors
    /// When it is malformed, of another schema, or its parts overlap or leave the disk.
    pub fn parse(json: &[u8]) -> Result<Self, ReleaseError> {
        #[derive(Deserialize)]
        struct Head {
            schema: u32,
        }
        let Head { schema } = serde_json::from_slice(json)?;
        if schema != SCHEMA {
            return Err(ReleaseError::Schema { found: schema });
        }
        let release: Self = serde_json::from_slice(json)?;
        let mut end = 0;
        for Part { name, offset, size, .. } in &release.parts {
            let next = offset.checked_add(*size).filter(|next| *offset >= end && *next <= release.disk.size);
            let misplaced = || ReleaseError::Misplaced {
                name: name.clone(),
                offset: *offset,
                size: *size,
                disk: release.disk.size,
            };
            end = next.ok_or_else(misplaced)?;
        }
        Ok(release)
    }

    /// The manifest's bytes: indented JSON with keys in a fixed order and a final newline.
    ///
    /// # Panics
    /// Never: a manifest holds nothing that JSON cannot say.
    #[must_use]
    pub fn render(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec_pretty(self).expect("a manifest is plain data");
        json.push(b'\n');
        json
    }

    /// The part with this name.
    #[must_use]
    pub fn part(&self, name: &str) -> Option<&Part> {
        self.parts.iter().find(|part| part.name == name)
    }
}
