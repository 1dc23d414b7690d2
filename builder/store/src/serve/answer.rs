//! What a request is answered with. Decisions on values.

use super::{
    range::{Wanted, wanted},
    request::{Method, Refused, Request},
};

/// An answer: its status, its lines, and which bytes of the file follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// The lines before the body, with the empty one.
    pub(super) head: String,
    /// Where in the file the body begins.
    pub(super) from: u64,
    /// How many bytes of the file follow.
    pub(super) len: u64,
}

/// The answer to a request for a file that is there.
pub(super) fn of_file(request: &Request, size: u64, tag: &str, json: bool) -> Answer {
    let known = request.if_none_match.as_deref().is_some_and(|tags| matches(tags, tag));
    // Who asks for a part of another file than this gets all of this one: it notices, and begins again.
    let same = request.if_range.as_deref().is_none_or(|expected| expected == tag);
    let range = request.range.as_deref().filter(|_| same && request.method == Method::Get);
    let kind = if json { "application/json" } else { "application/octet-stream" };
    // A channel file changes, and what it names does not.
    let cache = if json { "no-cache" } else { "max-age=3600" };
    let lines =
        format!("Content-Type: {kind}\r\nCache-Control: {cache}\r\nAccept-Ranges: bytes\r\nETag: {tag}\r\n");
    let (status, from, len, more) = match wanted(range, size) {
        _ if known => (304, 0, 0, String::new()),
        Wanted::Whole => (200, 0, size, String::new()),
        Wanted::Part { from, len } => {
            (206, from, len, format!("Content-Range: bytes {from}-{}/{size}\r\n", from + len - 1))
        }
        Wanted::Outside => (416, 0, 0, format!("Content-Range: bytes */{size}\r\n")),
    };
    let length = if known { String::new() } else { format!("Content-Length: {len}\r\n") };
    let head = format!("{}{lines}{more}{length}{}\r\n", first_line(status), connection(request.keep));
    Answer { status, head, from, len: if request.method == Method::Head { 0 } else { len } }
}

/// The answer to what is refused; the reason is its body, and the connection ends where nobody knows what
/// the client meant.
pub(super) fn of_refusal(refused: &Refused, request: Option<&Request>) -> (Answer, String) {
    let Refused { status, why } = *refused;
    let body = format!("{why}\n");
    let allow = if status == 405 { "Allow: GET, HEAD\r\n" } else { "" };
    let again = if status == 503 { "Retry-After: 30\r\n" } else { "" };
    let head = format!(
        "{}Content-Type: text/plain; charset=utf-8\r\n{allow}{again}Content-Length: {}\r\n{}\r\n",
        first_line(status),
        body.len(),
        connection(request.is_some_and(|request| request.keep)),
    );
    let silent = request.is_some_and(|request| request.method == Method::Head);
    (Answer { status, head, from: 0, len: 0 }, if silent { String::new() } else { body })
}

fn matches(tags: &str, tag: &str) -> bool {
    let weak = |one: &str| one.trim().trim_start_matches("W/") == tag;
    tags.trim() == "*" || tags.split(',').any(weak)
}

fn connection(keep: bool) -> &'static str {
    if keep { "Connection: keep-alive\r\n" } else { "Connection: close\r\n" }
}

fn first_line(status: u16) -> String {
    let words = match status {
        200 => "OK",
        206 => "Partial Content",
        304 => "Not Modified",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        414 => "URI Too Long",
        416 => "Range Not Satisfiable",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Bad Request",
    };
    format!("HTTP/1.1 {status} {words}\r\nServer: hcimage\r\nX-Content-Type-Options: nosniff\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(range: Option<&str>) -> Request {
        Request {
            method: Method::Get,
            path: "/x".into(),
            range: range.map(str::to_owned),
            if_range: None,
            if_none_match: None,
            keep: true,
        }
    }

    #[test]
    fn parts_say_where_they_lie() {
        let answer = of_file(&request(Some("bytes=2-4")), 10, "\"t\"", false);
        assert_eq!((answer.status, answer.from, answer.len), (206, 2, 3));
        assert!(
            answer.head.contains("Content-Range: bytes 2-4/10\r\nContent-Length: 3\r\n"),
            "{}",
            answer.head
        );
        assert!(answer.head.ends_with("\r\n\r\n"), "{}", answer.head);
        let answer = of_file(&request(Some("bytes=10-")), 10, "\"t\"", false);
        assert_eq!((answer.status, answer.len), (416, 0));
        assert!(
            answer.head.contains("Content-Range: bytes */10\r\nContent-Length: 0\r\n"),
            "{}",
            answer.head
        );
    }

    #[test]
    fn a_part_of_another_file_is_all_of_this_one() {
        for (expected, status) in
            [("\"t\"", 206), ("\"other\"", 200), ("W/\"t\"", 200), ("Fri, 20 Nov 2026 00:00:00 GMT", 200)]
        {
            let request = Request { if_range: Some(expected.into()), ..request(Some("bytes=0-1")) };
            assert_eq!(of_file(&request, 10, "\"t\"", false).status, status, "{expected}");
        }
    }

    #[test]
    fn what_the_client_has_is_not_sent_again() {
        for (tags, status) in [("\"t\"", 304), ("*", 304), ("\"a\", W/\"t\"", 304), ("\"a\"", 200)] {
            let request = Request { if_none_match: Some(tags.into()), ..request(None) };
            let answer = of_file(&request, 10, "\"t\"", true);
            assert_eq!(
                (answer.status, answer.head.contains("Content-Length")),
                (status, status == 200),
                "{tags}"
            );
        }
    }

    #[test]
    fn head_is_told_the_length_and_gets_nothing() {
        let request = Request { method: Method::Head, ..request(Some("bytes=0-1")) };
        let answer = of_file(&request, 10, "\"t\"", false);
        assert_eq!((answer.status, answer.len), (200, 0));
        assert!(answer.head.contains("Content-Length: 10\r\n"), "{}", answer.head);
        let (answer, body) = of_refusal(&Refused { status: 404, why: "gone" }, Some(&request));
        assert!(answer.head.contains("404 Not Found") && body.is_empty());
    }
}
