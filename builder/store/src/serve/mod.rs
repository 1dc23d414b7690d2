//! A folder over HTTP/1.1 for a local network: read-only, with ranges, and nothing else. What is sent is signed
//! and checked by who receives it, so there is no TLS here.

mod answer;
mod place;
mod range;
mod request;

use crate::StoreError;
use answer::Answer;
use request::{Refused, Request};
use std::{
    fs,
    io::{self, Write as _},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

/// So many connections are served at once; more are told to come again.
const CONNECTIONS: usize = 128;
/// So long a connection may say nothing, or take nothing of what is sent.
const IDLE: Duration = Duration::from_secs(30);
/// The lines of a request arrive within this time.
const PATIENCE: Duration = Duration::from_secs(40);
/// Bytes that are read and sent at once.
const PIECE: usize = 128 << 10;

/// Who is told what is served.
pub trait Witness: Sync {
    /// An answer begins: to whom, for which path (as it was sent), with which status.
    fn begins(&self, answer: &Served<'_>);
    /// So many bytes more of a file were taken by `client`, which now has everything before `reached` of it, as
    /// far as it asked.
    fn sent(&self, client: IpAddr, path: &str, bytes: u64, reached: u64);
    /// A connection could not be accepted or ended with an error that is not the client's leaving.
    fn trouble(&self, what: &str);
}

/// An answer that begins.
#[derive(Clone, Copy, Debug)]
pub struct Served<'a> {
    /// Who asked.
    pub client: IpAddr,
    /// The path of the request as it was sent, or nothing where there was no request. Not to be trusted: it is
    /// any bytes that a client could think of, but no control characters.
    pub path: &'a str,
    /// The status.
    pub status: u16,
    /// Bytes of the file that follow.
    pub len: u64,
    /// The file's size in bytes, where there is one.
    pub size: u64,
}

/// A folder that is served.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    root: PathBuf,
    busy: AtomicUsize,
}

impl Server {
    /// Listens at `address`.
    ///
    /// # Errors
    /// When there is no such folder or the address cannot be had.
    pub fn bind(folder: &Path, address: SocketAddr) -> Result<Self, StoreError> {
        let root = fs::canonicalize(folder).map_err(StoreError::file("open", folder))?;
        if !root.is_dir() {
            return Err(StoreError::file("serve", folder)(io::ErrorKind::NotADirectory.into()));
        }
        let listener = TcpListener::bind(address).map_err(|source| StoreError::Listen { address, source })?;
        Ok(Self { listener, root, busy: AtomicUsize::new(0) })
    }

    /// Where it listens, with the port that the system chose where none was given.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves for as long as the program lives.
    pub fn run(&self, witness: &dyn Witness) -> ! {
        std::thread::scope(|scope| {
            loop {
                let (stream, client) = match self.listener.accept() {
                    Ok(found) => found,
                    Err(error) => {
                        // Out of descriptors, or a client that left before it was answered: both pass.
                        witness.trouble(&format!("a connection could not be accepted: {error}"));
                        std::thread::sleep(Duration::from_millis(200));
                        continue;
                    }
                };
                let Some(place) = Place::take(&self.busy) else {
                    turn_away(&stream, client.ip(), witness);
                    continue;
                };
                let work = move || {
                    if let Err(error) = self.attend(&stream, client.ip(), witness) {
                        tell(&error, client, witness);
                    }
                    drop(place);
                };
                if let Err(error) =
                    std::thread::Builder::new().stack_size(256 << 10).spawn_scoped(scope, work)
                {
                    witness.trouble(&format!("{}: no thread to serve it: {error}", client.ip()));
                }
            }
        })
    }

    /// Answers one connection's requests, one after another.
    fn attend(&self, mut stream: &TcpStream, client: IpAddr, witness: &dyn Witness) -> io::Result<()> {
        stream.set_read_timeout(Some(IDLE))?;
        stream.set_write_timeout(Some(IDLE))?;
        stream.set_nodelay(true)?;
        let mut rest = Vec::new();
        loop {
            let begin = Instant::now();
            let late = || begin.elapsed() > PATIENCE;
            let keep = match request::read(&mut stream, &mut rest, late)? {
                None => return Ok(()),
                Some(Err(refused)) => {
                    refuse(stream, client, &refused, None, witness)?;
                    false
                }
                Some(Ok(request)) => {
                    self.answer(stream, client, &request, witness)?;
                    request.keep
                }
            };
            if !keep {
                return farewell(stream);
            }
        }
    }

