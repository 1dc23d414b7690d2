//! The header: what the bundle is, for whom, and the digests from which everything in it is believed.

use super::BundleError;
use crate::{Arch, Digest, Epoch, verity::BLOCK};
use serde::{Deserialize, Serialize};

/// What every header begins with: a signature over anything else is none over a header.
pub const SCHEMA: &str = "hcimage-bundle-1";
/// The one division of a disk that exists: A/B on GPT, kernel images on a shared boot partition.
pub const LAYOUT: &str = "ab-1";
/// The largest header that is read, bytes.
pub const HEADER_MAX: usize = 64 << 10;
/// The most blocks of a part: 8 GiB, whose tree takes 65 MiB.
const BLOCKS_MAX: u64 = 2 << 20;

/// The signed statement at the front of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// [`SCHEMA`].
    pub schema: String,
    /// The profile's name.
    pub product: String,
    /// The architecture.
    pub arch: Arch,
    /// The boards that it is for.
    pub boards: Vec<String>,
    /// How the disk must be divided: [`LAYOUT`].
    pub layout: String,
    /// The image's version, for people.
    pub version: String,
    /// The build's one moment.
    pub epoch: Epoch,
    /// Digest of everything that the image holds.
    pub content_id: Digest,
    /// The release's number: a higher one is newer.
    pub sequence: u64,
    /// The lowest sequence that may follow once this release is committed.
    pub floor: u64,
    /// The version of the trust whose keys sign it.
    pub trust: u32,
    /// SHA-256 of the chain in this bundle.
    pub chain: Digest,
    /// The root file system.
    pub root: Part,
    /// The unified kernel image.
    pub uki: Uki,
    /// The frame table.
    pub frames: FrameTable,
    /// The version of k3s in it, if it has one.
    pub k3s: Option<String>,
    /// Inputs that are not what the lock would fetch: see [`crate::Release::lab`].
    pub lab: Vec<String>,
}

/// The root file system and its dm-verity tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Size in bytes: whole blocks.
    pub size: u64,
    /// Blocks of 4096 bytes.
    pub data_blocks: u64,
    /// The root hash which the kernel's command line names.
    pub root_hash: Digest,
    /// The salt of both trees.
    pub salt: Digest,
    /// The UUID of the superblock, 32 hexadecimal digits.
    pub uuid: String,
}

/// The kernel image, and a tree of the same kind over it; its last block counts as filled with zeros.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Uki {
    /// Size in bytes.
    pub size: u64,
    /// Blocks of 4096 bytes, the last one perhaps not whole.
    pub data_blocks: u64,
    /// The tree's root hash.
    pub root_hash: Digest,
}

/// Where the blocks are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrameTable {
    /// Number of frames.
    pub count: u32,
    /// SHA-256 of the table.
    pub sha256: Digest,
    /// Bytes of all frames as they are stored.
    pub stored: u64,
}

impl Header {
    /// Reads and checks a header.
    ///
    /// # Errors
    /// When it is malformed, of another schema, or its fields contradict each other.
    pub fn parse(json: &[u8]) -> Result<Self, BundleError> {
        let malformed = |wrong: String| BundleError::Malformed { what: "header", wrong };
        if json.len() > HEADER_MAX {
            let expected = format!("at most {HEADER_MAX}");
            return Err(BundleError::Bounds { field: "header", found: json.len() as u64, expected });
        }
        let header: Self = serde_json::from_slice(json).map_err(|error| malformed(error.to_string()))?;
        header.checked()?;
        Ok(header)
    }

    /// The bytes that are signed: JSON without spaces and a final newline.
    ///
    /// # Panics
    /// Never: a header is plain data.
    #[must_use]
    pub fn render(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec(self).expect("a header is plain data");
        json.push(b'\n');
        json
    }

    /// The superblock's UUID as bytes.
    ///
    /// # Errors
    /// When the header's is not one.
    pub fn uuid(&self) -> Result<[u8; 16], BundleError> {
        let mut bytes = [0; 16];
        hex::decode_to_slice(&self.root.uuid, &mut bytes).map_err(|_| BundleError::Header {
            field: "root.uuid",
            found: format!("`{}`", self.root.uuid),
            expected: "32 hexadecimal digits".to_owned(),
        })?;
        Ok(bytes)
    }

    /// Checks that its fields do not contradict each other, or leave their bounds.
    ///
    /// # Errors
    /// When one does; the message names it.
    pub fn checked(&self) -> Result<(), BundleError> {
        let wrong = |field, found: String, expected: String| BundleError::Header { field, found, expected };
        let require = |holds: bool, field, found: String, expected: String| {
            if holds { Ok(()) } else { Err(wrong(field, found, expected)) }
        };
        let quoted = |text: &str| format!("`{text}`");
        require(self.schema == SCHEMA, "schema", quoted(&self.schema), quoted(SCHEMA))?;
        require(self.layout == LAYOUT, "layout", quoted(&self.layout), quoted(LAYOUT))?;
        require(!self.boards.is_empty(), "boards", "none".to_owned(), "one at least".to_owned())?;
        let floor = format!("at most the sequence, {}", self.sequence);
        require(self.floor <= self.sequence, "floor", self.floor.to_string(), floor)?;
        self.uuid()?;
        let Part { size, data_blocks, .. } = &self.root;
        let blocks = |size: u64| size.div_ceil(BLOCK as u64);
        let whole = size.is_multiple_of(BLOCK as u64);
        require(whole, "root.size", size.to_string(), "whole blocks of 4096 bytes".to_owned())?;
        for (field, size, count) in [
            ("root.data_blocks", *size, *data_blocks),
            ("uki.data_blocks", self.uki.size, self.uki.data_blocks),
        ] {
            let expected = format!("{}, as {size} bytes have", blocks(size));
            require(count == blocks(size), field, count.to_string(), expected)?;
            let bounds = format!("1 to {BLOCKS_MAX}");
            require((1..=BLOCKS_MAX).contains(&count), field, count.to_string(), bounds)?;
        }
        let FrameTable { count, stored, .. } = &self.frames;
        let all = data_blocks + self.uki.data_blocks;
        let frames = format!("2 to {all}, a frame for each block at most");
        require((2..=all).contains(&u64::from(*count)), "frames.count", count.to_string(), frames)?;
        let bytes = all * BLOCK as u64;
        let most = format!("1 to {bytes}, the bytes of all blocks");
        require((1..=bytes).contains(stored), "frames.stored", stored.to_string(), most)
    }
}
