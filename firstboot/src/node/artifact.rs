//! Files that are not in the image: fetched by the node against the hashes in its verified root, resumed after a
//! break, and checked again before every start.
//!
//! On state: `FOLDER/<sha256>/<name>`, see [`contract::Deferred`], and beside it `<name>.partial` while it is not whole.

use contract::{Deferred, Digest};
use sha2::{Digest as _, Sha256};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// No artifact is larger than this, in bytes.
const LIMIT: u64 = 4 << 30;

/// Why a file could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArtifactError {
    /// This node does not keep it.
    #[error("cannot {act} `{}`: {source}", path.display())]
    Io {
        /// What was to be done.
        act: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Nobody gave it.
    #[error("{why}")]
    Away {
        /// Who was asked last.
        host: String,
        /// What came of it.
        why: String,
    },
    /// The list is not one that a builder wrote.
    #[error("the image's list says mode `{mode}` for {name}; expected octal digits")]
    Mode {
        /// The file.
        name: String,
        /// Its mode.
        mode: String,
    },
}

/// A part of a file, from a server.
pub struct Piece {
    /// Where it begins, in bytes.
    pub start: u64,
    /// The bytes from there to the end.
    pub body: Box<dyn Read>,
}

/// Where files come from.
pub trait Fetch {
    /// Asks for the bytes of `url` from `start` on; the server may begin earlier.
    ///
    /// # Errors
    /// In words for people.
    fn fetch(&mut self, url: &str, start: u64) -> Result<Piece, String>;
    /// Called while bytes come in, for a watchdog.
    fn alive(&mut self);
}

/// Makes sure that every file of the list is on state, whole and unharmed.
///
/// # Errors
/// At the first that is not.
pub fn ensure(list: &[Deferred], folder: &Path, fetch: &mut impl Fetch) -> Result<(), ArtifactError> {
    for file in list {
        let mode = file.permissions();
        let mode =
            mode.ok_or_else(|| ArtifactError::Mode { name: file.name.clone(), mode: file.mode.clone() })?;
        let home = folder.join(file.sha256.to_string());
        let place = home.join(&file.name);
        if digest(&place, fetch)?.is_some_and(|found| found == file.sha256) {
            continue;
        }
        // Whatever is there is not what the image was built for.
        super::file::remove(&place).map_err(wrong("remove", &place))?;
        fs::create_dir_all(&home).map_err(wrong("make", &home))?;
        let partial = home.join(format!("{}.partial", file.name));
        obtain(file, &partial, fetch)?;
        fs::set_permissions(&partial, fs::Permissions::from_mode(mode))
            .map_err(wrong("set the mode of", &partial))?;
        fs::rename(&partial, &place).map_err(wrong("rename", &partial))?;
        let synced = File::open(&home).and_then(|home| home.sync_all());
        synced.map_err(wrong("sync", &home))?;
    }
    Ok(())
}

fn wrong<'p>(act: &'static str, path: &'p Path) -> impl FnOnce(io::Error) -> ArtifactError + 'p {
    move |source| ArtifactError::Io { act, path: path.to_owned(), source }
}

/// The host of a URL.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?']).next().unwrap_or(rest)
}

fn obtain(file: &Deferred, partial: &Path, fetch: &mut impl Fetch) -> Result<(), ArtifactError> {
    let mut last =
        ArtifactError::Away { host: "nobody".to_owned(), why: "the image names no server".to_owned() };
    for url in &file.urls {
        // A second time from the start: what was there before may have been of another file.
        for _ in 0..2 {
            let away = |why: String| ArtifactError::Away { host: host(url).to_owned(), why };
            match append(url, partial, fetch)? {
                Err(why) => {
                    last = away(why);
                    break;
                }
                Ok(()) if digest(partial, fetch)? == Some(file.sha256) => return Ok(()),
                Ok(()) => {
                    last = away(format!("what it sent is not {} {}", file.name, file.version));
                    super::file::remove(partial).map_err(wrong("remove", partial))?;
                }
            }
        }
    }
    Err(last)
}

