//! `/etc/alternatives`: of all programs that offer themselves for a generic name, the one with the highest
//! priority gets it. Slaves (manual pages, mostly) follow it.

use super::{EffectError, Hand};
use crate::{Contents, Tree, recipe::Alternative};
use std::collections::BTreeMap;

/// Makes the links of every name; an alternative whose program is not in the tree is no choice, and a slave
/// whose file was dropped gets no link.
///
/// # Errors
/// When two offers for one name want different links, or a link cannot be made.
pub fn apply(
    tree: &mut Tree,
    contents: &dyn Contents,
    offers: &[(String, Alternative)],
) -> Result<(), EffectError> {
    let mut hand = Hand::new(tree, contents, "alternatives");
    let mut names: BTreeMap<&str, Vec<&(String, Alternative)>> = BTreeMap::new();
    for offer in offers {
        names.entry(&offer.1.name).or_default().push(offer);
    }
    for (name, offers) in names {
        let (by, first) = offers[0];
        if let Some((other_by, other)) = offers.iter().find(|(_, other)| other.link != first.link) {
            return Err(EffectError::Clash {
                what: "alternative",
                name: name.to_owned(),
                first: format!("{by} wants the link {}", first.link),
                second: format!("{other_by} wants {}", other.link),
            });
        }
        let mut present = Vec::new();
        for (_, offer) in offers {
            if exists(&hand, &offer.path)? {
                present.push(offer);
            }
        }
        // Ties go to the path that comes first, whatever the order of packages.
        let best = present.into_iter().max_by(|a, b| a.priority.cmp(&b.priority).then(b.path.cmp(&a.path)));
        let Some(best) = best else { continue };
        link(&mut hand, name, &best.link, &best.path)?;
        for slave in &best.slaves {
            if exists(&hand, &slave.path)? {
                link(&mut hand, &slave.name, &slave.link, &slave.path)?;
            }
        }
    }
    Ok(())
}

fn exists(hand: &Hand<'_>, path: &str) -> Result<bool, EffectError> {
    let path = hand.tree.resolve(&hand.path(path)?, true).map_err(|source| hand.refused(source))?;
    Ok(hand.tree.get(&path).is_some())
}

fn link(hand: &mut Hand<'_>, name: &str, link: &str, path: &str) -> Result<(), EffectError> {
    let choice = format!("/etc/alternatives/{name}");
    hand.symlink(&hand.path(&choice)?, path)?;
    hand.symlink(&hand.path(link)?, &choice)
}
