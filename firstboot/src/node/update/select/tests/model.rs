//! What systemd-boot 257 does with a boot partition (boot.c: boot_entry_add_type1, boot_entry_parse_tries,
//! boot_entry_compare, boot_entry_bump_counters), in our own words.

use super::volume::{Image, kernel_slot, volume};
use contract::slots::Slot;
use std::cmp::Ordering;

/// What the loader starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) slot: Slot,
    /// Whether the start is counted.
    pub(super) counted: bool,
    /// Whether no entry that can start was there.
    pub(super) without_entries: bool,
    /// Whether the kernel's bytes are those of a whole kernel.
    pub(super) verified: bool,
    /// The entry's file.
    pub(super) file: String,
}

#[derive(Debug)]
struct Candidate {
    id: String,
    sort_key: Option<String>,
    version: String,
    kernel: String,
    /// Left and done.
    tries: Option<(u64, u64)>,
    type_one: bool,
}

/// `+LEFT-DONE` or `+LEFT` behind the last plus, up to the suffix.
fn tries(file: &str, suffix: &str) -> Option<(u64, u64)> {
    let counter = file.rsplit_once('+')?.1.strip_suffix(suffix)?;
    let (left, done) = counter.split_once('-').unwrap_or((counter, "0"));
    Some((left.parse().ok()?, done.parse().ok()?))
}

fn type_one(image: &Image) -> Vec<Candidate> {
    let view = volume(image);
    let mut found = Vec::new();
    for file in view.list("loader/entries").unwrap_or_default() {
        let id = file.name.to_lowercase();
        if file.directory || id.starts_with('.') || id.starts_with("auto-") || !id.ends_with(".conf") {
            continue;
        }
        let Ok(text) = view.read_file(&format!("loader/entries/{}", file.name), 1 << 20) else { continue };
        let text = String::from_utf8_lossy(&text).into_owned();
        let value = |key: &str| {
            let lines = text.lines().filter_map(|line| line.trim().split_once([' ', '\t']));
            lines.filter(|(found, _)| *found == key).map(|(_, value)| value.trim().to_owned()).next_back()
        };
        let Some(kernel) = value("efi").map(|path| path.trim_start_matches('/').to_owned()) else { continue };
        if view.find(&kernel).is_err() {
            continue;
        }
        let (sort_key, version) = (value("sort-key"), value("version").unwrap_or_default());
        found.push(Candidate {
            tries: tries(&file.name, ".conf"),
            id,
            sort_key,
            version,
            kernel,
            type_one: true,
        });
    }
    found
}

fn type_two(image: &Image) -> Vec<Candidate> {
    let view = volume(image);
    let mut found = Vec::new();
    for file in view.list("EFI/Linux").unwrap_or_default() {
        let id = file.name.to_lowercase();
        if file.directory || !id.ends_with(".efi") || id.starts_with("auto-") {
            continue;
        }
        let kernel = format!("EFI/Linux/{}", file.name);
        let Some((_, version)) = view.read_file(&kernel, 1 << 20).ok().and_then(|bytes| kernel_slot(&bytes))
        else {
            continue;
        };
        let (sort_key, version) = (Some("nas-x86_64".to_owned()), version.to_string());
        found.push(Candidate {
            tries: tries(&file.name, ".efi"),
            id,
            sort_key,
            version,
            kernel,
            type_one: false,
        });
    }
    found
}

/// Digits by their number, everything else by its bytes: enough for names and versions of ours.
fn compare_versions(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    loop {
        let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (one, two) = (digits(a), digits(b));
        if one > 0 && two > 0 {
            let number = |text: &[u8]| String::from_utf8_lossy(text).parse::<u128>().unwrap_or(u128::MAX);
            let order = number(&a[..one]).cmp(&number(&b[..two]));
            if order != Ordering::Equal {
                return order;
            }
            (a, b) = (&a[one..], &b[two..]);
            continue;
        }
        match (a.split_first(), b.split_first()) {
            (None, None) => return Ordering::Equal,
            (None, _) => return Ordering::Less,
            (_, None) => return Ordering::Greater,
            (Some((one, _)), Some((two, _))) if one != two => return one.cmp(two),
            (Some((_, rest)), Some((_, other))) => (a, b) = (rest, other),
        }
    }
}

fn order(a: &Candidate, b: &Candidate) -> Ordering {
    let used_up = |entry: &Candidate| entry.tries.is_some_and(|(left, _)| left == 0);
    let new_style = match (&a.sort_key, &b.sort_key) {
        (Some(one), Some(two)) => one.cmp(two).then_with(|| compare_versions(&b.version, &a.version)),
        (one, two) => one.is_none().cmp(&two.is_none()),
    };
    let names = || compare_versions(&b.id, &a.id);
    used_up(a).cmp(&used_up(b)).then(new_style).then_with(names)
}

/// The entry that is started.
pub(super) fn choose(image: &Image) -> Option<Choice> {
    let mut entries = type_one(image);
    let without_entries = !entries.iter().any(|entry| entry.tries.is_none_or(|(left, _)| left > 0));
    entries.extend(type_two(image));
    entries.sort_by(order);
    let first = entries.into_iter().next()?;
    let bytes = volume(image).read_file(&first.kernel, 1 << 20).unwrap_or_default();
    let slot = Slot::ALL.into_iter().find(|slot| first.kernel.ends_with(&format!("hc-{slot}.efi")))?;
    let verified = kernel_slot(&bytes).is_some_and(|(known, _)| known == slot);
    let counted = first.tries.is_some();
    let file = if first.type_one { format!("loader/entries/{}", first.id) } else { first.kernel };
    Some(Choice { slot, counted, without_entries, verified, file })
}

/// Starts the machine: the entry gets its new name, without leading zeros.
pub(super) fn boot(image: &mut Image, appends: bool) {
    let choice = choose(image).unwrap();
    let Some((left, done)) = tries(&choice.file, ".conf") else { return };
    let prefix = choice.file.rsplit_once('+').unwrap().0;
    let name = format!("{prefix}+{}-{}.conf", left.saturating_sub(1), done + 1);
    if name == choice.file {
        return;
    }
    let new = name.rsplit('/').next().unwrap();
    if appends {
        image.append_rename(&choice.file, new);
    } else {
        image.edit(|volume| volume.rename(&choice.file, new));
    }
}
