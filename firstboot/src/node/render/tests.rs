use super::*;
use contract::seed::Secret;

fn facts() -> Facts {
    Facts { name: "pi3".to_owned(), wifi: true, data: DataPlace::State }
}

fn of<'r>(rendered: &'r Rendered, path: &str) -> &'r RunFile {
    rendered.files.iter().find(|file| file.path == path).unwrap_or_else(|| panic!("{path}: {rendered:?}"))
}

fn network(text: &str) -> Seed {
    Seed { network: Some(toml::from_str(text).unwrap()), ..Seed::default() }
}

#[test]
fn a_node_without_settings_gets_its_names_and_nothing_else() {
    let rendered = render(&Seed::default(), &facts());
    assert_eq!(rendered.files.len(), 1);
    assert!(of(&rendered, HOSTS).text.starts_with("127.0.0.1 localhost\n127.0.1.1 pi3\n"));
    assert_eq!(rendered, render(&Seed::default(), &facts()));
}

#[test]
fn networks_come_before_the_images_own() {
    let path = "/run/systemd/network/10-hcimage.network";
    let fixed = network(
        "interface = \"end0\"\naddresses = [\"192.168.1.20/24\", \"fd00::20/64\"]\ngateway = \"192.168.1.1\"\ndns = [\"192.168.1.1\"]",
    );
    let rendered = render(&fixed, &facts());
    let text = &of(&rendered, path).text;
    for line in [
        "[Match]\nName=end0\n",
        "\nDHCP=no\n",
        "\nAddress=192.168.1.20/24\nAddress=fd00::20/64\nGateway=192.168.1.1\nDNS=192.168.1.1\n",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(!text.contains("[DHCPv4]"));
    assert!(of(&rendered, HOSTS).text.contains("\n192.168.1.20 pi3\n"));

    let rendered = render(&network("dns = [\"1.1.1.1\"]"), &facts());
    let text = &of(&rendered, path).text;
    for line in [
        "Name=en* eth* end*\nType=ether\n",
        "\nDHCP=yes\n",
        "\nDNS=1.1.1.1\n",
        "[DHCPv4]\nUseDomains=yes\nUseHostname=no\nUseDNS=no\n",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
}

#[test]
fn the_status_page_is_on_when_the_seed_asks_for_it() {
    let has = |seed: &Seed| render(seed, &facts()).files.iter().any(|file| file.path == place::PAGE);
    let mut seed = Seed::default();
    assert!(!has(&seed));
    seed.status.page = true;
    assert!(has(&seed));
}

#[test]
fn the_servers_shared_address_is_one_line() {
    let text = "[cluster]\nrole = \"server\"\ntoken = \"0123456789abcdef\"\nvirtual-ip = \"192.168.1.9\"\n";
    let rendered = render(&toml::from_str(text).unwrap(), &facts());
    assert_eq!(of(&rendered, place::VIRTUAL_IP).text, "192.168.1.9\n");
}

#[test]
fn keys_and_time_servers_have_their_places() {
    let mut seed = Seed::default();
    seed.ssh.authorized_keys = vec!["ssh-ed25519 AAAA a".to_owned(), "ssh-ed25519 BBBB b".to_owned()];
    seed.time.servers = vec!["ntp.lan".to_owned(), "192.168.1.1".to_owned()];
    let rendered = render(&seed, &facts());
    let keys = of(&rendered, "/run/hcimage/ssh/authorized_keys.d/root");
    assert_eq!((keys.text.as_str(), keys.mode), ("ssh-ed25519 AAAA a\nssh-ed25519 BBBB b\n", 0o644));
    let time = of(&rendered, "/run/systemd/timesyncd.conf.d/50-hcimage.conf");
    assert_eq!(time.text, "[Time]\nNTP=\nNTP=ntp.lan 192.168.1.1\n");
}

#[test]
fn wifi_is_root_s_secret_and_said_when_there_is_none() {
    let wifi = |ssid: &str, password: Option<&str>| Wifi {
        ssid: ssid.to_owned(),
        password: password.map(Secret::new),
        country: "DE".to_owned(),
        hidden: true,
    };
    let wifi =
        vec![wifi("a\"}\n", Some("correct \"horse\"")), wifi("b", None), wifi("c", Some(&"0f".repeat(32)))];
    let seed = Seed { wifi, ..Seed::default() };
    let rendered = render(&seed, &facts());
    let file = of(&rendered, "/run/hcimage/wpa_supplicant.conf");
    assert_eq!(file.mode, 0o600);
    for part in [
        "ssid=61227d0a\n",
        "psk=\"correct \"horse\"\"\n",
        "key_mgmt=NONE\n",
        "psk=0f0f",
        "scan_ssid=1",
        "priority=3",
    ] {
        assert!(file.text.contains(part), "{part}: {}", file.text);
    }
    of(&rendered, "/run/systemd/network/30-hcimage-wifi.network");
    let without = render(&seed, &Facts { wifi: false, ..facts() });
    assert_eq!(without.files.len(), 1);
    assert_eq!((without.reasons.len(), without.reasons[0].code), (1, Code::J04));
    assert!(!without.reasons[0].text.contains("horse"));
}

#[test]
fn systemd_reads_what_is_rendered() {
    // networkctl and systemd-analyze are no judges of .network files without a running networkd; keys are checked
    // against the list that systemd itself prints, where the program is there.
    let program = "/usr/lib/systemd/systemd-networkd";
    let Ok(binary) = std::fs::read(program) else {
        assert!(std::env::var_os("HCIMAGE_CI").is_none(), "{program} is not installed");
        eprintln!("skipped: systemd_reads_what_is_rendered: {program} is not installed");
        return;
    };
    let rendered = render(
        &network("addresses = [\"10.0.0.2/8\"]\ngateway = \"10.0.0.1\"\ndns = [\"10.0.0.1\"]"),
        &facts(),
    );
    let dynamic = render(&network("interface = \"eth0\""), &facts());
    let texts = rendered.files.iter().chain(&dynamic.files).filter(|file| file.path.ends_with(".network"));
    let mut section = String::new();
    for line in texts.flat_map(|file| file.text.lines()) {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']').to_owned();
        } else if let Some((key, _)) = line.split_once('=') {
            let known = format!("{section}.{key}");
            assert!(binary.windows(known.len()).any(|part| part == known.as_bytes()), "{known}");
        }
    }
}
