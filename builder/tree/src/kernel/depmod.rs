//! The indexes by which `modprobe` and udev find modules, as depmod of kmod 34 makes them.
//!
//! The order of everything follows from `modules.order`: kmod sorts the modules by it, sorts their dependencies
//! topologically by taking the last module that nobody needs any more, and gives a module's place in the order
//! as its priority. Modules which `modules.order` does not name come last, by path (kmod: by chance). The
//! text `modules.symbols` is sorted by symbol (kmod: by hash).

use super::{
    KernelError,
    index::Index,
    modules::{Module, module_name, plain_path},
    select::by_name,
};
use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write,
};

/// Lists that the kernel package ships in the release's directory.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shipped<'a> {
    /// `modules.order`.
    pub order: &'a str,
    /// `modules.builtin`.
    pub builtin: &'a str,
    /// `modules.builtin.modinfo`.
    pub builtin_modinfo: &'a [u8],
}

/// A kernel's modules with who needs whom.
#[derive(Clone, Debug)]
pub struct ModuleSet {
    /// In the order of `modules.order`.
    modules: Vec<Module>,
    /// For each module all modules that it needs, deepest last.
    closures: Vec<Vec<usize>>,
    /// Symbols with the module that exports them.
    symbols: BTreeMap<String, usize>,
    /// Names of what is built in, in the file's order.
    builtin: Vec<String>,
    /// Aliases of what is built in, with the name.
    builtin_aliases: Vec<(String, String)>,
}

impl ModuleSet {
    /// Orders the modules and finds who needs whom by the symbols which they export.
    ///
    /// # Errors
    /// When two files are one module, modules need each other, or a shipped list is malformed.
    pub fn new(mut modules: Vec<Module>, shipped: &Shipped) -> Result<Self, KernelError> {
        by_name(modules.iter().map(|module| &module.path))?;
        let mut places = HashMap::new();
        for (place, path) in shipped.order.lines().enumerate() {
            places.entry(path).or_insert(place);
        }
        modules.sort_by_cached_key(|module| {
            let place = plain_path(&module.path).and_then(|path| places.get(path));
            (place.copied().unwrap_or(usize::MAX), module.path.clone())
        });
        let mut symbols = BTreeMap::new();
        for (id, module) in modules.iter().enumerate() {
            symbols.extend(module.facts.exports.iter().map(|symbol| (symbol.clone(), id)));
        }
        let direct = direct(&modules, &symbols);
        let ranks = ranks(&modules, &direct)?;
        let closures = (0..modules.len()).map(|id| closure(id, &direct, &ranks)).collect();
        let builtin = builtin_names(shipped.builtin)?;
        let builtin_aliases = builtin_aliases(shipped.builtin_modinfo)?;
        Ok(Self { modules, closures, symbols, builtin, builtin_aliases })
    }

    /// The modules in the order of `modules.order`.
    #[must_use]
    pub fn modules(&self) -> &[Module] {
        &self.modules
    }

    /// The places in [`ModuleSet::modules`] of all that the module at `place` needs, deepest last.
    #[must_use]
    pub fn needs(&self, place: usize) -> &[usize] {
        self.closures.get(place).map_or(&[], Vec::as_slice)
    }

    /// Names of what is built into the kernel.
    #[must_use]
    pub fn builtin(&self) -> &[String] {
        &self.builtin
    }

    /// Aliases of what is built into the kernel, with the name of what they mean.
    #[must_use]
    pub fn builtin_aliases(&self) -> &[(String, String)] {
        &self.builtin_aliases
    }

