//! `hcimage verify`: signature, every part, the root's hash tree, and that what is booted is what was signed.

use super::sign::manifest_file;
use crate::{args::VerifyArgs, error::Failure, pipeline::disk::digest, printer::Printer};
use contract::{
    Digest, Guid, Release,
    release::{Artifact, How, NodeBinary, Part},
    signature::PublicKey,
    slots::{self, Slot},
};
use disk::{pe, verity};
use rayon::prelude::*;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

/// The check that compares two builds: it says nothing against the image itself.
const OTHER_BUILD: &str = "other build";

/// One thing that was checked, with what was found wrong.
#[derive(Debug)]
struct Check {
    name: String,
    fault: Option<String>,
}

pub(crate) fn run(args: &VerifyArgs, json: bool, printer: &Printer) -> Result<(), Failure> {
    let folder = folder_of(&args.image);
    let manifest = manifest_file(&folder);
    let bytes = fs::read(&manifest).map_err(Failure::file("read", &manifest))?;
    let mut checks = Vec::new();
    // Nothing that the manifest says is believed before its signature holds.
    if let Some(key) = &args.pubkey {
        let fault = signature(&manifest, &bytes, key)?;
        let bad = fault.is_some();
        checks.push(Check { name: "signature".to_owned(), fault });
        if bad {
            return conclude(&checks, json, printer);
        }
    }
    let release = Release::parse(&bytes)?;
    let image = if args.image.is_file() { args.image.clone() } else { folder.join("disk.img") };
    let file = File::open(&image).map_err(Failure::file("read", &image))?;
    checks.extend(printer.stage("verify", |stage| {
        stage.note(format!("{} {} {}", release.profile, release.arch, release.version));
        image_checks(&file, &image, &release)
    })?);
    if let Some(other) = &args.against {
        let path = manifest_file(other);
        let other = Release::parse(&fs::read(&path).map_err(Failure::file("read", &path))?)?;
        checks.extend(differences(&release, &other));
    }
    conclude(&checks, json, printer)
}

fn folder_of(image: &Path) -> PathBuf {
    if image.is_dir() { image.to_owned() } else { image.parent().unwrap_or(Path::new("")).to_owned() }
}

fn signature(manifest: &Path, bytes: &[u8], key: &Path) -> Result<Option<String>, Failure> {
    let text = fs::read_to_string(key).map_err(Failure::file("read", key))?;
    let key =
        PublicKey::parse(&text).map_err(|source| Failure::Signature { file: key.to_owned(), source })?;
    let path = PathBuf::from(format!("{}.minisig", manifest.display()));
    if !path.exists() {
        return Ok(Some(format!("there is no {}: nobody signed this image", path.display())));
    }
    let signature = fs::read_to_string(&path).map_err(Failure::file("read", &path))?;
    Ok(key.verify(bytes, &signature).err().map(|error| error.to_string()))
}

fn image_checks(file: &File, image: &Path, release: &Release) -> Result<Vec<Check>, Failure> {
    let unreadable = || Failure::file("read", image);
    let length = file.metadata().map_err(unreadable())?.len();
    if length != release.disk.size {
        let fault =
            Some(format!("{} has {length} bytes, the manifest says {}", image.display(), release.disk.size));
        return Ok(vec![Check { name: "size".to_owned(), fault }]);
    }
    let compare = |name: &str, offset, size, expected: Digest| -> Result<Check, Failure> {
        let found = digest(file, offset, size).map_err(unreadable())?;
        let fault = (found != expected).then(|| {
            format!("bytes {offset} to {}: sha256 is {found}, the manifest says {expected}", offset + size)
        });
        Ok(Check { name: name.to_owned(), fault })
    };
    let part = |part: &Part| compare(&part.name, part.offset, part.size, part.sha256);
    let mut checks: Vec<Check> = release.parts.par_iter().map(part).collect::<Result<_, _>>()?;
    checks.push(compare("whole disk", 0, release.disk.size, release.disk.sha256)?);
    checks
        .push(Check { name: "root hash".to_owned(), fault: root_hash(file, release).map_err(unreadable())? });
    checks
        .push(Check { name: "kernel image".to_owned(), fault: booted(file, release).map_err(unreadable())? });
    Ok(checks)
}

