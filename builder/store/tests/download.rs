//! Downloads against a server of ours on loopback.
#![allow(clippy::unwrap_used)]

use contract::Digest;
use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    sync::{Arc, Mutex},
    thread,
};
use store::{Cache, Download, Silent, StoreError, Web};

/// How the server treats one path.
#[derive(Clone)]
enum Manner {
    Whole(Vec<u8>),
    /// Ignores `Range`.
    NoRange(Vec<u8>),
    /// Does not say how long it is, and ignores `Range`.
    Unsized(Vec<u8>),
    /// Closes the connection after so many bytes.
    Cut(Vec<u8>, usize),
}

struct Server {
    base: String,
    requests: Arc<Mutex<Vec<String>>>,
}

fn serve(files: BTreeMap<&'static str, Manner>) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let requests = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&requests);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
            let path = lines.next().unwrap().split(' ').nth(1).unwrap().to_owned();
            let range = lines
                .take_while(|line| !line.is_empty())
                .find_map(|line| line.to_lowercase().strip_prefix("range: bytes=").map(str::to_owned));
            log.lock().unwrap().push(format!("{path} {}", range.as_deref().unwrap_or("whole")));
            let from = range.map_or(0, |range| range.trim_end_matches('-').parse().unwrap());
            let (status, body, sent) = match files.get(path.as_str()) {
                None => ("404 Not Found", vec![], 0),
                Some(Manner::NoRange(body) | Manner::Unsized(body)) => ("200 OK", body.clone(), body.len()),
                Some(Manner::Whole(body)) if from >= body.len() => ("416 Range Not Satisfiable", vec![], 0),
                Some(Manner::Whole(body)) if from > 0 => {
                    ("206 Partial Content", body[from..].to_vec(), body.len() - from)
                }
                Some(Manner::Whole(body)) => ("200 OK", body.clone(), body.len()),
                Some(Manner::Cut(body, at)) => ("200 OK", body.clone(), *at),
            };
            let length = match files.get(path.as_str()) {
                Some(Manner::Unsized(_)) => String::new(),
                _ => format!("Content-Length: {}\r\n", body.len()),
            };
            let head = format!("HTTP/1.1 {status}\r\n{length}Connection: close\r\n\r\n");
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(&body[..sent]).unwrap();
        }
    });
    Server { base, requests }
}

fn body() -> Vec<u8> {
    (0..300_000u32).flat_map(u32::to_le_bytes).collect()
}

fn wanted(urls: &[String]) -> Download {
    let body = body();
    Download {
        name: "thing 1.0".into(),
        urls: urls.to_vec(),
        sha256: Digest::of(&body),
        size: Some(body.len() as u64),
    }
}

fn fetch(cache: &Cache, download: &Download) -> Result<(), String> {
    let fetched = Web::new(2).fetch(cache, std::slice::from_ref(download), &Silent);
    fetched.map_err(|errors| errors.iter().map(StoreError::to_string).collect())
}

#[test]
fn a_cut_download_is_resumed_at_the_next_mirror() {
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::open(directory.path()).unwrap();
    let server = serve([("/cut", Manner::Cut(body(), 500_000)), ("/whole", Manner::Whole(body()))].into());
    let download = wanted(&[format!("{}/cut", server.base), format!("{}/whole", server.base)]);
    fetch(&cache, &download).unwrap();
    assert!(fs::read(cache.file(&download.sha256)).unwrap() == body(), "other bytes");
    assert_eq!(*server.requests.lock().unwrap(), ["/cut whole", "/whole 500000-"]);
    fetch(&cache, &download).unwrap();
    assert_eq!(server.requests.lock().unwrap().len(), 2, "what is cached is not asked for");
}

#[test]
fn a_server_without_ranges_and_a_stale_beginning_both_start_over() {
    for manner in [Manner::NoRange(body()), Manner::Whole(body())] {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::open(directory.path()).unwrap();
        let server = serve([("/x", manner)].into());
        let download = wanted(&[format!("{}/x", server.base)]);
        let partial = directory.path().join("partial-v1").join(download.sha256.to_string());
        fs::write(partial, b"from another file").unwrap();
        fetch(&cache, &download).unwrap();
        assert!(fs::read(cache.file(&download.sha256)).unwrap() == body(), "other bytes");
    }
}

