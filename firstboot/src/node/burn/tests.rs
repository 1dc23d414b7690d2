use super::*;
use contract::seed::{Cluster, Role, Wifi};

const TEXT: &str = r###"# settings of pi3
hostname = "pi3"

[ssh]
authorized-keys = ["ssh-ed25519 AAAA token password"]

[[wifi]]
ssid = "home"
password = 'correct "horse"'  # a comment with password = "x"
country = "DE"

[cluster]
role = "agent"
server = "https://nas.lan"
token = "K10aa::node:geheimnis-ä"

[identity]
name = "pi3"
machine-id = "0123456789abcdef0123456789abcdef"
node-password = "feedbeef"
ssh-host-key = """
-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAA
-----END OPENSSH PRIVATE KEY-----
"""
"###;

fn all(text: &str) -> String {
    burned(text, &[Need::Settings, Need::Join])
}

fn stored() -> Seed {
    Seed {
        wifi: vec![Wifi {
            ssid: "home".to_owned(),
            password: Some(Secret::new("correct \"horse\"")),
            country: "DE".to_owned(),
            hidden: false,
        }],
        cluster: Some(Cluster {
            role: Role::Agent,
            server: Some("https://nas.lan".to_owned()),
            token: Secret::new("K10aa::node:geheimnis-ä"),
            allow_unpinned: false,
            labels: std::collections::BTreeMap::new(),
            taints: Vec::new(),
            node_ip: None,
            tls_san: Vec::new(),
            virtual_ip: None,
        }),
        ..Seed::default()
    }
}

#[test]
fn secrets_go_and_everything_else_stays_where_it_is() {
    let crlf = format!("\u{feff}{}", TEXT.replace('\n', "\r\n"));
    for text in [TEXT, &crlf] {
        let ashes = all(text);
        assert_eq!(ashes.len(), text.len());
        assert_eq!(ashes.matches('\n').count(), text.matches('\n').count());
        for secret in ["horse", "K10", "geheimnis", "feedbeef", "BEGIN", "b3Bl"] {
            assert!(!ashes.contains(secret), "{secret}: {ashes}");
        }
        for kept in ["AAAA token password", "a comment with password = \"x\"", "\"0123456789abcdef0123"] {
            assert!(ashes.contains(kept), "{kept}: {ashes}");
        }
        assert_eq!(all(&ashes), ashes);
        assert!(holds_secrets(text) && !holds_secrets(&ashes));
        assert!(DeTable::parse(ashes.trim_start_matches('\u{feff}')).is_ok());
    }
}

#[test]
fn the_token_stays_until_the_node_is_in_its_cluster() {
    let first = burned(TEXT, &[Need::Settings]);
    assert!(first.contains("geheimnis") && !first.contains("horse") && !first.contains("feedbeef"));
    assert!(holds_secrets(&first));
    assert_eq!(all(&first), all(TEXT));
}

#[test]
fn a_card_is_known_in_every_state_of_burning() {
    let ashes = all(TEXT);
    for cut in 0..=TEXT.len() {
        let torn = [&ashes.as_bytes()[..cut], &TEXT.as_bytes()[cut..]].concat();
        assert!(is_known(&torn, TEXT), "cut at {cut}");
        let torn = [&TEXT.as_bytes()[..cut], &ashes.as_bytes()[cut..]].concat();
        assert!(is_known(&torn, TEXT), "cut at {cut} from behind");
    }
    for edited in [
        ashes.replace("pi3", "pi4"),
        ashes.replace("K10", "K11"),
        TEXT.replace("geheim", "gehelm"),
        TEXT.to_owned() + "\n",
    ] {
        assert_eq!(is_known(edited.as_bytes(), TEXT), edited == ashes, "{edited}");
    }
}

#[test]
fn a_burned_seed_may_be_edited_without_its_secrets() {
    let edited = all(TEXT).replace("hostname = \"pi3\"", "hostname = \"pi4\"");
    let mended = mended(&edited, Some(&stored())).unwrap();
    assert!(mended.contains("hostname = \"pi4\"") && mended.contains(r#"password = "correct \"horse\"""#));
    assert!(mended.contains("token = \"K10aa::node:geheimnis-ä\"") && !mended.contains("ssh-host-key"));
    assert_eq!(mended.lines().count(), edited.lines().count());
    assert_eq!(super::mended(TEXT, None), Ok(TEXT.to_owned()));
}

#[test]
fn an_erased_secret_that_nobody_has_is_asked_for_by_line() {
    let problems = mended(&all(TEXT), None).unwrap_err();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(
        problems[0].starts_with("line 9: this password was erased")
            && problems[1].starts_with("line 15: this token")
    );
    let other = all(TEXT).replace("\"home\"", "\"work\"");
    assert_eq!(mended(&other, Some(&stored())).unwrap_err().len(), 1);
}

#[test]
fn what_is_no_toml_is_left_alone() {
    for text in ["", "token = \"abc", "= = =", "password = 5\n", "[[token]]\n"] {
        assert_eq!(all(text), text);
        assert!(!holds_secrets(text));
    }
    assert_eq!(literal("a\"\\\n\u{e4}"), "\"a\\\"\\\\\\u000Aä\"");
}
