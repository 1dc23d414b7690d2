//! Secrets on the card after their use: which are overwritten when, how the node knows a burned seed again, and how one
//! that its owner has edited since gets its secrets back. What a secret is, and what becomes of it, is told by
//! [`Seed::burned`].

use contract::{Seed, seed::Secret};
use std::ops::Range;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// What secrets are needed for: they may go when that is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The settings are stored.
    Settings,
    /// The node is in its cluster.
    Join,
}

/// `text` with the secrets overwritten that are no longer needed: of the same length. A text that is no TOML stays as it
/// is.
#[must_use]
pub fn burned(text: &str, done: &[Need]) -> Vec<u8> {
    let original = text.as_bytes();
    if done.is_empty() {
        return original.to_vec();
    }
    let Ok(mut ashes) = Seed::burned(original) else { return original.to_vec() };
    let token = if done.contains(&Need::Join) { None } else { token(text) };
    if let Some(token) = token.filter(|token| token.end <= ashes.len()) {
        ashes[token.clone()].copy_from_slice(&original[token]);
    }
    ashes
}

/// Whether `card` is the file that was read as `original`: as it was, burned, or burned in part when the power went.
#[must_use]
pub fn is_known(card: &[u8], original: &str) -> bool {
    let ashes = burned(original, &[Need::Settings, Need::Join]);
    let mut pairs = card.iter().zip(original.bytes().zip(ashes));
    card.len() == original.len() && pairs.all(|(found, (was, ash))| *found == was || *found == ash)
}

/// A burned seed that its owner has edited, with the secrets put back that the node has in `stored`. An identity that was
/// burned is left out: the node has it in its places.
///
/// # Errors
/// What was erased and the node does not have either.
pub fn mended(mut seed: Seed, stored: Option<&Seed>) -> Result<Seed, String> {
    let missing = |what: &str| {
        format!("{what} was erased after its first use, and this node has no copy of it: write it again")
    };
    for wifi in &mut seed.wifi {
        if wifi.password.as_ref().is_some_and(Secret::is_burned) {
            let known = stored.and_then(|stored| stored.wifi.iter().find(|known| known.ssid == wifi.ssid));
            let password = known.and_then(|known| known.password.clone());
            wifi.password =
                Some(password.ok_or_else(|| missing(&format!("the password of `{}`", wifi.ssid)))?);
        }
    }
    if let Some(cluster) = seed.cluster.as_mut().filter(|cluster| cluster.token.is_burned()) {
        let known = stored.and_then(|stored| stored.cluster.as_ref());
        cluster.token = known.ok_or_else(|| missing("the cluster's token"))?.token.clone();
    }
    let gone = |secret: &Option<Secret>| secret.as_ref().is_some_and(Secret::is_burned);
    if let Some(identity) =
        seed.identity.take_if(|identity| gone(&identity.node_password) || gone(&identity.ssh_host_key))
    {
        seed.hostname = seed.hostname.or(Some(identity.name));
    }
    Ok(seed)
}

/// Where the cluster's token stands in a seed, quotes and all.
fn token(text: &str) -> Option<Range<usize>> {
    let bare = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mark = text.len() - bare.len();
    let table = DeTable::parse(bare).ok()?;
    let cluster = find(table.get_ref(), "cluster")?;
    let DeValue::Table(cluster) = cluster.get_ref() else { return None };
    let span = find(cluster, "token")?.span();
    Some(span.start + mark..span.end + mark)
}

fn find<'t, 'i>(table: &'t DeTable<'i>, name: &str) -> Option<&'t Spanned<DeValue<'i>>> {
    table.iter().find(|(key, _)| key.get_ref() == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests;
