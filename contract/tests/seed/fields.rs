//! Every field: wrong, missing, huge, of another type, with a control character.

use crate::kit::{HASH, KEY, complains, complaints, whole};
use contract::{Seed, seed::Role};

/// The line of a key's value in the whole seed.
fn line_of(text: &str, needle: &str) -> usize {
    text.lines().position(|line| line.contains(needle)).unwrap() + 1
}

/// The whole seed with a line replaced, and the number of that line.
fn with(line: &str, other: &str) -> (String, usize) {
    let text = whole();
    let number = line_of(&text, line);
    let mut lines: Vec<&str> = text.lines().collect();
    lines[number - 1] = other;
    (lines.join("\n") + "\n", number)
}

#[test]
fn the_whole_seed_is_read() {
    let seed = Seed::parse(whole().as_bytes()).unwrap();
    assert_eq!(seed.hostname.as_deref(), Some("nas1"));
    assert_eq!(seed.ssh.authorized_keys, [KEY]);
    let network = seed.network.as_ref().unwrap();
    assert_eq!(network.addresses, ["192.168.1.20/24", "fd00::20/64"]);
    assert_eq!(network.gateway.unwrap().to_string(), "192.168.1.1");
    assert_eq!(seed.wifi[0].password.as_ref().unwrap().reveal(), "wifi-secret-1");
    assert!(seed.wifi[0].hidden && seed.data.as_ref().unwrap().format && seed.status.page);
    let cluster = seed.cluster.as_ref().unwrap();
    assert_eq!(cluster.role, Role::Server);
    assert_eq!(cluster.labels["hc.home/role"], "nas");
    assert_eq!(seed.identity.as_ref().unwrap().name, "nas1");
    assert!(!seed.is_burned());
    assert_eq!(Seed::parse(seed.render().as_bytes()), Ok(seed));
    assert_eq!(Seed::parse(b""), Ok(Seed::default()));
}

