//! The server for a local network, byte for byte, against a client that may say anything.
#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeSet,
    fs,
    io::{Read as _, Write as _},
    net::{IpAddr, Shutdown, SocketAddr, TcpStream},
    process::Command,
    sync::Mutex,
    thread,
    time::Duration,
};
use store::{Served, Server, Witness};
use tempfile::TempDir;

/// What was witnessed.
#[derive(Default)]
struct Notes {
    statuses: Mutex<Vec<(String, u16)>>,
    bytes: Mutex<u64>,
    trouble: Mutex<Vec<String>>,
}

impl Witness for &'static Notes {
    fn begins(&self, answer: &Served<'_>) {
        self.statuses.lock().unwrap().push((answer.path.to_owned(), answer.status));
    }
    fn sent(&self, _: IpAddr, _: &str, bytes: u64, _: u64) {
        *self.bytes.lock().unwrap() += bytes;
    }
    fn trouble(&self, what: &str) {
        self.trouble.lock().unwrap().push(what.to_owned());
    }
}

/// A folder with one large file and one channel, served for the rest of the test.
fn served() -> (TempDir, SocketAddr, &'static Notes, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let body: Vec<u8> = (0..300_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    fs::write(folder.path().join("nas.hcb"), &body).unwrap();
    fs::write(folder.path().join("nas-x86_64-uefi.json"), "{}\n").unwrap();
    fs::write(folder.path().join(".secret"), "no").unwrap();
    let server = Server::bind(folder.path(), "127.0.0.1:0".parse().unwrap()).unwrap();
    let address = server.address().unwrap();
    let notes: &'static Notes = Box::leak(Box::default());
    thread::spawn(move || server.run(&notes));
    (folder, address, notes, body)
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// Says `bytes` and hears everything until the server closes.
fn say(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = connect(address);
    // The server may have closed already: then what it said is all there is.
    if stream.write_all(bytes).is_ok() && stream.shutdown(Shutdown::Write).is_err() {
        return Vec::new();
    }
    let mut heard = Vec::new();
    match stream.read_to_end(&mut heard) {
        Ok(_) => heard,
        // Reset by a server that turned it away: what it said before may be there or not.
        Err(_) => heard,
    }
}

/// Status, lines and body of the first answer in `bytes`, and what comes after it.
fn split(bytes: &[u8], head_only: bool) -> (u16, String, &[u8], &[u8]) {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("an empty line") + 4;
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let length =
        head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).map_or(0, |n| n.parse().unwrap());
    let length = if head_only { 0 } else { length };
    (status, head, &bytes[end..end + length], &bytes[end + length..])
}

fn get(address: SocketAddr, path: &str, lines: &str) -> (u16, String, Vec<u8>) {
    let text = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{lines}\r\n");
    let heard = say(address, text.as_bytes());
    let (status, head, body, rest) = split(&heard, false);
    assert!(rest.is_empty(), "{head}");
    (status, head, body.to_vec())
}

#[test]
fn ranges_are_the_bytes_of_the_file() {
    let (_folder, address, notes, body) = served();
    let size = body.len() as u64;
    let ends = [
        0,
        1,
        2,
        4095,
        4096,
        4097,
        131_071,
        131_072,
        131_073,
        262_144,
        size / 2,
        size - 2,
        size - 1,
        size,
        size + 7,
    ];
    let mut sent = 0;
    for from in ends {
        for to in ends.into_iter().filter(|to| *to >= from) {
            let (status, head, got) = get(address, "/nas.hcb", &format!("Range: bytes={from}-{to}\r\n"));
            if from >= size {
                assert_eq!((status, got.len()), (416, 0), "{from}-{to}");
                assert!(head.contains(&format!("Content-Range: bytes */{size}\r\n")), "{head}");
                continue;
            }
            let last = to.min(size - 1);
            assert_eq!(status, 206, "{from}-{to}");
            assert!(head.contains(&format!("Content-Range: bytes {from}-{last}/{size}\r\n")), "{head}");
            assert!(got == body[from as usize..=last as usize], "{from}-{to}");
            sent += got.len() as u64;
        }
    }
    assert_eq!(*notes.bytes.lock().unwrap(), sent);
    assert_eq!(*notes.trouble.lock().unwrap(), Vec::<String>::new());
}

#[test]
fn one_connection_answers_many_requests_also_when_they_come_at_once() {
    let (_folder, address, _, body) = served();
    let mut text = String::new();
    for at in 0..50_u32 {
        text += &format!("GET /nas.hcb HTTP/1.1\r\nHost: x\r\nRange: bytes={at}-{}\r\n\r\n", at + 99);
    }
    text +=
        "HEAD /nas.hcb HTTP/1.1\r\nHost: x\r\n\r\nGET /none HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let heard = say(address, text.as_bytes());
    let mut rest = &heard[..];
    for at in 0..50 {
        let (status, _, got, after) = split(rest, false);
        assert_eq!((status, got), (206, &body[at..at + 100]));
        rest = after;
    }
    let (status, head, _, after) = split(rest, true);
    assert!(status == 200 && head.contains(&format!("Content-Length: {}\r\n", body.len())), "{head}");
    let (status, _, words, after) = split(after, false);
    assert_eq!((status, words, after), (404, &b"there is no such file here\n"[..], &b""[..]));
}

