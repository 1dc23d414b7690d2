//! What editors do to a file.

use crate::kit::{complains, complaints, whole};
use contract::{Code, Seed, seed::LIMIT};

#[test]
fn every_editors_line_ends_and_marks_are_read() {
    let seed = Seed::parse(whole().as_bytes()).unwrap();
    let crlf = whole().replace('\n', "\r\n");
    // The private key is a text of several lines, and has its line ends as the file has them.
    let read = Seed::parse(crlf.as_bytes()).unwrap();
    let mark = [b"\xef\xbb\xbf", whole().as_bytes()].concat();
    assert_eq!(Seed::parse(&mark).unwrap(), seed);
    assert_eq!((&read.cluster, &read.wifi, &read.hostname), (&seed.cluster, &seed.wifi, &seed.hostname));
    assert_eq!(read.identity.unwrap().ssh_host_key, seed.identity.unwrap().ssh_host_key);
    complains("\u{feff}a = 1\r\n", "1: unknown key `a`");
    complains("# x\r\n\r\nhostname = 1\r\n", "3: hostname must be");
}

#[test]
fn files_that_are_no_text_are_told() {
    let umlaut = b"# Werkstatt\nhostname = \"na\xefs\"\n";
    assert_eq!(complaints(umlaut), ["2: byte 15 of the line (0xEF) is not UTF-8: save the file as UTF-8"]);
    let utf16: Vec<u8> = "\u{feff}hostname".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(complaints(utf16), ["1: the file is saved as UTF-16 (\"Unicode\"): save it as UTF-8"]);
    assert_eq!(complaints(vec![b'#'; LIMIT]), [""; 0]);
    assert_eq!(
        complaints(vec![b'#'; LIMIT + 1]),
        ["1: the file has 65537 bytes, and no seed has more than 65536"]
    );
    assert!(complaints([0; 100])[0].starts_with("1: not TOML: "));
}

#[test]
fn damaged_toml_is_told_without_its_text() {
    let text = "hostname = \"nas1\"\n[cluster]\ntoken = \"K10-very-secret\nrole = agent\n";
    let said = complaints(text);
    assert!(said[0].starts_with("3: not TOML: ") || said[0].starts_with("4: not TOML: "), "{said:#?}");
    assert!(!said.iter().any(|said| said.contains("secret")), "{said:#?}");
    complains("hostname = \"a\"\nhostname = \"b\"\n", "2: not TOML: duplicate key");
}

#[test]
fn all_problems_are_told_in_one_go_and_in_order() {
    let text = "hostname = \"NAS\"\nfoo = 1\n[network]\ngateway = \"x\"\n[data]\n";
    let error = Seed::parse(text.as_bytes()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "homecloud.toml:1: hostname `NAS` has capitals: write `nas`\n\
         homecloud.toml:2: unknown key `foo`\n\
         homecloud.toml:4: gateway `x` is no IP address\n\
         homecloud.toml:5: [data] needs disk, such as disk = \"ata-Samsung_SSD_870_S5Y2NJ0R\""
    );
    assert_eq!(error.problems[2].column, 11);
    let reason = error.reason();
    assert_eq!(reason.code, Code::J02);
    assert_eq!(
        reason.to_string(),
        "HC-J02 name: line 1: hostname `NAS` has capitals: write `nas` (and 3 more problems in homecloud.toml)"
    );
    assert!(error.in_file("my/seed.toml").to_string().starts_with("my/seed.toml:1: "));
}

#[test]
fn a_secret_in_the_wrong_place_is_not_repeated() {
    let token = format!("K10{}::server:hunter22hunter22", crate::kit::HASH);
    for text in [
        format!("hostname = \"{token}\"\n"),
        format!("\"{token}\" = 1\n"),
        format!("[cluster]\nrole = \"{token}\"\n"),
        format!("[cluster]\nrole = \"agent\"\nserver = \"{token}\"\n"),
        format!("[cluster]\nrole = \"agent\"\nserver = \"https://{token}@host\"\n"),
        format!("[cluster]\nrole = \"agent\"\ntoken = [\"{token}\"]\n"),
        format!("[cluster.labels]\n\"{token}\" = \"{token}\"\n"),
        format!("[ssh]\nauthorized-keys = [\"{token}\"]\n"),
        format!("{token}\n"),
    ] {
        let said = complaints(&text).join("\n");
        assert!(!said.is_empty() && !said.contains("hunter22"), "{text}: {said}");
    }
    let shown = format!("{:?}", Seed::parse(whole().as_bytes()).unwrap());
    assert!(!shown.contains("secret") && !shown.contains("SECRET"), "{shown}");
}