/// Fetches what is missing behind the partial file. The inner error is the server's.
fn append(url: &str, partial: &Path, fetch: &mut impl Fetch) -> Result<Result<(), String>, ArtifactError> {
    let open = OpenOptions::new().create(true).append(true).open(partial);
    let mut out = open.map_err(wrong("write", partial))?;
    let have = out.metadata().map_err(wrong("read", partial))?.len();
    let Piece { start, mut body } = match fetch.fetch(url, have) {
        Ok(piece) => piece,
        Err(why) => return Ok(Err(why)),
    };
    if start != have {
        if start != 0 {
            return Ok(Err(format!("it was asked for byte {have} and sent from byte {start}")));
        }
        out.set_len(0).map_err(wrong("empty", partial))?;
    }
    let mut piece = vec![0; 256 << 10];
    let mut length = start;
    loop {
        let read = match body.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                // What came is kept for the next attempt.
                out.sync_all().map_err(wrong("sync", partial))?;
                return Ok(Err(format!("it broke off after {length} bytes ({error})")));
            }
        };
        length += read as u64;
        if length > LIMIT {
            return Ok(Err(format!("it sent more than {LIMIT} bytes")));
        }
        out.write_all(&piece[..read]).map_err(wrong("write", partial))?;
        fetch.alive();
    }
    out.sync_all().map_err(wrong("sync", partial))?;
    Ok(Ok(()))
}

fn digest(path: &Path, fetch: &mut impl Fetch) -> Result<Option<Digest>, ArtifactError> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(wrong("read", path))?,
    };
    let (mut hash, mut piece) = (Sha256::new(), vec![0; 256 << 10]);
    loop {
        let read = file.read(&mut piece).map_err(wrong("read", path))?;
        if read == 0 {
            return Ok(Some(Digest(hash.finalize().into())));
        }
        hash.update(&piece[..read]);
        fetch.alive();
    }
}

/// The network, by HTTPS with the image's own roots.
pub struct Web<A> {
    agent: ureq::Agent,
    alive: A,
}

impl<A: FnMut()> Web<A> {
    /// Asks nobody yet. `alive` is called while bytes come in.
    pub fn new(alive: A) -> Self {
        let tls = ureq::tls::TlsConfig::builder()
            .unversioned_rustls_crypto_provider(Arc::new(rustls_rustcrypto::provider()))
            .root_certs(ureq::tls::RootCerts::PlatformVerifier)
            .build();
        let config = ureq::Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .timeout_connect(Some(Duration::from_secs(20)))
            .timeout_recv_response(Some(Duration::from_secs(30)))
            // Slow lines are fine, dead ones are not: what came is kept, and the next attempt goes on from there.
            .timeout_recv_body(Some(Duration::from_secs(300)))
            .user_agent("hcnode")
            .build();
        Self { agent: config.into(), alive }
    }
}

impl<A: FnMut()> Fetch for Web<A> {
    fn fetch(&mut self, url: &str, start: u64) -> Result<Piece, String> {
        let mut request = self.agent.get(url);
        if start > 0 {
            request = request.header("Range", format!("bytes={start}-"));
        }
        let answer = request.call().map_err(|error| error.to_string())?;
        let begins = match answer.status().as_u16() {
            200 => 0,
            206 => {
                let range = answer.headers().get("Content-Range").and_then(|value| value.to_str().ok());
                let begins =
                    range.and_then(|range| range.strip_prefix("bytes ")?.split('-').next()?.parse().ok());
                begins.ok_or("it answers 206 and does not say which bytes")?
            }
            // All is there already, or too much: its hash tells.
            416 => return Ok(Piece { start, body: Box::new(io::empty()) }),
            other => return Err(format!("it answers {other}")),
        };
        Ok(Piece { start: begins, body: Box::new(answer.into_body().into_reader()) })
    }

    fn alive(&mut self) {
        (self.alive)();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &[u8] = b"a binary of sixty-eight megabytes, more or less";

    fn list(urls: &[&str]) -> Vec<Deferred> {
        vec![Deferred {
            name: "k3s".to_owned(),
            version: "v1.34.3+k3s1".to_owned(),
            path: "/usr/bin/k3s".to_owned(),
            mode: "0755".to_owned(),
            urls: urls.iter().map(|url| (*url).to_owned()).collect(),
            sha256: Digest::of(FILE),
        }]
    }

    /// A server by script: for each question what it does.
    #[derive(Default)]
    struct Script {
        asked: Vec<(String, u64)>,
        breaks_after: Vec<usize>,
        ranges: bool,
        sends: Option<&'static [u8]>,
        refuses: Vec<&'static str>,
    }

    struct Breaks(io::Cursor<Vec<u8>>, bool);

    impl Read for Breaks {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            match self.0.read(into)? {
                0 if self.1 => Err(io::ErrorKind::ConnectionReset.into()),
                read => Ok(read),
            }
        }
    }

