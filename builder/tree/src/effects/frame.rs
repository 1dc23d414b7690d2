//! The directories that a read-only root must have, and the way of `/var` to where it can be seeded from.

use super::EffectError;
use crate::{ImagePath, Node, Origin, Tree};

/// Where the image keeps what packages ship in `/var`.
pub const FACTORY_VAR: &str = "/usr/share/factory/var";

/// Mount points and homes, with their modes.
const DIRECTORIES: &[(&str, u16)] = &[
    ("/boot", 0o755),
    ("/dev", 0o755),
    ("/efi", 0o755),
    ("/etc", 0o755),
    ("/home", 0o755),
    ("/media", 0o755),
    ("/mnt", 0o755),
    ("/opt", 0o755),
    ("/proc", 0o555),
    ("/root", 0o700),
    ("/run", 0o755),
    ("/srv", 0o755),
    ("/state", 0o755),
    ("/sys", 0o555),
    ("/tmp", 0o1777),
    ("/usr", 0o755),
    ("/var", 0o755),
];

/// Makes the directories that no package ships.
///
/// # Errors
/// When something that is no directory is in the way.
pub fn apply(tree: &mut Tree) -> Result<(), EffectError> {
    for (path, mode) in DIRECTORIES {
        let path = ImagePath::parse(path).map_err(|source| refused(source.into()))?;
        match tree.get(&path) {
            Some(node) if node.is_directory() => {}
            _ => drop(tree.insert(&path, Node::directory(*mode, Origin::Frame)).map_err(refused)?),
        }
    }
    Ok(())
}

/// Moves all of `/var` to [`FACTORY_VAR`], from where it is seeded onto state, and leaves an empty one. What
/// packages ship there already stays beside it.
///
/// # Errors
/// When both have a file of one name.
pub fn move_var(tree: &mut Tree) -> Result<(), EffectError> {
    let var = ImagePath::parse("/var").map_err(|source| refused(source.into()))?;
    let factory = ImagePath::parse(FACTORY_VAR).map_err(|source| refused(source.into()))?;
    let Some(top) = tree.get(&var).cloned() else { return Ok(()) };
    let moved: Vec<_> = tree.paths().filter(|(path, _)| path.is_within(&var) && **path != var).collect();
    let moved: Vec<_> = moved.into_iter().map(|(path, id)| (path.clone(), id)).collect();
    tree.remove(&var).map_err(refused)?;
    tree.insert(&factory, top.clone()).map_err(refused)?;
    for (path, id) in moved {
        let to =
            factory.join(&path.as_str()[var.as_str().len()..]).map_err(|source| refused(source.into()))?;
        let known = tree.get(&to).map(|node| (node.is_directory(), node.origin.clone()));
        match (known, tree.node(id).is_directory()) {
            (None | Some((true, _)), true) => {
                let node = tree.node(id).clone();
                tree.insert(&to, node).map_err(refused)?;
            }
            (None, false) => tree.link(&to, id).map_err(refused)?,
            (Some((_, origin)), _) => {
                return Err(EffectError::Clash {
                    what: "file",
                    name: to.to_string(),
                    first: format!("is shipped by {origin}"),
                    second: format!("{path} is shipped by {} too", tree.node(id).origin),
                });
            }
        }
    }
    tree.insert(&var, Node::directory(0o755, Origin::Frame)).map(drop).map_err(refused)
}

fn refused(source: crate::TreeError) -> EffectError {
    EffectError::Tree { effect: "frame", source }
}
