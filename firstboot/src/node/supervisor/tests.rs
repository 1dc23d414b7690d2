//! The client against a supervisor on loopback whose TLS is another library's (ring; and OpenSSL).

pub(crate) mod kit;

use super::*;
use contract::{Digest, seed::Token};
use kit::{Ca, DATE, NOW, Reply, TestServer, http};
use proptest::prelude::*;
use rcgen::KeyPair;
use rustls::version::{TLS12, TLS13};
use std::process::Command;

const BOTH: &[&rustls::SupportedProtocolVersion] = &[&TLS13, &TLS12];
const PASSWORD: &str = "f00df00df00df00d";

fn login() -> Login {
    let token = Token::parse(&Secret::new(format!("K10{}::node:{PASSWORD}", "ab".repeat(32)))).unwrap();
    Login { user: "node", credentials: token.credentials }
}

/// A supervisor that answers as k3s does.
fn supervisor(
    ca: &Ca,
    shows: &Ca,
    names: &[&str],
    years: (i32, i32),
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> TestServer {
    let key = KeyPair::generate().unwrap();
    let pem = shows.pem.clone();
    TestServer::start(ca.leaf(names, &key, years), &key, versions, move |path| match path {
        "/ping" => http(200, b"pong"),
        "/cacerts" => http(200, pem.as_bytes()),
        "/v1-k3s/config" => {
            http(200, br#"{"ClusterIPRange":{"IP":"10.42.0.0","Mask":"//8AAA=="},"IPSECPSK":"secret"}"#)
        }
        _ => http(404, b""),
    })
}

fn silent_about_the_token(server: &TestServer) {
    for said in server.heard() {
        assert!(!said.to_ascii_lowercase().contains("authorization"), "it heard the token:\n{said}");
    }
}

#[test]
fn our_cluster_is_believed_and_told_the_token_once() {
    for versions in [&[&TLS12][..], &[&TLS13][..]] {
        let ca = Ca::new("k3s-server-ca");
        let server = supervisor(&ca, &ca, &["127.0.0.1", "nas"], (2026, 2027), versions);
        let client = Client::new(server.address);
        let pong = client.ping().unwrap();
        assert_eq!((pong.status, pong.body.as_slice(), pong.date), (200, &b"pong"[..], Some(DATE)));
        let body = client.cacerts().unwrap().body;
        assert_eq!(ca_hash(&body, NOW).unwrap(), Digest::of(ca.pem.as_bytes()));
        let bundle = Bundle::pinned(&body, &Digest::of(ca.pem.as_bytes()), NOW).unwrap();
        let pinned = client.pinned(&bundle, NOW);
        let proof = pinned.prove().unwrap();
        assert_eq!(proof.date, Some(DATE));
        assert_eq!(proof.certificate.unwrap().names, ["127.0.0.1", "nas"]);
        silent_about_the_token(&server);
        let answer = pinned.config(&login()).unwrap();
        assert_eq!(answer.status, 200);
        assert_eq!(Cluster::parse(&answer.body).unwrap().pods(), [PODS]);
        let heard = server.heard();
        let expected = format!("Authorization: Basic {}", STANDARD.encode(format!("node:{PASSWORD}")));
        assert!(heard.last().unwrap().contains(&expected));
        assert_eq!(heard.iter().filter(|said| said.contains("Authorization")).count(), 1);
    }
}

#[test]
fn a_bootstrap_token_is_a_bearer() {
    let token = Token::parse(&Secret::new("abcdef.0123456789abcdef")).unwrap();
    let login = Login { user: "node", credentials: token.credentials };
    assert_eq!(login.header().reveal(), "Bearer abcdef.0123456789abcdef");
    assert!(!format!("{login:?}").contains("0123456789abcdef"));
}

#[test]
fn another_cluster_hears_nothing() {
    let (ours, theirs) = (Ca::new("ours"), Ca::new("theirs"));
    let server = supervisor(&theirs, &theirs, &["127.0.0.1"], (2026, 2027), BOTH);
    let body = Client::new(server.address).cacerts().unwrap().body;
    let (expected, found) = (Digest::of(ours.pem.as_bytes()), Digest::of(theirs.pem.as_bytes()));
    assert_eq!(Bundle::pinned(&body, &expected, NOW), Err(BundleError::Mismatch { found, expected }));
    silent_about_the_token(&server);
}

#[test]
fn who_has_the_ca_but_not_its_key_hears_nothing() {
    let (ours, theirs) = (Ca::new("k3s-server-ca"), Ca::new("k3s-server-ca"));
    let server = supervisor(&theirs, &ours, &["127.0.0.1"], (2026, 2027), BOTH);
    let client = Client::new(server.address);
    let body = client.cacerts().unwrap().body;
    let bundle = Bundle::pinned(&body, &Digest::of(ours.pem.as_bytes()), NOW).unwrap();
    assert_eq!(client.pinned(&bundle, NOW).prove(), Err(SupervisorError::Foreign));
    assert_eq!(client.pinned(&bundle, NOW).config(&login()), Err(SupervisorError::Foreign));
    silent_about_the_token(&server);
}

#[test]
fn certificates_that_do_not_count_now_or_for_another_name() {
    let ca = Ca::new("k3s-server-ca");
    let bundle = Bundle::unpinned(ca.pem.as_bytes(), NOW).unwrap();
    let ask = |names: &[&str], years, at| {
        let server = supervisor(&ca, &ca, names, years, BOTH);
        let answer =
            Client::new(server.address).pinned(&bundle, at).config(&login()).map(|answer| answer.status);
        if answer.is_err() {
            silent_about_the_token(&server);
        }
        answer
    };
    let (y2025, y2026, y2027) = (1_735_689_600, 1_767_225_600, 1_798_761_600);
    let local = &["127.0.0.1"][..];
    assert_eq!(ask(local, (2026, 2027), NOW), Ok(200));
    let over = SupervisorError::Time { not_before: y2025, not_after: y2026, at: NOW };
    assert_eq!(ask(local, (2025, 2026), NOW), Err(over));
    let early = SupervisorError::Time { not_before: y2026, not_after: y2027, at: y2026 - 5 };
    assert_eq!(ask(local, (2026, 2027), y2026 - 5), Err(early));
    // Judged at the time that the server claims, it counts.
    assert_eq!(ask(local, (2026, 2027), DATE), Ok(200));
    let other = SupervisorError::Name { names: vec!["nas.lan".to_owned(), "10.0.0.1".to_owned()] };
    assert_eq!(ask(&["nas.lan", "10.0.0.1"], (2026, 2027), NOW), Err(other));
}

#[test]
fn strange_answers_are_bounded() {
    let ca = Ca::new("k3s-server-ca");
    let ask = |reply: fn() -> Reply| {
        let key = KeyPair::generate().unwrap();
        let server =
            TestServer::start(ca.leaf(&["127.0.0.1"], &key, (2026, 2027)), &key, BOTH, move |_| reply());
        Client::new(server.address).patient(Duration::from_millis(1500)).cacerts()
    };
    let strange = |answer: Result<Answer, SupervisorError>, part: &str| match answer {
        Err(SupervisorError::Strange(text)) => assert!(text.contains(part), "{text}"),
        other => panic!("{other:?}, expected {part}"),
    };
    strange(ask(|| http(200, &vec![b'x'; CACERTS_LIMIT + 1])), "longer than 65536");
    strange(
        ask(|| Reply::Bytes(b"HTTP/1.0 200 X\r\nContent-Length: 99999999999999999999\r\n\r\n".to_vec())),
        "length",
    );
    strange(
        ask(|| Reply::Bytes([&b"HTTP/1.0 200 X\r\n\r\n"[..], &vec![b'x'; 70_000]].concat())),
        "longer than 65536",
    );
    strange(
        ask(|| Reply::Bytes([&b"HTTP/1.0 200 X\r\nA: "[..], &vec![b'x'; 70_000]].concat())),
        "longer than 16384",
    );
    strange(ask(|| Reply::Bytes(b"220 mail.example ESMTP\r\n".to_vec())), "not HTTP");
    strange(
        ask(|| Reply::Bytes(b"HTTP/1.0 200 X\r\nContent-Length: 10\r\n\r\nshort".to_vec())),
        "broke off after 5 of 10",
    );
    strange(
        ask(|| Reply::Bytes(b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_vec())),
        "chunks",
    );
    strange(ask(|| Reply::Bytes(b"HTTP/1.0 2".to_vec())), "broke off");
    assert_eq!(ask(|| Reply::Hang), Err(SupervisorError::Silent));
    for status in [401, 403, 503] {
        assert_eq!(
            ask(match status {
                401 => || http(401, b"no"),
                403 => || http(403, b"no"),
                _ => || http(503, b"no"),
            })
            .unwrap()
            .status,
            status
        );
    }
}

#[test]
fn an_answer_that_drips_ends_at_the_deadline() {
    let ca = Ca::new("k3s-server-ca");
    let key = KeyPair::generate().unwrap();
    let server = TestServer::start(ca.leaf(&["127.0.0.1"], &key, (2026, 2027)), &key, BOTH, |_| Reply::Drip);
    // Each byte would be in time for itself. "HHHH" is no HTTP either: both are right.
    let answer = Client::new(server.address).patient(Duration::from_millis(1500)).cacerts();
    assert!(matches!(answer, Err(SupervisorError::Silent | SupervisorError::Strange(_))), "{answer:?}");
}

#[test]
fn nobody_there_and_no_tls_there() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        use std::io::Write as _;
        for mut stream in listener.incoming().flatten() {
            drop(stream.write_all(b"HTTP/1.0 400 Bad Request\r\n\r\n"));
        }
    });
    assert!(matches!(
        Client::new(address).ping(),
        Err(SupervisorError::Strange(_) | SupervisorError::Broken(_))
    ));
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(Client::new(free).ping(), Err(SupervisorError::Refused));
}

