//! The effect on a tree: drop modules by the profile's rules and write depmod's files.

use super::{Facts, KernelError, ModuleSet, Rules, Selection, Shipped, modules::plain_path, select};
use crate::{Content, Contents, ImagePath, Kind, Origin, Tree, TreeError};
use contract::Digest;
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// Where facts are kept between builds, by the digest of the module's file as it is in the package.
pub trait FactsCache: Sync {
    /// What was put under this digest.
    fn get(&self, file: &Digest) -> Option<Vec<u8>>;
    /// Keeps the bytes. What is lost is only read again.
    fn put(&self, file: &Digest, facts: Vec<u8>);
}

/// No cache: every module is read.
#[derive(Clone, Copy, Debug)]
pub struct NoCache;

impl FactsCache for NoCache {
    fn get(&self, _: &Digest) -> Option<Vec<u8>> {
        None
    }
    fn put(&self, _: &Digest, _: Vec<u8>) {}
}

/// What was done for one kernel.
#[derive(Clone, Debug)]
pub struct Installed {
    /// The kernel's release, as `uname -r` prints it.
    pub release: String,
    /// `/usr/lib/modules/<release>`.
    pub directory: ImagePath,
    /// What stayed (facts are in `modules`) and what went.
    pub selection: Selection,
    /// The modules that stayed, ordered.
    pub modules: ModuleSet,
}

/// Drops modules of every kernel in the tree by `rules` and writes depmod's files for the rest.
///
/// # Errors
/// When there is no kernel, a file cannot be read or is damaged, or modules do not fit together.
pub fn apply(
    tree: &mut Tree,
    contents: &dyn Contents,
    rules: &Rules,
    cache: &dyn FactsCache,
) -> Result<Vec<Installed>, KernelError> {
    let all = ImagePath::parse("usr/lib/modules")?;
    let releases: Vec<ImagePath> =
        tree.children(&all).filter(|(_, node)| node.is_directory()).map(|(path, _)| path.clone()).collect();
    if releases.is_empty() {
        return Err(KernelError::NoKernel(all));
    }
    releases.into_iter().map(|directory| one(tree, contents, rules, cache, directory)).collect()
}

fn one(
    tree: &mut Tree,
    contents: &dyn Contents,
    rules: &Rules,
    cache: &dyn FactsCache,
    directory: ImagePath,
) -> Result<Installed, KernelError> {
    let files = module_files(tree, &directory);
    let sizes = files.iter().map(|(path, content)| (path.clone(), content.size())).collect();
    let order = text(tree, contents, &directory, "modules.order")?;
    let builtin = text(tree, contents, &directory, "modules.builtin")?;
    let builtin_modinfo = bytes(tree, contents, &directory, "modules.builtin.modinfo")?;
    let read =
        |paths: &[&str]| paths.par_iter().map(|path| facts(path, &files[*path], contents, cache)).collect();
    let mut selection = select::<KernelError>(&sizes, &builtin, rules, read)?;
    let shipped = Shipped { order: &order, builtin: &builtin, builtin_modinfo: &builtin_modinfo };
    let modules = ModuleSet::new(std::mem::take(&mut selection.kept), &shipped)?;
    let kept = modules.modules().iter().map(|module| module.path.as_str());
    for path in removable(&selection.dropped, kept) {
        tree.remove(&directory.join(path)?)?;
    }
    for (name, bytes) in modules.files() {
        tree.write(&directory.join(name)?, bytes, Origin::Effect("depmod".to_owned()))?;
    }
    Ok(Installed { release: directory.name().to_owned(), directory, selection, modules })
}

fn module_files(tree: &Tree, directory: &ImagePath) -> BTreeMap<String, Content> {
    let mut files = BTreeMap::new();
    for (path, node) in tree.below(directory) {
        let below = path.as_str()[directory.as_str().len()..].trim_start_matches('/');
        if let (Kind::File(content), Some(_)) = (&node.kind, plain_path(below)) {
            files.insert(below.to_owned(), content.clone());
        }
    }
    files
}

fn facts(
    path: &str,
    content: &Content,
    contents: &dyn Contents,
    cache: &dyn FactsCache,
) -> Result<Facts, KernelError> {
    let digest = content.digest();
    // Facts of an older version, or damaged ones, are read anew: that is what a cache is.
    if let Some(Ok(facts)) = cache.get(&digest).map(|bytes| Facts::from_bytes(&bytes)) {
        return Ok(facts);
    }
    let bytes = contents.read(content).map_err(|source| match ImagePath::parse(path) {
        Ok(path) => KernelError::Tree(TreeError::Read { path, source }),
        Err(error) => KernelError::Path(error),
    })?;
    let facts = Facts::of_file(path, &bytes)?;
    cache.put(&digest, facts.to_bytes());
    Ok(facts)
}

fn bytes(
    tree: &Tree,
    contents: &dyn Contents,
    directory: &ImagePath,
    name: &str,
) -> Result<Vec<u8>, KernelError> {
    Ok(tree.read(&directory.join(name)?, contents)?)
}

fn text(
    tree: &Tree,
    contents: &dyn Contents,
    directory: &ImagePath,
    name: &str,
) -> Result<String, KernelError> {
    Ok(tree.read_text(&directory.join(name)?, contents)?)
}

/// The dropped paths, with a directory in place of all that is in it when nothing in it stays.
fn removable<'a>(dropped: &'a [String], kept: impl Iterator<Item = &'a str>) -> BTreeSet<&'a str> {
    let mut alive: BTreeSet<&str> = BTreeSet::new();
    for path in kept {
        alive.extend(parents(path));
    }
    let topmost = |path: &'a String| parents(path).find(|parent| !alive.contains(parent)).unwrap_or(path);
    dropped.iter().map(topmost).collect()
}

/// The directories on the way to `path`, the topmost first.
fn parents(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(slash, _)| &path[..slash])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_go_as_a_whole() {
        let dropped = ["k/a/b/x", "k/a/c/y", "k/d/e", "k/d/f", "k/g"].map(str::to_owned);
        let gone: Vec<_> = removable(&dropped, ["k/d/h"].into_iter()).into_iter().collect();
        assert_eq!(gone, ["k/a", "k/d/e", "k/d/f", "k/g"]);
    }
}