/// Key, the line in the whole seed by which it is found, and a wrong value with what is said about it.
const WRONG: &[(&str, &str, &str)] = &[
    ("hostname =", r#"hostname = """#, "hostname is empty"),
    ("hostname =", r#"hostname = "Nas1""#, "hostname `Nas1` has capitals: write `nas1`"),
    (
        "hostname =",
        r#"hostname = "nas1.lan""#,
        "hostname `nas1.lan` has a dot: write the first part alone, `nas1`",
    ),
    ("hostname =", r#"hostname = "-nas""#, "hostname `-nas` may have only a-z"),
    ("hostname =", r#"hostname = "nas_1""#, "hostname `nas_1` may have only a-z"),
    (
        "hostname =",
        r#"hostname = "raspberrypi""#,
        "hostname `raspberrypi` is what every unnamed machine is called",
    ),
    ("hostname =", r#"hostname = "nas2""#, "hostname is `nas2` but [identity] is that of `nas1`"),
    (
        "authorized-keys",
        r#"authorized-keys = ["-----BEGIN OPENSSH PRIVATE KEY-----"]"#,
        "SSH key 1 is a private key",
    ),
    ("authorized-keys", r#"authorized-keys = ["ssh-dss AAAA"]"#, "SSH key 1 is a DSA key"),
    ("authorized-keys", r#"authorized-keys = ["hello"]"#, "SSH key 1 does not begin with a key's type"),
    (
        "authorized-keys",
        r#"authorized-keys = ["ssh-ed25519 AAAA!"]"#,
        "SSH key 1 is cut off or damaged after `ssh-ed25519`",
    ),
    (
        "authorized-keys",
        r#"authorized-keys = ["ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"]"#,
        "SSH key 1 says ssh-rsa but is a key of another type",
    ),
    ("interface", r#"interface = "a port with spaces""#, "interface `a port with spaces` is not the name"),
    ("interface", r#"interface = "lo""#, "interface `lo` is not a port to a network"),
    (
        "addresses",
        r#"addresses = ["192.168.1.20"]"#,
        "address `192.168.1.20` needs its prefix length: in most homes 192.168.1.20/24",
    ),
    ("addresses", r#"addresses = ["192.168.1.300/24"]"#, "address `192.168.1.300` is no IP address"),
    (
        "addresses",
        r#"addresses = ["192.168.1.20/33"]"#,
        "address `192.168.1.20/33` has a prefix length that is not 1 to 32",
    ),
    ("addresses", r#"addresses = ["192.168.1.0/24"]"#, "address `192.168.1.0/24` is the network itself"),
    (
        "addresses",
        r#"addresses = ["192.168.1.255/24"]"#,
        "address `192.168.1.255/24` is the network's broadcast",
    ),
    (
        "addresses",
        r#"addresses = ["192.168.1.20/24", "192.168.1.20/16"]"#,
        "address 192.168.1.20 is there twice",
    ),
    ("addresses", r#"addresses = ["127.0.0.1/8"]"#, "address 127.0.0.1 is not the address of a machine"),
    ("gateway", r#"gateway = "192.168.2.1""#, "gateway 192.168.2.1 is in none of the networks"),
    ("gateway", r#"gateway = "192.168.1.20""#, "gateway 192.168.1.20 is this node's own address"),
    ("gateway", r#"gateway = "router""#, "gateway `router` is no IP address"),
    (
        "dns = ",
        r#"dns = ["192.168.1.1/24"]"#,
        "dns `192.168.1.1/24` is no IP address (without the prefix length)",
    ),
    ("ssid", r#"ssid = """#, "ssid is empty"),
    ("ssid", r#"ssid = "ääääääääääääääääää""#, "ssid has 36 bytes"),
    ("password = \"wifi", r#"password = "short""#, "password has 5 characters: a passphrase has 8 to 63"),
    (
        "password = \"wifi",
        r#"password = "naïveté-naïveté""#,
        "password has a character that no passphrase may have",
    ),
    (
        "country",
        r#"country = "de""#,
        "country `de` is not a country's two capitals, such as \"DE\": write \"DE\"",
    ),
    ("country", r#"country = "Germany""#, "country `Germany` is not a country's two capitals"),
    (
        "servers =",
        r#"servers = ["not a name"]"#,
        "time server `not a name` is neither a name nor an IP address",
    ),
    (
        "servers =",
        r#"servers = ["192.168.1"]"#,
        "time server `192.168.1` is neither a name nor an IP address",
    ),
    ("disk = \"ata", r#"disk = "/dev/sda""#, "disk `/dev/sda` is a path"),
    ("disk = \"ata", r#"disk = "sda""#, "disk `sda` may be another disk after the next boot"),
    (
        "disk = \"ata",
        r#"disk = "/dev/disk/by-id/ata-X""#,
        "disk needs the name alone, without the folder: write `ata-X`",
    ),
    (
        "role = \"server",
        r#"role = "sever""#,
        "role must be \"agent\" or \"server\", not `sever`; did you mean `server`?",
    ),
    ("server = ", r#"server = "http://nas0""#, "server begins with http://, and the token would be readable"),
    ("server = ", r#"server = "nas0:6443""#, "server `nas0:6443` does not begin with https://"),
    ("server = ", r#"server = "https://nas0/v1""#, "server `https://nas0/v1` has something after the host"),
    ("server = ", r#"server = "https://nas0:99999""#, "server `99999` is no port"),
    ("server = ", r#"server = "https://nas0:0""#, "server `0` is no port"),
    ("server = ", r#"server = "https://fd00::1""#, "server `https://fd00::1` needs brackets"),
    ("server = ", r#"server = "https://""#, "server `https://` has no host"),
    ("server = ", r#"server = "https://localhost""#, "server is this node itself"),
    ("server = ", r#"server = "https://node:token-secret@nas0""#, "server has a user or a token in it"),
    ("server = ", r#"server = "https://192.168.1.20""#, "server is this node's own address"),
    ("token = ", r#"token = """#, "token is empty"),
    ("token = ", r#"token = "K10 x""#, "token has a space"),
    ("taints", r#"taints = ["only"]"#, "taint `only` has no effect"),
    (
        "taints",
        r#"taints = ["only:NoShedule"]"#,
        "taint `NoShedule` is no effect: there are NoSchedule, PreferNoSchedule and NoExecute; did you mean `NoSchedule`?",
    ),
    ("taints", r#"taints = ["-x:NoExecute"]"#, "taint `-x` is no key"),
    ("taints", r#"taints = ["a=b:NoExecute", "a=c:NoExecute"]"#, "taint `a` is there twice with this effect"),
    ("node-ip", r#"node-ip = "0.0.0.0""#, "node-ip 0.0.0.0 is not the address of a machine"),
    ("tls-san", r#"tls-san = ["*"]"#, "tls-san: `*` is neither a name nor an IP address"),
    ("virtual-ip", r#"virtual-ip = "192.168.1.20""#, "virtual-ip 192.168.1.20 is this node's own address"),
    (
        "hc.home/role",
        r#""node-role.kubernetes.io/worker" = "true""#,
        "label \"node-role.kubernetes.io/worker\" is reserved and would stop k3s; use \"hc.home/role\".",
    ),
    (
        "hc.home/role",
        r#""k8s.io/x" = "true""#,
        "label \"k8s.io/x\" is reserved and would stop k3s; use \"hc.home/x\".",
    ),
    ("hc.home/role", r#""a b" = "true""#, "label `a b` is no key"),
    ("hc.home/role", r#""a" = "a b""#, "label `a`: the value `a b` may have 63 letters"),
    (
        "hc.home/role",
        r#"hc.role = "nas""#,
        "`hc` is a table, not a text: write \"hc.home/role\" = \"nas\", both in quotes",
    ),
    ("name = \"nas1\"\nm", r#"name = "NAS""#, ""),
    ("machine-id", r#"machine-id = "0123""#, "machine-id has 4 characters, and a machine id is 32"),
    ("machine-id", r#"machine-id = "00000000000000000000000000000000""#, "machine-id has 32 characters"),
    ("node-password", r#"node-password = """#, "node-password is empty or damaged"),
];

#[test]
fn every_wrong_value_is_told_with_its_line() {
    for (line, wrong, expected) in WRONG.iter().filter(|(_, _, expected)| !expected.is_empty()) {
        let (text, number) = with(line, wrong);
        let said = complaints(&text);
        let expected = format!("{number}: {}", expected.trim_end_matches('.'));
        assert!(
            said.len() == 1 && said[0].starts_with(&expected),
            "{wrong}\nexpected {expected}\nsaid {said:#?}"
        );
    }
    let broken = whole().replace("-----END OPENSSH", "-----THE END");
    complains(
        &broken,
        &format!("{}: ssh-host-key is not a whole private key", line_of(&broken, "ssh-host-key")),
    );
}

#[test]
fn every_field_of_another_type_is_told_with_its_line() {
    let texts = [
        ("hostname =", "hostname"),
        ("interface", "interface"),
        ("gateway", "gateway"),
        ("ssid", "ssid"),
        ("password = \"wifi", "password"),
        ("country", "country"),
        ("disk = \"ata", "disk"),
        ("role = \"server", "role"),
        ("server = ", "server"),
        ("token = ", "token"),
        ("node-ip", "node-ip"),
        ("virtual-ip", "virtual-ip"),
        ("machine-id", "machine-id"),
        ("node-password", "node-password"),
    ];
    let values = [
        ("12", "a whole number"),
        ("1.5", "a number"),
        ("true", "true or false"),
        ("[\"x\"]", "a list"),
        ("{ x = 1 }", "a table"),
        ("2026-01-01", "a date"),
    ];
    for (line, key) in texts {
        for (value, kind) in values {
            let (text, number) = with(line, &format!("{key} = {value}"));
            complains(&text, &format!("{number}: {key} must be a text in quotes, not {kind}"));
        }
    }
    for (line, key) in
        [("format", "format"), ("hidden", "hidden"), ("allow-un", "allow-unpinned"), ("page", "page")]
    {
        let (text, number) = with(line, &format!("{key} = \"true\""));
        complains(&text, &format!("{number}: {key} must be true or false, not a text: leave out the quotes"));
        let (text, number) = with(line, &format!("{key} = 1"));
        complains(&text, &format!("{number}: {key} must be true or false, not a whole number"));
    }
    let lists = [
        ("authorized-keys", "authorized-keys"),
        ("dns = ", "dns"),
        ("servers =", "servers"),
        ("taints", "taints"),
        ("tls-san", "tls-san"),
    ];
    for (line, key) in lists {
        let (text, number) = with(line, &format!("{key} = \"x\""));
        complains(&text, &format!("{number}: {key} must be a list, {key} = [\"…\", \"…\"], not a text"));
        let (text, number) = with(line, &format!("{key} = [1]"));
        complains(&text, &format!("{number}: {key} must hold texts in quotes, not a whole number"));
    }
    for key in ["ssh", "network", "time", "data", "cluster", "status", "identity"] {
        complains(
            &format!("\n{key} = 1\n"),
            &format!("2: {key} must be a table, [{key}] on a line of its own, not a whole number"),
        );
        complains(
            &format!("\n[[{key}]]\n"),
            &format!("2: {key} must be one table, [{key}] and not [[{key}]]"),
        );
    }
    complains("\n[wifi]\nssid = \"x\"\n", "2: there may be several wifi: write [[wifi]], with two brackets");
    complains("wifi = 1\n", "1: wifi must be a list");
}

#[test]
fn what_is_missing_is_told_with_its_tables_line() {
    let cases = [
        ("\n[[wifi]]\ncountry = \"DE\"\n", "2: [wifi] needs ssid, such as ssid = \"My network\""),
        ("\n[[wifi]]\nssid = \"x\"\n", "2: [wifi] needs country, such as country = \"DE\""),
        ("\n[data]\nformat = true\n", "2: [data] needs disk"),
        (
            "[cluster]\nserver = \"https://a\"\ntoken = \"x\"\n",
            "1: [cluster] needs role, such as role = \"agent\"",
        ),
        ("[cluster]\nserver = \"https://a\"\nrole = \"agent\"\n", "1: [cluster] needs token"),
        ("[identity]\nname = \"a\"\n", "1: [identity] needs machine-id"),
        ("[identity]\nmachine-id = \"0123456789abcdef0123456789abcdef\"\n", "1: [identity] needs name"),
    ];
    for (text, expected) in cases {
        complains(text, expected);
    }
    let token = format!("[cluster]\nrole = \"agent\"\ntoken = \"K10{HASH}::node:secret\"\n");
    complains(&token, "1: an agent needs the server that it joins");
}

#[test]
fn huge_and_unprintable_values_are_told_with_their_lines() {
    let huge = "x".repeat(2000);
    for (line, key) in [
        ("hostname =", "hostname"),
        ("ssid", "ssid"),
        ("server = ", "server"),
        ("token = ", "token"),
        ("disk = \"ata", "disk"),
    ] {
        let (text, number) = with(line, &format!("{key} = \"{huge}\""));
        complains(&text, &format!("{number}: {key} has 2000 bytes, at most 1024"));
        let (text, number) = with(line, &format!("{key} = \"a\\u0007b\""));
        complains(&text, &format!("{number}: {key} holds a control character (U+0007)"));
        let (text, number) = with(line, &format!("{key} = \"a\\nb\""));
        complains(&text, &format!("{number}: {key} holds a control character (U+000A)"));
    }
    let (text, number) = with("dns = ", &format!("dns = [{}]", "\"1.1.1.1\", ".repeat(65)));
    complains(&text, &format!("{number}: dns has 65 entries, at most 64"));
    let mut many = "[cluster.labels]\n".to_owned();
    (0..70).for_each(|n| many.push_str(&format!("l{n} = \"x\"\n")));
    assert!(complaints(many).iter().any(|said| said == "1: [labels] has 70 lines, at most 64"));
    let deep = format!("hostname = {}{}\n", "[".repeat(5000), "]".repeat(5000));
    assert!(!complaints(deep).is_empty());
}

#[test]
fn unknown_keys_are_told_with_what_was_meant() {
    let cases = [
        ("\nhostnme = \"a\"\n", "2: unknown key `hostnme`; did you mean `hostname`?"),
        (
            "[ssh]\nauthorized_keys = []\n",
            "2: unknown key `authorized_keys` in [ssh]; did you mean `authorized-keys`?",
        ),
        ("[network]\ngatway = \"a\"\n", "2: unknown key `gatway` in [network]; did you mean `gateway`?"),
        ("[clutser]\n", "1: unknown key `clutser`; did you mean `cluster`?"),
        ("[status]\nzzz = 1\n", "2: unknown key `zzz` in [status]"),
        (
            "[[wifi]]\nssid = \"x\"\ncountry = \"DE\"\npasword = \"hunter22\"\n",
            "4: unknown key `pasword` in [wifi]; did you mean `password`?",
        ),
    ];
    for (text, expected) in cases {
        complains(text, expected);
    }
}
