//! `hcimage lock`.

use super::relock;
use crate::{
    args::LockArgs,
    config::{Lock, LockedArtifact},
    error::Failure,
    printer::Printer,
    settings::Workshop,
};
use contract::Arch;
use std::collections::{BTreeMap, BTreeSet};

pub(crate) fn run(args: LockArgs, workshop: &Workshop, printer: &Printer) -> Result<(), Failure> {
    let LockArgs { profile, all, update } = args;
    let profiles = if all { workshop.project.profiles()? } else { vec![profile] };
    for profile in profiles {
        let described = workshop.project.describe(&profile)?;
        let file = workshop.project.lock_file(&profile);
        let old = if file.exists() { Some(workshop.project.lock(&profile)?) } else { None };
        let update = update.as_deref();
        if let (Some(names), Some(old)) = (update, &old) {
            let known = |name: &String| old.packages.values().any(|packages| packages.contains_key(name));
            if let Some(stranger) = names.iter().find(|name| !known(name)) {
                return Err(Failure::refused(format!(
                    "--update {stranger}: no package of this name is in {}",
                    file.display()
                )));
            }
        }
        // `--update` without names renews everything but keeps the ids; without it only what must change does.
        let (base, renew) = match update {
            Some([]) => (old.as_ref().map(without_packages), &[][..]),
            Some(names) => (old.clone(), names),
            None => (old.clone(), &[][..]),
        };
        let new = relock(workshop, &described, base.as_ref(), renew, printer)?;
        report(old.as_ref(), &new, &file.display().to_string(), workshop.json, printer)?;
    }
    Ok(())
}

fn without_packages(lock: &Lock) -> Lock {
    Lock { packages: BTreeMap::new(), ..lock.clone() }
}

fn report(old: Option<&Lock>, new: &Lock, file: &str, json: bool, printer: &Printer) -> Result<(), Failure> {
    let changes = changes(old, new);
    if json {
        let summary = serde_json::json!({ "lock": file, "digest": new.digest(), "changes": changes });
        return printer.data(&format!("{summary:#}\n"));
    }
    for change in &changes {
        printer.say(&format!("  {change}"));
    }
    let counts: Vec<String> =
        new.packages.iter().map(|(arch, packages)| format!("{} for {arch}", packages.len())).collect();
    printer.say(&format!("{file}: packages: {}; changes: {}", counts.join(", "), changes.len()));
    Ok(())
}

/// What differs, a line for each package and architecture.
fn changes(old: Option<&Lock>, new: &Lock) -> Vec<String> {
    let Some(old) = old else { return vec!["a new lock".to_owned()] };
    let mut lines = Vec::new();
    for (arch, packages) in &new.packages {
        let before = old.packages.get(arch);
        for (name, locked) in packages {
            match before.and_then(|before| before.get(name)) {
                None => lines.push(format!("{arch}: {name} {} is new", locked.version)),
                Some(known) if known.version != locked.version => {
                    lines.push(format!("{arch}: {name} {} -> {}", known.version, locked.version));
                }
                Some(_) => {}
            }
        }
        let gone = before.into_iter().flatten().filter(|(name, _)| !packages.contains_key(*name));
        lines.extend(gone.map(|(name, locked)| format!("{arch}: {name} {} is gone", locked.version)));
    }
    for arch in Arch::ALL {
        lines.extend(artifact_changes(arch, old.artifacts.get(&arch), new.artifacts.get(&arch)));
    }
    lines
}

/// The same for the artifacts of one architecture.
fn artifact_changes(
    arch: Arch,
    old: Option<&BTreeMap<String, LockedArtifact>>,
    new: Option<&BTreeMap<String, LockedArtifact>>,
) -> Vec<String> {
    let said = |it: &LockedArtifact| format!("{} ({})", it.version, it.sha256);
    let before = |name: &String| old.and_then(|old| old.get(name));
    let after = |name: &String| new.and_then(|new| new.get(name));
    let names: BTreeSet<&String> = old.into_iter().chain(new).flatten().map(|(name, _)| name).collect();
    let line = |name: &String| match (before(name), after(name)) {
        (None, Some(new)) => Some(format!("{arch}: artifact {name} {} is new", new.version)),
        (Some(old), None) => Some(format!("{arch}: artifact {name} {} is gone", old.version)),
        (Some(old), Some(new)) if said(old) != said(new) => {
            Some(format!("{arch}: artifact {name} {} -> {}", said(old), said(new)))
        }
        _ => None,
    };
    names.into_iter().filter_map(line).collect()
}