/// The hash tree is made again over the root and compared, down to the root hash.
fn root_hash(file: &File, release: &Release) -> io::Result<Option<String>> {
    let (root, tree) = (slots::Part::Root(Slot::A).label(), slots::Part::Verity(Slot::A).label());
    let (Some(root), Some(tree)) = (release.part(root), release.part(tree)) else {
        return Ok(Some(format!("the manifest has no {root} or no {tree}")));
    };
    let mut hashes = vec![0; usize::try_from(tree.size).map_err(io::Error::other)?];
    file.read_exact_at(&mut hashes, tree.offset)?;
    let data = Window { file, start: root.offset, size: root.size, at: 0 };
    Ok(verity::verify(data, &hashes, &release.verity.root_hash.0).err().map(|error| error.to_string()))
}

/// The kernel image on the boot partition must name the root hash of the manifest.
fn booted(file: &File, release: &Release) -> io::Result<Option<String>> {
    let Some(esp) = release.part(slots::Part::Esp.label()) else {
        return Ok(Some("the manifest has no boot partition".to_owned()));
    };
    let window = Window { file, start: esp.offset, size: esp.size, at: 0 };
    let volume = fatfs::FileSystem::new(window, fatfs::FsOptions::new())?;
    let mut bytes = Vec::new();
    let path = contract::selector::kernel_path(Slot::A);
    match volume.root_dir().open_file(&path) {
        Ok(mut kernel) => drop(kernel.read_to_end(&mut bytes)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Some(format!("there is no {path}")));
        }
        Err(error) => return Err(error),
    }
    let Some(cmdline) = pe::section(&bytes, ".cmdline") else {
        return Ok(Some(format!("{path} has no command line")));
    };
    let cmdline = String::from_utf8_lossy(cmdline);
    if cmdline.trim_end_matches('\0') != release.kernel.cmdline {
        return Ok(Some(format!(
            "{path} boots with `{cmdline}`, the manifest says `{}`",
            release.kernel.cmdline
        )));
    }
    let named = format!("hcimage.root={}", release.verity.root_hash);
    let fault = (!cmdline.split_whitespace().any(|word| word == named))
        .then(|| format!("{path} does not name the root hash"));
    Ok(fault.or_else(|| table_names_root(file, release)))
}

/// The partition table must name root and tree by the halves of the root hash: so the node finds them.
fn table_names_root(file: &File, release: &Release) -> Option<String> {
    let mut table = vec![0; 34 * 512];
    file.read_exact_at(&mut table, 0).err().map(|error| error.to_string()).or_else(|| {
        (0..2).find_map(|half| {
            let guid = Guid::from_half(&release.verity.root_hash, half);
            let there = table.chunks_exact(128).any(|entry| entry[16..32] == guid.to_mixed_endian());
            (!there).then(|| format!("the partition table has no partition {guid}"))
        })
    })
}

