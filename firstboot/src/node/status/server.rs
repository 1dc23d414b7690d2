//! The status page's server: two addresses, GET and HEAD, one answer for each connection, everything bounded.

use std::{
    io::{self, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

/// Connections at one time.
const CONNECTIONS: usize = 4;
/// A question is no longer than this, in bytes.
const LIMIT: usize = 8 << 10;
const HEADERS: usize = 64;
/// How long a question may take, and an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the server shows: made anew for each question.
pub trait Pages: Sync {
    /// The page.
    fn html(&self) -> String;
    /// The same for programs.
    fn json(&self) -> String;
}

/// Answers connections until the listener fails.
///
/// # Errors
/// When no connection can be taken any more.
pub fn serve(listener: &TcpListener, pages: &dyn Pages) -> io::Result<()> {
    let busy = AtomicUsize::new(0);
    thread::scope(|scope| {
        loop {
            let stream = match listener.accept() {
                Ok((stream, _)) => stream,
                // It was gone before we came to it.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error),
            };
            if busy.fetch_add(1, Ordering::SeqCst) >= CONNECTIONS {
                // Closed at once: who asks again in ten seconds finds room.
                busy.fetch_sub(1, Ordering::SeqCst);
                continue;
            }
            let busy = &busy;
            scope.spawn(move || {
                // Nobody can be told that a visitor went away.
                answer(stream, pages).unwrap_or_default();
                busy.fetch_sub(1, Ordering::SeqCst);
            });
        }
    })
}

fn answer(mut stream: TcpStream, pages: &dyn Pages) -> io::Result<()> {
    let end = Instant::now() + PATIENCE;
    let mut question = Vec::new();
    let request = loop {
        match parse(&question) {
            Parsed::More if question.len() >= LIMIT => break Request::TooLong,
            Parsed::More => {}
            Parsed::Whole(request) => break request,
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        let mut block = [0; 1 << 10];
        match stream.read(&mut block)? {
            0 => return Ok(()),
            count => question.extend_from_slice(&block[..count]),
        }
    };
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(&respond(request, pages))?;
    stream.shutdown(std::net::Shutdown::Write)
}

/// What a visitor asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Request {
    Page {
        head: bool,
    },
    Json {
        head: bool,
    },
    Unknown,
    /// Anything but GET and HEAD.
    Method,
    Malformed,
    TooLong,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Parsed {
    /// Not all of it is here.
    More,
    Whole(Request),
}

/// Reads a question (RFC 9112). Its headers mean nothing to us; a body is not read.
fn parse(bytes: &[u8]) -> Parsed {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(httparse::Status::Partial) => return Parsed::More,
        Ok(httparse::Status::Complete(_)) => {}
        Err(httparse::Error::TooManyHeaders) => return Parsed::Whole(Request::TooLong),
        Err(_) => return Parsed::Whole(Request::Malformed),
    }
    let head = match request.method {
        Some("GET") => false,
        Some("HEAD") => true,
        _ => return Parsed::Whole(Request::Method),
    };
    let target = request.path.unwrap_or_default();
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    Parsed::Whole(match path {
        "/" => Request::Page { head },
        "/status.json" => Request::Json { head },
        _ => Request::Unknown,
    })
}

fn respond(request: Request, pages: &dyn Pages) -> Vec<u8> {
    const HTML: &str = "text/html; charset=utf-8";
    const TEXT: &str = "text/plain; charset=utf-8";
    let (status, kind, body, head) = match request {
        Request::Page { head } => ("200 OK", HTML, pages.html(), head),
        Request::Json { head } => ("200 OK", "application/json", pages.json(), head),
        Request::Unknown => ("404 Not Found", TEXT, "there is / and /status.json\n".to_owned(), false),
        Request::Method => ("405 Method Not Allowed", TEXT, "this page is for reading\n".to_owned(), false),
        Request::Malformed => ("400 Bad Request", TEXT, "this is not HTTP\n".to_owned(), false),
        Request::TooLong => {
            ("431 Request Header Fields Too Large", TEXT, "the question is too long\n".to_owned(), false)
        }
    };
    let allow = if request == Request::Method { "Allow: GET, HEAD\r\n" } else { "" };
    let mut answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n{allow}\
         Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n\
         Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'\r\n\r\n",
        body.len()
    );
    if !head {
        answer.push_str(&body);
    }
    answer.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{net::SocketAddr, sync::mpsc};

    struct Fake;

    impl Pages for Fake {
        fn html(&self) -> String {
            "<p>page".to_owned()
        }

        fn json(&self) -> String {
            "{}".to_owned()
        }
    }

    fn start() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || serve(&listener, &Fake));
        address
    }

    fn ask(address: SocketAddr, question: &[u8]) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(question).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8(answer).unwrap()
    }

    #[test]
    fn questions_are_told_apart() {
        let page = Request::Page { head: false };
        for (question, expected) in [
            ("GET / HTTP/1.1\r\nHost: nas\r\n\r\n", page),
            ("GET /?x=1 HTTP/1.0\r\n\r\n", page),
            ("HEAD / HTTP/1.1\r\nHost: nas\r\n\r\n", Request::Page { head: true }),
            ("GET /status.json HTTP/1.1\r\n\r\n", Request::Json { head: false }),
            ("GET /../etc/shadow HTTP/1.1\r\n\r\n", Request::Unknown),
            ("GET http://other/ HTTP/1.1\r\n\r\n", Request::Unknown),
            ("POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n", Request::Method),
            ("CONNECT other:443 HTTP/1.1\r\n\r\n", Request::Method),
            ("GET / HTTP/2.0\r\n\r\n", Request::Malformed),
            ("\u{16}\u{3}\u{1}", Request::Malformed),
        ] {
            assert_eq!(parse(question.as_bytes()), Parsed::Whole(expected), "{question:?}");
        }
        assert_eq!(parse(b"GET / HTTP/1.1\r\nHost:"), Parsed::More);
        assert_eq!(parse(b""), Parsed::More);
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(HEADERS + 1));
        assert_eq!(parse(many.as_bytes()), Parsed::Whole(Request::TooLong));
    }

    #[test]
    fn visitors_get_pages_and_refusals() {
        let address = start();
        for (question, first, last) in [
            ("GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Type: text/html", "<p>page"),
            ("GET /status.json HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Type: application/json", "{}"),
            ("HEAD / HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\n", "\r\n\r\n"),
            ("DELETE / HTTP/1.1\r\n\r\n", "HTTP/1.1 405 ", "this page is for reading\n"),
            ("GET /x HTTP/1.1\r\n\r\n", "HTTP/1.1 404 ", "there is / and /status.json\n"),
        ] {
            let answer = ask(address, question.as_bytes());
            assert!(answer.starts_with(first) && answer.ends_with(last), "{question:?}: {answer}");
        }
        let endless = [b"GET /".to_vec(), vec![b'a'; LIMIT]].concat();
        assert!(ask(address, &endless[..LIMIT]).starts_with("HTTP/1.1 431 "));
    }

    #[test]
    fn silent_visitors_do_not_keep_others_out_for_ever() {
        let address = start();
        // Five that say nothing: the fifth is sent away, and so is a sixth that asks properly.
        let mut silent: Vec<TcpStream> =
            (0..=CONNECTIONS).map(|_| TcpStream::connect(address).unwrap()).collect();
        let (mut last, mut byte) = (silent.pop().unwrap(), [0]);
        assert_eq!(last.read(&mut byte).unwrap(), 0, "there was room for one more");
        drop(silent);
        // As soon as the four are gone there is room again.
        let (done, answered) = mpsc::channel();
        thread::spawn(move || {
            loop {
                let mut stream = TcpStream::connect(address).unwrap();
                let mut answer = String::new();
                let sent = stream.write_all(b"GET / HTTP/1.1\r\n\r\n");
                if sent.is_ok() && stream.read_to_string(&mut answer).is_ok() && !answer.is_empty() {
                    return done.send(answer);
                }
            }
        });
        assert!(answered.recv_timeout(Duration::from_secs(60)).unwrap().ends_with("<p>page"));
    }

    proptest::proptest! {
        #[test]
        fn every_question_has_an_answer_or_needs_more(bytes: Vec<u8>, line in "[A-Z]{1,7} [ -~]{0,40} HTTP/1.[01]\r\n[ -~\r\n]{0,80}") {
            for bytes in [&bytes[..], line.as_bytes(), &[line.as_bytes(), &bytes].concat()] {
                if let Parsed::Whole(request) = parse(bytes) {
                    assert!(respond(request, &Fake).starts_with(b"HTTP/1.1 "));
                }
            }
        }

        #[test]
        fn more_bytes_never_change_a_whole_question(tail: Vec<u8>) {
            let question = b"GET /status.json HTTP/1.1\r\nHost: nas\r\n\r\n";
            let whole = Parsed::Whole(Request::Json { head: false });
            assert_eq!(parse(&[&question[..], &tail].concat()), whole);
            for cut in 0..question.len() {
                assert_eq!(parse(&question[..cut]), Parsed::More);
            }
        }
    }
}
