//! `/etc/shells`: debianutils' list, then what `shells.d` and recipes add, each with its real path, in the
//! way of `update-shells`.

use super::{EffectError, Hand};
use crate::{Contents, ImagePath, Tree};

const TEMPLATE: &str = "/usr/share/debianutils/shells";
const DIRECTORY: &str = "/usr/share/debianutils/shells.d";

/// Writes the file, when debianutils is in the image.
///
/// # Errors
/// When a file cannot be read or written.
pub fn apply(tree: &mut Tree, contents: &dyn Contents, added: &[ImagePath]) -> Result<(), EffectError> {
    let mut hand = Hand::new(tree, contents, "shells");
    let Some(mut text) = hand.text(TEMPLATE)? else { return Ok(()) };
    let mut lists = vec![text.clone()];
    for (_, list) in hand.drop_ins(&[DIRECTORY], "")? {
        lists.push(list);
    }
    lists.extend(added.iter().map(ToString::to_string));
    let mut seen: Vec<String> = listed(&text).collect();
    for shell in lists.iter().flat_map(|list| listed(list)) {
        let path = hand.path(&shell)?;
        let parent = path.parent().unwrap_or_else(ImagePath::root);
        let parent = hand.tree.resolve(&parent, true).map_err(|source| hand.refused(source))?;
        let real = parent.join(path.name()).map_err(|source| hand.malformed(source))?.to_string();
        for name in [shell, real] {
            if !seen.contains(&name) {
                text.push_str(&format!("{name}\n"));
                seen.push(name);
            }
        }
    }
    hand.write("/etc/shells", text, 0o644)
}

fn listed(text: &str) -> impl Iterator<Item = String> {
    let shells = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    shells.filter(|shell| !shell.is_empty()).map(str::to_owned)
}
