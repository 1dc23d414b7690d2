//! Where hcnode keeps things, in one place.

/// What `hcinit` knows of this boot: lines of `key=value`, see [`super::boot`].
pub const BOOT: &str = "/run/hcimage/boot";
/// One file per service: how it stands, see [`super::part`].
pub const PARTS: &str = "/run/hcimage/parts";
/// hcnode's own state: readable by root alone.
pub const STATE: &str = "/var/lib/hcimage";
/// The settings that were taken from the seed, see [`super::settings`].
pub const SETTINGS: &str = "/var/lib/hcimage/settings.json";
/// The name under which the cluster knows this node: one line, from the moment that it was accepted there.
pub const JOINED_AS: &str = "/var/lib/hcimage/joined-as";
/// Copies of the cluster's state from before another k3s, each in a folder of its own.
pub const COPIES: &str = "/var/lib/hcimage/copies";
/// How far the node came on its way into the cluster.
pub const JOIN: &str = "/var/lib/hcimage/join.json";
/// The overlays' probes.
pub const PROBES: &str = "/usr/lib/hcimage/probes.json";
/// What the node fetches itself, by hash.
pub const DEFERRED: &str = "/usr/lib/hcimage/deferred.json";
/// The password with which the cluster first saw this node.
pub const NODE_PASSWORD: &str = "/etc/rancher/node/password";
/// The node's SSH host key, made by `hcimage-hostkey.service` or brought by the seed.
pub const HOST_KEY: &str = "/etc/ssh/host/ssh_host_ed25519_key";
/// The machine id of the running system.
pub const MACHINE_ID: &str = "/etc/machine-id";
/// Where state keeps the machine id; what is written here counts from the next boot on.
pub const KEPT_MACHINE_ID: &str = "/state/hcimage/machine-id";
/// Where the boot partition is mounted while somebody reads or writes it.
pub const CARD: &str = "/run/hcimage/card";
/// Held by whoever has the boot partition mounted.
pub const CARD_LOCK: &str = "/run/hcimage/card.lock";
/// What worked in the release that was committed: the measure of the next one.
pub const HEALTHY: &str = "/var/lib/hcimage/healthy.json";
/// Where the status service leaves what others bring to the consoles and to the card.
pub const STATUS: &str = "/run/hcimage-status";
/// The text above the consoles' login prompts, in [`STATUS`].
pub const CONSOLE: &str = "console.issue";
/// Is there when the settings ask for the status page.
pub const PAGE: &str = "/run/hcimage/page";
/// The address that the servers share: the overlay `keepalived` starts when it is there.
pub const VIRTUAL_IP: &str = "/run/hcimage/virtual-ip";
/// Notes on updates: what is staged, what did not stay, the floor.
pub const UPDATE: &str = "/var/lib/hcimage/update";
/// Is there once this boot is kept or nothing better is left: until then a timer restarts a boot on trial.
pub const DECIDED: &str = "/run/hcimage/decided";
/// Held by whoever changes a slot or the boot partition's entries; its text is the holder's process id.
pub const UPDATE_LOCK: &str = "/run/hcimage/update.lock";
/// How far the update that runs came, for other programs.
pub const PROGRESS: &str = "/run/hcimage/update-progress.json";
