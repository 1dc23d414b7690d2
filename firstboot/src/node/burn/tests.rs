use super::*;

pub(crate) const TEXT: &str = r#"# settings of pi3
hostname = "pi3"

[[wifi]]
ssid = "home"
password = 'correct "horse"'  # as on the router
country = "DE"

[cluster]
role = "agent"
server = "https://nas.lan"
token = "K10aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa::node:geheimnis"

[identity]
name = "pi3"
machine-id = "0123456789abcdef0123456789abcdef"
node-password = "00112233445566778899aabbccddeeff"
"#;

fn all(text: &str) -> String {
    String::from_utf8(burned(text, &[Need::Settings, Need::Join])).unwrap()
}

#[test]
fn the_token_stays_until_the_node_is_in_its_cluster() {
    let crlf = format!("\u{feff}{}", TEXT.replace('\n', "\r\n"));
    for text in [TEXT, &crlf] {
        assert_eq!(burned(text, &[]), text.as_bytes());
        let first = String::from_utf8(burned(text, &[Need::Settings])).unwrap();
        assert!(first.contains("\"K10aaaa") && first.contains("geheimnis\""), "{first}");
        assert!(!first.contains("horse") && !first.contains("00112233"), "{first}");
        let ashes = all(text);
        assert!(!ashes.contains("geheimnis") && ashes.contains("as on the router"), "{ashes}");
        assert_eq!((all(&first), first.len(), ashes.len()), (ashes.clone(), text.len(), text.len()));
        assert_eq!(all(&ashes), ashes);
    }
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
    let edited =
        [ashes.replace("pi3", "pi4"), TEXT.replace("geheim", "gehelm"), format!("{TEXT}\n"), String::new()];
    for edited in edited {
        assert!(!is_known(edited.as_bytes(), TEXT), "{edited}");
    }
}

#[test]
fn a_burned_seed_may_be_edited_without_its_secrets() {
    let original = Seed::parse(TEXT.as_bytes()).unwrap();
    let edited = all(TEXT).replace("nas.lan", "nas2.lan");
    let edited = Seed::parse(edited.as_bytes()).unwrap();
    assert!(edited.is_burned());
    let mended = mended(edited.clone(), Some(&original)).unwrap();
    assert_eq!((mended.identity.as_ref(), mended.hostname.as_deref()), (None, Some("pi3")));
    assert_eq!(mended.wifi, original.wifi);
    let (cluster, former) = (mended.cluster.unwrap(), original.cluster.clone().unwrap());
    assert_eq!(cluster.token, former.token);
    assert_ne!(cluster.server, former.server);
    let stranger = Seed { wifi: Vec::new(), ..original.clone() };
    for (stored, expected) in [(None, "`home`"), (Some(&stranger), "`home`")] {
        let message = super::mended(edited.clone(), stored).unwrap_err();
        assert!(message.contains(expected) && message.contains("write it again"), "{message}");
    }
    let alone = Seed { cluster: None, ..original.clone() };
    assert!(super::mended(edited, Some(&alone)).unwrap_err().contains("token"));
    assert_eq!(super::mended(original.clone(), None), Ok(original));
}

#[test]
fn what_is_no_toml_is_left_alone() {
    for text in ["", "= = =", "token = 5\n", "[[token]]\n"] {
        assert_eq!(all(text), text);
    }
}

proptest::proptest! {
    #[test]
    fn any_text_keeps_its_length_and_is_known(text in "(\u{feff})?(\\[cluster\\]\r?\n)?(token|password) = [\"']{1,3}.{0,40}[\"']{1,3}\r?\n.{0,40}") {
        for done in [&[][..], &[Need::Settings], &[Need::Settings, Need::Join]] {
            let ashes = burned(&text, done);
            proptest::prop_assert_eq!(ashes.len(), text.len());
            proptest::prop_assert!(is_known(&ashes, &text));
        }
    }
}
