//! What is left on the card.

use crate::kit::{HASH, whole};
use contract::{Seed, seed::preseed};

fn burn(text: &str) -> String {
    let burned = Seed::burned(text.as_bytes()).unwrap();
    assert_eq!(burned.len(), text.len());
    assert_eq!(Seed::burned(&burned).unwrap(), burned, "burning twice changes nothing");
    String::from_utf8(burned).unwrap()
}

#[test]
fn secrets_go_and_the_rest_stays() {
    for text in [whole(), whole().replace('\n', "\r\n"), format!("\u{feff}{}", whole())] {
        let burned = burn(&text);
        assert!(!burned.contains("secret") && !burned.contains("SECRET"), "{burned}");
        let seed = Seed::parse(burned.as_bytes()).unwrap();
        assert!(seed.is_burned());
        assert_eq!(
            seed.cluster.as_ref().unwrap().token.reveal().len(),
            3 + 64 + "::server:token-secret-2".len()
        );
        let before = Seed::parse(text.as_bytes()).unwrap();
        assert_eq!(
            (&seed.hostname, &seed.ssh, &seed.network),
            (&before.hostname, &before.ssh, &before.network)
        );
        assert!(seed.wifi[0].password.as_ref().unwrap().is_burned());
        assert!(seed.identity.unwrap().ssh_host_key.unwrap().is_burned());
    }
}

#[test]
fn every_way_to_write_a_secret_burns() {
    for token in [
        "'hunter22hunter22'",
        "\"hunter22\\\"\\u00e4\\\\hunter22\"",
        "'''\nhunter22hunter22'''",
        "\"\"\"hunter22 \\\n  hunter22\"\"\"",
    ] {
        let text = format!("cluster.token = {token}\ncluster.role = 'server'\n");
        let burned = burn(&text);
        assert!(!burned.contains("hunter"), "{burned}");
        assert!(Seed::parse(burned.as_bytes()).unwrap().is_burned(), "{burned}");
    }
    let inline = burn("wifi = [{ ssid = 'a', country = 'DE', password = 'hunter22' }]\n");
    assert_eq!(inline, "wifi = [{ ssid = 'a', country = 'DE', password = 'burned--' }]\n");
    let comment = burn(&format!("# old: token = \"K10{HASH}::server:hunter22\"\nhostname = 'a'\n"));
    assert!(
        !comment.contains("hunter")
            && !comment.contains(&HASH[..20])
            && comment.ends_with("\"\nhostname = 'a'\n")
    );
    // Of a wrong type, it was never used, and goes all the same.
    assert!(!burn("cluster = { token = ['hunter22', 'hunter22'] }\n").contains("hunter"));
}

#[test]
fn a_seed_without_secrets_is_not_burned() {
    let text = "hostname = 'nas1'\n[[wifi]]\nssid = 'burned'\ncountry = 'DE'\n";
    assert_eq!(burn(text), text);
    assert!(!Seed::parse(text.as_bytes()).unwrap().is_burned());
    assert!(Seed::burned(b"a = ").is_err());
}

#[test]
fn the_imagers_file_burns_too() {
    let text = "config_version = \"1.0\"\n[user]\nname = \"me\"\npassword = \"$y$hunter22\"\n[wlan]\nssid = \"a\"\npassword = \"hunter22\"\ncountry = \"DE\"\n[connect]\ntoken = \"hunter22\"\n";
    let burned = burn(text);
    assert!(!burned.contains("hunter"), "{burned}");
    let read = preseed::parse(burned.as_bytes()).unwrap();
    assert!(read.burned && read.seed.is_burned());
    assert!(!preseed::parse(text.as_bytes()).unwrap().burned);
}
