//! A question over HTTP, for probes: `http://` alone, one answer, bounded in size and time.

use super::ask::{connect, left, plainly};
use std::{
    io::{self, Read as _, Write as _},
    time::Instant,
};

/// No answer is read further than this, in bytes.
const LIMIT: usize = 256 << 10;
const HEADERS: usize = 64;

/// Whether `url` answers with a status of 200 to 299, and holds `expect` if there is one, before `end`.
///
/// # Errors
/// What was found instead.
pub fn get(url: &str, expect: Option<&str>, end: Instant) -> Result<(), String> {
    let (authority, path) = parts(url)?;
    let port = if authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
        ""
    } else {
        ":80"
    };
    let mut stream = connect(&format!("{authority}{port}"), end)?;
    let question =
        format!("GET {path} HTTP/1.0\r\nHost: {authority}\r\nUser-Agent: hcnode\r\nAccept: */*\r\n\r\n");
    let mut answer = Vec::new();
    let mut talk = || -> io::Result<()> {
        stream.set_write_timeout(Some(left(end)?))?;
        stream.write_all(question.as_bytes())?;
        let mut block = [0; 8 << 10];
        while answer.len() < LIMIT && !whole(&answer) {
            stream.set_read_timeout(Some(left(end)?))?;
            match stream.read(&mut block)? {
                0 => break,
                count => answer.extend_from_slice(&block[..count]),
            }
        }
        Ok(())
    };
    // An answer that came before the connection broke is an answer.
    match (talk(), answer.is_empty()) {
        (Err(error), true) => Err(format!("{authority}: {}", plainly(&error))),
        _ => judge(&answer, expect),
    }
}

/// Host with port, and path.
fn parts(url: &str) -> Result<(&str, String), String> {
    let rest = url.strip_prefix("http://").ok_or_else(|| format!("`{url}` does not begin with http://"))?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let odd = |text: &str| text.bytes().any(|byte| !byte.is_ascii_graphic());
    if authority.is_empty() || authority.contains('@') || odd(rest) {
        return Err(format!("`{url}` is no address"));
    }
    Ok((authority, format!("/{path}")))
}

/// Whether the answer is complete by its own account, although the connection stays open.
fn whole(answer: &[u8]) -> bool {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let Ok(httparse::Status::Complete(start)) = response.parse(answer) else { return false };
    let length = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length =
        length.and_then(|header| std::str::from_utf8(header.value).ok()?.trim().parse::<usize>().ok());
    length.is_some_and(|length| answer.len() - start >= length)
}

/// Judges an answer's bytes.
fn judge(answer: &[u8], expect: Option<&str>) -> Result<(), String> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let start = match response.parse(answer) {
        Ok(httparse::Status::Complete(start)) => start,
        Ok(httparse::Status::Partial) if answer.is_empty() => return Err("an empty answer".to_owned()),
        Ok(httparse::Status::Partial) => return Err("half an answer".to_owned()),
        Err(error) => return Err(format!("no answer of HTTP: {error}")),
    };
    let status = response.code.unwrap_or_default();
    if !(200..300).contains(&status) {
        return Err(format!("the answer is {status}"));
    }
    let body = String::from_utf8_lossy(&answer[start..]);
    match expect {
        Some(text) if !body.contains(text) => Err(format!("the answer {status} does not hold `{text}`")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{net::TcpListener, sync::mpsc, thread, time::Duration};

    /// A server that gives `answer` to one connection and keeps it open until the receiver is dropped.
    fn server(answer: &'static [u8]) -> (String, mpsc::Sender<()>) {
        let door = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = door.local_addr().unwrap().to_string();
        let (keep, open) = mpsc::channel::<()>();
        thread::spawn(move || {
            let (mut stream, _) = door.accept().unwrap();
            let (mut asked, mut byte) = (Vec::new(), [0]);
            while !asked.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
                asked.push(byte[0]);
            }
            assert!(asked.starts_with(b"GET /health?x=1 HTTP/1.0\r\nHost: 127.0.0.1:"), "{asked:?}");
            stream.write_all(answer).unwrap();
            assert!(open.recv().is_err());
        });
        (address, keep)
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    #[test]
    fn an_answer_needs_its_status_and_its_text() {
        const FINE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{\"status\": \"OK\"}";
        type Case<'c> = (&'c [u8], Option<&'c str>, Result<(), &'c str>);
        let cases: [Case<'_>; 9] = [
            (FINE, None, Ok(())),
            (FINE, Some("\"OK\""), Ok(())),
            (FINE, Some("it's"), Err("the answer 200 does not hold `it's`")),
            (b"HTTP/1.1 204 No Content\r\ncontent-length:0\r\n\r\n", None, Ok(())),
            (b"HTTP/1.1 503 Service Unavailable\r\n\r\nOK", Some("OK"), Err("the answer is 503")),
            (b"HTTP/1.1 301 Moved\r\nLocation: /\r\n\r\n", None, Err("the answer is 301")),
            (b"", None, Err("an empty answer")),
            (b"HTTP/1.1 200 OK\r\nContent-", None, Err("half an answer")),
            (b"SSH-2.0-OpenSSH_10.0\r\n", None, Err("no answer of HTTP: invalid HTTP version")),
        ];
        for (answer, expect, expected) in cases {
            let got = judge(answer, expect);
            assert_eq!(got, expected.map_err(str::to_owned), "{}", String::from_utf8_lossy(answer));
        }
    }

    #[test]
    fn a_server_that_keeps_the_connection_does_not_hold_us_up() {
        let (address, keep) = server(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK");
        assert_eq!(get(&format!("http://{address}/health?x=1"), Some("OK"), soon()), Ok(()));
        drop(keep);
    }

    #[test]
    fn silence_ends_in_time() {
        let door = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = door.local_addr().unwrap().to_string();
        let end = Instant::now() + Duration::from_millis(50);
        assert_eq!(
            get(&format!("http://{address}/"), None, end),
            Err(format!("{address}: no answer in time"))
        );
    }

    #[test]
    fn only_plain_addresses_are_asked() {
        for (url, expected) in [
            ("https://127.0.0.1/", "does not begin with http://"),
            ("http:///x", "is no address"),
            ("http://user:pass@127.0.0.1/", "is no address"),
            ("http://127.0.0.1/a b", "is no address"),
            ("http://127.0.0.1/a\r\nX: y", "is no address"),
        ] {
            assert!(get(url, None, soon()).unwrap_err().contains(expected), "{url}");
        }
        assert_eq!(parts("http://[::1]:80"), Ok(("[::1]:80", "/".to_owned())));
    }

    proptest::proptest! {
        #[test]
        fn no_answer_makes_it_panic(answer: Vec<u8>, head in "HTTP/1.[01] [0-9]{3} [A-Za-z:\r\n0-9 -]*") {
            let bytes = [head.as_bytes(), &answer].concat();
            for bytes in [&answer[..], &bytes] {
                let (_, _) = (judge(bytes, Some("x")), whole(bytes));
            }
        }
    }
}
