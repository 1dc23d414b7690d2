//! The decisions on a boot partition with systemd-boot, as edits of a volume: nothing here touches a device.

use super::{Entry, MAX_TRIES, Proof, SelectError, Selection, Truth};
use contract::{
    selector::{
        self, Counter, ENTRIES, KERNELS, LOADER_CONF, LOADER_CONF_TEXT, entry_name, entry_text, kernel_path,
    },
    slots::Slot,
};
use fat::{FatError, ReadAt, Stamp, Volume};

/// The kernel that is being written. It is beside the others, so that its new name is a change in one sector, and
/// does not end in `.efi`, so that nothing starts it.
pub(super) const NEW: &str = "EFI/Linux/hc.new";
/// Which loader on which firmware was seen to count.
const PROOF: &str = "EFI/hcimage/counts.txt";
/// More than an entry or the loader's settings ever have.
const TEXT: u64 = 4096;

/// A kernel that is not started any more, for the blocks that it shares with the next.
fn old_path(slot: Slot) -> String {
    format!("{KERNELS}/hc-{slot}.old")
}

/// An entry of ours, as it was found.
struct Found {
    path: String,
    slot: Slot,
    counter: Option<Counter>,
    /// None when its text is not what we write.
    generation: Option<u64>,
}

impl Found {
    fn entry(&self) -> Option<Entry> {
        let generation = self.generation?;
        Some(match self.counter {
            None => Entry::Committed { generation },
            Some(Counter { left, done }) => Entry::Trial { generation, left, done },
        })
    }
}

fn there<T>(found: Result<T, FatError>) -> Result<Option<T>, FatError> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(FatError::Missing(_)) => Ok(None),
        Err(other) => Err(other),
    }
}

/// Our entries, and what keeps them from being read.
fn entries<S: ReadAt>(volume: &Volume<S>) -> Result<(Vec<Found>, Vec<String>), FatError> {
    let listed = match volume.list(ENTRIES) {
        Ok(listed) => listed,
        Err(error @ FatError::Read { .. }) => return Err(error),
        Err(error) => return Ok((Vec::new(), vec![error.to_string()])),
    };
    let (mut found, mut damage) = (Vec::new(), Vec::new());
    for file in listed.into_iter().filter(|file| !file.directory) {
        let Some((slot, counter)) = selector::parse_entry_name(&file.name) else { continue };
        let path = format!("{ENTRIES}/{}", file.name);
        let generation = match volume.read_file(&path, TEXT) {
            Ok(text) => selector::parse_entry_text(slot, &text),
            Err(error @ FatError::Read { .. }) => return Err(error),
            Err(_) => None,
        };
        if generation.is_none() {
            damage.push(format!("the boot entry {path} is not readable"));
        }
        if file.read_only {
            damage.push(format!("the boot entry {path} is read-only: the loader cannot count with it"));
        }
        found.push(Found { path, slot, counter, generation });
    }
    Ok((found, damage))
}

/// The entry of a slot that counts: of a counted and a plain one the plain one, since both are made only of a slot
/// that is good.
fn of(found: &[Found], slot: Slot) -> Option<&Found> {
    let valid = found.iter().filter(|entry| entry.slot == slot && entry.generation.is_some());
    valid.min_by_key(|entry| (entry.counter.is_some(), std::cmp::Reverse(entry.generation)))
}

fn has_kernel<S: ReadAt>(volume: &Volume<S>, slot: Slot) -> Result<bool, FatError> {
    match volume.extents(&kernel_path(slot)) {
        Ok(extents) => Ok(!extents.is_empty()),
        Err(error @ FatError::Read { .. }) => Err(error),
        Err(_) => Ok(false),
    }
}

/// What the boot partition says.
pub(super) fn read<S: ReadAt>(volume: &Volume<S>) -> Result<Selection, SelectError> {
    let (found, mut damage) = entries(volume)?;
    for slot in Slot::ALL {
        if found.iter().filter(|entry| entry.slot == slot).count() > 1 {
            damage.push(format!("slot {slot} has more than one boot entry"));
        }
    }
    match volume.read_file(LOADER_CONF, TEXT) {
        Ok(text) if text == LOADER_CONF_TEXT.as_bytes() => {}
        Err(error @ FatError::Read { .. }) => return Err(error.into()),
        _ => damage.push(format!("{LOADER_CONF} is not ours")),
    }
    if volume.tables_differ()? {
        damage.push("the two allocation tables differ".to_owned());
    }
    damage.extend(volume.survey()?.faults.iter().map(ToString::to_string));
    let entry = |slot| of(&found, slot).and_then(Found::entry);
    let mut kernels = Vec::new();
    for slot in Slot::ALL {
        if has_kernel(volume, slot)? {
            kernels.push(slot);
        }
    }
    let live = |slot: Slot| {
        entry(slot).filter(|entry| !entry.is_exhausted()).map(|entry| (entry.generation(), slot))
    };
    let next = kernels.iter().copied().filter_map(live).max().map(|(_, slot)| slot);
    // Without entries the loader takes the kernels themselves.
    let next = next.or_else(|| kernels.last().copied());
    Ok(Selection { a: entry(Slot::A), b: entry(Slot::B), next, damage })
}