#[test]
fn a_wrong_file_names_both_digests_and_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::open(directory.path()).unwrap();
    let mut other = body();
    other[7] ^= 1;
    let server = serve([("/x", Manner::Whole(other.clone()))].into());
    let download = wanted(&[format!("{}/x", server.base)]);
    let error = fetch(&cache, &download).unwrap_err();
    let says = format!("/x: has sha256 {}, expected {}", Digest::of(&other), download.sha256);
    assert!(error.starts_with("cannot download thing 1.0; tried:\n") && error.ends_with(&says), "{error}");
    assert!(!cache.file(&download.sha256).exists());
}

#[test]
fn gone_unreachable_and_offline_are_three_errors() {
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::open(directory.path()).unwrap();
    let server = serve(BTreeMap::new());
    let error = fetch(&cache, &wanted(&[format!("{}/x", server.base)])).unwrap_err();
    assert!(error.starts_with("thing 1.0 is on no mirror any more; tried:\n"), "{error}");
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = fetch(&cache, &wanted(&[format!("http://{closed}/x")])).unwrap_err();
    assert!(
        error.starts_with(&format!("cannot download thing 1.0; tried:\n  http://{closed}/x: ")),
        "{error}"
    );
    let errors = Web::offline().fetch(&cache, &[wanted(&[])], &Silent).unwrap_err();
    let digest = Digest::of(&body());
    let says = format!("thing 1.0 is not in the cache ({digest}); run again without --offline to fetch it");
    assert_eq!(errors[0].to_string(), says);
    assert!(fetch(&cache, &wanted(&[])).unwrap_err().starts_with("no Debian mirror is known"));
}

#[test]
fn a_file_of_unknown_size_is_resumed_and_judged_by_its_digest() {
    let left = |bytes: &[u8]| {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::open(directory.path()).unwrap();
        let partial = directory.path().join("partial-v1").join(Digest::of(&body()).to_string());
        fs::write(partial, bytes).unwrap();
        (directory, cache)
    };
    let cut = || Manner::Cut(body(), 500_000);
    let (whole, silent) = (|| Manner::Whole(body()), || Manner::Unsized(body()));
    let more = [&body()[..], b"more"].concat();
    for (left_there, manners, asked) in [
        (&b""[..], vec![cut(), whole()], vec!["/0 whole", "/1 500000-"]),
        (&b""[..], vec![silent()], vec!["/0 whole"]),
        (&body()[..9], vec![silent()], vec!["/0 9-"]),
        // All of it is there, but nobody looked: the server has nothing more to give.
        (&body()[..], vec![whole()], vec!["/0 1200000-", "/0 whole"]),
        (&more[..], vec![whole()], vec!["/0 1200004-", "/0 whole"]),
    ] {
        let (_directory, cache) = left(left_there);
        let server = serve(["/0", "/1"].into_iter().zip(manners.clone()).collect());
        let urls: Vec<String> = (0..manners.len()).map(|at| format!("{}/{at}", server.base)).collect();
        let download = Download { size: None, ..wanted(&urls) };
        fetch(&cache, &download).unwrap();
        assert!(fs::read(cache.file(&download.sha256)).unwrap() == body(), "other bytes");
        assert_eq!(*server.requests.lock().unwrap(), asked);
    }
    let (_directory, cache) = left(b"");
    let server = serve([("/0", Manner::Unsized(body()[1..].to_vec()))].into());
    let error =
        fetch(&cache, &Download { size: None, ..wanted(&[format!("{}/0", server.base)]) }).unwrap_err();
    assert!(error.contains("/0: has sha256 ") && error.contains(", expected "), "{error}");
}

#[test]
fn a_file_of_the_users_is_taken_when_it_is_the_expected_one() {
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::open(directory.path().join("cache")).unwrap();
    let mine = directory.path().join("mine");
    fs::write(&mine, body()).unwrap();
    let (digest, other) = (Digest::of(&body()), Digest::of(b"other"));
    let error = cache.adopt(&mine, Some(&other)).unwrap_err().to_string();
    assert_eq!(error, format!("{}: has sha256 {digest}, expected {other}", mine.display()));
    assert!(!cache.file(&digest).exists() && !cache.file(&other).exists());
    assert_eq!(cache.adopt(&mine, Some(&digest)).unwrap(), (digest, 1_200_000));
    assert!(fs::read(cache.file(&digest)).unwrap() == body(), "other bytes");
    assert_eq!(fs::read_dir(cache.root().join("partial-v1")).unwrap().count(), 0, "nothing is left over");
    let error = cache.adopt(&directory.path().join("none"), None).unwrap_err().to_string();
    assert!(error.ends_with("/none: No such file or directory (os error 2)"), "{error}");
}