#[test]
fn the_hash_of_several_certificates_is_that_of_the_root() {
    let root = Ca::new("root");
    let middle = Ca::below("middle", &root);
    let server = Ca::below("server", &middle);
    let other = Ca::new("other");
    let text = |parts: &[&Ca]| parts.iter().map(|ca| ca.pem.as_str()).collect::<String>();
    let of_root = Digest::of(&root.der);
    let whole = |text: &str| Digest::of(text.as_bytes());
    let one = text(&[&root]);
    assert_eq!(ca_hash(one.as_bytes(), NOW), Ok(whole(&one)), "one: the bytes as they are");
    for parts in
        [&[&server, &middle, &root][..], &[&server, &root, &middle], &[&server, &other, &middle, &root]]
    {
        assert_eq!(ca_hash(text(parts).as_bytes(), NOW), Ok(of_root));
    }
    for parts in [&[&server, &middle][..], &[&server, &root], &[&server, &middle, &other], &[&root, &middle]]
    {
        let text = text(parts);
        assert_eq!(ca_hash(text.as_bytes(), NOW), Ok(whole(&text)), "no way up: the whole answer");
    }
    // Outside of their time the certificates have no way up either, as in k3s.
    let chain = text(&[&server, &middle, &root]);
    assert_eq!(ca_hash(chain.as_bytes(), 0), Ok(whole(&chain)));
    // Same name, another key.
    let twin = Ca::new("root");
    let forged = text(&[&server, &middle, &twin]);
    assert_eq!(ca_hash(forged.as_bytes(), NOW), Ok(whole(&forged)));
}

