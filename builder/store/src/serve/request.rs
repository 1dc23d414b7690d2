//! What a client asks for: the first lines of an HTTP/1.x request, bounded.

use std::io::{self, Read};

/// The lines of a request are not longer than this, bytes.
pub(super) const HEAD: usize = 8 << 10;
/// And have at most so many headers.
const HEADERS: usize = 48;
/// The longest path that is looked at, bytes.
const TARGET: usize = 1024;

/// How a file is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Head,
}

/// A request that can be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) method: Method,
    /// The path as it was sent, without what follows a `?`.
    pub(super) path: String,
    pub(super) range: Option<String>,
    pub(super) if_range: Option<String>,
    pub(super) if_none_match: Option<String>,
    /// The connection may be used again.
    pub(super) keep: bool,
}

/// Why a request gets no file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) status: u16,
    pub(super) why: &'static str,
}

const fn refused(status: u16, why: &'static str) -> Refused {
    Refused { status, why }
}

/// Reads a request, or says why it cannot be answered; `None` while it is not whole.
/// With it comes how many bytes it took.
pub(super) fn parse(bytes: &[u8]) -> Option<(usize, Result<Request, Refused>)> {
    let mut room = [httparse::EMPTY_HEADER; HEADERS];
    let mut request = httparse::Request::new(&mut room);
    let length = match request.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if bytes.len() < HEAD => return None,
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
            return Some((bytes.len(), Err(refused(431, "the request's lines are too long or too many"))));
        }
        Err(_) => return Some((bytes.len(), Err(refused(400, "this is not HTTP")))),
    };
    Some((length, judge(&request)))
}

fn judge(request: &httparse::Request<'_, '_>) -> Result<Request, Refused> {
    let target = request.path.unwrap_or_default();
    let method = match request.method {
        Some("GET") => Method::Get,
        Some("HEAD") => Method::Head,
        _ => return Err(refused(405, "files can be read here, and nothing else")),
    };
    if target.len() > TARGET {
        return Err(refused(414, "no path here is that long"));
    }
    // A second value could be the one that a proxy in front of us believes.
    let once = |name: &str| -> Result<Option<String>, Refused> {
        let mut found = request.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
        let first = found.next().map(|header| std::str::from_utf8(header.value));
        match (first.transpose(), found.next()) {
            (Ok(value), None) => Ok(value.map(|value| value.trim().to_owned())),
            _ => Err(refused(400, "a header is there twice, or is not text")),
        }
    };
    let body = once("content-length")?.is_some_and(|length| length != "0");
    if body || once("transfer-encoding")?.is_some() {
        return Err(refused(400, "a request for a file has no body"));
    }
    let version = request.version.unwrap_or(0);
    if version == 1 && once("host")?.is_none() {
        return Err(refused(400, "HTTP/1.1 asks for a Host header"));
    }
    let connection = once("connection")?.unwrap_or_default().to_ascii_lowercase();
    let says = |word| connection.split(',').any(|part| part.trim() == word);
    Ok(Request {
        method,
        path: target.split('?').next().unwrap_or_default().to_owned(),
        range: once("range")?,
        if_range: once("if-range")?,
        if_none_match: once("if-none-match")?,
        keep: if version == 1 { !says("close") } else { says("keep-alive") },
    })
}

