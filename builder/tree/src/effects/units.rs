//! Which units start: the links below `/etc/systemd/system` and `/etc/systemd/user` that `systemctl enable`
//! and `mask` would make. Formats: systemd.unit(5) and systemd.preset(5) of systemd 257.

use super::{EffectError, Hand};
use crate::{Contents, ImagePath, Kind, Tree, glob, suggest};
use std::collections::{BTreeMap, BTreeSet};

/// What is asked of the units, each with who asks.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// Enabled by packages and recipes, unless a preset says no.
    pub preset: Vec<(String, String)>,
    /// The same for the units of users' service managers.
    pub preset_for_users: Vec<(String, String)>,
    /// Enabled by overlays, whatever presets say.
    pub enable: Vec<(String, String)>,
    /// Not enabled although somebody else does.
    pub disable: Vec<(String, String)>,
    /// Never started, by nobody.
    pub mask: Vec<(String, String)>,
}

/// A service manager: its links, and where its units are.
struct Manager {
    links: &'static str,
    units: [&'static str; 2],
    presets: [&'static str; 2],
}

const SYSTEM: Manager = Manager {
    links: "/etc/systemd/system",
    units: ["/etc/systemd/system", "/usr/lib/systemd/system"],
    presets: ["/etc/systemd/system-preset", "/usr/lib/systemd/system-preset"],
};
const USER: Manager = Manager {
    links: "/etc/systemd/user",
    units: ["/etc/systemd/user", "/usr/lib/systemd/user"],
    presets: ["/etc/systemd/user-preset", "/usr/lib/systemd/user-preset"],
};

/// Makes the links.
///
/// # Errors
/// When a unit does not exist, cannot be enabled, or overlays contradict each other.
pub fn apply(tree: &mut Tree, contents: &dyn Contents, wishes: &Wishes) -> Result<(), EffectError> {
    let mut hand = Hand::new(tree, contents, "units");
    let off: BTreeSet<&str> =
        wishes.disable.iter().chain(&wishes.mask).map(|(unit, _)| unit.as_str()).collect();
    for (unit, by) in &wishes.enable {
        let contrary = wishes.disable.iter().chain(&wishes.mask).find(|(other, _)| other == unit);
        if let Some((_, other)) = contrary {
            let (first, second) = (format!("{by} enables it"), format!("{other} does not want it"));
            return Err(EffectError::Clash { what: "unit", name: unit.clone(), first, second });
        }
    }
    for (unit, by) in wishes.disable.iter().chain(&wishes.mask) {
        find(&hand, &SYSTEM, unit, by)?;
    }
    for (manager, asked) in [(&SYSTEM, &wishes.preset), (&USER, &wishes.preset_for_users)] {
        let presets = presets(&hand, manager)?;
        for (unit, by) in asked {
            for unit in preset_names(unit, &presets) {
                enable(&mut hand, manager, &unit, by, &off, false)?;
            }
        }
    }
    for (unit, by) in &wishes.enable {
        enable(&mut hand, &SYSTEM, unit, by, &off, true)?;
    }
    for (unit, _) in &wishes.mask {
        let path = hand.path(&format!("{}/{unit}", SYSTEM.links))?;
        hand.symlink(&path, "/dev/null")?;
    }
    Ok(())
}

/// A line of a preset file: whether to enable, a pattern, and instances.
type Preset = (bool, String, Vec<String>);

fn presets(hand: &Hand<'_>, manager: &Manager) -> Result<Vec<Preset>, EffectError> {
    let mut presets = Vec::new();
    for (path, text) in hand.drop_ins(&manager.presets, ".preset")? {
        for (number, line) in text.lines().enumerate() {
            let mut words = line.split_whitespace();
            match (words.next(), words.next()) {
                (None, _) => {}
                (Some(word), _) if word.starts_with(['#', ';']) => {}
                (Some("ignore"), Some(_)) => {}
                (Some(verb @ ("enable" | "disable")), Some(pattern)) => {
                    presets.push((verb == "enable", pattern.to_owned(), words.map(str::to_owned).collect()));
                }
                _ => {
                    let why =
                        format!("`{line}` is no preset: expected enable, disable or ignore, and a unit");
                    return Err(EffectError::Line { path, line: number + 1, why });
                }
            }
        }
    }
    Ok(presets)
}

/// The first preset about `unit` decides; without one it is enabled. A template's preset may name instances.
fn preset_names(unit: &str, presets: &[Preset]) -> Vec<String> {
    let matching =
        presets.iter().find(|(_, pattern, _)| glob::matches_name(pattern.as_bytes(), unit.as_bytes()));
    match matching {
        Some((false, ..)) => Vec::new(),
        Some((true, _, instances)) if !instances.is_empty() && unit.contains("@.") => {
            instances.iter().map(|instance| unit.replacen("@.", &format!("@{instance}."), 1)).collect()
        }
        _ => vec![unit.to_owned()],
    }
}

/// `foo@bar.service`: the template `foo@.service`.
fn template(unit: &str) -> Option<String> {
    let (prefix, rest) = unit.split_once('@')?;
    let (instance, suffix) = rest.rsplit_once('.')?;
    (!instance.is_empty()).then(|| format!("{prefix}@.{suffix}"))
}

/// The file of a unit, links (aliases) followed.
fn find(hand: &Hand<'_>, manager: &Manager, unit: &str, by: &str) -> Result<ImagePath, EffectError> {
    for name in std::iter::once(unit.to_owned()).chain(template(unit)) {
        for directory in manager.units {
            let path = hand.path(&format!("{directory}/{name}"))?;
            let path = hand.tree.resolve(&path, true).map_err(|source| hand.refused(source))?;
            if hand.tree.get(&path).is_some_and(|node| matches!(node.kind, Kind::File(_))) {
                return Ok(path);
            }
        }
    }
    let mut names = Vec::new();
    for directory in manager.units {
        let directory = hand.path(directory)?;
        names.extend(hand.tree.children(&directory).map(|(path, _)| path.name()));
    }
    let hint = suggest::did_you_mean(unit, names);
    Err(EffectError::Unknown { by: by.to_owned(), what: "unit", name: unit.to_owned(), hint })
}

fn enable(
    hand: &mut Hand<'_>,
    manager: &Manager,
    unit: &str,
    by: &str,
    off: &BTreeSet<&str>,
    must: bool,
) -> Result<(), EffectError> {
    let mut pending = vec![unit.to_owned()];
    let mut seen = BTreeSet::new();
    while let Some(unit) = pending.pop() {
        if off.contains(unit.as_str()) || !seen.insert(unit.clone()) {
            continue;
        }
        let file = find(hand, manager, &unit, by)?;
        let text = hand.tree.read_text(&file, hand.contents).map_err(|source| hand.refused(source))?;
        let install = install(&text);
        if install.is_empty() && must && seen.len() == 1 {
            return Err(EffectError::NotInstallable { by: by.to_owned(), unit });
        }
        // The name that the unit has in links: an alias is enabled under its own name.
        let real = if template(&unit).is_some() { unit.clone() } else { file.name().to_owned() };
        links(hand, manager, &real, &file, &install)?;
        pending.extend(install.get("Also").into_iter().flatten().cloned());
    }
    Ok(())
}

/// Every value of the `[Install]` section, by key.
fn install(text: &str) -> BTreeMap<String, Vec<String>> {
    let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut inside = false;
    let joined = text.replace("\\\n", " ");
    for line in joined.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = line == "[Install]";
        } else if inside
            && !line.starts_with(['#', ';'])
            && let Some((key, value)) = line.split_once('=')
        {
            let list = values.entry(key.trim().to_owned()).or_default();
            if value.trim().is_empty() {
                list.clear();
            }
            list.extend(value.split_whitespace().map(str::to_owned));
        }
    }
    values
}

