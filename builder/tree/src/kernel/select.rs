//! Which modules an image keeps.
//!
//! The law: what a rule drops goes, unless another rule keeps it or a module that stays depends on it. Only modules
//! that stay are ever read.

use super::{
    KernelError,
    modules::{Facts, Module, module_name, plain_path},
};
use crate::{Glob, ImagePath};
use std::collections::{BTreeMap, BTreeSet};

/// A profile's `[kernel]` rules.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    drop: Vec<Glob>,
    keep: Vec<Glob>,
}

impl Rules {
    /// Parses patterns of paths below `kernel/`, without the `.ko` suffix. `keep` wins over `drop`.
    ///
    /// # Errors
    /// At the first pattern that cannot be understood.
    pub fn parse(drop: &[String], keep: &[String]) -> Result<Self, KernelError> {
        let parse = |patterns: &[String]| -> Result<Vec<_>, _> {
            patterns.iter().map(|text| pattern(text)).collect()
        };
        Ok(Self { drop: parse(drop)?, keep: parse(keep)? })
    }

    fn keeps(&self, path: &ImagePath) -> bool {
        let any = |globs: &[Glob]| globs.iter().any(|glob| glob.matches(path));
        any(&self.keep) || !any(&self.drop)
    }

    /// Patterns which no path fits: a typing error, or for another architecture.
    fn idle(&self, paths: &BTreeMap<&str, ImagePath>) -> Vec<String> {
        let fits = |glob: &Glob| paths.values().any(|path| glob.matches(path));
        let globs = self.drop.iter().chain(&self.keep);
        globs.filter(|glob| !fits(glob)).map(ToString::to_string).collect()
    }
}

/// A pattern of modules' paths.
pub(super) fn pattern(text: &str) -> Result<Glob, KernelError> {
    if plain_path(text).is_some() {
        return Err(KernelError::Suffixed { pattern: text.to_owned() });
    }
    Ok(Glob::parse(text)?)
}

/// What a pattern is matched against. Modules outside of `kernel/` (`updates/`, `extra/`) keep their whole path.
pub(super) fn below_kernel(path: &str) -> Result<ImagePath, KernelError> {
    let plain = plain_path(path).and_then(|path| path.strip_suffix(".ko")).unwrap_or(path);
    Ok(ImagePath::parse(plain.strip_prefix("kernel/").unwrap_or(plain))?)
}

/// A module that stays against the rules, because another needs it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pulled {
    /// Its path.
    pub path: String,
    /// The path of the first module which needs it.
    pub by: String,
}

/// What stays and what goes.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// The modules that stay, by path.
    pub kept: Vec<Module>,
    /// Those of them that a rule would have dropped.
    pub pulled: Vec<Pulled>,
    /// Paths of the modules that go.
    pub dropped: Vec<String>,
    /// Their size in the tree, in bytes.
    pub dropped_bytes: u64,
    /// Patterns which match nothing here.
    pub idle: Vec<String>,
}

