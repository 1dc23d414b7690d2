//! Downloads: in parallel, resumed, verified while they stream.

use crate::{Cache, StoreError};
use contract::Digest;
use sha2::{Digest as _, Sha256};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek as _, Write as _},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// How long is waited before each round of all addresses: names and connections fail for a moment.
const PAUSES: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(500), Duration::from_secs(2), Duration::from_secs(6)];

/// Something to be had from one of several addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Download {
    /// What the user calls it, such as `samba 2:4.22.4`.
    pub name: String,
    /// Where it may be, in the order to try.
    pub urls: Vec<String>,
    /// Its digest.
    pub sha256: Digest,
    /// Its size in bytes, where it is known before.
    pub size: Option<u64>,
}

/// The largest file that is fetched without its size being known before, bytes.
const LARGEST: u64 = 8 << 30;

/// Who is told how downloads go.
pub trait Progress: Sync {
    /// `count` files of `bytes` bytes in all will be downloaded.
    fn expect(&self, count: usize, bytes: u64);
    /// So many bytes more have arrived.
    fn arrived(&self, bytes: u64);
    /// Something that the user should know, and which is no error.
    fn warn(&self, message: &str);
}

/// A [`Progress`] that nobody watches.
#[derive(Clone, Copy, Debug)]
pub struct Silent;

impl Progress for Silent {
    fn expect(&self, _: usize, _: u64) {}
    fn arrived(&self, _: u64) {}
    fn warn(&self, _: &str) {}
}

/// The network, or its absence.
#[derive(Debug)]
pub struct Web {
    agent: Option<ureq::Agent>,
    parallel: usize,
}

enum Answer {
    Done,
    /// The server says that there is no such file.
    Absent(String),
    /// It answers, but not with this file.
    Failed(String),
    /// It cannot be reached, or broke off.
    Broken(String),
    /// What an earlier download left was not the beginning of this file; it is gone now.
    Stale,
}

impl Web {
    /// The network, with so many downloads at once.
    #[must_use]
    pub fn new(parallel: usize) -> Self {
        let tls = ureq::tls::TlsConfig::builder()
            .root_certs(ureq::tls::RootCerts::PlatformVerifier)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let config = ureq::Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .timeout_connect(Some(Duration::from_secs(20)))
            .timeout_recv_response(Some(Duration::from_secs(60)))
            .user_agent(concat!("hcimage/", env!("CARGO_PKG_VERSION")))
            .build();
        Self { agent: Some(config.new_agent()), parallel: parallel.max(1) }
    }

    /// No network: what is not in the cache is an error.
    #[must_use]
    pub const fn offline() -> Self {
        Self { agent: None, parallel: 1 }
    }

    /// The whole answer of the first address that has one, at most `limit` bytes; for what has no digest yet,
    /// such as `InRelease`, whose signature is checked by the caller.
    ///
    /// # Errors
    /// When no address answers.
    pub fn get(&self, name: &str, urls: &[String], limit: u64) -> Result<Vec<u8>, StoreError> {
        let Some(agent) = &self.agent else {
            return Err(StoreError::Unreachable {
                name: name.to_owned(),
                tried: vec!["  --offline was given".to_owned()],
            });
        };
        if urls.is_empty() {
            return Err(StoreError::NoMirror);
        }
        let mut tried = Vec::new();
        for pause in PAUSES {
            std::thread::sleep(pause);
            tried.clear();
            let mut passing = false;
            for url in urls {
                match whole(agent, url, limit) {
                    Ok(bytes) => return Ok(bytes),
                    Err((why, may_pass)) => {
                        passing |= may_pass;
                        tried.push(format!("  {url}: {why}"));
                    }
                }
            }
            if !passing {
                break;
            }
        }
        Err(StoreError::Unreachable { name: name.to_owned(), tried })
    }

    /// Brings every file into the cache; those that are there already are only looked for, not read.
    ///
    /// # Errors
    /// One for each file that could not be had, in the order of `downloads`.
    pub fn fetch(
        &self,
        cache: &Cache,
        downloads: &[Download],
        progress: &dyn Progress,
    ) -> Result<(), Vec<StoreError>> {
        let missing: Vec<_> = downloads.iter().filter(|it| !is_cached(cache, it)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let Some(agent) = &self.agent else {
            let offline = |it: &&Download| StoreError::Offline { name: it.name.clone(), sha256: it.sha256 };
            return Err(missing.iter().map(offline).collect());
        };
        progress.expect(missing.len(), missing.iter().filter_map(|it| it.size).sum());

        let next = AtomicUsize::new(0);
        let errors = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..self.parallel.min(missing.len()) {
                scope.spawn(|| {
                    while let Some(download) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
                        if let Err(error) = fetch_one(agent, cache, download, progress)
                            && let Ok(mut errors) = errors.lock()
                        {
                            let place = downloads.iter().position(|it| it == *download);
                            errors.push((place, error));
                        }
                    }
                });
            }
        });
        let mut errors = errors.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        errors.sort_by_key(|(place, _)| *place);
        if errors.is_empty() { Ok(()) } else { Err(errors.into_iter().map(|(_, error)| error).collect()) }
    }
}

/// The whole answer, or why there is none and whether asking again may help.
fn whole(agent: &ureq::Agent, url: &str, limit: u64) -> Result<Vec<u8>, (String, bool)> {
    let mut response = agent.get(url).call().map_err(|error| (error.to_string(), true))?;
    let status = response.status();
    if !status.is_success() {
        return Err((status.to_string(), false));
    }
    response.body_mut().with_config().limit(limit).read_to_vec().map_err(|error| (error.to_string(), true))
}

