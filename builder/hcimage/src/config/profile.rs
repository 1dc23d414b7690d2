//! Profiles: what an image is.

use super::{Problem, parse, size::Size};
use contract::update::Window;
use serde::Deserialize;
use std::path::Path;

/// A profile with everything that it extends.
#[derive(Clone, Debug)]
pub(crate) struct Profile {
    pub(crate) name: String,
    #[allow(dead_code, reason = "for people, and required so that every profile says what it is")]
    pub(crate) description: String,
    pub(crate) board: String,
    pub(crate) hostname: String,
    pub(crate) overlays: Vec<String>,
    pub(crate) packages: Vec<String>,
    pub(crate) recommends: Vec<String>,
    pub(crate) exclude: Vec<String>,
    /// Optional artifacts of its overlays which it wants.
    pub(crate) artifacts: Vec<String>,
    pub(crate) image: ImageSettings,
    pub(crate) drop: Rules,
    pub(crate) modules: Rules,
    pub(crate) cmdline: Vec<String>,
    pub(crate) update: UpdateSettings,
}

/// How nodes with this image are updated.
#[derive(Clone, Debug, Default)]
pub(crate) struct UpdateSettings {
    /// Base URL of the channel files; none: only by hand.
    pub(crate) url: Option<String>,
    /// The file with the chain of trusts, from the project's folder on; none: updates are refused.
    pub(crate) trust: Option<String>,
    /// The release's number; none: the lock's epoch in seconds.
    pub(crate) sequence: Option<u64>,
    /// The lowest sequence that may follow.
    pub(crate) floor: u64,
    /// Whether nodes update themselves.
    pub(crate) auto: bool,
    /// When they may restart for it.
    pub(crate) window: Option<Window>,
}

/// Sizes and compression of the root file system.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ImageSettings {
    pub(crate) slot: u64,
    pub(crate) esp: u64,
    pub(crate) level: i32,
    pub(crate) extent: u32,
}

/// Globs: what `keep` matches stays although `drop` matches it too.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    pub(crate) drop: Vec<String>,
    pub(crate) keep: Vec<String>,
}

