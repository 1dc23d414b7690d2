//! One request and one answer a connection, HTTP/1.1.

use crate::{Error, Result, log};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    time::SystemTime,
};

const LIMIT: usize = 1 << 20;

/// A request.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Such as `GET`.
    pub method: String,
    /// The path, without its query.
    pub path: String,
    /// What stands behind its question mark.
    pub query: String,
    /// Headers by their names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Such as 200.
    pub status: u16,
    /// The content's type.
    pub kind: &'static str,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// Plain text.
    pub fn text(body: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, kind: "text/plain", body: body.into() }
    }

    /// JSON.
    #[must_use]
    pub fn json(status: u16, value: &Value) -> Self {
        Self { status, kind: "application/json", body: format!("{value}\n").into_bytes() }
    }

    /// A refusal as Kubernetes words it.
    #[must_use]
    pub fn refusal(status: u16, message: &str) -> Self {
        let reason = reason(status).replace(' ', "");
        let value = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": message, "reason": reason, "code": status});
        Self::json(status, &value)
    }

    /// Writes it, with the moment that every HTTP server tells.
    pub fn write(&self, stream: &mut impl Write) -> io::Result<()> {
        let Self { status, kind, body } = self;
        let head = format!(
            "HTTP/1.1 {status} {}\r\nDate: {}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            reason(*status),
            log::http_date(SystemTime::now()),
            body.len()
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        stream.flush()
    }

    /// The status as Go prints it, such as `401 Unauthorized`.
    #[must_use]
    pub fn status_line(&self) -> String {
        format!("{} {}", self.status, reason(self.status))
    }

    /// Reads one.
    pub fn read(stream: &mut impl Read) -> Result<Self> {
        let (head, body) = split(stream)?;
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut parsed = httparse::Response::new(&mut headers);
        parsed.parse(&head).map_err(|_| Error::Http("not an answer"))?;
        let status = parsed.code.ok_or(Error::Http("no status"))?;
        let length = length(parsed.headers)?;
        Ok(Self { status, kind: "", body: rest(stream, body, length)? })
    }
}

impl Request {
    /// A request for `path`.
    #[must_use]
    pub fn new(method: &str, path: &str) -> Self {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        Self { method: method.to_owned(), path: path.to_owned(), query: query.to_owned(), ..Self::default() }
    }

    /// With a header more.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.insert(name.to_ascii_lowercase(), value.into());
        self
    }

    /// With a body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// Writes it for `host`.
    pub fn write(&self, host: &str, stream: &mut impl Write) -> io::Result<()> {
        let mark = if self.query.is_empty() { "" } else { "?" };
        let Self { method, path, query, .. } = self;
        let mut head =
            format!("{method} {path}{mark}{query} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += &format!("Content-Length: {}\r\n\r\n", self.body.len());
        stream.write_all(head.as_bytes())?;
        stream.write_all(&self.body)?;
        stream.flush()
    }

    /// Reads one.
    pub fn read(stream: &mut impl Read) -> Result<Self> {
        let (head, body) = split(stream)?;
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut parsed = httparse::Request::new(&mut headers);
        parsed.parse(&head).map_err(|_| Error::Http("not a request"))?;
        let (Some(method), Some(target)) = (parsed.method, parsed.path) else {
            return Err(Error::Http("no method"));
        };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let (method, path, query) = (method.to_owned(), path.to_owned(), query.to_owned());
        let length = length(parsed.headers)?.unwrap_or(0);
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let headers = parsed
            .headers
            .iter()
            .map(|header| (header.name.to_ascii_lowercase(), text(header.value)))
            .collect();
        Ok(Self { method, path, query, headers, body: rest(stream, body, Some(length))? })
    }
}

/// Reads up to the empty line; what came behind it belongs to the body.
fn split(stream: &mut impl Read) -> Result<(Vec<u8>, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let body = bytes.split_off(end + 4);
            return Ok((bytes, body));
        }
        match stream.read(&mut piece)? {
            0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            count => bytes.extend_from_slice(&piece[..count]),
        }
        if bytes.len() > LIMIT {
            return Err(Error::Http("too long"));
        }
    }
}

fn length(headers: &[httparse::Header<'_>]) -> Result<Option<usize>> {
    let field = headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let Some(field) = field else { return Ok(None) };
    let text = std::str::from_utf8(field.value).map_err(|_| Error::Http("a strange length"))?;
    text.trim().parse().map(Some).map_err(|_| Error::Http("a strange length"))
}

fn rest(stream: &mut impl Read, mut body: Vec<u8>, length: Option<usize>) -> Result<Vec<u8>> {
    let Some(length) = length else {
        match stream.take(LIMIT as u64).read_to_end(&mut body) {
            Ok(_) => return Ok(body),
            // A peer that closes without TLS's good-bye.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(body),
            Err(error) => return Err(error.into()),
        }
    };
    if length > LIMIT {
        return Err(Error::Http("too long"));
    }
    let had = body.len().min(length);
    body.resize(length, 0);
    stream.read_exact(&mut body[had..])?;
    Ok(body)
}

const fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        409 => "Conflict",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut wire = Vec::new();
        let sent = Request::new("POST", "/x").with("k3s-Node-Name", "pi3").body(b"abc\r\n\r\ndef".to_vec());
        sent.write("127.0.0.1:6444", &mut wire).unwrap();
        let read = Request::read(&mut wire.as_slice()).unwrap();
        assert_eq!((read.method.as_str(), read.path.as_str(), read.body), ("POST", "/x", sent.body));
        assert_eq!(read.headers["k3s-node-name"], "pi3");
        let mut wire = Vec::new();
        Answer::refusal(401, "not authorized").write(&mut wire).unwrap();
        let read = Answer::read(&mut wire.as_slice()).unwrap();
        assert_eq!(read.status_line(), "401 Unauthorized");
        assert!(String::from_utf8(read.body).unwrap().contains("not authorized"));
        assert!(Answer::read(&mut &wire[..wire.len() - 1]).is_err(), "cut off");
    }
}
