//! The modules that the initrd carries: a closure over hard and soft dependencies, in the order of loading.

use super::{
    Facts, KernelError, Module, ModuleSet, Shipped,
    depmod::normal_alias,
    glob::wild,
    modules::{normal_name, plain_path},
    select::{below_kernel, pattern},
};
use crate::suggest::did_you_mean;
use std::collections::{BTreeMap, BTreeSet};

/// What to load, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// Paths as in the set, each after everything that it needs.
    pub paths: Vec<String>,
    /// Names that were asked for and are built into the kernel.
    pub builtin: Vec<String>,
    /// Soft dependencies (`module`, `name`) that no module serves; modprobe passes over them as well.
    pub missing: Vec<(String, String)>,
}

/// The modules which `roots` name with all that they need: hard dependencies and `softdep`s, `pre` ones before the
/// module, `post` ones after it. A root is a module's name (`-` as `_`), an alias (such as `fs-erofs` or
/// `crypto-sha256`: every module that has it), or a pattern of paths below `kernel/` if it has a `/`.
///
/// # Errors
/// When a name is unknown (with the names that look alike), or a pattern is malformed or matches nothing.
pub fn initrd_modules(set: &ModuleSet, roots: &[String]) -> Result<Loaded, KernelError> {
    let mut walk = Walk::new(set);
    for root in roots {
        if root.contains('/') {
            let glob = pattern(root)?;
            let mut found = false;
            for (place, module) in set.modules().iter().enumerate() {
                if glob.matches(&below_kernel(&module.path)?) {
                    walk.visit(place);
                    found = true;
                }
            }
            if !found {
                return Err(KernelError::Nothing { pattern: root.clone() });
            }
            continue;
        }
        match walk.resolve(root) {
            Served::Modules(places) => places.into_iter().for_each(|place| walk.visit(place)),
            Served::Builtin => walk.loaded.builtin.push(root.clone()),
            Served::Unknown => {
                return Err(KernelError::Unknown { name: root.clone(), hint: walk.near(root) });
            }
        }
    }
    Ok(walk.loaded)
}

impl Loaded {
    /// depmod's files for an initrd that holds just these modules, decompressed: paths end in `.ko`.
    ///
    /// # Errors
    /// As [`ModuleSet::new`].
    pub fn depmod(
        &self,
        set: &ModuleSet,
        shipped: &Shipped,
    ) -> Result<BTreeMap<&'static str, Vec<u8>>, KernelError> {
        let wanted: BTreeSet<&str> = self.paths.iter().map(String::as_str).collect();
        let own = |module: &Module| {
            let path = plain_path(&module.path).unwrap_or(&module.path).to_owned();
            Module { path, facts: module.facts.clone() }
        };
        let modules = set.modules().iter().filter(|module| wanted.contains(module.path.as_str())).map(own);
        Ok(ModuleSet::new(modules.collect(), shipped)?.files())
    }
}

enum Served {
    Modules(Vec<usize>),
    Builtin,
    Unknown,
}

struct Walk<'a> {
    set: &'a ModuleSet,
    names: BTreeMap<String, usize>,
    /// Begun, so that soft dependencies may go round in a circle.
    seen: BTreeSet<usize>,
    loaded: Loaded,
}

impl<'a> Walk<'a> {
    fn new(set: &'a ModuleSet) -> Self {
        let names = set.modules().iter().enumerate().map(|(place, module)| (module.name(), place)).collect();
        let loaded = Loaded { paths: Vec::new(), builtin: Vec::new(), missing: Vec::new() };
        Self { set, names, seen: BTreeSet::new(), loaded }
    }

    fn resolve(&self, name: &str) -> Served {
        let normal = normal_name(name);
        if let Some(place) = self.names.get(&normal) {
            return Served::Modules(vec![*place]);
        }
        if self.set.builtin().contains(&normal) {
            return Served::Builtin;
        }
        let asked = normal_alias(name).unwrap_or(normal);
        let fits = |alias: &String| {
            normal_alias(alias).is_some_and(|alias| wild(alias.as_bytes(), asked.as_bytes()))
        };
        let serves = |facts: &Facts| facts.aliases.iter().any(fits);
        let modules = self.set.modules().iter().enumerate();
        let found: Vec<usize> =
            modules.filter(|(_, module)| serves(&module.facts)).map(|(place, _)| place).collect();
        match found.is_empty() {
            false => Served::Modules(found),
            true if self.set.builtin_aliases().iter().any(|(alias, _)| fits(alias)) => Served::Builtin,
            true => Served::Unknown,
        }
    }

    fn visit(&mut self, place: usize) {
        if !self.seen.insert(place) {
            return;
        }
        let set = self.set;
        let module = &set.modules()[place];
        let (pre, post) = soft(&module.facts);
        self.visit_soft(module, &pre);
        for other in set.needs(place).iter().rev() {
            self.visit(*other);
        }
        self.loaded.paths.push(module.path.clone());
        self.visit_soft(module, &post);
    }

    fn visit_soft(&mut self, module: &Module, names: &[&str]) {
        for name in names {
            match self.resolve(name) {
                Served::Modules(places) => places.into_iter().for_each(|place| self.visit(place)),
                Served::Builtin => {}
                Served::Unknown => self.loaded.missing.push((module.name(), (*name).to_owned())),
            }
        }
    }

    fn near(&self, name: &str) -> String {
        let all = self.names.keys().chain(self.set.builtin()).map(String::as_str);
        did_you_mean(&normal_name(name), all)
    }
}

/// The names in `pre: a b post: c`, those to load before and those to load after.
fn soft(facts: &Facts) -> (Vec<&str>, Vec<&str>) {
    let (mut pre, mut post) = (Vec::new(), Vec::new());
    for softdep in &facts.softdeps {
        let mut into = None;
        for word in softdep.split_ascii_whitespace() {
            match (word, into) {
                ("pre:", _) => into = Some(true),
                ("post:", _) => into = Some(false),
                (name, Some(true)) => pre.push(name),
                (name, Some(false)) => post.push(name),
                // modprobe passes over names before the first `pre:` or `post:`.
                (_, None) => {}
            }
        }
    }
    (pre, post)
}
