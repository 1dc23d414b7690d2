//! The checksum of an image, and the digest that its signature is about.

use super::{Image, PeError};
use contract::Digest;
use sha2::{Digest as _, Sha256};

/// The checksum that belongs into the optional header: the ones' complement sum of all 16-bit words but its own,
/// plus the length.
///
/// # Errors
/// Bytes that are no PE32+ image, or of 4 GiB and more.
pub fn checksum(bytes: &[u8]) -> Result<u32, PeError> {
    let image = Image::parse(bytes)?;
    let length = u32::try_from(bytes.len()).map_err(|_| image.malformed("4 GiB", bytes.len()))?;
    let field = image.checksum_field();
    let words = |part: &[u8]| {
        let pairs = part.chunks(2);
        pairs.map(|pair| u64::from(pair[0]) | u64::from(pair.get(1).copied().unwrap_or(0)) << 8).sum::<u64>()
    };
    // The field lies on an even offset in every image that a linker makes; in others the sum is still a function.
    let mut sum = words(&bytes[..field]) + words(&bytes[field + 4..]);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    Ok((sum as u32).wrapping_add(length))
}

/// The SHA-256 digest that an Authenticode signature of this image signs (Microsoft, *Windows Authenticode Portable
/// Executable Signature Format*; UEFI 2.10, section 32.2.4): the headers without the checksum and without the
/// certificate table's entry, the sections in the order of the file, and what follows them but the certificates.
/// The same before and after signing.
///
/// # Errors
/// Bytes that are no PE32+ image, or one whose parts overlap.
pub fn authenticode_digest(bytes: &[u8]) -> Result<Digest, PeError> {
    let image = Image::parse(bytes)?;
    let end = signed_end(&image)?;
    let mut hash = Sha256::new();
    let headers = image.size_of_headers() as usize;
    let (sum, entry) = (image.checksum_field(), image.certificate_entry());
    if headers < entry + 8 || headers > end {
        return Err(image.malformed("headers that end", headers));
    }
    hash.update(&bytes[..sum]);
    hash.update(&bytes[sum + 4..entry]);
    hash.update(&bytes[entry + 8..headers]);
    let mut sections: Vec<_> = image.sections().iter().filter(|section| section.raw_size > 0).collect();
    sections.sort_by_key(|section| section.offset);
    let mut hashed = headers;
    for section in sections {
        let (start, size) = (section.offset as usize, section.raw_size as usize);
        if start < hashed || start + size > end {
            return Err(image.malformed("a section that overlaps", start));
        }
        hash.update(&bytes[start..start + size]);
        hashed = start + size;
    }
    hash.update(&bytes[hashed..end]);
    // A signer fills the image up to where it can put its table.
    hash.update(&[0; 8][..end.next_multiple_of(8) - end]);
    Ok(Digest(hash.finalize().into()))
}

/// Where the certificate table begins, or the end of the bytes. The table must be the last thing.
fn signed_end(image: &Image<'_>) -> Result<usize, PeError> {
    let [offset, size] = image.certificates().map(|value| value as usize);
    match (size, offset.checked_add(size)) {
        (0, _) => Ok(image.bytes.len()),
        (_, Some(end)) if end == image.bytes.len() => Ok(offset),
        _ => Err(image.malformed("a certificate table that is not last", offset)),
    }
}
