//! `/usr/lib/udev/hwdb.bin`: the hardware database that udev reads, a trie over the patterns of all `*.hwdb`.
//!
//! Format 2 of systemd's hwdb (`src/libsystemd/sd-hwdb/hwdb-internal.h` of systemd 257), all numbers little
//! endian: header (80 bytes) · nodes, children before their parents · strings, each ended by a zero byte. A
//! node is: offset of its prefix (8), number of children (1), padding (7), number of values (8), then per child
//! its letter (1), padding (7) and offset (8), then per value the offsets of key, value and file name (8 each),
//! line (4), file's number (2), padding (2).

use super::{EffectError, Hand};
use crate::{Contents, Tree};
use std::collections::BTreeMap;

const DIRECTORIES: &[&str] = &["/etc/udev/hwdb.d", "/usr/lib/udev/hwdb.d"];
const HEADER: u64 = 80;
/// Version of the tool in the header: the systemd whose format this is.
const VERSION: u64 = 257;

/// Compiles the database, when a profile has not dropped its sources.
///
/// # Errors
/// When a source cannot be read or is malformed.
pub fn apply(tree: &mut Tree, contents: &dyn Contents) -> Result<(), EffectError> {
    let mut hand = Hand::new(tree, contents, "hwdb");
    let files = hand.drop_ins(DIRECTORIES, ".hwdb")?;
    if files.is_empty() {
        return Ok(());
    }
    let mut root = Node::default();
    for (number, (path, text)) in (1..).zip(&files) {
        read(&mut root, number, &path.to_string(), text).map_err(|(line, why)| EffectError::Line {
            path: path.clone(),
            line,
            why,
        })?;
    }
    hand.write("/usr/lib/udev/hwdb.bin", write(&root), 0o644)
}

#[derive(Default)]
struct Node {
    prefix: Vec<u8>,
    children: BTreeMap<u8, Node>,
    values: BTreeMap<String, Value>,
}

struct Value {
    text: String,
    file: String,
    line: u32,
    number: u16,
}

/// Reads one source: patterns, then indented `KEY=value` lines, records parted by empty lines.
fn read(root: &mut Node, number: u16, file: &str, text: &str) -> Result<(), (usize, String)> {
    let mut patterns: Vec<&str> = Vec::new();
    let mut filled = false;
    for (line, content) in (1..).zip(text.lines()) {
        let content = content.split('#').next().unwrap_or_default().trim_end();
        if content.is_empty() {
            // A comment within a record does not end it, an empty line does.
            if !text_is_comment(text, line) {
                patterns.clear();
                filled = false;
            }
        } else if content.starts_with(' ') {
            let property = content.trim_start().split_once('=').filter(|_| !patterns.is_empty());
            let (key, value) = property.ok_or_else(|| {
                (line, format!("`{content}` is no property of a record: expected ` KEY=value`"))
            })?;
            filled = true;
            for pattern in &patterns {
                let value = Value {
                    text: value.to_owned(),
                    file: file.to_owned(),
                    line: u32::try_from(line).unwrap_or(u32::MAX),
                    number,
                };
                // Keys keep one space before them: udev skips others, which are for another use.
                root.insert(pattern.as_bytes()).values.insert(format!(" {key}"), value);
            }
        } else {
            if filled {
                patterns.clear();
                filled = false;
            }
            patterns.push(content);
        }
    }
    Ok(())
}

fn text_is_comment(text: &str, line: usize) -> bool {
    text.lines().nth(line - 1).is_some_and(|line| line.trim_start().starts_with('#'))
}

impl Node {
    /// The node at `key`, made when it is not there; a prefix that is shared in part is split.
    fn insert(&mut self, key: &[u8]) -> &mut Self {
        let common = self.prefix.iter().zip(key).take_while(|(a, b)| a == b).count();
        if common < self.prefix.len() {
            let mut tail = Self { prefix: self.prefix[common + 1..].to_vec(), ..Self::default() };
            let letter = self.prefix[common];
            self.prefix.truncate(common);
            std::mem::swap(&mut tail.children, &mut self.children);
            std::mem::swap(&mut tail.values, &mut self.values);
            self.children.insert(letter, tail);
        }
        match key[common..] {
            [] => self,
            [letter, ref rest @ ..] => self
                .children
                .entry(letter)
                .or_insert_with(|| Self { prefix: rest.to_vec(), ..Self::default() })
                .insert(rest),
        }
    }

    fn size(&self) -> u64 {
        let own = 24 + 16 * self.children.len() as u64 + 32 * self.values.len() as u64;
        own + self.children.values().map(Self::size).sum::<u64>()
    }
}

#[derive(Default)]
struct Strings {
    bytes: Vec<u8>,
    known: BTreeMap<Vec<u8>, u64>,
}

impl Strings {
    fn offset(&mut self, text: &[u8]) -> u64 {
        if let Some(offset) = self.known.get(text) {
            return *offset;
        }
        let offset = self.bytes.len() as u64;
        self.bytes.extend(text);
        self.bytes.push(0);
        self.known.insert(text.to_vec(), offset);
        offset
    }
}

fn write(root: &Node) -> Vec<u8> {
    let nodes_size = root.size();
    let mut strings = Strings::default();
    let mut nodes = Vec::new();
    let root_offset = store(root, &mut nodes, &mut strings, HEADER + nodes_size);
    let mut file = b"KSLPHHRH".to_vec();
    let size = HEADER + nodes_size + strings.bytes.len() as u64;
    let strings_size = strings.bytes.len() as u64;
    for number in [VERSION, size, HEADER, 24, 16, 32, root_offset, nodes_size, strings_size] {
        file.extend(number.to_le_bytes());
    }
    file.extend(nodes);
    file.extend(strings.bytes);
    file
}

/// Writes `node` behind its children and says where it is in the file.
fn store(node: &Node, nodes: &mut Vec<u8>, strings: &mut Strings, strings_at: u64) -> u64 {
    let mut children = Vec::new();
    for (letter, child) in &node.children {
        children.push((*letter, store(child, nodes, strings, strings_at)));
    }
    let offset = HEADER + nodes.len() as u64;
    nodes.extend((strings_at + strings.offset(&node.prefix)).to_le_bytes());
    // The empty letter is no child, so that there are at most 255.
    nodes.extend((children.len() as u64).to_le_bytes());
    nodes.extend((node.values.len() as u64).to_le_bytes());
    for (letter, at) in children {
        nodes.extend(u64::from(letter).to_le_bytes());
        nodes.extend(at.to_le_bytes());
    }
    for (key, value) in &node.values {
        for text in [key, &value.text, &value.file] {
            nodes.extend((strings_at + strings.offset(text.as_bytes())).to_le_bytes());
        }
        nodes.extend(value.line.to_le_bytes());
        nodes.extend(value.number.to_le_bytes());
        nodes.extend([0; 2]);
    }
    offset
}