/// Reads from `stream` until a request is whole; what came after it stays in `rest` for the next one.
/// `None` when the client has gone without a word. `late` says when it has taken too long.
pub(super) fn read(
    stream: &mut impl Read,
    rest: &mut Vec<u8>,
    late: impl Fn() -> bool,
) -> io::Result<Option<Result<Request, Refused>>> {
    let mut piece = [0; 2 << 10];
    loop {
        if let Some((length, request)) = parse(rest) {
            rest.drain(..length);
            return Ok(Some(request));
        }
        if late() {
            return Ok(Some(Err(refused(408, "the request took too long"))));
        }
        match stream.read(&mut piece) {
            Ok(0) if rest.is_empty() => return Ok(None),
            Ok(0) => return Ok(Some(Err(refused(400, "the request breaks off")))),
            Ok(count) => rest.extend_from_slice(&piece[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(text: &str) -> Result<Request, Refused> {
        parse(text.as_bytes()).expect("a whole request").1
    }

    #[test]
    fn a_request_is_read_with_what_it_asks_for() {
        let text =
            "GET /nas.hcb?x=1 HTTP/1.1\r\nHost: a\r\nRange: bytes=1-2\r\nif-range: \"e\"\r\n\r\nGET /next";
        let (length, request) = parse(text.as_bytes()).unwrap();
        assert_eq!(&text[length..], "GET /next");
        let request = request.unwrap();
        assert_eq!((request.method, request.path.as_str(), request.keep), (Method::Get, "/nas.hcb", true));
        assert_eq!(request.range.as_deref(), Some("bytes=1-2"));
        assert_eq!(request.if_range.as_deref(), Some("\"e\""));
    }

    #[test]
    fn connections_are_kept_as_each_version_has_it() {
        for (text, keep) in [
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", true),
            ("GET / HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n\r\n", false),
            ("GET / HTTP/1.1\r\nHost: a\r\nConnection: te, close\r\n\r\n", false),
            ("GET / HTTP/1.0\r\n\r\n", false),
            ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true),
            ("HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", true),
        ] {
            assert_eq!(ask(text).unwrap().keep, keep, "{text:?}");
        }
    }

    #[test]
    fn bad_requests_are_refused_by_number() {
        let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(2000));
        let endless = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(HEAD));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(100));
        for (text, status) in [
            ("POST / HTTP/1.1\r\nHost: a\r\n\r\n", 405),
            ("DELETE /x HTTP/1.1\r\nHost: a\r\n\r\n", 405),
            ("get / HTTP/1.1\r\nHost: a\r\n\r\n", 405),
            ("GET / HTTP/1.1\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nRange: bytes=0-1\r\nRange: bytes=5-6\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
            ("GET / HTTP/2.0\r\n\r\n", 400),
            ("GET  / HTTP/1.1\r\n\r\n", 400),
            ("\u{16}\u{3}\u{1}\u{2}\u{0}", 400),
            ("GET / HTTP/1.1\r\nBad Header: x\r\n\r\n", 400),
            ("GET /\u{0} HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            (&long, 414),
            (&endless, 431),
            (&many, 431),
        ] {
            assert_eq!(ask(text).unwrap_err().status, status, "{text:?}");
        }
    }

    #[test]
    fn every_beginning_of_a_request_waits_for_the_rest() {
        let text = "GET /nas.hcb HTTP/1.1\r\nHost: a\r\nRange: bytes=1-2\r\n\r\n";
        for end in 0..text.len() {
            assert_eq!(parse(&text.as_bytes()[..end]), None, "{end}");
        }
    }

    #[test]
    fn every_changed_byte_is_answered_or_refused() {
        let text = b"GET /nas.hcb HTTP/1.1\r\nHost: a\r\nRange: bytes=1-2\r\n\r\n";
        for at in 0..text.len() {
            for byte in 0..=255 {
                let mut changed = text.to_vec();
                changed[at] = byte;
                if let Some((length, _)) = parse(&changed) {
                    assert!(length <= changed.len(), "{at} {byte}");
                }
            }
        }
    }

    #[test]
    fn who_goes_without_a_word_is_no_fault_and_who_dawdles_is_told() {
        let mut rest = Vec::new();
        assert_eq!(read(&mut io::empty(), &mut rest, || false).unwrap(), None);
        let cut = read(&mut &b"GET /"[..], &mut rest, || false).unwrap().unwrap();
        assert_eq!(cut.unwrap_err().status, 400);
        let slow = read(&mut io::repeat(b'A'), &mut vec![], || true).unwrap().unwrap();
        assert_eq!(slow.unwrap_err().status, 408);
    }
}
