//! `hcimage publish`: a folder that any web server can serve.
//!
//! A bundle gets its place before the channel that names it, each by one rename: whoever asks, at any moment,
//! gets a channel whose bundle is there and whole.

mod plan;

use crate::{args::PublishArgs, config::size, error::Failure, printer::Printer};
use contract::{
    bundle::{Head, Prefix},
    update::Channel,
};
use plan::{Offer, Step};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

/// Where bundles lie below the folder.
pub(super) const BUNDLES: &str = "bundles";

pub(crate) fn run(args: &PublishArgs, json: bool, printer: &Printer) -> Result<(), Failure> {
    let folder = &args.out;
    fs::create_dir_all(folder.join(BUNDLES)).map_err(Failure::file("create", folder))?;
    let channels = channels(folder)?;
    let mut steps = Vec::new();
    for bundle in &args.bundles {
        let offer = offer(bundle, args.unsigned)?;
        steps.extend(plan::steps(&offer, &channels, args.halt, args.wave, args.older)?);
    }
    if args.bundles.is_empty() {
        steps = plan::halted(&channels)?;
    }
    for step in &steps {
        match step {
            Step::Bundle { from, name } => place(from, &folder.join(name), folder)?,
            Step::Channel { name, channel } => write(&folder.join(name), &channel.render())?,
        }
    }
    report(folder, &steps, json, printer)
}

/// What a bundle offers. Its signatures are the nodes' to check; that it is whole, and that there are any, is ours.
fn offer(path: &Path, unsigned: bool) -> Result<Offer, Failure> {
    let wrong =
        |error: contract::bundle::BundleError| Failure::refused(format!("{}: {error}", path.display()));
    let mut file = File::open(path).map_err(Failure::file("read", path))?;
    let length = file.metadata().map_err(Failure::file("read", path))?.len();
    let mut bytes = vec![0; contract::bundle::PREFIX];
    file.read_exact(&mut bytes).map_err(Failure::file("read", path))?;
    let size = Prefix::parse(&bytes).map_err(wrong)?.head_size();
    bytes.resize(size, 0);
    file.read_exact(&mut bytes[contract::bundle::PREFIX..]).map_err(Failure::file("read", path))?;
    let head = Head::unverified(&bytes).map_err(wrong)?;
    head.check_file_size(length).map_err(wrong)?;
    if head.signatures.is_empty() && !unsigned {
        return Err(Failure::with_hint(
            format!("{}: nobody signed it, and nodes refuse it", path.display()),
            format!("sign it first: hcimage sign {} --key FILE", path.display()),
        ));
    }
    Ok(Offer { file: path.to_owned(), size: length, header: head.header })
}

/// The channels that are there already, by file name. A file that is none of ours is an error: it would be lost.
fn channels(folder: &Path) -> Result<BTreeMap<String, Channel>, Failure> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(Failure::file("read", folder))? {
        let path = entry.map_err(Failure::file("read", folder))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with('.') || !name.ends_with(".json") {
            continue;
        }
        let bytes = fs::read(&path).map_err(Failure::file("read", &path))?;
        let channel = Channel::parse(&bytes)
            .map_err(|error| Failure::refused(format!("{}: {error}", path.display())))?;
        found.insert(name, channel);
    }
    Ok(found)
}

/// Copies a bundle to its place; one that is there with the same bytes stays.
fn place(from: &Path, to: &Path, folder: &Path) -> Result<(), Failure> {
    if to.exists() && same(from, to)? {
        return Ok(());
    }
    let partial = partial(to)?;
    fs::copy(from, &partial).map_err(Failure::file("write", &partial))?;
    settle(&partial, to)?;
    sync(folder)
}

/// Whether two files have the same bytes.
fn same(a: &Path, b: &Path) -> Result<bool, Failure> {
    let open = |path: &Path| File::open(path).map_err(Failure::file("read", path));
    let (mut left, mut right) = (open(a)?, open(b)?);
    let length =
        |file: &File, path: &Path| file.metadata().map(|it| it.len()).map_err(Failure::file("read", path));
    let mut rest = length(&left, a)?;
    if rest != length(&right, b)? {
        return Ok(false);
    }
    let (mut one, mut other) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    while rest > 0 {
        let count = usize::try_from(rest).map_or(1 << 20, |rest| rest.min(1 << 20));
        left.read_exact(&mut one[..count]).map_err(Failure::file("read", a))?;
        right.read_exact(&mut other[..count]).map_err(Failure::file("read", b))?;
        if one[..count] != other[..count] {
            return Ok(false);
        }
        rest -= count as u64;
    }
    Ok(true)
}

fn write(to: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let partial = partial(to)?;
    fs::write(&partial, bytes).map_err(Failure::file("write", &partial))?;
    settle(&partial, to)
}

/// A name beside `to` which no web server shows: it begins with a dot.
fn partial(to: &Path) -> Result<PathBuf, Failure> {
    let name = to.file_name().ok_or_else(|| Failure::refused(format!("{} is no file name", to.display())))?;
    Ok(to.with_file_name(format!(".{}.partial", name.to_string_lossy())))
}

/// To the medium, then in its place with one rename, then that to the medium too.
fn settle(partial: &Path, to: &Path) -> Result<(), Failure> {
    File::open(partial).and_then(|file| file.sync_all()).map_err(Failure::file("write", partial))?;
    fs::rename(partial, to).map_err(Failure::file("write", to))?;
    to.parent().map_or(Ok(()), sync)
}

fn sync(folder: &Path) -> Result<(), Failure> {
    let done = File::open(folder).and_then(|folder| folder.sync_all());
    match done {
        // Some network file systems cannot do this for folders.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        result => result.map_err(Failure::file("write", folder)),
    }
}

fn report(folder: &Path, steps: &[Step], json: bool, printer: &Printer) -> Result<(), Failure> {
    let now = channels(folder)?;
    if json {
        return printer.data(&format!("{:#}\n", serde_json::json!({ "folder": folder, "channels": now })));
    }
    let changed =
        |name: &str| steps.iter().any(|step| matches!(step, Step::Channel { name: it, .. } if it == name));
    let mut text = format!("{}/\n", folder.display());
    for (name, channel) in &now {
        let mark = if changed(name) { "*" } else { " " };
        let halt = if channel.halt { ", HALTED" } else { "" };
        let wave = channel.wave.map_or_else(String::new, |wave| format!(", {wave} % of the nodes"));
        text += &format!(
            "{mark} {name}  {} (sequence {}{wave}{halt}) -> {}\n",
            channel.version, channel.sequence, channel.bundle
        );
    }
    let mut older: Vec<(String, u64)> = Vec::new();
    let bundles = folder.join(BUNDLES);
    for entry in fs::read_dir(&bundles).map_err(Failure::file("read", &bundles))? {
        let entry = entry.map_err(Failure::file("read", &bundles))?;
        let length = entry.metadata().map_err(Failure::file("read", entry.path()))?.len();
        older.push((entry.file_name().to_string_lossy().into_owned(), length));
    }
    older.sort();
    for (name, length) in older.iter().filter(|(name, _)| !name.starts_with('.')) {
        let path = format!("{BUNDLES}/{name}");
        let offered = if now.values().any(|channel| channel.bundle == path) { "offered" } else { "kept" };
        text += &format!("  {path}  {}  {offered}\n", size::show(*length));
    }
    printer.data(&text)?;
    printer.say(&format!(
        "\nNext: hcimage serve {0}     for a local network, or copy {0} to any web server, bundles/ before *.json",
        folder.display()
    ));
    Ok(())
}
