//! What must hold between fields: roles, servers, tokens.

use crate::kit::{HASH, KEY, complains, complaints};
use contract::{
    Code, Seed,
    seed::{Endpoint, Identity, KeyError, public_key},
};

fn cluster(lines: &str) -> String {
    format!("[cluster]\n{lines}\n")
}

#[test]
fn tokens_fit_their_role() {
    let pinned = format!("K10{HASH}::server:secret");
    let bootstrap = "abcdef.0123456789abcdef";
    let join = "server = \"https://nas.local\"";
    let cases = [
        (format!("role = \"agent\"\n{join}\ntoken = \"{pinned}\""), ""),
        (format!("role = \"server\"\n{join}\ntoken = \"{pinned}\""), ""),
        (format!("role = \"agent\"\n{join}\ntoken = \"K10{HASH}::{bootstrap}\""), ""),
        (format!("role = \"agent\"\n{join}\ntoken = \"{bootstrap}\"\nallow-unpinned = true"), ""),
        ("role = \"server\"\ntoken = \"a-password-of-mine\"".to_owned(), ""),
        (
            format!("role = \"server\"\ntoken = \"{pinned}\""),
            "3: the first server makes the cluster's CA itself, so its token cannot name one",
        ),
        ("role = \"server\"\ntoken = \"short\"".to_owned(), "3: token has 5 characters and could be guessed"),
        (
            format!("role = \"server\"\n{join}\ntoken = \"K10{HASH}::{bootstrap}\""),
            "4: token is a bootstrap token, which lets agents in only",
        ),
        (
            format!("role = \"agent\"\n{join}\ntoken = \"a-password-of-mine\""),
            "4: token does not name the cluster's CA (it does not begin with K10), so any machine",
        ),
        (
            format!("role = \"agent\"\n{join}\ntoken = \"K10{}::node:x\"", &HASH[3..]),
            "4: token is cut off (CA hash has 61 of 64 characters). Copy the whole line from \"hcnode token\" on a server.",
        ),
        (
            format!("role = \"agent\"\n{join}\ntoken = \"{pinned}\"\ntls-san = [\"a\"]"),
            "5: tls-san is for servers, and this node is an agent",
        ),
        (
            format!("role = \"agent\"\n{join}\ntoken = \"{pinned}\"\nvirtual-ip = \"10.0.0.9\""),
            "5: virtual-ip is for servers, and this node is an agent",
        ),
    ];
    for (lines, expected) in cases {
        if expected.is_empty() {
            assert_eq!(complaints(cluster(&lines)), [""; 0], "{lines}");
        } else {
            complains(&cluster(&lines), expected);
        }
    }
    let first =
        Seed::parse(cluster(&format!("role = \"server\"\ntoken = \"{pinned}\"")).as_bytes()).unwrap_err();
    assert_eq!(first.reason().code, Code::S01);
}

#[test]
fn a_network_without_addresses_has_no_gateway_of_its_own() {
    complains("[network]\ngateway = \"192.168.1.1\"\n", "2: gateway needs addresses beside it");
    assert_eq!(complaints("[network]\ndns = [\"192.168.1.1\"]\n"), [""; 0]);
    assert_eq!(complaints("[network]\naddresses = [\"10.0.0.1/31\"]\ngateway = \"10.0.0.0\"\n"), [""; 0]);
    assert_eq!(complaints("[network]\naddresses = [\"fd00::2/64\"]\ngateway = \"fe80::1\"\n"), [""; 0]);
    complains(
        "[network]\naddresses = [\"fd00::2/64\"]\ngateway = \"10.0.0.1\"\n",
        "3: gateway 10.0.0.1 is in none",
    );
    let two = "[[wifi]]\nssid = \"a\"\ncountry = \"DE\"\n[[wifi]]\nssid = \"a\"\ncountry = \"DE\"\n";
    complains(two, "5: ssid `a` is there twice");
}

#[test]
fn servers_are_read_in_all_their_forms() {
    for (text, host, port) in [
        ("https://nas", "nas", 6443),
        ("https://NAS.local:443", "nas.local", 443),
        ("https://192.168.1.1:6443", "192.168.1.1", 6443),
        ("https://[fd00::1]", "fd00::1", 6443),
        ("https://[fd00::1]:7", "fd00::1", 7),
    ] {
        let endpoint = Endpoint::parse(text).unwrap();
        assert_eq!((endpoint.host.as_str(), endpoint.port), (host, port));
        assert_eq!(Endpoint::parse(&endpoint.to_string()), Ok(endpoint));
    }
    for text in [
        "https://[fd00::1",
        "https://[nas]",
        "https://[fd00::1]7x",
        "https://a:+1",
        "https://a b",
        "https://.",
        "",
    ] {
        assert!(Endpoint::parse(text).is_err(), "{text}");
    }
}

#[test]
fn public_keys_are_looked_into() {
    assert_eq!(public_key(KEY), Ok(()));
    assert_eq!(public_key(&format!("  {KEY} and a comment")), Ok(()));
    let short = KEY.replace("AAAAAAAAAAAAAAAAAAAA me", " me");
    assert_eq!(public_key(&short), Err(KeyError::Damaged("ssh-ed25519".to_owned())));
    let ecdsa = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBEmKSENjQEezOmxkZMy7opKgwFB9nkt5YRrYMjNuG5N87uRgg6CLrbo5wAdT/y6v0mKV0U2w0WZ2YB/++Tpockg= x";
    assert_eq!(public_key(ecdsa), Ok(()));
    assert_eq!(public_key(""), Err(KeyError::Type));
    assert_eq!(public_key("ssh-ed25519"), Err(KeyError::Damaged("ssh-ed25519".to_owned())));
}

#[test]
fn what_ssh_keygen_makes_is_a_key() {
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let folder = std::env::temp_dir().join(format!("hc-seed-{}-{kind}", std::process::id()));
        let mut command = std::process::Command::new("ssh-keygen");
        command.args(["-q", "-N", "", "-t", kind, "-f"]).arg(&folder);
        let Ok(output) = command.output() else {
            assert!(std::env::var_os("HCIMAGE_CI").is_none(), "ssh-keygen is missing");
            eprintln!("skipped: what_ssh_keygen_makes_is_a_key: ssh-keygen is not installed");
            return;
        };
        assert!(output.status.success());
        let public = std::fs::read_to_string(folder.with_extension("pub")).unwrap();
        let private = std::fs::read_to_string(&folder).unwrap();
        std::fs::remove_file(folder.with_extension("pub")).unwrap();
        std::fs::remove_file(&folder).unwrap();
        assert_eq!(public_key(public.trim_end()), Ok(()));
        let identity = Identity {
            name: "nas1".to_owned(),
            machine_id: "0123456789abcdef0123456789abcdef".to_owned(),
            node_password: None,
            ssh_host_key: Some(contract::seed::Secret::new(private)),
        };
        assert_eq!(Identity::parse(identity.render().as_bytes()), Ok(identity));
    }
}

#[test]
fn an_escrow_is_the_identity_alone() {
    let error = Identity::parse(b"").unwrap_err().to_string();
    assert!(error.starts_with("escrow:1: this is no escrow file"), "{error}");
    assert!(Identity::parse(b"hostname = 1\n").unwrap_err().to_string().contains("unknown key `hostname`"));
    assert!(Identity::parse(b"[identity]\n").is_err());
}