#[test]
fn what_is_no_ca() {
    for (body, expected) in [
        (&b""[..], BundleError::Empty),
        (b"<html>", BundleError::Empty),
        (b"-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n", BundleError::Pem),
    ] {
        assert_eq!(ca_hash(body, NOW), Err(expected));
    }
    let wrong = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(matches!(ca_hash(wrong, NOW), Err(BundleError::Certificate { number: 1, .. })));
}

#[test]
fn a_certificate_is_read_as_openssl_reads_it() {
    let ca = Ca::new("k3s-server-ca");
    let key = KeyPair::generate().unwrap();
    let leaf = ca.leaf(&["nas.lan", "127.0.0.1", "::1"], &key, (2026, 2027));
    let read = Certificate::parse(&leaf[0]).unwrap();
    assert_eq!(read.names, ["nas.lan", "127.0.0.1", "::1"]);
    assert_eq!((read.not_before, read.not_after), (1_767_225_600, 1_798_761_600));
    let Some(said) =
        openssl(&["x509", "-inform", "DER", "-noout", "-dates", "-dateopt", "iso_8601"], &leaf[0])
    else {
        return;
    };
    assert!(
        said.contains("notBefore=2026-01-01 00:00:00Z") && said.contains("notAfter=2027-01-01 00:00:00Z"),
        "{said}"
    );
}