    fn answer(
        &self,
        mut stream: &TcpStream,
        client: IpAddr,
        request: &Request,
        witness: &dyn Witness,
    ) -> io::Result<()> {
        let relative = place::relative(&request.path);
        let found = relative.as_deref().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound));
        let found = match found.and_then(|relative| place::open(&self.root, relative)) {
            Ok(found) => found,
            Err(error) => {
                let refused = match error.kind() {
                    io::ErrorKind::PermissionDenied => {
                        Refused { status: 403, why: "this file may not be read" }
                    }
                    _ => Refused { status: 404, why: "there is no such file here" },
                };
                return refuse(stream, client, &refused, Some(request), witness);
            }
        };
        let json = request.path.ends_with(".json");
        let Answer { status, head, from, len } = answer::of_file(request, found.size, &found.tag, json);
        witness.begins(&Served { client, path: &request.path, status, len, size: found.size });
        stream.write_all(head.as_bytes())?;
        let mut piece = vec![0; PIECE.min(usize::try_from(len).unwrap_or(PIECE))];
        let (mut at, end) = (from, from + len);
        while at < end {
            let want = piece.len().min(usize::try_from(end - at).unwrap_or(PIECE));
            let count = found.file.read_at(&mut piece[..want], at)?;
            if count == 0 {
                return Err(io::Error::other("a file became shorter while it was sent: publish by renaming"));
            }
            stream.write_all(&piece[..count])?;
            at += count as u64;
            witness.sent(client, &request.path, count as u64, at);
        }
        Ok(())
    }
}

fn refuse(
    mut stream: &TcpStream,
    client: IpAddr,
    refused: &Refused,
    request: Option<&Request>,
    witness: &dyn Witness,
) -> io::Result<()> {
    let (Answer { status, head, .. }, body) = answer::of_refusal(refused, request);
    let path = request.map_or("", |request| &request.path);
    witness.begins(&Served { client, path, status, len: 0, size: 0 });
    stream.write_all((head + &body).as_bytes())
}

/// All places are taken: the few words fit into the socket's own buffer, so nobody waits for this client.
fn turn_away(stream: &TcpStream, client: IpAddr, witness: &dyn Witness) {
    let refused = Refused { status: 503, why: "too many nodes at once: try again" };
    let said = stream.set_nonblocking(true).and_then(|()| refuse(stream, client, &refused, None, witness));
    if let Err(error) = said {
        witness.trouble(&format!("{client}: {error}"));
    }
}

/// A closed connection with unread bytes in it is reset, and the last answer may be lost: what the client still
/// says is read for a moment.
fn farewell(mut stream: &TcpStream) -> io::Result<()> {
    use io::Read as _;
    stream.shutdown(std::net::Shutdown::Write)?;
    stream.set_read_timeout(Some(Duration::from_millis(500)))?;
    let mut left = [0; 4 << 10];
    for _ in 0..16 {
        match stream.read(&mut left) {
            Ok(count) if count > 0 => {}
            _ => break,
        }
    }
    Ok(())
}

/// A client may leave when it likes and be slow: that is told to nobody.
fn tell(error: &io::Error, client: SocketAddr, witness: &dyn Witness) {
    use io::ErrorKind as Kind;
    let ordinary = [
        Kind::BrokenPipe,
        Kind::ConnectionReset,
        Kind::ConnectionAborted,
        Kind::NotConnected,
        Kind::TimedOut,
        Kind::WouldBlock,
    ];
    if !ordinary.contains(&error.kind()) {
        witness.trouble(&format!("{}: {error}", client.ip()));
    }
}

/// One of the places for connections, given back when it is dropped.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(busy: &'a AtomicUsize) -> Option<Self> {
        let free = |count: usize| (count < CONNECTIONS).then_some(count + 1);
        busy.fetch_update(Ordering::Relaxed, Ordering::Relaxed, free).ok().map(|_| Self(busy))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