fn newest(found: &[Found]) -> u64 {
    found.iter().filter_map(|entry| entry.generation).max().unwrap_or(0)
}

/// The name at the end of a path of ours.
fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn remove_entries<S: ReadAt>(volume: &mut Volume<S>, gone: &[&Found]) -> Result<(), FatError> {
    gone.iter().try_for_each(|entry| volume.discard(&entry.path))
}

fn remove_if_there<S: ReadAt>(volume: &mut Volume<S>, path: &str) -> Result<(), FatError> {
    match there(volume.find(path))? {
        Some(_) => volume.discard(path),
        None => Ok(()),
    }
}

/// Whether the other slot is kept, or, when this one is out of the choice already, can be started at all.
fn other_starts<S: ReadAt>(volume: &Volume<S>, found: &[Found], slot: Slot) -> Result<(), SelectError> {
    let live = |slot| of(found, slot).and_then(Found::entry).filter(|entry| !entry.is_exhausted());
    let enough = matches!(live(slot.other()), Some(Entry::Committed { .. })) || live(slot).is_none();
    if enough && has_kernel(volume, slot.other())? { Ok(()) } else { Err(SelectError::LastSlot { slot }) }
}

/// A kernel that was started gets the name under which nothing starts it.
fn retire<S: ReadAt>(volume: &mut Volume<S>, slot: Slot) -> Result<(), FatError> {
    if there(volume.find(&kernel_path(slot)))?.is_some() {
        remove_if_there(volume, &old_path(slot))?;
        volume.rename(&kernel_path(slot), last(&old_path(slot)))?;
    }
    Ok(())
}

/// The slot's entries go first, then its kernel's name.
pub(super) fn disarm<S: ReadAt>(volume: &mut Volume<S>, slot: Slot) -> Result<(), SelectError> {
    let (found, _) = entries(volume)?;
    other_starts(volume, &found, slot)?;
    remove_entries(volume, &found.iter().filter(|entry| entry.slot == slot).collect::<Vec<_>>())?;
    retire(volume, slot)?;
    Ok(())
}

