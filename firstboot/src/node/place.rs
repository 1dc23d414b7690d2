//! Where hcnode keeps things, in one place.

/// What `hcinit` knows of this boot: lines of `key=value`.
pub const BOOT: &str = "/run/hcimage/boot";
/// One file per service: how it stands.
pub const PARTS: &str = "/run/hcimage/parts";
/// hcnode's own state: readable by root alone.
pub const STATE: &str = "/var/lib/hcimage";
/// The settings that were taken from the seed.
pub const SETTINGS: &str = "/var/lib/hcimage/settings.json";
/// How far the node came on its way into the cluster.
pub const JOIN: &str = "/var/lib/hcimage/join.json";
/// The overlays' probes.
pub const PROBES: &str = "/usr/lib/hcimage/probes.json";
/// What the node fetches itself, by hash.
pub const DEFERRED: &str = "/usr/lib/hcimage/deferred.json";
