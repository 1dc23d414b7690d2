//! A web server for tests that is as bad as it is told to be: what an update meets in the field.

use crate::{Error, Result};
use std::{
    fs::File,
    io::{self, BufReader, Read as _, Seek as _, SeekFrom, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    ops::Range,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// What is wrong with the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ill {
    /// After so many bytes of files, over all answers, the connection breaks, and nobody answers any more.
    CutAfter(u64),
    /// It never heard of ranges: 200 with the whole file.
    NoRanges,
    /// The file is another one at every question, as its ETag says.
    NewTag,
    /// After so many bytes of an answer it says nothing more, and keeps the line.
    Stall(u64),
    /// So many bytes a second.
    Slow(u64),
    /// The byte at this place of the file is another.
    Wrong(u64),
    /// Only this status.
    Status(u16),
}

/// What was asked and sent so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that were heard.
    pub requests: u64,
    /// Bytes of files that went out.
    pub bytes: u64,
    /// The last path that was asked for.
    pub path: String,
}

/// A folder on the loopback address of this host.
pub struct Site {
    shared: Arc<Shared>,
    address: SocketAddr,
}

struct Shared {
    folder: PathBuf,
    now: Mutex<Now>,
    closing: AtomicBool,
}

#[derive(Default)]
struct Now {
    ill: Option<Ill>,
    counts: Counts,
}

/// How long a line may be silent.
const IDLE: Duration = Duration::from_secs(60);
/// Bytes that are sent at once.
const PIECE: u64 = 16 << 10;

impl Site {
    /// Serves `folder`.
    ///
    /// # Errors
    /// When there is no free port.
    pub fn open(folder: &Path) -> Result<Self> {
        let door = TcpListener::bind("127.0.0.1:0").map_err(Error::io("listen on loopback"))?;
        let address = door.local_addr().map_err(Error::io("listen on loopback"))?;
        let closing = AtomicBool::new(false);
        let shared = Arc::new(Shared { folder: folder.to_owned(), now: Mutex::default(), closing });
        let inside = Arc::clone(&shared);
        thread::spawn(move || {
            for client in door.incoming() {
                if inside.closing.load(Ordering::SeqCst) {
                    return;
                }
                let inside = Arc::clone(&inside);
                // A client that goes in the middle of an answer is what these tests are about.
                thread::spawn(move || client.and_then(|client| talk(client, &inside)));
            }
        });
        Ok(Self { shared, address })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on this is wrong with it, or nothing. Counts begin anew.
    pub fn be(&self, ill: Option<Ill>) {
        *self.shared.lock() = Now { ill, counts: Counts::default() };
    }

    /// What was asked and sent since.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.lock().counts.clone()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        // A knock, so that the thread sees that it may go.
        drop(TcpStream::connect(self.address));
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The head of a request.
struct Asked {
    head_only: bool,
    path: String,
    range: Option<(u64, Option<u64>)>,
    if_range: Option<String>,
    close: bool,
}

fn talk(client: TcpStream, site: &Shared) -> io::Result<()> {
    client.set_read_timeout(Some(IDLE))?;
    client.set_nodelay(true)?;
    let mut reader = BufReader::new(client.try_clone()?);
    let mut writer = client;
    while let Some(asked) = hear(&mut reader)? {
        let ill = {
            let mut now = site.lock();
            now.counts.requests += 1;
            now.counts.path.clone_from(&asked.path);
            now.ill
        };
        if site.closing.load(Ordering::SeqCst) {
            return Ok(());
        }
        answer(&mut writer, site, &asked, ill)?;
        if asked.close {
            return Ok(());
        }
    }
    Ok(())
}

fn hear(reader: &mut impl io::BufRead) -> io::Result<Option<Asked>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let (Some(method), Some(path)) = (words.next(), words.next()) else { return Ok(None) };
    let mut asked = Asked {
        head_only: method == "HEAD",
        path: path.split('?').next().unwrap_or_default().to_owned(),
        range: None,
        if_range: None,
        close: false,
    };
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            return Ok(Some(asked));
        }
        let Some((name, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "range" => asked.range = range(value),
            "if-range" => asked.if_range = Some(value.to_owned()),
            "connection" => asked.close = value.eq_ignore_ascii_case("close"),
            _ => {}
        }
    }
}

