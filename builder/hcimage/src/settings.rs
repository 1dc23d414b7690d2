//! From what was typed and the environment to what is meant.

use crate::{args::Global, config::Project, error::Failure};
use contract::Arch;
use std::{
    env, fs,
    path::{Path, PathBuf},
};
use store::{AptSources, Cache, Mirrors, Web};

/// What every command works with. Made once, at the door.
#[derive(Debug)]
pub(crate) struct Workshop {
    pub(crate) project: Project,
    pub(crate) cache: Cache,
    pub(crate) web: Web,
    pub(crate) mirrors: Mirrors,
    pub(crate) keyring: Option<PathBuf>,
    pub(crate) json: bool,
}

/// Downloads at once: enough to hide a mirror's latency, few enough to be polite.
const PARALLEL_DOWNLOADS: usize = 8;

impl Workshop {
    /// Reads the environment: the current folder, the cache's place, apt's sources.
    pub(crate) fn open(global: &Global) -> Result<Self, Failure> {
        let Global { project, cache, mirror, keyring, offline, jobs, json } = global;
        let start = match project {
            Some(project) => project.clone(),
            None => env::current_dir().map_err(Failure::file("find", "the current folder"))?,
        };
        let project = Project::find(&start)?;
        let cache = Cache::open(cache.clone().map_or_else(default_cache, Ok)?)?;
        let web = if *offline { Web::offline() } else { Web::new(PARALLEL_DOWNLOADS) };
        if let Some(jobs) = jobs {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(usize::from(*jobs)).build_global();
            pool.map_err(|error| Failure::refused(format!("--jobs {jobs}: {error}")))?;
        }
        let mirrors = Mirrors::new(mirror, apt_sources(Path::new("/etc/apt")));
        Ok(Self { project, cache, web, mirrors, keyring: keyring.clone(), json: *json })
    }
}

/// Where the cache is, or would be.
pub(crate) fn cache_folder(global: &Global) -> Result<PathBuf, Failure> {
    global.cache.clone().map_or_else(default_cache, Ok)
}

/// The cache, where there is one: a command that only looks makes none.
pub(crate) fn only_cache(folder: PathBuf) -> Result<Option<Cache>, Failure> {
    Ok(if folder.is_dir() { Some(Cache::open(folder)?) } else { None })
}

/// The architecture of this machine.
pub(crate) fn host_arch() -> Result<Arch, Failure> {
    env::consts::ARCH.parse().map_err(|_| {
        Failure::with_hint(
            format!("this machine is `{}`, for which there are no images", env::consts::ARCH),
            "say which one to build: --arch x86_64 or --arch aarch64",
        )
    })
}

fn default_cache() -> Result<PathBuf, Failure> {
    let base = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let base = base.or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")));
    base.map(|base| base.join("hcimage")).ok_or_else(|| {
        Failure::with_hint("neither HOME nor XDG_CACHE_HOME is set", "say where the cache is: --cache DIR")
    })
}

/// What apt's sources name; a machine without apt names nothing.
fn apt_sources(folder: &Path) -> AptSources {
    let mut files = vec![folder.join("sources.list")];
    if let Ok(entries) = fs::read_dir(folder.join("sources.list.d")) {
        let mut parts: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        parts.sort();
        files.extend(parts);
    }
    let mut sources = AptSources::default();
    for file in files {
        // A file that only root may read names no mirror for anybody else.
        if let Ok(text) = fs::read_to_string(file) {
            sources.add(&text);
        }
    }
    sources
}
