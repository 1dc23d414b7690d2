//! One question and one answer in HTTP/1.0, which has no chunks and one answer to a connection.

use crate::node::clock;
use std::io::{self, Read, Write};

/// The lines before an answer's body are not longer than this.
const HEAD: usize = 16 << 10;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status, such as 200.
    pub status: u16,
    /// The server's time, in seconds since 1970.
    pub date: Option<u64>,
    /// What it says.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum HttpError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("the answer is longer than {limit} bytes")]
    Long { limit: usize },
    #[error("the answer is not HTTP ({what})")]
    Garbage { what: &'static str },
    #[error("the answer broke off after {found} of {expected} bytes")]
    Short { found: usize, expected: usize },
}

/// A question.
#[derive(Clone, Copy, Debug)]
pub struct Question<'q> {
    /// Such as `GET`.
    pub method: &'q str,
    /// The path, with its query.
    pub path: &'q str,
    /// What goes with it: its kind, such as `application/json`, and its bytes.
    pub content: Option<(&'q str, &'q [u8])>,
}

impl<'q> Question<'q> {
    /// `GET path`.
    #[must_use]
    pub fn get(path: &'q str) -> Self {
        Self { method: "GET", path, content: None }
    }
}

/// Asks, and reads the answer, of which the body may have `limit` bytes.
pub(super) fn ask(
    stream: &mut (impl Read + Write),
    host: &str,
    question: Question<'_>,
    authorization: Option<&str>,
    limit: usize,
) -> Result<Answer, HttpError> {
    let Question { method, path, content } = question;
    let mut said =
        format!("{method} {path} HTTP/1.0\r\nHost: {host}\r\nUser-Agent: hcnode\r\nAccept: */*\r\n");
    if let Some(value) = authorization {
        said += &format!("Authorization: {value}\r\n");
    }
    if let Some((kind, bytes)) = content {
        said += &format!("Content-Type: {kind}\r\nContent-Length: {}\r\n", bytes.len());
    }
    said += "\r\n";
    stream.write_all(said.as_bytes())?;
    stream.write_all(content.map_or(&[], |(_, bytes)| bytes))?;
    stream.flush()?;
    let mut bytes = Vec::new();
    let mut piece = [0; 8 << 10];
    loop {
        let head = head(&bytes)?;
        let length = head.as_ref().and_then(|head| head.length);
        if let Some(Head { start, .. }) = head {
            if length.unwrap_or(bytes.len() - start) > limit {
                return Err(HttpError::Long { limit });
            }
            if length.is_some_and(|length| bytes.len() - start >= length) {
                return parse(&bytes, limit);
            }
        }
        match stream.read(&mut piece) {
            Ok(0) => return parse(&bytes, limit),
            Ok(read) => bytes.extend_from_slice(&piece[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Without TLS's own goodbye somebody may have cut the answer off: only its length tells that it is whole.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && length.is_some() => {
                return parse(&bytes, limit);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// The lines before the body.
struct Head {
    status: u16,
    date: Option<u64>,
    length: Option<usize>,
    start: usize,
}

fn head(bytes: &[u8]) -> Result<Option<Head>, HttpError> {
    let mut room = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut room);
    let parsed = response.parse(bytes).map_err(|_| HttpError::Garbage { what: "its first lines" })?;
    let httparse::Status::Complete(start) = parsed else {
        return if bytes.len() > HEAD { Err(HttpError::Long { limit: HEAD }) } else { Ok(None) };
    };
    let find = |name: &str| {
        let header = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        header.map(|header| std::str::from_utf8(header.value).unwrap_or(""))
    };
    if find("transfer-encoding").is_some() {
        return Err(HttpError::Garbage { what: "chunks, which HTTP/1.0 has not" });
    }
    let length = find("content-length").map(|text| text.trim().parse::<usize>());
    let length = length.transpose().map_err(|_| HttpError::Garbage { what: "its length" })?;
    let status = response.code.ok_or(HttpError::Garbage { what: "its status" })?;
    Ok(Some(Head { status, date: find("date").and_then(clock::http_date), length, start }))
}

/// Reads a whole answer.
pub(super) fn parse(bytes: &[u8], limit: usize) -> Result<Answer, HttpError> {
    let Some(Head { status, date, length, start }) = head(bytes)? else {
        return Err(HttpError::Short { found: bytes.len(), expected: bytes.len() + 1 });
    };
    let body = &bytes[start..];
    let length = length.unwrap_or(body.len());
    if length > limit {
        return Err(HttpError::Long { limit });
    }
    let body = body.get(..length).ok_or(HttpError::Short { found: body.len(), expected: length })?;
    Ok(Answer { status, date, body: body.to_vec() })
}