/// Chooses among `sizes` (path below the release's directory to size in bytes). `builtin` is `modules.builtin`.
/// `read` gives the facts of the paths that it is handed, in their order; it is called once for each
/// round of dependencies (three or so), so that the caller can read a round in parallel and from a cache.
///
/// # Errors
/// When two files are one module, a dependency is missing, or `read` fails.
pub fn select<E: From<KernelError>>(
    sizes: &BTreeMap<String, u64>,
    builtin: &str,
    rules: &Rules,
    mut read: impl FnMut(&[&str]) -> Result<Vec<Facts>, E>,
) -> Result<Selection, E> {
    let by_name = by_name(sizes.keys())?;
    let builtin: BTreeSet<String> = builtin.lines().map(module_name).collect();
    let mut kept: BTreeMap<&str, Facts> = BTreeMap::new();
    let mut pulled: Vec<Pulled> = Vec::new();
    let paths = sizes.keys().map(|path| Ok((path.as_str(), below_kernel(path)?)));
    let paths: BTreeMap<&str, ImagePath> = paths.collect::<Result<_, KernelError>>()?;
    let mut round: Vec<&str> =
        paths.iter().filter(|(_, path)| rules.keeps(path)).map(|(path, _)| *path).collect();
    while !round.is_empty() {
        let facts = read(&round)?;
        let mut next: BTreeMap<&str, &str> = BTreeMap::new();
        for (path, facts) in round.iter().zip(facts) {
            for name in &facts.depends {
                match by_name.get(name.as_str()) {
                    Some(other) => {
                        next.entry(other).or_insert(path);
                    }
                    None if builtin.contains(name) => {}
                    None => {
                        let (path, needs) = ((*path).to_owned(), name.clone());
                        return Err(KernelError::Dependency { path, needs }.into());
                    }
                }
            }
            kept.insert(path, facts);
        }
        next.retain(|path, _| !kept.contains_key(path));
        let new = |(path, by): (&&str, &&str)| Pulled { path: (*path).to_owned(), by: (*by).to_owned() };
        pulled.extend(next.iter().map(new));
        round = next.into_keys().collect();
    }
    pulled.sort();
    let gone = || sizes.iter().filter(|(path, _)| !kept.contains_key(path.as_str()));
    let (dropped, dropped_bytes) =
        (gone().map(|(path, _)| path.clone()).collect(), gone().map(|(_, n)| n).sum());
    let kept = kept.into_iter().map(|(path, facts)| Module { path: path.to_owned(), facts }).collect();
    Ok(Selection { kept, pulled, dropped, dropped_bytes, idle: rules.idle(&paths) })
}

/// The kernel's names of these paths.
pub(super) fn by_name<'a>(
    paths: impl IntoIterator<Item = &'a String>,
) -> Result<BTreeMap<String, &'a str>, KernelError> {
    let mut names = BTreeMap::new();
    for path in paths {
        let name = module_name(path);
        if let Some(first) = names.insert(name.clone(), path.as_str()) {
            return Err(KernelError::Twice { name, first: first.to_owned(), second: path.clone() });
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(drop: &[&str], keep: &[&str]) -> Result<Selection, KernelError> {
        let own = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let rules = Rules::parse(&own(drop), &own(keep))?;
        let needs = [
            ("kernel/fs/a/a-a.ko.xz", &["lib_x"][..]),
            ("kernel/lib/lib-x.ko.xz", &["lib_y", "core"]),
            ("kernel/lib/lib-y.ko.xz", &[]),
            ("kernel/lib/lib-z.ko.xz", &[]),
            ("kernel/sound/snd.ko.xz", &["nowhere"]),
        ];
        let sizes = needs.iter().map(|(path, _)| ((*path).to_owned(), 10)).collect();
        select(&sizes, "kernel/core/core.ko\n", &rules, |paths| {
            let facts = |path: &&str| {
                let depends = needs.iter().find(|(other, _)| other == path).map(|(_, names)| own(names));
                Facts { depends: depends.unwrap_or_default(), ..Facts::default() }
            };
            Ok(paths.iter().map(facts).collect())
        })
    }

    #[test]
    fn what_a_kept_module_needs_stays() {
        let chosen = choose(&["sound/**", "lib/**", "nothing/**"], &[]).unwrap();
        let kept: Vec<_> = chosen.kept.iter().map(|module| module.name()).collect();
        assert_eq!(kept, ["a_a", "lib_x", "lib_y"]);
        assert_eq!(chosen.dropped, ["kernel/lib/lib-z.ko.xz", "kernel/sound/snd.ko.xz"]);
        assert_eq!(chosen.dropped_bytes, 20);
        assert_eq!(chosen.idle, ["nothing/**"]);
        let pulled = [
            ("kernel/lib/lib-x.ko.xz", "kernel/fs/a/a-a.ko.xz"),
            ("kernel/lib/lib-y.ko.xz", "kernel/lib/lib-x.ko.xz"),
        ];
        let pulled = pulled.map(|(path, by)| Pulled { path: path.into(), by: by.into() });
        assert_eq!(chosen.pulled, pulled);
    }

    #[test]
    fn keep_wins_and_a_missing_dependency_is_an_error() {
        let chosen = choose(&["**"], &["lib/lib-z"]).unwrap();
        assert_eq!(chosen.kept.len(), 1);
        let error = choose(&[], &[]).unwrap_err().to_string();
        assert_eq!(
            error,
            "kernel/sound/snd.ko.xz: needs module nowhere, which is neither shipped nor built into the kernel"
        );
    }
}