/// Where a slot's kernel is, started or not.
pub(super) fn installed<S: ReadAt>(volume: &Volume<S>, slot: Slot) -> Result<Option<String>, SelectError> {
    for path in [kernel_path(slot), old_path(slot)] {
        if there(volume.find(&path))?.is_some() {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// Room for a new kernel, if there is none of this size.
pub(super) fn begin<S: ReadAt>(volume: &mut Volume<S>, size: u32) -> Result<(), SelectError> {
    if there(volume.find(NEW))?.is_some() {
        if volume
            .extents(NEW)
            .is_ok_and(|extents| extents.iter().map(|extent| extent.length).sum::<u64>() == u64::from(size))
        {
            return Ok(());
        }
        volume.discard(NEW)?;
    }
    let unit = volume.room().0;
    for slot in Slot::ALL {
        let (_, free) = volume.room();
        if free * unit < u64::from(size) + unit {
            // Blocks that could have been shared are fetched instead.
            remove_if_there(volume, &old_path(slot))?;
        }
    }
    Ok(volume.reserve(NEW, size, Stamp::START)?)
}

/// The new kernel gets the name under which the slot starts.
pub(super) fn place<S: ReadAt>(volume: &mut Volume<S>, slot: Slot) -> Result<(), SelectError> {
    if there(volume.find(NEW))?.is_none() {
        return Err(SelectError::NotBegun);
    }
    let (found, _) = entries(volume)?;
    if let Some(entry) = found.iter().find(|entry| entry.slot == slot) {
        return Err(SelectError::entry(slot, "given a kernel", entry.entry()));
    }
    retire(volume, slot)?;
    volume.rename(NEW, last(&kernel_path(slot)))?;
    remove_if_there(volume, &old_path(slot))?;
    Ok(())
}

/// Puts a slot on trial as the newest. One sector lets it win: a new entry, or the higher generation in an entry that
/// was counted first.
pub(super) fn arm<S: ReadAt>(volume: &mut Volume<S>, slot: Slot, tries: u8) -> Result<(), SelectError> {
    if !(1..=MAX_TRIES).contains(&tries) {
        return Err(SelectError::Tries { tries });
    }
    if !has_kernel(volume, slot)? {
        return Err(SelectError::NoKernel { slot });
    }
    let (found, _) = entries(volume)?;
    let name = entry_name(slot, Some(Counter { left: tries, done: 0 }));
    let path = format!("{ENTRIES}/{name}");
    let newest = newest(&found);
    let Some(kept) = of(&found, slot) else {
        let broken: Vec<&Found> = found.iter().filter(|entry| entry.slot == slot).collect();
        remove_entries(volume, &broken)?;
        return Ok(volume.put(&path, entry_text(slot, newest + 1).as_bytes(), Stamp::START)?);
    };
    let others: Vec<&Found> =
        found.iter().filter(|entry| entry.slot == slot && entry.path != kept.path).collect();
    remove_entries(volume, &others)?;
    let is_newest = found.iter().all(|entry| entry.slot == slot || entry.generation < kept.generation);
    let text = entry_text(slot, newest + 1);
    let exhausted = kept.entry().is_some_and(Entry::is_exhausted);
    if !is_newest && exhausted {
        volume.overwrite(&kept.path, text.as_bytes())?;
    }
    volume.rename(&kept.path, &name)?;
    if !is_newest && !exhausted {
        volume.overwrite(&path, text.as_bytes())?;
    }
    Ok(())
}

fn on_trial<'f>(found: &'f [Found], slot: Slot, wish: &'static str) -> Result<&'f Found, SelectError> {
    match of(found, slot) {
        Some(entry) if entry.counter.is_some() => Ok(entry),
        other => Err(SelectError::entry(slot, wish, other.and_then(Found::entry))),
    }
}

/// Drops the counter: one sector.
pub(super) fn commit<S: ReadAt>(volume: &mut Volume<S>, slot: Slot) -> Result<(), SelectError> {
    let (found, _) = entries(volume)?;
    let entry = on_trial(&found, slot, "kept")?;
    // A plain entry that cannot be read is in the way.
    let others: Vec<&Found> =
        found.iter().filter(|other| other.slot == slot && other.path != entry.path).collect();
    remove_entries(volume, &others)?;
    Ok(volume.rename(&entry.path, &entry_name(slot, None))?)
}

/// Uses up the counter: one sector; then the kernel's name.
pub(super) fn give_up<S: ReadAt>(volume: &mut Volume<S>, slot: Slot) -> Result<(), SelectError> {
    let (found, _) = entries(volume)?;
    let entry = on_trial(&found, slot, "given up")?;
    other_starts(volume, &found, slot)?;
    if let Some(Counter { left, done }) = entry.counter.filter(|counter| counter.left > 0) {
        let used = Counter { left: 0, done: left.saturating_add(done) };
        volume.rename(&entry.path, &entry_name(slot, Some(used)))?;
    }
    retire(volume, slot)?;
    Ok(())
}

/// What the loader said at this start: the path that it counted, and who it is.
pub(super) struct Said<'s> {
    pub(super) counted: Option<&'s str>,
    pub(super) seen: &'s str,
}

/// Whether the loader counts. A proof is kept beside the kernels, where a full state partition is no matter.
pub(super) fn canary<S: ReadAt>(volume: &mut Volume<S>, said: &Said<'_>) -> Result<Proof, SelectError> {
    let kept = match volume.read_file(PROOF, TEXT) {
        Err(error @ FatError::Read { .. }) => return Err(error.into()),
        other => other.is_ok_and(|text| text == said.seen.as_bytes()),
    };
    let counts = || Proof::Counts { seen: said.seen.trim_end().to_owned() };
    if kept {
        return Ok(counts());
    }
    let missing = |why: &str| {
        let why = format!("{why}; `hcnode update --prove` and a restart show whether it counts");
        Ok(Proof::Missing { why })
    };
    let Some(path) = said.counted else {
        return missing("the boot loader did not count this start");
    };
    let path = path.replace('\\', "/");
    let path = path.trim_start_matches('/');
    let done =
        selector::parse_entry_name(last(path)).and_then(|(_, counter)| counter).map(|counter| counter.done);
    if there(volume.find(path))?.is_none() || done.is_none_or(|done| done == 0) {
        return missing("the boot loader says that it counted, and the boot partition does not show it");
    }
    remove_if_there(volume, PROOF)?;
    if there(volume.find("EFI/hcimage"))?.is_none() {
        volume.make_directory("EFI/hcimage", Stamp::START)?;
    }
    volume.put(PROOF, said.seen.as_bytes(), Stamp::START)?;
    Ok(counts())
}

/// Makes it right again, in an order in which each step alone is no worse than before.
pub(super) fn repair<S: ReadAt>(volume: &mut Volume<S>, truth: &Truth) -> Result<Vec<String>, SelectError> {
    let mut done = Vec::new();
    if volume.mend_tables()? {
        done.push("the two allocation tables are alike again".to_owned());
    }
    mend_folder(volume, &mut done)?;
    mend_settings(volume, &mut done)?;
    mend_entries(volume, truth, &mut done)?;
    if volume.tidy(ENTRIES)? || volume.tidy(KERNELS)? {
        done.push("names that were half written are gone".to_owned());
    }
    if volume.reclaim()? > 0 {
        done.push("room that nothing used is free again".to_owned());
    }
    Ok(done)
}

/// The folder of entries is made anew when it is no folder, or what it holds contradicts itself.
fn mend_folder<S: ReadAt>(volume: &mut Volume<S>, done: &mut Vec<String>) -> Result<(), SelectError> {
    let (folder, _) = ENTRIES.split_once('/').unwrap_or((ENTRIES, ""));
    for (path, below) in [(folder, false), (ENTRIES, true)] {
        let found = there(volume.find(path))?;
        let faulty = volume.survey()?.faults.iter().any(|fault| {
            let at = fault.path();
            at == path || below && at.starts_with(path)
        });
        let good =
            found.as_ref().is_some_and(|found| found.directory) && !faulty && volume.list(path).is_ok();
        if !good {
            if found.is_some() {
                volume.discard(path)?;
            }
            volume.make_directory(path, Stamp::START)?;
            done.push(format!("the folder {path} is made anew"));
        }
    }
    Ok(())
}

fn mend_settings<S: ReadAt>(volume: &mut Volume<S>, done: &mut Vec<String>) -> Result<(), SelectError> {
    if volume.read_file(LOADER_CONF, TEXT).is_ok_and(|text| text == LOADER_CONF_TEXT.as_bytes()) {
        return Ok(());
    }
    remove_if_there(volume, LOADER_CONF)?;
    volume.put(LOADER_CONF, LOADER_CONF_TEXT.as_bytes(), Stamp::START)?;
    done.push(format!("{LOADER_CONF} is written anew"));
    Ok(())
}

fn mend_entries<S: ReadAt>(
    volume: &mut Volume<S>,
    truth: &Truth,
    done: &mut Vec<String>,
) -> Result<(), SelectError> {
    let running = truth.running;
    let (found, _) = entries(volume)?;
    if truth.kept && of(&found, running).is_none() && has_kernel(volume, running)? {
        let broken: Vec<&Found> = found.iter().filter(|entry| entry.slot == running).collect();
        remove_entries(volume, &broken)?;
        // Below a trial of the other slot, which would not be tried otherwise.
        let generation = match of(&found, running.other()).and_then(Found::entry) {
            Some(Entry::Trial { generation, left, .. }) if left > 0 => generation.saturating_sub(1),
            _ => newest(&found) + 1,
        };
        let path = format!("{ENTRIES}/{}", entry_name(running, None));
        volume.put(&path, entry_text(running, generation).as_bytes(), Stamp::START)?;
        done.push(format!("slot {running} has its boot entry again"));
    }
    let (found, _) = entries(volume)?;
    for slot in Slot::ALL {
        let kept = of(&found, slot).map(|entry| entry.path.as_str());
        let spare: Vec<&Found> =
            found.iter().filter(|entry| entry.slot == slot && Some(entry.path.as_str()) != kept).collect();
        // The last entry of a slot that is not kept stays even when it cannot be read: nothing better is known.
        if !spare.is_empty() && (kept.is_some() || slot != running) {
            remove_entries(volume, &spare)?;
            done.push(format!("slot {slot} has one boot entry"));
        }
    }
    Ok(())
}