#[test]
fn a_tag_holds_until_the_file_is_replaced() {
    let (folder, address, _, body) = served();
    let tag = |head: &str| head.lines().find_map(|line| line.strip_prefix("ETag: ")).unwrap().to_owned();
    let (_, head, _) = get(address, "/nas.hcb", "");
    let tag = tag(&head);
    let lines = format!("Range: bytes=10-19\r\nIf-Range: {tag}\r\n");
    assert_eq!(get(address, "/nas.hcb", &lines).0, 206);
    assert_eq!(get(address, "/nas.hcb", &format!("If-None-Match: {tag}\r\n")).0, 304);
    fs::write(folder.path().join("next"), &body[1..]).unwrap();
    fs::rename(folder.path().join("next"), folder.path().join("nas.hcb")).unwrap();
    let (status, _, got) = get(address, "/nas.hcb", &lines);
    assert!(status == 200 && got == body[1..], "{status}");
}

#[test]
fn bad_requests_are_answered_and_harm_nobody() {
    let (folder, address, _, _) = served();
    std::os::unix::fs::symlink("/etc/hostname", folder.path().join("leak")).unwrap();
    let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(9 << 10));
    let table: [(&[u8], u16); 16] = [
        (b"GET /../../etc/hostname HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"GET /%2e%2e/%2e%2e/etc/hostname HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"GET //etc/hostname HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"GET /leak HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"GET /.secret HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"GET http://x/nas.hcb HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"PUT /nas.hcb HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx", 405),
        (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (b"GET /nas.hcb HTTP/1.1\r\nHost: x\r\nContent-Length: 30\r\n\r\nGET /.secret HTTP/1.1\r\n\r\n", 400),
        (b"GET /nas.hcb HTTP/1.1\r\n\r\n", 400),
        (b"GET /nas.hcb\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", 400),
        (b"\0\0\0\0\r\n\r\n", 400),
        (b"GET /nas.hcb HTTP/1.1\r\nHost: x\r\nRan", 400),
        (long.as_bytes(), 431),
    ];
    for (text, expected) in table {
        let heard = say(address, text);
        let (status, _, _, rest) = split(&heard, false);
        assert_eq!((status, rest), (expected, &b""[..]), "{:?}", String::from_utf8_lossy(text));
    }
    assert_eq!(get(address, "/nas-x86_64-uefi.json", "").2, b"{}\n");
}

#[test]
fn a_silent_client_takes_no_other_ones_place_and_a_crowd_is_told_to_wait() {
    let (_folder, address, _, _) = served();
    let mut crowd: Vec<TcpStream> = (0..128).map(|_| connect(address)).collect();
    let begin = std::time::Instant::now();
    let full = loop {
        // The server may not have accepted all of them yet.
        let heard = say(address, b"GET /none HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let full = heard.starts_with(b"HTTP/1.1 503 ");
        if full || begin.elapsed() > Duration::from_secs(20) {
            break full;
        }
    };
    assert!(full, "129 connections at once");
    crowd.truncate(100);
    while say(address, b"GET /none HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .starts_with(b"HTTP/1.1 503 ")
    {
        assert!(begin.elapsed() < Duration::from_secs(40), "places are given back");
    }
}

#[test]
fn curl_resumes_and_reads_ranges() {
    let (folder, address, _, body) = served();
    if Command::new("curl").arg("--version").output().is_err() {
        assert!(std::env::var_os("HCIMAGE_CI").is_none(), "curl is not installed");
        eprintln!("skipped: curl_resumes_and_reads_ranges: curl is not installed");
        return;
    }
    let part = folder.path().join("part");
    let url = format!("http://{address}/nas.hcb");
    let curl = |arguments: &[&str]| {
        let output = Command::new("curl")
            .args(["--silent", "--show-error", "--fail"])
            .args(arguments)
            .arg(&url)
            .output();
        let output = output.unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    assert!(curl(&[]) == body);
    assert!(curl(&["--http1.0"]) == body);
    for (range, expected) in [
        ("0-0", &body[..1]),
        ("100-199", &body[100..200]),
        ("-5", &body[body.len() - 5..]),
        ("1199990-", &body[1_199_990..]),
    ] {
        assert!(curl(&["--range", range]) == expected, "{range}");
    }
    fs::write(&part, &body[..777_777]).unwrap();
    curl(&["--continue-at", "-", "--output", part.to_str().unwrap()]);
    assert!(fs::read(&part).unwrap() == body);
    let head = String::from_utf8(curl(&["--head"])).unwrap();
    let lines: BTreeSet<&str> = head.lines().map(str::trim_end).collect();
    assert!(lines.contains("Accept-Ranges: bytes") && lines.contains("Content-Length: 1200000"), "{head}");
}