/// What differs between two builds, in words.
fn differences(ours: &Release, theirs: &Release) -> Vec<Check> {
    let mut faults = Vec::new();
    let mut differ = |what: &str, a: String, b: String| {
        if a != b {
            faults.push(format!("{what}: {a}, the other {b}"));
        }
    };
    differ("lock", ours.lock.to_string(), theirs.lock.to_string());
    differ(
        "profile",
        format!("{} {}", ours.profile, ours.arch),
        format!("{} {}", theirs.profile, theirs.arch),
    );
    differ("lab inputs", ours.lab.join(" "), theirs.lab.join(" "));
    let said = |binary: &NodeBinary| format!("{} ({}, {})", binary.sha256, binary.compiler, binary.target);
    each(&ours.node, &theirs.node, |name, ours, theirs| {
        let digest = |binary: Option<&NodeBinary>| binary.map(|binary| binary.sha256);
        if digest(ours) != digest(theirs) {
            differ(&format!("node binary {name}"), or_none(ours.map(said)), or_none(theirs.map(said)));
        }
    });
    let said = |it: &Artifact| format!("{} {} {}", it.version, it.how, it.sha256);
    each(&ours.artifacts, &theirs.artifacts, |name, ours, theirs| {
        // Whether the pinned bytes were fetched or given does not matter.
        let bytes = |it: Option<&Artifact>| it.map(|it| (it.sha256, it.how == How::Deferred));
        if bytes(ours) != bytes(theirs) {
            differ(&format!("artifact {name}"), or_none(ours.map(said)), or_none(theirs.map(said)));
        }
    });
    // The version ends in a digest of everything that was put in, profile, overlays and recipes among it.
    if faults.is_empty() && ours.version != theirs.version {
        faults.push(format!(
            "profile, overlays or recipes: version {}, the other {}",
            ours.version, theirs.version
        ));
    }
    let inputs = faults.len();
    if ours.disk.sha256 == theirs.disk.sha256 {
        return vec![Check { name: "the same bytes as the other build".to_owned(), fault: None }];
    }
    let node_alone = inputs > 0 && faults.iter().all(|fault| fault.starts_with("node binary "));
    let parts = ours.parts.iter().filter(|part| theirs.part(&part.name) != Some(*part));
    let parts: Vec<&str> = parts.map(|part| part.name.as_str()).collect();
    let mut words = faults.join("; ");
    if node_alone {
        words += "; the node's own binaries alone differ: another compiler made them";
    } else if inputs == 0 {
        words = "all recorded inputs are the same: please report this".to_owned();
    }
    let fault = Some(format!("{words} (parts that differ: {})", parts.join(", ")));
    vec![Check { name: OTHER_BUILD.to_owned(), fault }]
}

/// Looks at everything that one of two maps names.
fn each<T>(
    ours: &BTreeMap<String, T>,
    theirs: &BTreeMap<String, T>,
    mut look: impl FnMut(&str, Option<&T>, Option<&T>),
) {
    for name in ours.keys().chain(theirs.keys().filter(|name| !ours.contains_key(*name))) {
        look(name, ours.get(name), theirs.get(name));
    }
}

fn or_none(text: Option<String>) -> String {
    text.unwrap_or_else(|| "none".to_owned())
}

fn conclude(checks: &[Check], json: bool, printer: &Printer) -> Result<(), Failure> {
    let bad: Vec<&Check> = checks.iter().filter(|check| check.fault.is_some()).collect();
    if json {
        let rows: Vec<_> = checks
            .iter()
            .map(|check| serde_json::json!({ "check": check.name, "good": check.fault.is_none(), "fault": check.fault }))
            .collect();
        printer.data(&format!("{:#}\n", serde_json::Value::from(rows)))?;
    } else {
        let row =
            |check: &Check| (check.name.clone(), check.fault.clone().unwrap_or_else(|| "good".to_owned()));
        printer.table(&checks.iter().map(row).collect::<Vec<_>>());
    }
    if bad.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = bad.iter().map(|check| check.name.as_str()).collect();
    let hint = match names[..] {
        [OTHER_BUILD] => {
            "the image itself is whole; it was made from other inputs than the one it is compared with"
        }
        _ => "do not flash this image: build or download it again",
    };
    Err(Failure::with_hint(
        format!("{} of {} checks failed: {}", bad.len(), checks.len(), names.join(", ")),
        hint,
    ))
}

/// A part of the image as a file of its own. `fatfs` wants to be able to write; it is refused.
pub(super) struct Window<'a> {
    file: &'a File,
    start: u64,
    size: u64,
    at: u64,
}

impl<'a> Window<'a> {
    /// The part of an image's file.
    pub(super) const fn part(file: &'a File, part: &Part) -> Self {
        Self { file, start: part.offset, size: part.size, at: 0 }
    }
}

impl Read for Window<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.size.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let limit = buffer.len().min(left);
        let count = self.file.read_at(&mut buffer[..limit], self.start + self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl io::Write for Window<'_> {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Window<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.size.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}
