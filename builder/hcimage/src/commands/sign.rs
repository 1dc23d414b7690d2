//! `hcimage sign`.

use super::bundle;
use crate::{args::SignArgs, error::Failure, printer::Printer, signing::SecretKey};
use contract::Release;
use std::{
    fs,
    path::{Path, PathBuf},
};

pub(crate) fn run(args: &SignArgs, json: bool, printer: &Printer) -> Result<(), Failure> {
    let SignArgs { release, key, lab } = args;
    if release.is_file() && bundle::is_one(release)? {
        return bundle::sign(args, json, printer);
    }
    let file = manifest_file(release);
    let bytes = fs::read(&file).map_err(Failure::file("read", &file))?;
    let manifest = Release::parse(&bytes)?;
    refuse_lab(&file, &manifest.lab, *lab)?;
    let key = SecretKey::load(key)?;
    let target = PathBuf::from(format!("{}.minisig", file.display()));
    let partial = PathBuf::from(format!("{}.partial", target.display()));
    fs::write(&partial, key.sign(&bytes, &comment(&manifest))).map_err(Failure::file("write", &partial))?;
    fs::rename(&partial, &target).map_err(Failure::file("write", &target))?;
    if json {
        return printer.data(&format!("{}\n", serde_json::json!({ "signature": target })));
    }
    printer.say(&format!("{}: {}", target.display(), comment(&manifest)));
    Ok(())
}

/// What has lab inputs is signed only knowingly.
pub(super) fn refuse_lab(file: &Path, inputs: &[String], knowingly: bool) -> Result<(), Failure> {
    if inputs.is_empty() || knowingly {
        return Ok(());
    }
    Err(Failure::with_hint(
        format!("{} has lab inputs ({}): it is not for release", file.display(), inputs.join(", ")),
        "build it without them, or say --lab",
    ))
}

/// The trusted comment of a release's signature.
pub(crate) fn comment(release: &Release) -> String {
    format!("hcimage {} {} {}", release.profile, release.arch, release.version)
}

/// A manifest given as itself or as its folder.
pub(crate) fn manifest_file(given: &Path) -> PathBuf {
    if given.is_dir() { given.join("release.json") } else { given.to_owned() }
}
