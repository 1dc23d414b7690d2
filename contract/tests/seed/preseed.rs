//! The file of the official Raspberry Pi Imager.

use crate::kit::KEY;
use contract::seed::preseed;

/// Everything that the imager writes, in its order.
fn everything() -> String {
    format!(
        r#"config_version = "1.0"

[system]
hostname = "NAS1"

[user]
name = "me"
password = "$y$j9T$hunter22"
password_encrypted = true
groups = ["sudo"]

[ssh]
enabled = true
password_authentication = true
authorized_keys = [
  "{KEY}",
]

[wlan]
ssid = "Our home"
password = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
password_encrypted = true
hidden = false
country = "de"

[locale]
keymap = "de"
timezone = "Europe/Berlin"

[connect]
enabled = true
mode = "device-identity"

[interfaces]
i2c = true
"#
    )
}

#[test]
fn what_can_be_honoured_is_and_the_rest_is_told() {
    let read = preseed::parse(everything().as_bytes()).unwrap();
    assert_eq!(read.seed.hostname.as_deref(), Some("nas1"));
    assert_eq!(read.seed.ssh.authorized_keys, [KEY]);
    assert_eq!((read.seed.wifi[0].ssid.as_str(), read.seed.wifi[0].country.as_str()), ("Our home", "DE"));
    assert_eq!(read.seed.wifi[0].password.as_ref().unwrap().reveal().len(), 64);
    let warnings: Vec<_> = read.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "line 4: the hostname is written in lower case: `nas1`",
            "line 7: user `me` is not made: log in as root, with an SSH key",
            "line 8: the user's password is not used: nobody logs in with a password, only with an SSH key",
            "line 12: logging in with a password is not possible: use an SSH key",
            "line 26: [locale] is not used: the console has a US keyboard and the clock runs in UTC",
            "line 30: [connect] is not used: Raspberry Pi Connect is not part of this system",
            "line 34: [interfaces] is not used: I2C, SPI, serial ports and USB gadgets are a matter of the image's profile",
        ]
    );
    assert!(!read.burned && !format!("{read:?}").contains("hunter22"));
    assert!(preseed::recognise(everything().as_bytes()));
    assert!(!preseed::recognise(crate::kit::whole().as_bytes()));
    // What the node stores and renders is a seed like any other.
    assert_eq!(contract::Seed::parse(read.seed.render().as_bytes()), Ok(read.seed));
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    let cases = [
        ("[system]\nhostname = \"a\"\n", "1: config_version is missing"),
        ("config_version = \"2.0\"\n", "1: config_version is `2.0`, and only 1.x is understood"),
        ("config_version = 1\n", "1: config_version must be a text in quotes"),
        (
            "config_version = \"1.0\"\n[system]\nhostname = \"raspberrypi\"\n",
            "3: hostname `raspberrypi` is what",
        ),
        ("config_version = \"1.0\"\n[wlan]\nssid = \"a\"\n", "2: [wlan] needs country"),
        (
            "config_version = \"1.0\"\n[wlan]\nssid_hex = \"xyz\"\ncountry = \"DE\"\n",
            "3: ssid_hex is not an even number",
        ),
        (
            "config_version = \"1.0\"\n[wlan]\nssid_hex = \"ff\"\ncountry = \"DE\"\n",
            "3: the name of this wireless network is not UTF-8",
        ),
        (
            "config_version = \"1.0\"\n[wlan]\nssid = \"a\"\ncountry = \"DE\"\npassword = \"x\"\n",
            "5: password has 1 characters",
        ),
        (
            "config_version = \"1.0\"\n[wlan]\nssid = \"a\"\ncountry = \"DE\"\nkey_mgmt = \"sae\"\n",
            "2: [wlan] has no password",
        ),
        ("config_version = \"1.0\"\n[ssh]\nauthorized_keys = [\"x\"]\n", "3: SSH key 1 does not begin"),
        ("config_version = \"1.0\"\n[ssh]\nenabled = \"yes\"\n", "3: enabled must be true or false"),
    ];
    for (text, expected) in cases {
        let said = preseed::parse(text.as_bytes()).unwrap_err().to_string();
        assert!(said.starts_with(&format!("rpi-preseed.toml:{expected}")), "{text}: {said}");
    }
}

#[test]
fn keys_of_later_versions_are_passed_over() {
    let text = "config_version = \"1.9\"\nnews = 1\n[wlan]\nssid_hex = \"4f7572\"\ncountry = \"DE\"\nband = 5\n[ssh]\nenabled = false\n[runcmd]\nearly = [\"x\"]\n";
    let read = preseed::parse(text.as_bytes()).unwrap();
    let warnings: Vec<_> = read.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "line 2: unknown key `news`: passed over",
            "line 7: ssh is not enabled, so its keys are not taken over: nobody can log in",
            "line 6: unknown key `band` in [wlan]: passed over",
            "line 9: [runcmd] is not used: commands are not run: the system is immutable",
        ]
    );
    assert_eq!(read.seed.wifi[0].ssid, "Our");
}
