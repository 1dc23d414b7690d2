//! What a node and a web server say to each other about updates, besides the bundle itself: what is installed here
//! ([`Installed`], `/usr/lib/hcimage/update.json`), what is offered there ([`Channel`]), and what may be put back in
//! spite of its age ([`Permit`]).

use crate::{
    Arch, Digest,
    trust::{Trust, TrustError},
};
use serde::{Deserialize, Serialize};

/// Where a node finds [`Installed`].
pub const INSTALLED_PATH: &str = "/usr/lib/hcimage/update.json";
/// The schema of [`Installed`].
pub const INSTALLED_SCHEMA: &str = "hcimage-update-1";
/// The schema of [`Channel`].
pub const CHANNEL_SCHEMA: &str = "hcimage-channel-1";
/// The schema of [`Permit`].
pub const PERMIT_SCHEMA: &str = "hcimage-permit-1";
/// The largest channel file or permit that is read, bytes.
pub const SMALL_MAX: usize = 64 << 10;

/// What a running root is, and by which rules it is replaced. Part of the verified root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Installed {
    /// [`INSTALLED_SCHEMA`].
    pub schema: String,
    /// The profile's name.
    pub product: String,
    /// The architecture.
    pub arch: Arch,
    /// The board.
    pub board: String,
    /// How the disk is divided, such as `ab-1`.
    pub layout: String,
    /// The image's version, for people.
    pub version: String,
    /// The release's number: a higher one is newer.
    pub sequence: u64,
    /// The lowest sequence that may replace this release.
    pub floor: u64,
    /// Where updates are offered: the base URL of the channel files, without a final slash. None: only by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Whether the node updates itself.
    pub auto: bool,
    /// When it may restart for that: `HH:MM-HH:MM`, local time. None: at any time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// Whose signatures it believes. None: updates are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<Trust>,
}

/// A part of the day, in minutes since midnight; may reach over midnight. Written as `22:30-04:00`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Its first minute, 0 to 1439.
    pub from: u16,
    /// The minute after its last one, 0 to 1439.
    pub to: u16,
}

/// What a web server offers, as `<base>/<product>-<arch>-<board>.json`. Nobody signs it: it is advice, and the
/// bundle has to stand for itself. Keys that this version does not know are passed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    /// [`CHANNEL_SCHEMA`].
    pub schema: String,
    /// The offered release's version, for people.
    pub version: String,
    /// Its sequence.
    pub sequence: u64,
    /// The bundle, relative to the channel file.
    pub bundle: String,
    /// Its size in bytes.
    pub size: u64,
    /// The root hash it leads to: a node that runs it has nothing to do.
    pub root_hash: Digest,
    /// The roll-out is stopped: nobody takes it by itself.
    #[serde(default)]
    pub halt: bool,
    /// How many of 100 nodes may take it by themselves. None: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wave: Option<u8>,
}

/// Permission to install one release although it lies below a node's floor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Permit {
    /// [`PERMIT_SCHEMA`].
    pub schema: String,
    /// The profile's name.
    pub product: String,
    /// The architecture.
    pub arch: Arch,
    /// The sequence of the release that may be installed.
    pub sequence: u64,
    /// Its root hash.
    pub root_hash: Digest,
    /// The highest floor that it overrides: the floor of the nodes as it is known now, so that the permit ends by
    /// itself once they have moved on.
    pub floor: u64,
}

/// A permit file: what is permitted, and who says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedPermit {
    /// The statement; its rendered bytes are signed.
    pub permit: Permit,
    /// Texts of minisign signatures.
    pub signatures: Vec<String>,
}

/// A file about updates that is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UpdateError {
    /// Not the JSON that is expected, or too much of it.
    #[error("{what} is not readable: {wrong}")]
    Malformed {
        /// Which file.
        what: &'static str,
        /// What is wrong.
        wrong: String,
    },
    /// Of another schema.
    #[error("{what} has schema `{found}`, this program reads `{expected}`")]
    Schema {
        /// Which file.
        what: &'static str,
        /// What it says.
        found: String,
        /// What is read.
        expected: &'static str,
    },
    /// Not signed by those who may.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// A permit for something else.
    #[error("the permit is for {field} {permitted}, this is {found}")]
    OtherRelease {
        /// What differs.
        field: &'static str,
        /// What is permitted.
        permitted: String,
        /// What was to be installed.
        found: String,
    },
    /// A permit from before the floor was raised.
    #[error(
        "the permit overrides floors up to {permitted}, the floor here is {floor}: it was made before this node moved on; ask for a new one"
    )]
    Outgrown {
        /// The highest floor that it overrides.
        permitted: u64,
        /// The floor here.
        floor: u64,
    },
    /// Not a window.
    #[error("`{0}` is not a window: expected `HH:MM-HH:MM`, such as `02:00-05:00`")]
    Window(String),
}

fn read<T: serde::de::DeserializeOwned>(what: &'static str, json: &[u8]) -> Result<T, UpdateError> {
    let malformed = |wrong: String| UpdateError::Malformed { what, wrong };
    if json.len() > SMALL_MAX {
        return Err(malformed(format!("{} bytes, at most {SMALL_MAX}", json.len())));
    }
    serde_json::from_slice(json).map_err(|error| malformed(error.to_string()))
}

fn require_schema(what: &'static str, found: &str, expected: &'static str) -> Result<(), UpdateError> {
    let found = found.to_owned();
    if found == expected { Ok(()) } else { Err(UpdateError::Schema { what, found, expected }) }
}

/// Indented JSON with a final newline.
fn pretty(value: &impl Serialize) -> Vec<u8> {
    let mut json = serde_json::to_vec_pretty(value).expect("plain data");
    json.push(b'\n');
    json
}