/// `bytes=FIRST-[LAST]`; several ranges, or one from the end, are answered with the whole file, as a server may.
fn range(value: &str) -> Option<(u64, Option<u64>)> {
    let (first, last) = value.strip_prefix("bytes=")?.split_once('-')?;
    let last = if last.is_empty() { None } else { Some(last.parse().ok()?) };
    Some((first.parse().ok()?, last))
}

fn answer(writer: &mut TcpStream, site: &Shared, asked: &Asked, ill: Option<Ill>) -> io::Result<()> {
    if let Some(Ill::Status(status)) = ill {
        return write!(writer, "HTTP/1.1 {status} Ill\r\nContent-Length: 0\r\n\r\n");
    }
    if let Some(Ill::CutAfter(limit)) = ill
        && site.lock().counts.bytes >= limit
    {
        return Err(io::ErrorKind::ConnectionAborted.into());
    }
    let safe = asked.path.split('/').all(|part| part != "..");
    let file = site.folder.join(asked.path.trim_start_matches('/'));
    let found = if safe && file.is_file() { File::open(&file).ok() } else { None };
    let Some(file) = found else {
        return writer.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    };
    let size = file.metadata()?.len();
    let turn = if ill == Some(Ill::NewTag) { site.lock().counts.requests } else { 0 };
    let tag = format!("\"{size:x}-{turn}\"");
    let same = asked.if_range.as_ref().is_none_or(|known| *known == tag);
    let part = asked.range.filter(|_| same && ill != Some(Ill::NoRanges));
    let extent = match part {
        Some((first, _)) if first >= size => {
            return write!(
                writer,
                "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */{size}\r\nContent-Length: 0\r\n\r\n"
            );
        }
        Some((first, last)) => first..last.map_or(size, |last| (last + 1).min(size)),
        None => 0..size,
    };
    let status = if part.is_some() { "206 Partial Content" } else { "200 OK" };
    let ranges = if ill == Some(Ill::NoRanges) { "" } else { "Accept-Ranges: bytes\r\n" };
    let place = match part {
        Some(_) => format!("Content-Range: bytes {}-{}/{size}\r\n", extent.start, extent.end - 1),
        None => String::new(),
    };
    let length = extent.end - extent.start;
    write!(writer, "HTTP/1.1 {status}\r\nETag: {tag}\r\n{ranges}{place}Content-Length: {length}\r\n\r\n")?;
    if asked.head_only { Ok(()) } else { send(writer, site, file, extent, ill) }
}

