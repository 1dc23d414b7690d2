//! A tree as text, for snapshots and comparisons.

use crate::{Kind, Tree};
use std::collections::BTreeMap;

impl Tree {
    /// One line a path, in bytewise order: path, kind (as `ls` shows it), mode, owner, group, time, then size
    /// and digest, target or numbers, extended attributes, the first name of a hard link, and the origin.
    #[must_use]
    pub fn dump(&self) -> String {
        let mut text = String::new();
        let mut first_names = BTreeMap::new();
        for (path, id) in self.paths() {
            let node = self.node(id);
            let (letter, rest) = match &node.kind {
                Kind::Directory => ('d', String::new()),
                Kind::File(content) => ('-', format!(" {} {}", content.size(), content.digest())),
                Kind::Symlink(target) => ('l', format!(" -> {target}")),
                Kind::CharDevice { major, minor } => ('c', format!(" {major}:{minor}")),
                Kind::BlockDevice { major, minor } => ('b', format!(" {major}:{minor}")),
                Kind::Fifo => ('p', String::new()),
            };
            let line =
                format!("{path} {letter} {:04o} {} {} {}{rest}", node.mode, node.uid, node.gid, node.mtime);
            text.push_str(&line);
            for (name, value) in &node.xattrs {
                let value: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
                text.push_str(&format!(" {name}={value}"));
            }
            let first = first_names.entry(id).or_insert(path);
            if *first != path {
                text.push_str(&format!(" = {first}"));
            }
            text.push_str(&format!(" ({})\n", node.origin));
        }
        text
    }
}
