//! The join over real TLS, against a supervisor in this process.

use super::*;

#[test]
fn from_the_first_knock_to_the_token_over_tls() {
    use crate::node::{
        join::machine::Door,
        supervisor::tests::kit::{Ca, TestServer, http},
    };
    use rcgen::KeyPair;
    let (ours, theirs) = (Ca::new("k3s-server-ca"), Ca::new("k3s-server-ca"));
    let hash = Digest::of(ours.pem.as_bytes());
    // Which CA it shows, which has signed it, what it answers to the token.
    let cases: [(&Ca, &Ca, u16, Option<&str>); 6] = [
        (&ours, &ours, 200, None),
        (&ours, &ours, 401, Some("HC-J09 token: the cluster rejects this token (expired, or rotated).")),
        (&ours, &ours, 403, Some("HC-J09 token: token is valid but may not join nodes.")),
        (&ours, &ours, 503, Some("HC-J09 server: server is starting, waiting (1 min).")),
        (
            &theirs,
            &theirs,
            200,
            Some("HC-J07 trust: the machine at 127.0.0.1 is NOT the cluster this card was made for"),
        ),
        (
            &ours,
            &theirs,
            200,
            Some(
                "HC-J08 tls: 127.0.0.1 shows the cluster's CA, but its own certificate is not signed by it.",
            ),
        ),
    ];
    for (shows, signed, status, expected) in cases {
        let key = KeyPair::generate().unwrap();
        let pem = shows.pem.clone();
        let chain = signed.leaf(&["127.0.0.1"], &key, (2026, 2027));
        let server = TestServer::start(chain, &key, rustls::DEFAULT_VERSIONS, move |path| match path {
            "/ping" => http(200, b"pong"),
            "/cacerts" => http(200, pem.as_bytes()),
            _ => http(status, b"{}"),
        });
        let mut asked = cluster(Role::Agent, Some(&format!("https://{}", server.address)));
        asked.token = Secret::new(format!("K10{hash}::node:f00df00df00df00d"));
        let order = Order::check("pi3", &asked).unwrap();
        // A board whose clock stands at the time of its image.
        let (mut world, _) = World::new();
        (world.clocks.now, world.clocks.synchronized) = (BUILT, false);
        let mut door = Door;
        let mut way = crate::node::join::Way::begin(order, &mut world, &mut door).unwrap();
        for _ in 0..14 {
            way.step().unwrap();
        }
        let told = world.reasons().first().map(|(_, reason)| reason.to_string());
        match expected {
            None => {
                assert_eq!((told, world.stepped), (None, vec![crate::node::supervisor::tests::kit::DATE]))
            }
            Some(expected) => {
                assert!(told.as_ref().is_some_and(|told| told.starts_with(expected)), "{told:?}")
            }
        }
        let sent = server.heard().iter().any(|said| said.contains("Authorization"));
        assert_eq!(sent, std::ptr::eq(shows, signed) && std::ptr::eq(shows, &raw const ours), "{expected:?}");
    }
}
