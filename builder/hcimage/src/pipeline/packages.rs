//! The lock's packages: brought into the cache and unpacked.

use super::{
    bodies::Bodies,
    unpack::{Unpacked, Unpacking},
};
use crate::{
    config::{Lock, Locked},
    error::Failure,
    printer::{Printer, Stage},
    settings::Workshop,
};
use contract::{Arch, Digest};
use rayon::prelude::*;
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
};
use store::{Download, StoreError};

/// Brings every package of the lock for `arch` into the cache.
pub(crate) fn fetch(workshop: &Workshop, lock: &Lock, arch: Arch, printer: &Printer) -> Result<(), Failure> {
    let packages = of(lock, arch)?;
    let mirrors = workshop.mirrors.clone();
    // The snapshot archive has Debian's packages; an archive with keys of its own is another one.
    let mirrors = if workshop.keyring.is_none() { mirrors.with_snapshot(lock.snapshot) } else { mirrors };
    let downloads: Vec<Download> = packages
        .iter()
        .map(|(name, locked)| Download {
            name: format!("{name} {}", locked.version),
            urls: mirrors.urls(&locked.suite, &locked.path),
            sha256: locked.sha256,
            size: Some(locked.size),
        })
        .collect();
    printer.stage("download", |stage| {
        stage.note("nothing: all packages are in the cache");
        workshop
            .web
            .fetch(&workshop.cache, &downloads, stage)
            .map_err(|errors| failure(errors, packages, &downloads))
    })
}

/// The packages of the lock for one architecture.
pub(crate) fn of(lock: &Lock, arch: Arch) -> Result<&BTreeMap<String, Locked>, Failure> {
    lock.packages.get(&arch).ok_or_else(|| {
        Failure::with_hint(
            format!("the lock of `{}` has no packages for {arch}", lock.profile),
            format!("run `hcimage lock --profile {}`", lock.profile),
        )
    })
}

/// Packages that are gone are a matter of their own: only these can be chosen anew.
fn failure(errors: Vec<StoreError>, packages: &BTreeMap<String, Locked>, downloads: &[Download]) -> Failure {
    let name_of = |error: &StoreError| match error {
        StoreError::Gone { name, .. } => {
            let place = downloads.iter().position(|download| download.name == *name)?;
            packages.keys().nth(place).cloned()
        }
        // Where the snapshot archive is out of reach, a package that all mirrors deny is as good as gone.
        StoreError::Unreachable { name, tried } => {
            let (snapshot, mirrors): (Vec<_>, Vec<_>) =
                tried.iter().partition(|line| line.contains("//snapshot.debian.org/"));
            let denied = !mirrors.is_empty()
                && !snapshot.is_empty()
                && mirrors.iter().all(|line| line.contains(": 404") || line.contains(": 410"));
            let place = downloads.iter().position(|download| download.name == *name).filter(|_| denied)?;
            packages.keys().nth(place).cloned()
        }
        _ => None,
    };
    let gone: Vec<Option<String>> = errors.iter().map(name_of).collect();
    if gone.iter().all(Option::is_some) {
        Failure::Gone(errors, gone.into_iter().flatten().collect())
    } else {
        Failure::Downloads(errors)
    }
}

/// Unpacks every package of the lock for `arch`; those with most bytes first, so that no thread is left with
/// the kernel at the end.
pub(crate) fn unpack(
    unpacking: &Unpacking<'_>,
    packages: &BTreeMap<String, Locked>,
    stage: &Stage,
) -> Result<(Vec<Unpacked>, Bodies), Failure> {
    let mut order: Vec<(usize, &String, Digest, u64)> = packages
        .iter()
        .enumerate()
        .map(|(place, (name, locked))| (place, name, locked.sha256, locked.size))
        .collect();
    order.sort_by_key(|(place, _, _, size)| (std::cmp::Reverse(*size), *place));
    let done = AtomicUsize::new(0);
    let mut unpacked: Vec<_> = order
        .par_iter()
        .with_max_len(1)
        .map(|(place, name, sha256, _)| {
            let package = unpacking.package(name, sha256)?;
            stage.at(done.fetch_add(1, Ordering::Relaxed) + 1, order.len(), "unpacking");
            Ok((*place, package))
        })
        .collect::<Result<_, Failure>>()?;
    unpacked.sort_by_key(|(place, _)| *place);
    let mut bodies = Bodies::default();
    let mut all = Vec::with_capacity(unpacked.len());
    for (_, (package, pack)) in unpacked {
        bodies.add(&package, pack)?;
        all.push(package);
    }
    let files: usize = all.iter().map(|package| package.entries.len()).sum();
    stage.note(format!("{} packages, {files} paths", all.len()));
    Ok((all, bodies))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_all_mirrors_deny_is_gone_although_the_snapshot_archive_is_out_of_reach() {
        let package = Locked {
            version: "1".into(),
            suite: "trixie".into(),
            path: "pool/a.deb".into(),
            size: 1,
            sha256: Digest::of(b"a"),
        };
        let packages = BTreeMap::from([("a".to_owned(), package.clone())]);
        let download = Download { name: "a 1".into(), urls: vec![], sha256: package.sha256, size: Some(1) };
        let error = |mirror: &str| StoreError::Unreachable {
            name: "a 1".into(),
            tried: vec![
                format!("  http://m.example/debian/pool/a.deb: {mirror}"),
                "  https://snapshot.debian.org/archive/x/pool/a.deb: no such name".into(),
            ],
        };
        let judged = |mirror| failure(vec![error(mirror)], &packages, std::slice::from_ref(&download));
        assert!(matches!(judged("404 Not Found"), Failure::Gone(_, gone) if gone == ["a"]));
        assert!(matches!(judged("connection refused"), Failure::Downloads(_)));
    }
}