/// OpenSSL's words, or nothing where it is not installed.
fn openssl(arguments: &[&str], input: &[u8]) -> Option<String> {
    use std::{io::Write as _, process::Stdio};
    let child = Command::new("openssl").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            assert!(std::env::var_os("HCIMAGE_CI").is_none(), "openssl: {error}");
            eprintln!("skipped: supervisor: openssl is not installed");
            return None;
        }
    };
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn openssl_is_a_supervisor_too_with_an_rsa_key_in_both_versions() {
    let Some(rsa) = openssl(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], b"")
    else {
        return;
    };
    let ca = Ca::new("k3s-server-ca");
    let key = KeyPair::from_pem(&rsa).unwrap();
    let leaf = ca.leaf(&["127.0.0.1"], &key, (2026, 2027));
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    put("leaf.der", &leaf[0]);
    put("key.pem", rsa.as_bytes());
    put("ping", b"pong");
    put("cacerts", ca.pem.as_bytes());
    for version in ["-tls1_2", "-tls1_3"] {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut server = Command::new("openssl")
            .args(["s_server", "-accept", &port.to_string(), "-certform", "DER", "-cert", "leaf.der"])
            .args(["-key", "key.pem", "-quiet", "-WWW", version])
            .current_dir(folder.path())
            .spawn()
            .unwrap();
        let client = Client::new(port);
        let up = (0..100).any(|_| {
            let up = client.ping().is_ok();
            if !up {
                std::thread::sleep(Duration::from_millis(50));
            }
            up
        });
        let said = up.then(|| {
            let body = client.cacerts().unwrap().body;
            let bundle = Bundle::pinned(&body, &Digest::of(ca.pem.as_bytes()), NOW).unwrap();
            let wrong = Bundle::unpinned(Ca::new("other").pem.as_bytes(), NOW).unwrap();
            (client.pinned(&bundle, NOW).prove().map(|_| ()), client.pinned(&wrong, NOW).prove().map(|_| ()))
        });
        server.kill().unwrap();
        server.wait().unwrap();
        assert_eq!(said, Some((Ok(()), Err(SupervisorError::Foreign))), "{version}");
    }
}

/// k3s writes its keys as OpenSSL does: `EC PRIVATE KEY`.
#[test]
fn the_api_knows_the_node_by_its_certificate() {
    let Some(sec1) = openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout"], b"") else { return };
    assert!(sec1.contains("BEGIN EC PRIVATE KEY"));
    let pkcs8 = openssl(&["pkcs8", "-topk8", "-nocrypt"], sec1.as_bytes()).unwrap();
    // Clients are judged by the real clock here: the certificate counts for ten years.
    let ca = Ca::new("k3s-client-ca");
    let mine = ca.client(&KeyPair::from_pem(&pkcs8).unwrap());
    for (versions, pem) in [(&[&TLS12][..], &sec1), (&[&TLS13][..], &sec1), (&[&TLS13][..], &pkcs8)] {
        let key = KeyPair::generate().unwrap();
        let chain = ca.leaf(&["127.0.0.1"], &key, (2026, 2027));
        let server = TestServer::start_for(Some(&ca), chain, &key, versions, |_| http(200, b"{}"));
        let bundle = Bundle::unpinned(ca.pem.as_bytes(), NOW).unwrap();
        let client = Client::new(server.address);
        let me = ClientKey { certificates: mine.clone().into_bytes(), key: pem.clone().into_bytes() };
        assert_eq!(client.pinned(&bundle, NOW).api(Question::get("/readyz"), &me).unwrap().status, 200);
        assert!(client.pinned(&bundle, NOW).prove().is_err(), "without the certificate nobody answers");
        let broken = ClientKey { certificates: mine.clone().into_bytes(), key: b"none".to_vec() };
        assert!(client.pinned(&bundle, NOW).api(Question::get("/readyz"), &broken).is_err());
    }
}