fn links(
    hand: &mut Hand<'_>,
    manager: &Manager,
    unit: &str,
    file: &ImagePath,
    install: &BTreeMap<String, Vec<String>>,
) -> Result<(), EffectError> {
    let values = |key: &str| install.get(key).into_iter().flatten();
    let mut name = unit.to_owned();
    if let (true, Some(instance)) = (unit.contains("@."), values("DefaultInstance").next()) {
        name = unit.replacen("@.", &format!("@{instance}."), 1);
    }
    let target = file.to_string();
    for (key, suffix) in [("WantedBy", "wants"), ("RequiredBy", "requires"), ("UpheldBy", "upholds")] {
        // A template without an instance can be wanted by nobody, except by another template.
        for by in values(key).filter(|by| !name.contains("@.") || by.contains("@.")) {
            let by = expand(by, &name, file)?;
            let path = hand.path(&format!("{}/{by}.{suffix}/{name}", manager.links))?;
            hand.symlink(&path, &target)?;
        }
    }
    for alias in values("Alias") {
        let alias = expand(alias, &name, file)?;
        if alias != unit {
            let path = hand.path(&format!("{}/{alias}", manager.links))?;
            hand.symlink(&path, &target)?;
        }
    }
    Ok(())
}

/// Specifiers in `[Install]`: `%i`, `%j`, `%n`, `%N`, `%p` and `%%`.
fn expand(value: &str, unit: &str, file: &ImagePath) -> Result<String, EffectError> {
    let (stem, _) = unit.rsplit_once('.').unwrap_or((unit, ""));
    let (prefix, instance) = stem.split_once('@').unwrap_or((stem, ""));
    let mut text = String::new();
    let mut letters = value.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            text.push(letter);
            continue;
        }
        match letters.next() {
            Some('i') => text.push_str(instance),
            Some('j') => text.push_str(prefix.rsplit('-').next().unwrap_or(prefix)),
            Some('n') => text.push_str(unit),
            Some('N') => text.push_str(stem),
            Some('p') => text.push_str(prefix),
            Some('%') => text.push('%'),
            _ => {
                let why =
                    format!("`{value}` in [Install]: only %i, %j, %n, %N, %p and %% can be known in a build");
                return Err(EffectError::Line { path: file.clone(), line: 1, why });
            }
        }
    }
    Ok(text)
}