    /// depmod's files, by their name in the release's directory.
    #[must_use]
    pub fn files(&self) -> BTreeMap<&'static str, Vec<u8>> {
        let (dep, dep_bin) = self.dependencies();
        let (alias, alias_bin) = self.aliases();
        let (symbols, symbols_bin) = self.symbol_aliases();
        let (builtin_bin, builtin_alias_bin) = self.builtin_indexes();
        let soft = "# Soft dependencies extracted from modules themselves.\n";
        let weak = "# Weak dependencies extracted from modules themselves.\n";
        BTreeMap::from([
            ("modules.dep", dep.into_bytes()),
            ("modules.dep.bin", dep_bin.to_bytes()),
            ("modules.alias", alias.into_bytes()),
            ("modules.alias.bin", alias_bin.to_bytes()),
            ("modules.symbols", symbols.into_bytes()),
            ("modules.symbols.bin", symbols_bin.to_bytes()),
            ("modules.softdep", self.said(soft, "softdep", |module| &module.facts.softdeps)),
            ("modules.weakdep", self.said(weak, "weakdep", |module| &module.facts.weakdeps)),
            ("modules.devname", self.device_names().into_bytes()),
            ("modules.builtin.bin", builtin_bin.to_bytes()),
            ("modules.builtin.alias.bin", builtin_alias_bin.to_bytes()),
        ])
    }

    fn dependencies(&self) -> (String, Index) {
        let (mut text, mut index) = (String::new(), Index::default());
        for ((id, module), priority) in self.modules.iter().enumerate().zip(0..) {
            let mut line = format!("{}:", module.path);
            for other in self.needs(id) {
                line.push(' ');
                line.push_str(&self.modules[*other].path);
            }
            index.insert(&module.name(), &line, priority);
            text.push_str(&line);
            text.push('\n');
        }
        (text, index)
    }

    fn aliases(&self) -> (String, Index) {
        let mut text = "# Aliases extracted from modules themselves.\n".to_owned();
        let mut index = Index::default();
        for (module, priority) in self.modules.iter().zip(0..) {
            let name = module.name();
            for alias in &module.facts.aliases {
                line(&mut text, format_args!("alias {alias} {name}"));
                // modprobe could never find an alias with a bracket that is not closed: kmod leaves it out, too.
                if let Some(alias) = normal_alias(alias) {
                    index.insert(&alias, &name, priority);
                }
            }
        }
        (text, index)
    }

    fn symbol_aliases(&self) -> (String, Index) {
        let mut text = "# Aliases for symbols, used by symbol_request().\n".to_owned();
        let mut index = Index::default();
        for (symbol, owner) in &self.symbols {
            let name = self.modules[*owner].name();
            line(&mut text, format_args!("alias symbol:{symbol} {name}"));
            // There are less than 2^32 modules; an index that could hold more does not exist.
            let priority = u32::try_from(*owner).unwrap_or(u32::MAX);
            index.insert(&format!("symbol:{symbol}"), &name, priority);
        }
        (text, index)
    }

    fn builtin_indexes(&self) -> (Index, Index) {
        let (mut names, mut aliases) = (Index::default(), Index::default());
        for name in &self.builtin {
            names.insert(name, "", 0);
        }
        for (alias, name) in &self.builtin_aliases {
            if let Some(alias) = normal_alias(alias) {
                aliases.insert(&alias, name, 0);
            }
        }
        (names, aliases)
    }

    fn said(&self, title: &str, word: &str, list: fn(&Module) -> &Vec<String>) -> Vec<u8> {
        let mut text = title.to_owned();
        for module in &self.modules {
            for value in list(module) {
                line(&mut text, format_args!("{word} {} {value}", module.name()));
            }
        }
        text.into_bytes()
    }

    /// Device nodes that exist before their module is loaded; opening one loads it.
    fn device_names(&self) -> String {
        let mut text = String::new();
        for module in &self.modules {
            let (mut name, mut numbers) = (None, None);
            for alias in &module.facts.aliases {
                match alias.strip_prefix("devname:") {
                    Some(devname) => name = Some(devname),
                    None => numbers = device_numbers(alias).or(numbers),
                }
                if let (Some(name), Some((kind, major, minor))) = (name, numbers) {
                    if text.is_empty() {
                        text.push_str("# Device nodes to trigger on-demand module loading.\n");
                    }
                    line(&mut text, format_args!("{} {name} {kind}{major}:{minor}", module.name()));
                    break;
                }
            }
        }
        text
    }
}

#[expect(clippy::expect_used, reason = "writing to a String cannot fail")]
fn line(text: &mut String, line: std::fmt::Arguments) {
    writeln!(text, "{line}").expect("a String grows");
}

