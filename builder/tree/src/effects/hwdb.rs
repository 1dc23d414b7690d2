//! udev's hardware database, `/usr/lib/udev/hwdb.bin`, as `systemd-hwdb update --usr` of systemd 257 makes it from
//! `hwdb.d/*.hwdb`, byte for byte: udev reads nothing else.
//!
//! Layout (little-endian; hwdb-internal.h): a header of 80 bytes, then the nodes of a trie over match patterns, children
//! before their parent, then strings ended by NUL. A node is its prefix's offset, its number of children (1 byte and 7
//! of padding) and of values; then children, each a byte (7 of padding) and an offset, in order of the byte; then
//! values in order of their keys, each the offsets of key, value and file name, a line, the file's place
//! (16 bits) and 2 bytes of padding. A string that ends another one is stored as its tail.

use super::{EffectError, Hand};
use crate::{Contents, ImagePath, Tree};
use std::cmp::Ordering;

/// A file in /etc hides one of the same name in /usr.
const DIRECTORIES: &[&str] = &["/etc/udev/hwdb.d", "/usr/lib/udev/hwdb.d"];
/// The version of systemd that the header names; udev does not look at it.
const SYSTEMD: u64 = 257;
const HEADER: usize = 80;
const NODE: usize = 24;
const CHILD: usize = 16;
const VALUE: usize = 32;

/// Writes the database, unless a profile has dropped all its sources.
///
/// # Errors
/// When a source cannot be read or understood.
pub fn apply(tree: &mut Tree, contents: &dyn Contents) -> Result<(), EffectError> {
    let mut hand = Hand::new(tree, contents, "hwdb");
    let files = hand.drop_ins(DIRECTORIES, ".hwdb")?;
    if files.is_empty() {
        return Ok(());
    }
    hand.write("/usr/lib/udev/hwdb.bin", database(&files)?, 0o444)
}

/// The database from sources, each its path and its text, in the order of their names.
///
/// # Errors
/// When a line cannot be understood. systemd-hwdb warns and passes over it.
pub fn database(files: &[(ImagePath, String)]) -> Result<Vec<u8>, EffectError> {
    let mut trie = Trie::new();
    for (place, (path, text)) in (1..).zip(files) {
        import(&mut trie, path, place, text)?;
    }
    Ok(trie.to_bytes())
}

fn import(trie: &mut Trie, path: &ImagePath, place: u16, text: &str) -> Result<(), EffectError> {
    let file = path.to_string();
    let mut matches: Vec<&[u8]> = Vec::new();
    let mut in_properties = false;
    let mut end = (1, "");
    let wrong = |line: u32, why: &str, raw: &str| {
        let why = if raw.is_empty() { why.to_owned() } else { format!("{why}: `{raw}`") };
        Err(EffectError::Line { path: path.clone(), line: line as usize, why })
    };
    for (number, raw) in (1..).zip(text.split('\n')) {
        end = (number, raw);
        if raw.starts_with('#') {
            continue;
        }
        let line = raw.as_bytes().split(|byte| *byte == b'#').next().unwrap_or_default().trim_ascii_end();
        match (line.first(), in_properties) {
            (None, false) if !matches.is_empty() => return wrong(number, "a property is expected", raw),
            (None, _) => {
                matches.clear();
                in_properties = false;
            }
            (Some(b' '), _) if matches.is_empty() => return wrong(number, "a match is expected", raw),
            (Some(b' '), _) => {
                in_properties = true;
                let Some((key, value)) = property(line) else {
                    return wrong(number, "` KEY=value` is expected", raw);
                };
                let origin = From { file: &file, place, line: number };
                matches.iter().for_each(|pattern| trie.insert(pattern, key, value, &origin));
            }
            (Some(_), true) => return wrong(number, "a property or an empty line is expected", raw),
            (Some(_), false) => matches.push(line),
        }
    }
    if !matches.is_empty() && !in_properties {
        return wrong(end.0, "a property is expected", end.1);
    }
    Ok(())
}

/// Key with one leading blank, as the format has it, and value.
fn property(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let equals = line.iter().position(|byte| *byte == b'=')?;
    let (mut key, value) = (&line[..equals], &line[equals + 1..]);
    while let [b' ' | b'\t', b' ' | b'\t', ..] = key {
        key = &key[1..];
    }
    (key.len() > 1).then_some((key, value))
}

/// Where a property stands.
struct From<'a> {
    file: &'a str,
    place: u16,
    line: u32,
}

#[derive(Default)]
struct Branch {
    /// Where its prefix begins among the strings; it ends with NUL.
    prefix: usize,
    children: Vec<(u8, usize)>,
    values: Vec<Value>,
}

struct Value {
    key: usize,
    value: usize,
    file: usize,
    line: u32,
    place: u16,
}

struct Trie {
    /// The first is the root.
    nodes: Vec<Branch>,
    strings: Strings,
}

impl Trie {
    fn new() -> Self {
        Self { nodes: vec![Branch::default()], strings: Strings::new() }
    }