fn send(
    writer: &mut TcpStream,
    site: &Shared,
    mut file: File,
    extent: Range<u64>,
    ill: Option<Ill>,
) -> io::Result<()> {
    file.seek(SeekFrom::Start(extent.start))?;
    let mut at = extent.start;
    let mut buffer = vec![0; PIECE as usize];
    while at < extent.end {
        let mut length = PIECE.min(extent.end - at);
        match ill {
            Some(Ill::CutAfter(limit)) => length = length.min(limit.saturating_sub(site.lock().counts.bytes)),
            Some(Ill::Stall(after)) => length = length.min(after.saturating_sub(at - extent.start)),
            Some(Ill::Slow(speed)) => {
                length = length.min((speed / 10).max(1));
                thread::sleep(Duration::from_millis(100));
            }
            _ => {}
        }
        if length == 0 {
            if let Some(Ill::Stall(_)) = ill {
                return stall(writer, site);
            }
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        let piece = &mut buffer[..usize::try_from(length).map_err(io::Error::other)?];
        file.read_exact(piece)?;
        if let Some(Ill::Wrong(place)) = ill
            && (at..at + length).contains(&place)
        {
            piece[usize::try_from(place - at).map_err(io::Error::other)?] ^= 0x01;
        }
        writer.write_all(piece)?;
        site.lock().counts.bytes += length;
        at += length;
    }
    Ok(())
}

/// Says nothing until the other end goes, or the server does.
fn stall(writer: &TcpStream, site: &Shared) -> io::Result<()> {
    writer.set_read_timeout(Some(Duration::from_secs(1)))?;
    let mut rest = [0; 64];
    while !site.closing.load(Ordering::SeqCst) {
        match (&mut &*writer).read(&mut rest) {
            Ok(0) => return Ok(()),
            Err(error) if !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                return Err(error);
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One question on a line of its own: the head, and what came of the body.
    fn ask(site: &Site, path: &str, headers: &str) -> (String, Vec<u8>) {
        let mut line = TcpStream::connect(site.address()).unwrap();
        write!(line, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n").unwrap();
        line.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        let mut answer = Vec::new();
        let mut piece = [0; 4096];
        loop {
            match line.read(&mut piece) {
                Ok(0) | Err(_) => break,
                Ok(count) => answer.extend_from_slice(&piece[..count]),
            }
        }
        let end =
            answer.windows(4).position(|window| window == b"\r\n\r\n").map_or(answer.len(), |at| at + 4);
        (String::from_utf8_lossy(&answer[..end]).into_owned(), answer[end..].to_vec())
    }

    #[test]
    fn every_illness_shows() {
        let folder = tempfile::tempdir().unwrap();
        let content: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
        std::fs::write(folder.path().join("a.hcb"), &content).unwrap();
        let site = Site::open(folder.path()).unwrap();
        let (head, body) = ask(&site, "/a.hcb", "Range: bytes=10-19\r\n");
        assert!(
            head.starts_with("HTTP/1.1 206 ") && head.contains("Content-Range: bytes 10-19/100000\r\n"),
            "{head}"
        );
        assert_eq!(body, content[10..20]);
        let (first, _) = ask(&site, "/a.hcb", "Range: bytes=99990-\r\n");
        assert!(first.contains("Content-Length: 10\r\n"), "{first}");
        assert_eq!(site.counts().bytes, 20);
        assert!(ask(&site, "/../a", "").0.starts_with("HTTP/1.1 404"));
        assert!(ask(&site, "/a.hcb", "Range: bytes=100000-\r\n").0.starts_with("HTTP/1.1 416"));

        site.be(Some(Ill::NoRanges));
        let (head, body) = ask(&site, "/a.hcb", "Range: bytes=10-19\r\n");
        assert!(
            head.starts_with("HTTP/1.1 200 ") && !head.contains("Accept-Ranges") && body == content,
            "{head}"
        );
        site.be(Some(Ill::Wrong(15)));
        assert_eq!(ask(&site, "/a.hcb", "Range: bytes=10-19\r\n").1[5], content[15] ^ 1);
        site.be(Some(Ill::CutAfter(30_000)));
        assert_eq!(ask(&site, "/a.hcb", "").1.len(), 30_000);
        assert_eq!(ask(&site, "/a.hcb", "").0, "", "it is gone for good");
        site.be(Some(Ill::Stall(5)));
        assert_eq!(ask(&site, "/a.hcb", "").1.len(), 5);
        site.be(Some(Ill::Status(500)));
        assert!(ask(&site, "/a.hcb", "").0.starts_with("HTTP/1.1 500"));
        site.be(Some(Ill::NewTag));
        let (one, two) = (ask(&site, "/a.hcb", "").0, ask(&site, "/a.hcb", "").0);
        assert_ne!(one, two);
        site.be(None);
        let stale = ask(&site, "/a.hcb", "Range: bytes=0-1\r\nIf-Range: \"other\"\r\n");
        assert!(stale.0.starts_with("HTTP/1.1 200 "), "{}", stale.0);
    }
}
