//! What is written where, decided on values.

use super::BUNDLES;
use crate::error::Failure;
use contract::{
    bundle::Header,
    update::{CHANNEL_SCHEMA, Channel, channel_name},
};
use std::{collections::BTreeMap, path::PathBuf};

/// A bundle that is whole.
#[derive(Clone, Debug)]
pub(super) struct Offer {
    pub(super) file: PathBuf,
    pub(super) size: u64,
    pub(super) header: Header,
}

/// One write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A bundle to its place.
    Bundle { from: PathBuf, name: String },
    /// A channel that names a bundle which is there.
    Channel { name: String, channel: Channel },
}

/// The writes for one bundle, in their order.
pub(super) fn steps(
    offer: &Offer,
    channels: &BTreeMap<String, Channel>,
    halt: bool,
    wave: Option<u8>,
    older: bool,
) -> Result<Vec<Step>, Failure> {
    let Header { product, arch, boards, version, sequence, root, .. } = &offer.header;
    let bundle = format!("{BUNDLES}/{product}-{arch}-{version}.hcb");
    let mut steps = vec![Step::Bundle { from: offer.file.clone(), name: bundle.clone() }];
    for board in boards {
        let name = channel_name(product, *arch, board);
        if let Some(there) = channels.get(&name).filter(|there| there.sequence > *sequence && !older) {
            return Err(Failure::with_hint(
                format!(
                    "{name} offers sequence {} ({}), this bundle has {sequence} ({version}): nodes would refuse it",
                    there.sequence, there.version
                ),
                "publish a newer build, or stop the one that is offered with `hcimage publish --halt -o DIR`; \
                 --offer-older offers it nevertheless, for nodes whose floor allows it or that are given a permit",
            ));
        }
        let channel = Channel {
            schema: CHANNEL_SCHEMA.to_owned(),
            version: version.clone(),
            sequence: *sequence,
            bundle: bundle.clone(),
            size: offer.size,
            root_hash: root.root_hash,
            halt,
            wave,
        };
        // What the node would not read is not written.
        Channel::parse(&channel.render()).map_err(|error| Failure::refused(error.to_string()))?;
        steps.push(Step::Channel { name, channel });
    }
    Ok(steps)
}

/// Stops every channel: no node takes what is offered by itself.
pub(super) fn halted(channels: &BTreeMap<String, Channel>) -> Result<Vec<Step>, Failure> {
    if channels.is_empty() {
        return Err(Failure::refused("there is no channel in this folder to stop"));
    }
    let stop = |(name, channel): (&String, &Channel)| Step::Channel {
        name: name.clone(),
        channel: Channel { halt: true, ..channel.clone() },
    };
    Ok(channels.iter().map(stop).collect())
}

#[cfg(test)]
mod tests;