impl Installed {
    /// Reads and checks `update.json`.
    ///
    /// # Errors
    /// When it is malformed, of another schema, or its trust is none.
    pub fn parse(json: &[u8]) -> Result<Self, UpdateError> {
        let found: Self = read("update.json", json)?;
        require_schema("update.json", &found.schema, INSTALLED_SCHEMA)?;
        if let Some(trust) = &found.trust {
            trust.public_keys()?;
        }
        Ok(found)
    }

    /// The file's bytes.
    #[must_use]
    pub fn render(&self) -> Vec<u8> {
        pretty(self)
    }

    /// The name of the channel file for this machine, below the base URL.
    #[must_use]
    pub fn channel_name(&self) -> String {
        channel_name(&self.product, self.arch, &self.board)
    }
}

/// The name of a channel file: `<product>-<arch>-<board>.json`.
#[must_use]
pub fn channel_name(product: &str, arch: Arch, board: &str) -> String {
    format!("{product}-{arch}-{board}.json")
}

impl Channel {
    /// Reads a channel file.
    ///
    /// # Errors
    /// When it is too large, malformed, of another schema, or points outside its own folder.
    pub fn parse(json: &[u8]) -> Result<Self, UpdateError> {
        let found: Self = read("the channel file", json)?;
        require_schema("the channel file", &found.schema, CHANNEL_SCHEMA)?;
        let name = &found.bundle;
        let plain = |part: &str| {
            !part.is_empty()
                && !part.starts_with('.')
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.+~".contains(&byte))
        };
        if !name.split('/').all(plain) {
            let wrong = format!("bundle `{name}` is not a plain relative path");
            return Err(UpdateError::Malformed { what: "the channel file", wrong });
        }
        Ok(found)
    }

    /// The file's bytes.
    #[must_use]
    pub fn render(&self) -> Vec<u8> {
        pretty(self)
    }

    /// Whether the node with this identity (any digest that is its own and does not change) may take the offer by
    /// itself. The release is part of the draw, so that the same nodes are not always the first.
    #[must_use]
    pub fn admits(&self, node: &Digest) -> bool {
        let draw = Digest::of_fields([&node.0[..], &self.root_hash.0]);
        let draw = u16::from_le_bytes([draw.0[0], draw.0[1]]);
        !self.halt && self.wave.is_none_or(|wave| u32::from(draw) * 100 < u32::from(wave) << 16)
    }
}

impl SignedPermit {
    /// Reads a permit file. Its signatures are not checked; see [`Self::allows`].
    ///
    /// # Errors
    /// When it is too large, malformed, or of another schema.
    pub fn parse(json: &[u8]) -> Result<Self, UpdateError> {
        let found: Self = read("the permit", json)?;
        require_schema("the permit", &found.permit.schema, PERMIT_SCHEMA)?;
        Ok(found)
    }

    /// The file's bytes.
    #[must_use]
    pub fn render(&self) -> Vec<u8> {
        pretty(self)
    }

    /// Checks that a threshold of `trust` permits the release of `header` on a node with this floor.
    ///
    /// # Errors
    /// When it is not signed by them, is for another release, or older than the floor.
    pub fn allows(
        &self,
        trust: &Trust,
        header: &crate::bundle::Header,
        floor: u64,
    ) -> Result<(), UpdateError> {
        trust.verify("the permit", &self.permit.render(), &self.signatures)?;
        let Permit { product, arch, sequence, root_hash, floor: permitted, .. } = &self.permit;
        let same = |field, permitted: String, found: String| {
            let differs = permitted != found;
            if differs { Err(UpdateError::OtherRelease { field, permitted, found }) } else { Ok(()) }
        };
        same("product", product.clone(), header.product.clone())?;
        same("architecture", arch.to_string(), header.arch.to_string())?;
        same("sequence", sequence.to_string(), header.sequence.to_string())?;
        same("root hash", root_hash.to_string(), header.root.root_hash.to_string())?;
        if floor > *permitted {
            return Err(UpdateError::Outgrown { permitted: *permitted, floor });
        }
        Ok(())
    }
}

impl Permit {
    /// The bytes that are signed: JSON without spaces and a final newline.
    ///
    /// # Panics
    /// Never: a permit is plain data.
    #[must_use]
    pub fn render(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec(self).expect("a permit is plain data");
        json.push(b'\n');
        json
    }
}

impl Window {
    /// Whether a minute of the day (0 to 1439) lies in it. A window that begins where it ends is the whole day.
    #[must_use]
    pub const fn holds(self, minute: u16) -> bool {
        let Self { from, to } = self;
        if from < to { from <= minute && minute < to } else { from <= minute || minute < to }
    }
}

impl std::str::FromStr for Window {
    type Err = UpdateError;

    fn from_str(text: &str) -> Result<Self, UpdateError> {
        let minute = |text: &str| {
            let (hour, minute) = text.split_once(':')?;
            let number = |text: &str, end: u16| {
                let two = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
                text.parse().ok().filter(|it: &u16| two && *it < end)
            };
            Some(number(hour, 24)? * 60 + number(minute, 60)?)
        };
        let found = text.split_once('-').and_then(|(from, to)| Some((minute(from)?, minute(to)?)));
        let (from, to) = found.ok_or_else(|| UpdateError::Window(text.to_owned()))?;
        Ok(Self { from, to })
    }
}

impl std::fmt::Display for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { from, to } = self;
        write!(f, "{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, to / 60, to % 60)
    }
}

impl Serialize for Window {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Window {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