    fn insert(&mut self, pattern: &[u8], key: &[u8], value: &[u8], origin: &From) {
        let (mut node, mut rest) = (0, pattern);
        loop {
            let prefix = self.strings.text(self.nodes[node].prefix);
            let kept = prefix.iter().zip(rest).take_while(|(a, b)| a == b).count();
            if let Some(byte) = prefix.get(kept).copied() {
                self.split(node, kept, byte);
            }
            rest = &rest[kept..];
            let Some((byte, below)) = rest.split_first() else {
                return self.set(node, key, value, origin);
            };
            let found = self.nodes[node].children.binary_search_by_key(byte, |(byte, _)| *byte);
            rest = below;
            match found {
                Ok(at) => node = self.nodes[node].children[at].1,
                Err(at) => {
                    let prefix = self.strings.add(below);
                    let child = self.nodes.len();
                    self.nodes.push(Branch { prefix, ..Branch::default() });
                    self.nodes[node].children.insert(at, (*byte, child));
                    return self.set(child, key, value, origin);
                }
            }
        }
    }

    /// Leaves `kept` bytes of the prefix to the node and moves all that it has to a child at `byte`.
    fn split(&mut self, node: usize, kept: usize, byte: u8) {
        let child = self.nodes.len();
        let old = std::mem::take(&mut self.nodes[node]);
        let text = self.strings.text(old.prefix)[..kept].to_vec();
        self.nodes.push(Branch { prefix: old.prefix + kept + 1, ..old });
        self.nodes[node].prefix = self.strings.add(&text);
        self.nodes[node].children.push((byte, child));
    }

    fn set(&mut self, node: usize, key: &[u8], value: &[u8], origin: &From) {
        let strings = &mut self.strings;
        let new = Value {
            key: strings.add(key),
            value: strings.add(value),
            file: strings.add(origin.file.as_bytes()),
            line: origin.line,
            place: origin.place,
        };
        let values = &mut self.nodes[node].values;
        match values.binary_search_by(|other| strings.compare(other.key, new.key)) {
            // A later source, or line, wins.
            Ok(at) => values[at] = new,
            Err(at) => values.insert(at, new),
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let size = |node: &Branch| NODE + CHILD * node.children.len() + VALUE * node.values.len();
        let strings = HEADER + self.nodes.iter().map(size).sum::<usize>();
        let mut out = Vec::with_capacity(strings + self.strings.bytes.len());
        out.resize(HEADER, 0);
        let root = self.store(&mut out, 0, strings);
        out.extend_from_slice(&self.strings.bytes);
        let nodes = strings - HEADER;
        let numbers = [out.len(), HEADER, NODE, CHILD, VALUE, root, nodes, self.strings.bytes.len()];
        let mut header = b"KSLPHHRH".to_vec();
        header.extend_from_slice(&SYSTEMD.to_le_bytes());
        numbers.iter().for_each(|number| word(&mut header, *number));
        out[..HEADER].copy_from_slice(&header);
        out
    }

    /// Writes what is below a node, then the node, and gives its offset.
    fn store(&self, out: &mut Vec<u8>, node: usize, strings: usize) -> usize {
        let node = &self.nodes[node];
        let children: Vec<(u8, usize)> =
            node.children.iter().map(|(byte, child)| (*byte, self.store(out, *child, strings))).collect();
        let offset = out.len();
        word(out, strings + node.prefix);
        // UTF-8 uses less than 255 different bytes, so the count fits its byte.
        word(out, children.len());
        word(out, node.values.len());
        for (byte, child) in children {
            word(out, usize::from(byte));
            word(out, child);
        }
        for value in &node.values {
            [value.key, value.value, value.file].iter().for_each(|at| word(out, strings + at));
            out.extend_from_slice(&value.line.to_le_bytes());
            out.extend_from_slice(&value.place.to_le_bytes());
            out.extend_from_slice(&[0; 2]);
        }
        offset
    }
}

fn word(out: &mut Vec<u8>, number: usize) {
    out.extend_from_slice(&(number as u64).to_le_bytes());
}

/// Strings one after another, each ended by NUL, found again by their tails.
struct Strings {
    bytes: Vec<u8>,
    /// A trie over the strings read backwards; a node stands for the string that made it.
    tails: Vec<Tail>,
}

#[derive(Default)]
struct Tail {
    start: usize,
    length: usize,
    children: Vec<(u8, usize)>,
}

impl Strings {
    fn new() -> Self {
        Self { bytes: vec![0], tails: vec![Tail::default()] }
    }

    fn text(&self, start: usize) -> &[u8] {
        self.bytes[start..].split(|byte| *byte == 0).next().unwrap_or_default()
    }

    fn compare(&self, one: usize, other: usize) -> Ordering {
        self.text(one).cmp(self.text(other))
    }

    /// Where the string is, put there if it was neither there nor a known string's tail.
    fn add(&mut self, text: &[u8]) -> usize {
        if text.is_empty() {
            return 0;
        }
        let mut node = 0;
        for byte in text.iter().rev() {
            let Tail { start, length, ref children } = self.tails[node];
            if length >= text.len() && self.bytes[start..start + length].ends_with(text) {
                return start + length - text.len();
            }
            match children.binary_search_by_key(byte, |(byte, _)| *byte) {
                Ok(at) => node = children[at].1,
                Err(at) => {
                    let (start, tail) = (self.bytes.len(), self.tails.len());
                    self.bytes.extend_from_slice(text);
                    self.bytes.push(0);
                    self.tails.push(Tail { start, length: text.len(), children: Vec::new() });
                    self.tails[node].children.insert(at, (*byte, tail));
                    return start;
                }
            }
        }
        let Tail { start, length, .. } = self.tails[node];
        start + length - text.len()
    }
}
