//! `tmpfiles.d` for the parts of the image that are read-only: what systemd-tmpfiles could not make at boot.
//! Lines about `/run`, `/tmp`, `/dev`, `/proc`, `/sys` and `/var` are left to it. Format: tmpfiles.d(5) of
//! systemd 257.

use super::{EffectError, Hand, accounts::Ids, sysusers::fields};
use crate::{Content, Contents, ImagePath, Node, Tree, TreeError};

const DIRECTORIES: &[&str] = &["/etc/tmpfiles.d", "/usr/lib/tmpfiles.d"];
/// Made at every boot, by systemd-tmpfiles itself.
const AT_RUN_TIME: &[&str] = &["run", "tmp", "dev", "proc", "sys", "var", "state"];

struct Line {
    kind: char,
    /// `+`, `!`, `-`, `=`, `^`, `?` and such behind the kind.
    modifiers: String,
    path: ImagePath,
    mode: Option<u16>,
    owner: Option<String>,
    group: Option<String>,
    argument: Option<String>,
    by: String,
}

/// Does what the lines say, in the order of systemd-tmpfiles: by file, then by line.
///
/// # Errors
/// When a line is not understood or does not fit the tree.
pub fn apply(tree: &mut Tree, contents: &dyn Contents, ids: &Ids) -> Result<(), EffectError> {
    let mut hand = Hand::new(tree, contents, "tmpfiles");
    let mut lines = Vec::new();
    for (path, text) in hand.drop_ins(DIRECTORIES, ".conf")? {
        for (number, line) in text.lines().enumerate() {
            let refused = |why| EffectError::Line { path: path.clone(), line: number + 1, why };
            lines.extend(parse(line, &path).map_err(refused)?);
        }
    }
    for line in &lines {
        act(&mut hand, line, ids)?;
    }
    Ok(())
}

/// A line about the read-only parts; `None` for another one.
fn parse(line: &str, file: &ImagePath) -> Result<Option<Line>, String> {
    let fields = fields(line);
    let [kind, path, ..] = &fields[..] else {
        return if fields.is_empty() { Ok(None) } else { Err("a path is missing".to_owned()) };
    };
    let first = path.split('/').find(|name| !name.is_empty()).unwrap_or_default();
    // `^` takes its text from a credential of the machine.
    if AT_RUN_TIME.contains(&first) || kind.contains('^') {
        return Ok(None);
    }
    if path.contains('%') {
        return Err(format!("`{path}` depends on the machine, and an image has none yet"));
    }
    let mut letters = kind.chars();
    let field = |at: usize| fields.get(at).filter(|text| *text != "-").cloned();
    // `:` says "only when it is made", `~` "no more than it had".
    let plain = |text: String| text.trim_start_matches([':', '~']).to_owned();
    let mode = match field(2).map(plain) {
        Some(text) => Some(u16::from_str_radix(&text, 8).map_err(|_| format!("`{text}` is no mode"))?),
        None => None,
    };
    let argument = fields.iter().skip(6).cloned().collect::<Vec<_>>().join(" ");
    Ok(Some(Line {
        kind: letters.next().unwrap_or(' '),
        modifiers: letters.collect(),
        path: ImagePath::parse(path).map_err(|error| error.to_string())?,
        mode,
        owner: field(3).map(plain),
        group: field(4).map(plain),
        argument: (!argument.is_empty() && argument != "-").then_some(argument),
        by: file.to_string(),
    }))
}

fn act(hand: &mut Hand<'_>, line: &Line, ids: &Ids) -> Result<(), EffectError> {
    let refused = |source| EffectError::Tree { effect: "tmpfiles", source };
    let real = hand.tree.resolve(&line.path, false).map_err(refused)?;
    let there = hand.tree.get(&real).is_some();
    let origin = hand.origin();
    match line.kind {
        'd' | 'D' | 'q' | 'Q' | 'v' => {
            if !there {
                let node = own(Node::directory(0o755, origin), line, ids)?;
                hand.tree.insert(&real, node).map_err(refused)?;
            } else {
                adjust(hand, &real, line, ids)?;
            }
        }
        'e' | 'z' | 'm' if there => adjust(hand, &real, line, ids)?,
        'e' | 'z' | 'm' => {}
        'f' | 'F' if !there || line.modifiers.contains('+') || line.kind == 'F' => {
            let text = line.argument.clone().unwrap_or_default();
            let node = own(Node::file(Content::bytes(text), 0o644, origin), line, ids)?;
            hand.tree.insert(&real, node).map_err(refused)?;
        }
        'f' => {}
        'L' => {
            let factory = format!("/usr/share/factory{}", line.path);
            let target = line.argument.clone().unwrap_or(factory);
            if !there || line.modifiers.contains('+') {
                if there {
                    hand.tree.remove(&real).map_err(refused)?;
                }
                hand.tree.insert(&real, Node::symlink(target, origin)).map_err(refused)?;
            }
        }
        'C' if !there => copy(hand, line, ids)?,
        'C' => {}
        'r' | 'R' if there => hand.tree.remove(&real).map_err(refused)?,
        'r' | 'R' | 'x' | 'X' => {}
        other => {
            let path = ImagePath::parse(&line.by).map_err(|source| refused(TreeError::Path(source)))?;
            let why =
                format!("`{other} {}`: this kind is not known for a read-only part of an image", line.path);
            return Err(EffectError::Line { path, line: 0, why });
        }
    }
    Ok(())
}

fn own(mut node: Node, line: &Line, ids: &Ids) -> Result<Node, EffectError> {
    node.mode = line.mode.unwrap_or(node.mode);
    if let Some(owner) = &line.owner {
        node.uid = ids.user(owner, &line.by)?;
    }
    if let Some(group) = &line.group {
        node.gid = ids.group(group, &line.by)?;
    }
    Ok(node)
}

fn adjust(hand: &mut Hand<'_>, path: &ImagePath, line: &Line, ids: &Ids) -> Result<(), EffectError> {
    let Some(node) = hand.tree.get(path).cloned() else { return Ok(()) };
    let node = own(node, line, ids)?;
    if let Some(old) = hand.tree.get_mut(path) {
        *old = node;
    }
    Ok(())
}

/// Copies a file, or a directory with all that is in it.
fn copy(hand: &mut Hand<'_>, line: &Line, ids: &Ids) -> Result<(), EffectError> {
    let refused = |source| EffectError::Tree { effect: "tmpfiles", source };
    let from = line.argument.clone().unwrap_or_else(|| format!("/usr/share/factory{}", line.path));
    let from = hand.tree.resolve(&hand.path(&from)?, true).map_err(refused)?;
    // As systemd-tmpfiles: a source that is not there is no error.
    let Some(node) = hand.tree.get(&from).cloned() else { return Ok(()) };
    let copied: Vec<(ImagePath, Node)> =
        hand.tree.below(&from).map(|(path, node)| (path.clone(), node.clone())).collect();
    let origin = hand.origin();
    let node = own(Node { origin: origin.clone(), ..node }, line, ids)?;
    hand.tree.insert(&line.path, node).map_err(refused)?;
    for (path, node) in copied {
        let to = line.path.join(&path.as_str()[from.as_str().len()..]);
        let to = to.map_err(|source| refused(TreeError::Path(source)))?;
        hand.tree.insert(&to, Node { origin: origin.clone(), ..node }).map_err(refused)?;
    }
    Ok(())
}
