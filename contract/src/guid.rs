//! GUIDs that are derived, never drawn.

use crate::Digest;
use std::fmt;

/// A GUID in the byte order of its text form (RFC 9562, section 4); GPT stores the first three groups swapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Guid(pub [u8; 16]);

impl Guid {
    /// A version 8 GUID from the digest of an image's content id and a purpose such as `"disk"`.
    #[must_use]
    pub fn derive(content_id: &Digest, purpose: &str) -> Self {
        let digest = Digest::of_fields([&content_id.0[..], purpose.as_bytes()]);
        let mut bytes = Self::from_half(&digest, 0).0;
        bytes[6] = bytes[6] & 0x0f | 0x80;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Self(bytes)
    }

    /// The first (`0`) or second (`1`) 128 bits of a verity root hash, as they are: how the Discoverable
    /// Partitions Specification names a root partition and its verity partition.
    #[must_use]
    pub fn from_half(digest: &Digest, half: usize) -> Self {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest.0[half * 16..][..16]);
        Self(bytes)
    }

    /// The bytes as GPT and EFI store them: the first three groups little endian.
    #[must_use]
    pub const fn to_mixed_endian(self) -> [u8; 16] {
        let b = self.0;
        [b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]]
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = hex::encode(self.0);
        let (a, b, c, d, e) = (&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]);
        write!(f, "{a}-{b}-{c}-{d}-{e}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_ids_differ_by_purpose_and_say_that_they_are_custom() {
        let id = Digest::of(b"content");
        assert_ne!(Guid::derive(&id, "disk"), Guid::derive(&id, "esp"));
        let text = Guid::derive(&id, "disk").to_string();
        assert_eq!(text.as_bytes()[14], b'8', "{text}");
    }

    #[test]
    fn gpt_order_swaps_the_first_three_groups() {
        let guid = Guid([
            0xc1, 0x2a, 0x73, 0x28, 0xf8, 0x1f, 0x11, 0xd2, 0xba, 0x4b, 0, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b,
        ]);
        assert_eq!(guid.to_string(), "c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
        assert_eq!(guid.to_mixed_endian()[..8], [0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11]);
    }
}