/// Which modules each needs, in the order of their symbols in the file, which decides the order of all.
fn direct(modules: &[Module], symbols: &BTreeMap<String, usize>) -> Vec<Vec<usize>> {
    let lookup: HashMap<&str, usize> = symbols.iter().map(|(symbol, id)| (symbol.as_str(), *id)).collect();
    let needs = |module: &Module| {
        let mut needs = Vec::new();
        for owner in module.facts.needs.iter().filter_map(|symbol| lookup.get(symbol.as_str())) {
            if !needs.contains(owner) {
                needs.push(*owner);
            }
        }
        needs
    };
    modules.iter().map(needs).collect()
}

/// Each module's place in a topological order, users first.
fn ranks(modules: &[Module], direct: &[Vec<usize>]) -> Result<Vec<usize>, KernelError> {
    let mut users = vec![0_usize; modules.len()];
    for id in direct.iter().flatten() {
        users[*id] += 1;
    }
    let mut free: Vec<usize> = (0..modules.len()).filter(|id| users[*id] == 0).collect();
    let mut ranks = vec![0; modules.len()];
    let mut ranked = 0;
    while let Some(id) = free.pop() {
        ranks[id] = ranked;
        ranked += 1;
        for other in &direct[id] {
            users[*other] -= 1;
            if users[*other] == 0 {
                free.push(*other);
            }
        }
    }
    if ranked < modules.len() {
        let caught = modules.iter().zip(&users).filter(|(_, users)| **users > 0);
        return Err(KernelError::Circle { names: caught.map(|(module, _)| module.name()).collect() });
    }
    Ok(ranks)
}

fn closure(of: usize, direct: &[Vec<usize>], ranks: &[usize]) -> Vec<usize> {
    let mut found: BTreeMap<usize, usize> = BTreeMap::new();
    let mut pending = vec![of];
    while let Some(id) = pending.pop() {
        for other in &direct[id] {
            if found.insert(ranks[*other], *other).is_none() {
                pending.push(*other);
            }
        }
    }
    found.into_values().collect()
}

fn builtin_names(builtin: &str) -> Result<Vec<String>, KernelError> {
    let name = |line: &str| {
        if plain_path(line).is_none() || !line.is_ascii() {
            let why = "not the path of a module";
            return Err(KernelError::Line { file: "modules.builtin", line: line.to_owned(), why });
        }
        Ok(module_name(line))
    };
    builtin.lines().filter(|line| !line.is_empty()).map(name).collect()
}

/// The aliases in `modules.builtin.modinfo`, which holds `module.key=value` strings, each ended by NUL.
fn builtin_aliases(modinfo: &[u8]) -> Result<Vec<(String, String)>, KernelError> {
    let mut aliases = Vec::new();
    for entry in modinfo.split(|byte| *byte == 0).filter(|entry| !entry.is_empty()) {
        let line = String::from_utf8_lossy(entry);
        let wrong = |why| {
            let line = line.clone().into_owned();
            Err(KernelError::Line { file: "modules.builtin.modinfo", line, why })
        };
        let Some((name, (key, value))) =
            line.split_once('.').and_then(|(name, rest)| Some((name, rest.split_once('=')?)))
        else {
            return wrong("not of the form `module.key=value`");
        };
        if key != "alias" || value.is_empty() {
            continue;
        }
        if !line.is_ascii() {
            return wrong("not ASCII text");
        }
        aliases.push((value.to_owned(), name.to_owned()));
    }
    Ok(aliases)
}

/// `-` as `_`, except between brackets; `None` when brackets do not pair.
pub(super) fn normal_alias(alias: &str) -> Option<String> {
    let mut inside = false;
    let mut normal = String::with_capacity(alias.len());
    for c in alias.chars() {
        match c {
            '[' => inside = true,
            ']' if !inside => return None,
            ']' => inside = false,
            _ => {}
        }
        normal.push(if c == '-' && !inside { '_' } else { c });
    }
    (!inside).then_some(normal)
}

/// Kind, major and minor of `char-major-10-203` and `block-major-7-*`; only with both numbers.
fn device_numbers(alias: &str) -> Option<(char, u32, u32)> {
    let (kind, numbers) = match (alias.strip_prefix("char-major-"), alias.strip_prefix("block-major-")) {
        (Some(numbers), _) => ('c', numbers),
        (_, Some(numbers)) => ('b', numbers),
        _ => return None,
    };
    let (major, minor) = numbers.split_once('-')?;
    Some((kind, major.parse().ok()?, minor.parse().ok()?))
}