    impl Fetch for Script {
        fn fetch(&mut self, url: &str, start: u64) -> Result<Piece, String> {
            self.asked.push((url.to_owned(), start));
            if self.refuses.contains(&url) {
                return Err("no route to host".to_owned());
            }
            let begin = if self.ranges { start } else { 0 };
            let all = self.sends.unwrap_or(FILE);
            let rest = all.get(begin as usize..).unwrap_or(&[]);
            let cut = self.breaks_after.pop();
            let sent = rest[..cut.unwrap_or(rest.len())].to_vec();
            Ok(Piece { start: begin, body: Box::new(Breaks(io::Cursor::new(sent), cut.is_some())) })
        }

        fn alive(&mut self) {}
    }

    #[test]
    fn it_is_fetched_once_with_its_mode_and_looked_at_every_time() {
        let folder = tempfile::tempdir().unwrap();
        let list = list(&["https://one.example/k3s"]);
        let mut server = Script::default();
        ensure(&list, folder.path(), &mut server).unwrap();
        let place = folder.path().join(Digest::of(FILE).to_string()).join("k3s");
        assert_eq!(fs::read(&place).unwrap(), FILE);
        assert_eq!(fs::metadata(&place).unwrap().permissions().mode() & 0o7777, 0o755);
        ensure(&list, folder.path(), &mut server).unwrap();
        assert_eq!(server.asked.len(), 1);
        // A card that rots is noticed.
        fs::write(&place, b"a binary of sixty-eight megabytes, more or lesS").unwrap();
        ensure(&list, folder.path(), &mut server).unwrap();
        assert_eq!((server.asked.len(), fs::read(&place).unwrap()), (2, FILE.to_vec()));
    }

    #[test]
    fn a_break_is_resumed_with_and_without_ranges() {
        for ranges in [true, false] {
            let folder = tempfile::tempdir().unwrap();
            let list = list(&["https://one.example/k3s"]);
            let mut server = Script { ranges, breaks_after: vec![9, 20], ..Script::default() };
            let broken = ensure(&list, folder.path(), &mut server).unwrap_err();
            assert!(broken.to_string().contains("broke off after 20 bytes"), "{broken}");
            ensure(&list, folder.path(), &mut server).unwrap_err();
            ensure(&list, folder.path(), &mut server).unwrap();
            let starts: Vec<u64> = server.asked.iter().map(|(_, start)| *start).collect();
            assert_eq!(starts, if ranges { [0, 20, 29] } else { [0, 20, 9] }, "ranges: {ranges}");
        }
    }

    #[test]
    fn another_file_is_never_kept() {
        let folder = tempfile::tempdir().unwrap();
        let mut server = Script { sends: Some(b"malware"), ..Script::default() };
        let error = ensure(&list(&["https://one.example/a/k3s?x"]), folder.path(), &mut server).unwrap_err();
        let ArtifactError::Away { host, why } = error else { panic!("{error}") };
        assert_eq!((host.as_str(), why.as_str()), ("one.example", "what it sent is not k3s v1.34.3+k3s1"));
        let home = folder.path().join(Digest::of(FILE).to_string());
        assert_eq!(fs::read_dir(home).unwrap().count(), 0);
    }

    #[test]
    fn the_next_server_is_asked() {
        let folder = tempfile::tempdir().unwrap();
        let urls = ["https://one.example/k3s", "https://two.example/k3s"];
        let mut server = Script { refuses: vec![urls[0]], ..Script::default() };
        ensure(&list(&urls), folder.path(), &mut server).unwrap();
        let mut away = Script { refuses: urls.to_vec(), ..Script::default() };
        let error = ensure(&list(&urls), tempfile::tempdir().unwrap().path(), &mut away).unwrap_err();
        assert_eq!(error.to_string(), "no route to host");
    }
}
