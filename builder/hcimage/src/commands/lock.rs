//! `hcimage lock`.

use super::relock;
use crate::{args::LockArgs, config::Lock, error::Failure, printer::Printer, settings::Workshop};

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
    Lock { packages: std::collections::BTreeMap::new(), ..lock.clone() }
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
    lines
}