#[test]
fn networks() {
    let net = |text: &str| text.parse::<Cidr>().unwrap();
    for (one, other, expected) in [
        ("10.42.1.7/24", "10.42.0.0/16", true),
        ("10.0.0.0/8", "10.42.0.0/16", true),
        ("192.168.1.0/24", "10.42.0.0/16", false),
        ("0.0.0.0/0", "10.42.0.0/16", true),
        ("fd00::/8", "fd12::/16", true),
        ("fd00::/8", "10.42.0.0/16", false),
        ("::/0", "fd00::/8", true),
    ] {
        assert_eq!(net(one).overlaps(&net(other)), expected, "{one} {other}");
        assert_eq!(net(other).overlaps(&net(one)), expected, "{other} {one}");
    }
    assert_eq!(net("10.42.1.7/24").network().to_string(), "10.42.1.0/24");
    assert_eq!(SERVICES.first().to_string(), "10.43.0.1");
    assert_eq!(net("fd43::/112").first().to_string(), "fd43::1");
    for wrong in ["", "10.0.0.0", "10.0.0.0/33", "x/8", "::/129", "10.0.0.0/-1"] {
        assert_eq!(wrong.parse::<Cidr>(), Err(NotANetwork), "{wrong}");
    }
}

#[test]
fn only_what_is_wanted_is_read_of_the_config() {
    let body = br#"{"ClusterIPRanges":[{"IP":"10.52.0.0","Mask":"//8AAA=="},{"IP":"fd42::","Mask":"//////////8AAAAAAAAAAA=="}],
        "ServiceIPRange":{"IP":"10.53.0.0","Mask":"//8AAA=="},"FlannelBackend":"wireguard-native","EmbeddedRegistry":true,
        "IPSECPSK":"do not look","Later":{"x":[1]}}"#;
    let cluster = Cluster::parse(body).unwrap();
    assert_eq!(
        cluster.pods.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["10.52.0.0/16", "fd42::/64"]
    );
    assert_eq!((cluster.backend.as_str(), cluster.registry), ("wireguard-native", true));
    assert_eq!(cluster.services()[0].first().to_string(), "10.53.0.1");
    assert!(!format!("{cluster:?}").contains("do not look"));
    let wrong = Cluster::parse(
        b"{\"ClusterIPRange\":\n {\"IP\":\"10.0.0.0\",\"Mask\":\"/wD/AA==\"},\"IPSECPSK\":\"do not look\"}",
    );
    assert!(!wrong.unwrap_err().to_string().contains("look"));
    assert_eq!(Cluster::parse(b"{}").unwrap(), Cluster::default());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_bytes_are_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in any::<u64>()) {
        let _read = Certificate::parse(&bytes);
        let _hash = ca_hash(&bytes, at);
        let _answer = http::parse(&bytes, 100);
        let _cluster = Cluster::parse(&bytes);
    }

    #[test]
    fn no_damaged_certificate_is_a_panic(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        use std::sync::LazyLock;
        static DER: LazyLock<Vec<u8>> = LazyLock::new(|| Ca::new("x").der);
        let mut der = DER.clone();
        for (place, byte) in changes {
            let place = place.index(der.len());
            der[place] = byte;
        }
        let pem = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", STANDARD.encode(&der));
        let _hash = ca_hash(pem.repeat(2).as_bytes(), NOW);
    }

    #[test]
    fn no_answer_is_a_panic(head in "HTTP/1\\.[01] [0-9]{3} .{0,40}\r\n(Content-Length: [0-9]{0,20}\r\n)?(Date: .{0,30}\r\n)?\r\n", body in ".{0,50}") {
        let _answer = http::parse(format!("{head}{body}").as_bytes(), 20);
    }
}
