//! The steps of recipes, in order of packages.

use super::{EffectError, Hand, accounts::Ids};
use crate::{
    Contents, ImagePath, Kind, Node, Origin, Tree, TreeError,
    recipe::{Action, Mode, Owner, Script},
};

/// Takes the steps of every script that change files; users, alternatives, diversions, shells and units are
/// other effects' concern.
///
/// # Errors
/// When a step does not fit the tree.
pub fn apply(
    tree: &mut Tree,
    contents: &dyn Contents,
    scripts: &[(&str, &Script)],
    ids: &Ids,
) -> Result<(), EffectError> {
    for (package, script) in scripts {
        let by = format!("recipe {package}");
        for action in &script.actions {
            step(tree, contents, action, ids, &by)?;
        }
    }
    Ok(())
}

fn step(
    tree: &mut Tree,
    contents: &dyn Contents,
    action: &Action,
    ids: &Ids,
    by: &str,
) -> Result<(), EffectError> {
    let origin = Origin::Effect(by.to_owned());
    let mut hand = Hand::new(tree, contents, "recipes");
    match action {
        Action::Copy(copy) => {
            let refused = |source| EffectError::Tree { effect: "recipes", source };
            let from = hand.tree.resolve(&copy.from, true).map_err(refused)?;
            let node = hand.tree.get(&from).ok_or_else(|| refused(TreeError::Missing(copy.from.clone())))?;
            let Kind::File(content) = &node.kind else {
                return Err(refused(TreeError::NotAFile { path: from, origin: node.origin.clone() }));
            };
            let node = Node::file(content.clone(), copy.mode.map_or(node.mode, |mode| mode.0), origin);
            insert(&mut hand, &copy.to, node)
        }
        Action::File(file) => {
            let node = Node::file(crate::Content::bytes(file.text.as_bytes()), file.mode.0, origin);
            let node = node.owned_by(ids.user(&file.owner, by)?, ids.group(&file.group, by)?);
            insert(&mut hand, &file.path, node)
        }
        Action::Directory(directory) => {
            let node = Node::directory(directory.mode.0, origin);
            let node = node.owned_by(ids.user(&directory.owner, by)?, ids.group(&directory.group, by)?);
            insert(&mut hand, &directory.path, node)
        }
        Action::Symlink(link) => insert(&mut hand, &link.path, Node::symlink(&link.target, origin)),
        Action::Remove(path) => {
            // As `rm -f`: what counts is that it is gone.
            let real = hand.tree.resolve(path, false).map_err(|source| hand.refused(source))?;
            match hand.tree.get(&real) {
                Some(_) => hand.tree.remove(&real).map_err(|source| hand.refused(source)),
                None => Ok(()),
            }
        }
        Action::Owner(owner) => own(&mut hand, owner, ids, by),
        Action::User(_)
        | Action::Group(_)
        | Action::Member(_)
        | Action::Alternative(_)
        | Action::Divert(_)
        | Action::Shell(_)
        | Action::Enable(_) => Ok(()),
    }
}

/// Puts a node where nothing is, as the scripts' own `[ -e … ] ||` and ucf do; to replace, a recipe removes
/// first, and to change rights it uses `owner`.
fn insert(hand: &mut Hand<'_>, path: &ImagePath, node: Node) -> Result<(), EffectError> {
    let real = hand.tree.resolve(path, false).map_err(|source| hand.refused(source))?;
    if hand.tree.get(&real).is_some() {
        return Ok(());
    }
    hand.tree.insert(path, node).map(drop).map_err(|source| hand.refused(source))
}

/// Changes owner, group and mode of what is there.
pub(crate) fn own(hand: &mut Hand<'_>, owner: &Owner, ids: &Ids, by: &str) -> Result<(), EffectError> {
    let uid = owner.owner.as_ref().map(|name| ids.user(name, by)).transpose()?;
    let gid = owner.group.as_ref().map(|name| ids.group(name, by)).transpose()?;
    let real = hand.tree.resolve(&owner.path, false).map_err(|source| hand.refused(source))?;
    let missing = TreeError::Missing(owner.path.clone());
    let node = hand.tree.get_mut(&real).ok_or(EffectError::Tree { effect: "recipes", source: missing })?;
    node.uid = uid.unwrap_or(node.uid);
    node.gid = gid.unwrap_or(node.gid);
    node.mode = owner.mode.map_or(node.mode, |Mode(mode)| mode);
    Ok(())
}
