//! Directories: blocks of entries, sorted by the bytes of their names. A block starts with its entries
//! (inode number, offset of the name, type); the names follow, the last one up to the block's end or a zero.

use super::format::{BLOCK, DIRENT};

/// One entry, with the inode number unknown until all inodes have their place.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) name: Vec<u8>,
    pub(super) inode: usize,
    pub(super) file_type: u8,
}

/// How many entries each block takes, and the bytes used in the last one.
pub(super) fn measure(entries: &[Entry]) -> (Vec<usize>, usize) {
    let (mut counts, mut count, mut used) = (Vec::new(), 0, 0);
    for entry in entries {
        let need = DIRENT + entry.name.len();
        if used + need > BLOCK {
            counts.push(count);
            (count, used) = (0, 0);
        }
        count += 1;
        used += need;
    }
    counts.push(count);
    (counts, used)
}

/// The directory's bytes. Blocks are padded with zeros, the last one is not.
pub(super) fn encode(entries: &[Entry], nid: impl Fn(usize) -> u64) -> Vec<u8> {
    let (counts, _) = measure(entries);
    let mut out = Vec::new();
    let mut rest = entries;
    for (at, &count) in counts.iter().enumerate() {
        let (block, after) = rest.split_at(count);
        rest = after;
        let mut name_at = count * DIRENT;
        for entry in block {
            out.extend(nid(entry.inode).to_le_bytes());
            out.extend((name_at as u16).to_le_bytes());
            out.extend([entry.file_type, 0]);
            name_at += entry.name.len();
        }
        for entry in block {
            out.extend_from_slice(&entry.name);
        }
        if at + 1 < counts.len() {
            out.resize((at + 1) * BLOCK, 0);
        }
    }
    out
}

/// An entry as read: name, inode number, type.
pub(super) type Read<'a> = (&'a [u8], u64, u8);

/// The entries of one block, or what is wrong.
pub(super) fn decode(block: &[u8]) -> Result<Vec<Read<'_>>, &'static str> {
    let first = block.get(8..10).map(|b| usize::from(u16::from_le_bytes([b[0], b[1]])));
    let names_at =
        first.filter(|at| *at > 0 && at % DIRENT == 0 && *at <= block.len()).ok_or("first name offset")?;
    let heads: Vec<&[u8]> = block[..names_at].chunks_exact(DIRENT).collect();
    let offset = |head: &[u8]| usize::from(u16::from_le_bytes([head[8], head[9]]));
    let mut found = Vec::with_capacity(heads.len());
    for (at, head) in heads.iter().enumerate() {
        let end = heads.get(at + 1).map_or(block.len(), |next| offset(next));
        let mut name = block.get(offset(head)..end).ok_or("a name outside its block")?;
        if at + 1 == heads.len() {
            name = name.split(|byte| *byte == 0).next().unwrap_or(name);
        }
        if name.is_empty() || name.contains(&0) || name.contains(&b'/') {
            return Err("a name that is empty or has a zero or a slash");
        }
        let nid = head[..8].iter().rev().fold(0_u64, |nid, byte| nid << 8 | u64::from(*byte));
        found.push((name, nid, head[10]));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(count: usize, len: usize) -> Vec<Entry> {
        (0..count)
            .map(|i| Entry { name: format!("{i:0len$}").into_bytes(), inode: i, file_type: 1 })
            .collect()
    }

    #[test]
    fn entries_come_back() {
        for (count, len, blocks) in [(1, 1, 1), (16, 244, 1), (17, 244, 2), (5000, 7, 24), (3, 255, 1)] {
            let entries = entries(count, len);
            assert_eq!(measure(&entries).0.len(), blocks, "{count} names of {len}");
            let bytes = encode(&entries, |inode| inode as u64 + 36);
            let back: Vec<_> = bytes.chunks(BLOCK).flat_map(|block| decode(block).unwrap()).collect();
            assert_eq!(back.len(), count);
            for ((name, nid, _), entry) in back.iter().zip(&entries) {
                assert_eq!((*name, *nid), (&entry.name[..], entry.inode as u64 + 36));
            }
        }
    }

    #[test]
    fn damaged_blocks_are_refused() {
        for block in [&[][..], &[0; 12], &[0xFF; 64], &[0; 4096]] {
            assert!(decode(block).is_err());
        }
    }
}
