//! kmod's index files (`modules.*.bin`): a trie of keys, each with values in order of priority.
//!
//! Layout (libkmod-index.c's comment, version 2.1; numbers are big-endian): magic `B007F457`, version `00020001`,
//! the root's offset; then each node: its prefix ended by NUL if not empty; the first and the last byte of its
//! children and an offset for each byte between, 0 where there is none; the number of values, each a priority and
//! a text ended by NUL. An offset's top bits tell which of the three its node has.

use std::collections::BTreeMap;

const MAGIC: u32 = 0xB007_F457;
const VERSION: u32 = 0x0002_0001;
const PREFIX: u32 = 0x8000_0000;
const VALUES: u32 = 0x4000_0000;
const CHILDREN: u32 = 0x2000_0000;

/// Keys with their values.
#[derive(Debug, Default)]
pub(super) struct Index(BTreeMap<String, Vec<(u32, String)>>);

type Entry<'a> = (&'a [u8], &'a [(u32, String)]);

impl Index {
    /// Adds a value. Among equal priorities the last one added comes first, as kmod does.
    pub(super) fn insert(&mut self, key: &str, value: &str, priority: u32) {
        let values = self.0.entry(key.to_owned()).or_default();
        let at = values.partition_point(|(other, _)| *other < priority);
        values.insert(at, (priority, value.to_owned()));
    }

    /// The file.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let entries: Vec<Entry> =
            self.0.iter().map(|(key, values)| (key.as_bytes(), values.as_slice())).collect();
        let mut out = Vec::new();
        for word in [MAGIC, VERSION, 0] {
            out.extend_from_slice(&word.to_be_bytes());
        }
        let root = write(&mut out, &entries, 0, 0);
        out[8..12].copy_from_slice(&root.to_be_bytes());
        out
    }
}

/// Writes the node of `entries`, whose keys agree up to `depth` + `prefix`, and what is below it; gives its
/// offset with flags. The entries are in order of their keys.
fn write(out: &mut Vec<u8>, entries: &[Entry], depth: usize, prefix: usize) -> u32 {
    // Offsets have 28 bits; the largest index of a Debian kernel has 1.4 MB.
    let mut offset = u32::try_from(out.len()).unwrap_or(u32::MAX) & 0x0FFF_FFFF;
    let depth_after = depth + prefix;
    if let (Some((key, _)), true) = (entries.first(), prefix > 0) {
        offset |= PREFIX;
        out.extend_from_slice(&key[depth..depth_after]);
        out.push(0);
    }
    let (own, below) = match entries {
        [(key, values), below @ ..] if key.len() == depth_after => (*values, below),
        _ => (&[][..], entries),
    };
    let byte = |entry: &Entry| entry.0[depth_after];
    let mut slots = None;
    if let [first, .., last] | [first @ last] = below {
        let (first, last) = (byte(first), byte(last));
        offset |= CHILDREN;
        out.extend_from_slice(&[first, last]);
        slots = Some((out.len(), first));
        out.resize(out.len() + 4 * (usize::from(last - first) + 1), 0);
    }
    if !own.is_empty() {
        offset |= VALUES;
        out.extend_from_slice(&word(own.len()));
        for (priority, value) in own {
            out.extend_from_slice(&priority.to_be_bytes());
            out.extend_from_slice(value.as_bytes());
            out.push(0);
        }
    }
    if let Some((slots, first)) = slots {
        for group in below.chunk_by(|a, b| byte(a) == byte(b)) {
            let slot = slots + 4 * usize::from(byte(&group[0]) - first);
            let child = write(out, group, depth_after + 1, common(group, depth_after + 1));
            out[slot..slot + 4].copy_from_slice(&child.to_be_bytes());
        }
    }
    offset
}

fn word(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()
}

/// How many bytes after `depth` all keys share: as they are in order, what the first and the last do.
fn common(entries: &[Entry], depth: usize) -> usize {
    let [first, .., last] = entries else { return entries.first().map_or(0, |(key, _)| key.len() - depth) };
    first.0[depth..].iter().zip(&last.0[depth..]).take_while(|(a, b)| a == b).count()
}