/// What a profile file says.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    description: Option<String>,
    pub(super) extends: Option<String>,
    board: Option<String>,
    hostname: Option<String>,
    #[serde(default)]
    overlays: Vec<String>,
    #[serde(default)]
    packages: Vec<String>,
    #[serde(default)]
    recommends: Vec<String>,
    #[serde(default)]
    exclude: Vec<String>,
    #[serde(default)]
    artifacts: Vec<String>,
    #[serde(default)]
    image: RawImage,
    #[serde(default)]
    drop: RawDrop,
    #[serde(default)]
    kernel: RawKernel,
    #[serde(default)]
    update: RawUpdate,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawImage {
    slot: Option<Size>,
    esp: Option<Size>,
    level: Option<i32>,
    extent: Option<Size>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDrop {
    #[serde(default)]
    paths: Vec<String>,
    #[serde(default)]
    keep: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawUpdate {
    url: Option<String>,
    trust: Option<String>,
    sequence: Option<u64>,
    floor: Option<u64>,
    auto: Option<bool>,
    window: Option<Window>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawKernel {
    #[serde(default)]
    cmdline: Vec<String>,
    #[serde(default)]
    drop: Vec<String>,
    #[serde(default)]
    keep: Vec<String>,
}

impl Raw {
    pub(super) fn parse(file: &Path, text: &str) -> Result<Self, Problem> {
        parse::toml(file, text)
    }

    /// This profile on top of the one that it extends: lists are appended, single values replaced.
    pub(super) fn on(self, base: Self) -> Self {
        let joined = |mut below: Vec<String>, above: Vec<String>| {
            above.into_iter().for_each(|item| {
                if !below.contains(&item) {
                    below.push(item);
                }
            });
            below
        };
        Self {
            description: self.description.or(base.description),
            extends: None,
            board: self.board.or(base.board),
            hostname: self.hostname.or(base.hostname),
            overlays: joined(base.overlays, self.overlays),
            packages: joined(base.packages, self.packages),
            recommends: joined(base.recommends, self.recommends),
            exclude: joined(base.exclude, self.exclude),
            artifacts: joined(base.artifacts, self.artifacts),
            image: RawImage {
                slot: self.image.slot.or(base.image.slot),
                esp: self.image.esp.or(base.image.esp),
                level: self.image.level.or(base.image.level),
                extent: self.image.extent.or(base.image.extent),
            },
            drop: RawDrop {
                paths: joined(base.drop.paths, self.drop.paths),
                keep: joined(base.drop.keep, self.drop.keep),
            },
            kernel: RawKernel {
                cmdline: joined(base.kernel.cmdline, self.kernel.cmdline),
                drop: joined(base.kernel.drop, self.kernel.drop),
                keep: joined(base.kernel.keep, self.kernel.keep),
            },
            update: RawUpdate {
                url: self.update.url.or(base.update.url),
                trust: self.update.trust.or(base.update.trust),
                sequence: self.update.sequence.or(base.update.sequence),
                floor: self.update.floor.or(base.update.floor),
                auto: self.update.auto.or(base.update.auto),
                window: self.update.window.or(base.update.window),
            },
        }
    }

    /// The profile that these keys describe, with the defaults of what is not said.
    pub(super) fn finish(self, name: &str, file: &Path) -> Result<Profile, Problem> {
        let missing = |key| Problem::in_file(file, format!("`{key}` is missing"));
        let extent = self.image.extent.map_or(128 << 10, |size| size.0);
        let Some(extent) =
            u32::try_from(extent).ok().filter(|extent| (64 << 10..=512 << 10).contains(extent))
        else {
            let message = format!("`image.extent` is {extent} bytes: it must be from 64KiB to 512KiB");
            return Err(Problem::in_file(file, message));
        };
        let level = self.image.level.unwrap_or(12);
        if !(1..=19).contains(&level) {
            return Err(Problem::in_file(file, format!("`image.level` is {level}: it must be from 1 to 19")));
        }
        Ok(Profile {
            name: name.to_owned(),
            description: self.description.ok_or_else(|| missing("description"))?,
            board: self.board.ok_or_else(|| missing("board"))?,
            hostname: self.hostname.unwrap_or_else(|| name.to_owned()),
            overlays: self.overlays,
            packages: self.packages,
            recommends: self.recommends,
            exclude: self.exclude,
            artifacts: self.artifacts,
            image: ImageSettings {
                slot: self.image.slot.map_or(512 << 20, |size| size.0),
                esp: self.image.esp.map_or(512 << 20, |size| size.0),
                level,
                extent,
            },
            drop: Rules { drop: self.drop.paths, keep: self.drop.keep },
            modules: Rules { drop: self.kernel.drop, keep: self.kernel.keep },
            cmdline: self.kernel.cmdline,
            update: self.update.finish(file)?,
        })
    }
}

impl RawUpdate {
    fn finish(self, file: &Path) -> Result<UpdateSettings, Problem> {
        let Self { url, trust, sequence, floor, auto, window } = self;
        let url = url.map(|url| url.trim_end_matches('/').to_owned());
        if let Some(url) =
            url.as_ref().filter(|url| !url.starts_with("http://") && !url.starts_with("https://"))
        {
            let message = format!("`update.url` is `{url}`: it must begin with http:// or https://");
            return Err(Problem::in_file(file, message));
        }
        let (auto, floor) = (auto.unwrap_or(false), floor.unwrap_or(0));
        if auto && url.is_none() {
            let message = "`update.auto` without `update.url`: nodes would not know where to look";
            return Err(Problem::in_file(file, message));
        }
        if let Some(sequence) = sequence.filter(|sequence| floor > *sequence) {
            let message =
                format!("`update.floor` is {floor}: it must not be above `update.sequence`, {sequence}");
            return Err(Problem::in_file(file, message));
        }
        Ok(UpdateSettings { url, trust, sequence, floor, auto, window })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_adds_to_what_it_extends_and_replaces_single_values() {
        let parse = |text| Raw::parse(Path::new("p.toml"), text).unwrap();
        let base = parse("description = 'b'\nboard = 'uefi'\noverlays = ['base']\n[image]\nlevel = 3");
        let top = parse("description = 't'\noverlays = ['base', 'ssh']\nextends = 'b'");
        let profile = top.on(base).finish("top", Path::new("p.toml")).unwrap();
        assert_eq!(profile.overlays, ["base", "ssh"]);
        assert_eq!((profile.description.as_str(), profile.image.level), ("t", 3));
    }

    #[test]
    fn values_out_of_range_are_refused_with_their_range() {
        for (text, says) in [
            (
                "description='x'\nboard='uefi'\n[image]\nlevel = 22",
                "p.toml: `image.level` is 22: it must be from 1 to 19",
            ),
            ("description='x'\nboard='uefi'\n[image]\nextent = '1MiB'", "it must be from 64KiB to 512KiB"),
            ("board='uefi'", "p.toml: `description` is missing"),
            (
                "description='x'\nboard='uefi'\n[update]\nurl = 'ftp://x'",
                "p.toml: `update.url` is `ftp://x`: it must begin with http:// or https://",
            ),
            (
                "description='x'\nboard='uefi'\n[update]\nauto = true",
                "p.toml: `update.auto` without `update.url`",
            ),
            (
                "description='x'\nboard='uefi'\n[update]\nsequence = 3\nfloor = 4",
                "p.toml: `update.floor` is 4: it must not be above `update.sequence`, 3",
            ),
        ] {
            let problem =
                Raw::parse(Path::new("p.toml"), text).unwrap().finish("p", Path::new("p.toml")).unwrap_err();
            assert!(problem.to_string().contains(says), "{problem}");
        }
    }
}