fn is_cached(cache: &Cache, download: &Download) -> bool {
    fs::metadata(cache.file(&download.sha256))
        .is_ok_and(|found| download.size.is_none_or(|size| found.len() == size))
}

fn fetch_one(
    agent: &ureq::Agent,
    cache: &Cache,
    download: &Download,
    progress: &dyn Progress,
) -> Result<(), StoreError> {
    if download.urls.is_empty() {
        return Err(StoreError::NoMirror);
    }
    let path = cache.partial(&download.sha256);
    let open = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
    let mut file = open.map_err(StoreError::file("write", &path))?;
    // Another build may be at the same file: it is waited for, and its result taken.
    file.lock().map_err(StoreError::file("lock", &path))?;
    if is_cached(cache, download) {
        return Ok(());
    }

    let mut round = Round::default();
    for pause in PAUSES {
        std::thread::sleep(pause);
        round = Round::default();
        if try_each(agent, download, &mut file, progress, &mut round)
            .map_err(StoreError::file("write", &path))?
        {
            let target = cache.file(&download.sha256);
            return fs::rename(&path, &target).map_err(StoreError::file("write", target));
        }
        if !round.passing {
            break;
        }
    }
    let (name, tried) = (download.name.clone(), round.tried);
    Err(if round.only_absent {
        StoreError::Gone { name, tried }
    } else {
        StoreError::Unreachable { name, tried }
    })
}

/// What came of asking every address once.
#[derive(Debug, Default)]
struct Round {
    /// Each address with what happened.
    tried: Vec<String>,
    /// Every address says that there is no such file.
    only_absent: bool,
    /// A mirror could not be reached or broke off: it may do better in a moment.
    passing: bool,
}

/// Asks every address in turn; whether one of them gave the file. An error is the local file's.
fn try_each(
    agent: &ureq::Agent,
    download: &Download,
    file: &mut File,
    progress: &dyn Progress,
    round: &mut Round,
) -> io::Result<bool> {
    round.only_absent = true;
    for url in &download.urls {
        let mut answer = transfer(agent, url, download, file, progress)?;
        if matches!(answer, Answer::Stale) {
            answer = transfer(agent, url, download, file, progress)?;
        }
        let (why, absent, passing) = match answer {
            Answer::Done => return Ok(true),
            Answer::Absent(why) => (why, true, false),
            Answer::Failed(why) => (why, false, false),
            Answer::Broken(why) => (why, false, true),
            Answer::Stale => ("changed while it was downloaded".to_owned(), false, false),
        };
        round.only_absent &= absent;
        round.passing |= passing;
        round.tried.push(format!("  {url}: {why}"));
    }
    Ok(false)
}

/// One try at one address. The outer error is the local file's, which no other mirror can mend.
fn transfer(
    agent: &ureq::Agent,
    url: &str,
    download: &Download,
    file: &mut File,
    progress: &dyn Progress,
) -> io::Result<Answer> {
    let (mut hash, mut have) = hash_so_far(file, download.size.unwrap_or(LARGEST))?;
    let mut request = agent.get(url);
    if have > 0 {
        request = request.header("Range", format!("bytes={have}-"));
    }
    let mut response = match request.call() {
        Ok(response) => response,
        Err(error) => return Ok(Answer::Broken(error.to_string())),
    };
    match response.status().as_u16() {
        206 => {}
        // The whole file although a part was asked for: begin again.
        200 => {
            empty(file)?;
            (hash, have) = (Sha256::new(), 0);
        }
        // What is there is all that there is, or of another file: both are seen when it comes anew.
        416 if have > 0 => {
            empty(file)?;
            return Ok(Answer::Stale);
        }
        404 | 410 => return Ok(Answer::Absent(response.status().to_string())),
        _ => return Ok(Answer::Failed(response.status().to_string())),
    }
    progress.arrived(have);
    let resumed = have > 0;
    let announced = response.body().content_length().map(|rest| have.saturating_add(rest));
    let size = download.size.or(announced);
    let of = size.map_or_else(String::new, |size| format!(" of {size}"));
    let most = size.unwrap_or(LARGEST).min(download.size.unwrap_or(LARGEST));

    let mut body = response.body_mut().as_reader();
    let mut buffer = vec![0; 128 << 10];
    loop {
        let count = match body.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) => {
                return Ok(Answer::Broken(format!("after {have}{of} bytes: {error}")));
            }
        };
        have += count as u64;
        if have > most {
            empty(file)?;
            return Ok(Answer::Failed(format!("sends more than the {most} bytes expected")));
        }
        hash.update(&buffer[..count]);
        file.write_all(&buffer[..count])?;
        progress.arrived(count as u64);
    }
    if size.is_some_and(|size| have < size) {
        return Ok(Answer::Broken(format!("ended after {have}{of} bytes")));
    }
    let found = Digest(hash.finalize().into());
    if found != download.sha256 {
        empty(file)?;
        if resumed {
            return Ok(Answer::Stale);
        }
        return Ok(Answer::Failed(format!("has sha256 {found}, expected {}", download.sha256)));
    }
    Ok(Answer::Done)
}

fn empty(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()
}

/// The digest state and length of what an interrupted download left; nothing of a file that is too long.
fn hash_so_far(file: &mut File, size: u64) -> io::Result<(Sha256, u64)> {
    if file.metadata()?.len() >= size {
        empty(file)?;
    }
    file.rewind()?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 128 << 10];
    let mut have = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((hash, have)),
            count => {
                hash.update(&buffer[..count]);
                have += count as u64;
            }
        }
    }
}
