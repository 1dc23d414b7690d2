//! How a packed file lies: the list of its extents, small enough for a cache index.
//!
//! Serialised form, version 1: `01`, then LEB128 numbers: size, count of extents, and for each extent
//! its logical length, then `stored length * 2`, or `1` for a plain one.

use super::Error;
use super::format::{BLOCK, blocks};

/// The most bytes of a file that one extent may hold, and so the most that zstd's window needs.
pub const EXTENT_MAX: u32 = 1 << 20;
/// A compressed last extent, or a plain tail, of at most this many bytes goes into the metadata block of its inode.
pub(super) const INLINE_MAX: u32 = 3840;
const VERSION: u8 = 1;
const EXTENTS_MAX: u64 = 1 << 22;

/// One run of a file's bytes, stored independently of all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Bytes of the file; a multiple of 4096 in all extents but the last.
    pub logical_len: u32,
    /// Bytes stored.
    pub stored_len: u32,
    /// Stored as it is, not compressed.
    pub plain: bool,
}

/// How a packed file lies.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Shape {
    pub(super) size: u64,
    pub(super) extents: Vec<Extent>,
}

impl Shape {
    /// Checks the extents and makes a shape of them.
    pub fn new(extents: Vec<Extent>) -> Result<Self, Error> {
        let wrong = |why| Err(Error::Shape { why });
        let mut size = 0_u64;
        for (at, extent) in extents.iter().enumerate() {
            let last = at + 1 == extents.len();
            let Extent { logical_len, stored_len, plain } = *extent;
            if logical_len == 0 || logical_len > EXTENT_MAX {
                return wrong(format!("extent {at} has {logical_len} bytes, must be 1 to {EXTENT_MAX}"));
            }
            if !last && !(logical_len as usize).is_multiple_of(BLOCK) {
                return wrong(format!(
                    "extent {at} has {logical_len} bytes, only the last may end inside a block"
                ));
            }
            if plain && stored_len != logical_len {
                return wrong(format!("plain extent {at} stores {stored_len} bytes for {logical_len}"));
            }
            let inline = last && stored_len <= INLINE_MAX;
            let saves = blocks(stored_len.into()) < blocks(logical_len.into());
            if !plain && (stored_len == 0 || stored_len >= logical_len || !(saves || inline)) {
                return wrong(format!("compressed extent {at} stores {stored_len} bytes for {logical_len}"));
            }
            size += u64::from(logical_len);
        }
        Ok(Self { size, extents })
    }

    /// The file's size, bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The extents, in the order of the file.
    pub fn extents(&self) -> &[Extent] {
        &self.extents
    }

    /// Bytes that the body has.
    pub fn stored_len(&self) -> u64 {
        self.extents.iter().map(|extent| u64::from(extent.stored_len)).sum()
    }

    /// Whether nothing in it is compressed.
    pub fn is_plain(&self) -> bool {
        self.extents.iter().all(|extent| extent.plain)
    }

    /// The serialised form. The same shape always gives the same bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        put(&mut out, self.size);
        put(&mut out, self.extents.len() as u64);
        for extent in &self.extents {
            put(&mut out, extent.logical_len.into());
            put(&mut out, if extent.plain { 1 } else { u64::from(extent.stored_len) * 2 });
        }
        out
    }

    /// Reads the serialised form and checks it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let wrong = |why: &str| Error::Shape { why: why.to_owned() };
        let Some((&version, mut rest)) = bytes.split_first() else {
            return Err(wrong("the serialised form is empty"));
        };
        if version != VERSION {
            return Err(Error::Shape { why: format!("version {version}, this program reads {VERSION}") });
        }
        let short = || wrong("the serialised form ends early or has a number that is too large");
        let size = take(&mut rest).ok_or_else(short)?;
        let count = take(&mut rest).ok_or_else(short)?;
        if count > EXTENTS_MAX || count > rest.len() as u64 {
            return Err(Error::Shape { why: format!("{count} extents in {} bytes", rest.len()) });
        }
        let mut extents = Vec::new();
        for _ in 0..count {
            let logical_len = take(&mut rest).and_then(|n| u32::try_from(n).ok()).ok_or_else(short)?;
            let code = take(&mut rest).and_then(|n| u32::try_from(n).ok()).ok_or_else(short)?;
            let extent = match code {
                1 => Extent { logical_len, stored_len: logical_len, plain: true },
                code if code % 2 == 0 => Extent { logical_len, stored_len: code / 2, plain: false },
                _ => return Err(wrong("an odd stored length")),
            };
            extents.push(extent);
        }
        if !rest.is_empty() {
            return Err(wrong("bytes after the end of the serialised form"));
        }
        let shape = Self::new(extents)?;
        if shape.size != size {
            return Err(Error::Shape { why: format!("size {size}, but the extents hold {}", shape.size) });
        }
        Ok(shape)
    }
}

fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(0x80 | (value & 0x7F) as u8);
        value >>= 7;
    }
    out.push(value as u8);
}

fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..63).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent(logical_len: u32, stored_len: u32) -> Extent {
        Extent { logical_len, stored_len, plain: logical_len == stored_len }
    }

    #[test]
    fn serialised_form_comes_back() {
        for extents in [
            vec![],
            vec![extent(1, 1)],
            vec![extent(131_072, 40_000), extent(131_072, 131_072), extent(77, 77)],
            vec![extent(4000, 300)],
            vec![extent(1 << 20, 1 << 19)],
        ] {
            let shape = Shape::new(extents).unwrap();
            assert_eq!(Shape::from_bytes(&shape.to_bytes()).unwrap(), shape);
        }
    }

    #[test]
    fn contradictions_are_refused() {
        for (extents, why) in [
            (vec![extent(0, 0)], "has 0 bytes"),
            (vec![extent(100, 50), extent(4096, 4096)], "only the last"),
            (vec![Extent { logical_len: 4096, stored_len: 4000, plain: true }], "plain extent 0 stores 4000"),
            (vec![extent(4096, 3841)], "compressed extent 0 stores 3841"),
            (vec![extent(4096, 300), extent(4096, 4096)], "compressed extent 0 stores 300"),
            (vec![extent(2 << 20, 4096)], "must be 1 to 1048576"),
        ] {
            let got = Shape::new(extents).unwrap_err().to_string();
            assert!(got.contains(why), "{got}");
        }
        for bytes in
            [&[][..], &[2], &[1], &[1, 0], &[1, 0, 200], &[1, 5, 1, 4, 1], &[1, 4, 1, 4, 3], &[1, 0, 0, 0]]
        {
            assert!(Shape::from_bytes(bytes).is_err(), "{bytes:?}");
        }
    }
}
