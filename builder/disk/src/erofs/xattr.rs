//! Extended attributes behind an inode: a header of 12 bytes, then entries of name length, prefix number,
//! value length, the name without its prefix, and the value, each entry padded to 4 bytes.

use std::collections::BTreeMap;

use super::Error;
use super::format::{XATTR_ENTRY, XATTR_HEADER, XATTR_PREFIXES};

/// What the kernel takes for one inode: the size is counted in 4 bytes by a 16-bit number.
const TOTAL_MAX: usize = 65_535 * 4;

/// The bytes behind the inode; none where there are no attributes.
pub(super) fn encode(path: &str, xattrs: &BTreeMap<Vec<u8>, Vec<u8>>) -> Result<Vec<u8>, Error> {
    if xattrs.is_empty() {
        return Ok(Vec::new());
    }
    let mut out = vec![0; XATTR_HEADER];
    for (name, value) in xattrs {
        let wrong = |why| Error::Xattr {
            path: path.to_owned(),
            name: String::from_utf8_lossy(name).into_owned(),
            why,
        };
        let (number, rest) = split(name).ok_or_else(|| {
            wrong("EROFS holds user.*, trusted.*, security.* and system.posix_acl_access and _default only")
        })?;
        let name_len = u8::try_from(rest.len()).map_err(|_| wrong("the name is longer than 255 bytes"))?;
        let value_len =
            u16::try_from(value.len()).map_err(|_| wrong("the value is longer than 65535 bytes"))?;
        out.extend([name_len, number]);
        out.extend(value_len.to_le_bytes());
        out.extend_from_slice(rest);
        out.extend_from_slice(value);
        out.resize(out.len().next_multiple_of(XATTR_ENTRY), 0);
        if out.len() > TOTAL_MAX {
            return Err(wrong("the attributes of this inode are larger than 262140 bytes together"));
        }
    }
    Ok(out)
}

/// The count that the inode has of these bytes.
pub(super) fn count(len: usize) -> u16 {
    if len == 0 { 0 } else { (1 + (len - XATTR_HEADER) / 4) as u16 }
}

/// The bytes that an inode's count stands for.
pub(super) fn len(count: u16) -> usize {
    if count == 0 { 0 } else { XATTR_HEADER + (usize::from(count) - 1) * 4 }
}

/// The full names and the values back, or what is wrong.
pub(super) fn decode(bytes: &[u8]) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, &'static str> {
    let mut found = BTreeMap::new();
    let Some((header, mut rest)) = bytes.split_at_checked(XATTR_HEADER) else {
        return Ok(found);
    };
    if header[4] != 0 {
        return Err("shared extended attributes are not read here");
    }
    while let Some((entry, after)) = rest.split_at_checked(XATTR_ENTRY) {
        let (name_len, value_len) =
            (usize::from(entry[0]), usize::from(u16::from_le_bytes([entry[2], entry[3]])));
        let whole = (name_len + value_len).next_multiple_of(XATTR_ENTRY);
        let (Some(body), Some(&(_, prefix))) =
            (after.get(..whole), XATTR_PREFIXES.iter().find(|(number, _)| *number == entry[1]))
        else {
            return Err("an extended attribute that ends outside its inode or has an unknown prefix");
        };
        let name = [prefix, &body[..name_len]].concat();
        found.insert(name, body[name_len..name_len + value_len].to_vec());
        rest = &after[whole..];
    }
    Ok(found)
}

fn split(name: &[u8]) -> Option<(u8, &[u8])> {
    XATTR_PREFIXES.iter().find_map(|(number, prefix)| {
        let rest = name.strip_prefix(*prefix)?;
        // A prefix that ends in a dot needs a name behind it; one that does not is a name by itself.
        (prefix.ends_with(b".") != rest.is_empty()).then_some((*number, rest))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_come_back() {
        let xattrs: BTreeMap<Vec<u8>, Vec<u8>> = [
            (&b"user.a"[..], &b""[..]),
            (b"user.long name", b"value"),
            (b"security.capability", &[1, 0, 0, 2, 0, 4, 0, 0]),
            (b"system.posix_acl_access", b"acl"),
            (b"system.posix_acl_default", b"acl"),
            (b"trusted.overlay.opaque", b"y"),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_vec(), value.to_vec()))
        .collect();
        let bytes = encode("x", &xattrs).unwrap();
        assert_eq!(len(count(bytes.len())), bytes.len());
        assert_eq!(decode(&bytes).unwrap(), xattrs);
        assert_eq!(len(count(0)), 0);
    }

    #[test]
    fn foreign_names_are_refused() {
        for name in ["system.nfs4_acl", "user.", "system.posix_acl_access.x", "plain"] {
            let xattrs = [(name.as_bytes().to_vec(), vec![])].into();
            assert!(encode("x", &xattrs).is_err(), "{name}");
        }
    }
}
