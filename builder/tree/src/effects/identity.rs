//! What an image says of itself: host name, hosts, os-release, the clock's lower bound, no machine id yet.

use super::{EffectError, Hand};
use crate::{Contents, Tree};

/// An image's names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Host name until the node is told another one.
    pub hostname: String,
    /// `IMAGE_ID` of os-release(5), such as `nas-x86_64`.
    pub image_id: String,
    /// `IMAGE_VERSION` of os-release(5).
    pub image_version: String,
}

/// Writes the files. `/etc/hosts` stays when there is one, be it a link to what a node makes.
///
/// # Errors
/// When the tree refuses.
pub fn apply(tree: &mut Tree, contents: &dyn Contents, identity: &Identity) -> Result<(), EffectError> {
    let mut hand = Hand::new(tree, contents, "identity");
    let Identity { hostname, image_id, image_version } = identity;
    // Empty: each node gets its own at its first boot. See machine-id(5).
    hand.write("/etc/machine-id", "", 0o444)?;
    hand.write("/etc/hostname", format!("{hostname}\n"), 0o644)?;
    let hosts = hand.path("/etc/hosts")?;
    if hand.tree.get(&hosts).is_none() {
        let hosts = format!(
            "127.0.0.1 localhost\n127.0.1.1 {hostname}\n::1 localhost ip6-localhost ip6-loopback\n\
             ff02::1 ip6-allnodes\nff02::2 ip6-allrouters\n"
        );
        hand.write("/etc/hosts", hosts, 0o644)?;
    }
    let os_release = hand.text("/usr/lib/os-release")?.unwrap_or_default();
    let os_release = format!("{os_release}IMAGE_ID=\"{image_id}\"\nIMAGE_VERSION=\"{image_version}\"\n");
    hand.write("/usr/lib/os-release", os_release, 0o644)?;
    // systemd never lets the clock be earlier than this file's time, which is the build's epoch.
    hand.write("/usr/lib/clock-epoch", "", 0o644)
}
