//! The file of the official Raspberry Pi Imager, `rpi-preseed.toml`, read as a seed. Source: raspberrypi/rpi-preseed,
//! `rpi-preseed.5` and its schema; raspberrypi/rpi-imager, which writes it.
//!
//! The format asks its readers to pass over keys that they do not know, with a warning. What it can say and this
//! system cannot do is a warning too: nothing is swallowed.

use super::{
    PRESEED, Secret, Seed, SeedError, Ssh, Wifi, burn,
    problem::{Findings, shown},
    read,
    sheet::{self, Field, Section},
    value,
};
use crate::Code;
use std::fmt;

/// What the imager wrote, as far as it can be honoured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preseed {
    /// The settings.
    pub seed: Seed,
    /// What could not be taken over, in the order of the tables.
    pub warnings: Vec<Warning>,
    /// Whether one of its secrets was burned: it was used.
    pub burned: bool,
}

/// Something that was not taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The line, from 1.
    pub line: usize,
    /// What, and what to do instead.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

/// Whether this file is the imager's and not a seed: it begins with its version.
#[must_use]
pub fn recognise(bytes: &[u8]) -> bool {
    let Ok(text) = sheet::text(PRESEED, bytes) else { return false };
    text.lines().any(|line| line.split('=').next().is_some_and(|key| key.trim() == "config_version"))
}

/// Reads the imager's file.
///
/// # Errors
/// Everything that is wrong with it, each with its line.
pub fn parse(bytes: &[u8]) -> Result<Preseed, SeedError> {
    read::read(PRESEED, bytes, |findings, top| {
        let mut reader = Reader { warnings: Vec::new(), burned: false };
        let seed = reader.seed(findings, top);
        Preseed { seed, warnings: reader.warnings, burned: reader.burned }
    })
}

/// Tables that the format knows and this system has no use for, with what it does instead.
const UNUSED: [(&str, &str); 5] = [
    ("locale", "the console has a US keyboard and the clock runs in UTC"),
    ("connect", "Raspberry Pi Connect is not part of this system"),
    ("interfaces", "I2C, SPI, serial ports and USB gadgets are a matter of the image's profile"),
    ("boot", "config.txt and the kernel's command line are signed parts of the image"),
    ("runcmd", "commands are not run: the system is immutable"),
];

struct Reader {
    warnings: Vec<Warning>,
    burned: bool,
}

impl Reader {
    fn warn(&mut self, findings: &Findings<'_>, at: usize, message: impl Into<String>) {
        let (line, _) = findings.place(at);
        self.warnings.push(Warning { line, message: message.into() });
    }

    /// Warns of keys that the format does not have, as it asks for.
    fn only(&mut self, findings: &Findings<'_>, section: Section<'_>, keys: &[&str]) {
        for (at, key) in section.others(keys) {
            let place =
                if section.name.is_empty() { String::new() } else { format!(" in [{}]", section.name) };
            self.warn(findings, at, format!("unknown key {}{place}: passed over", shown(key)));
        }
    }

    fn seed(&mut self, findings: &mut Findings<'_>, top: Section<'_>) -> Seed {
        let known = ["config_version", "system", "user", "ssh", "wlan", "debug"];
        let all: Vec<&str> = known.iter().copied().chain(UNUSED.iter().map(|(name, _)| *name)).collect();
        self.only(findings, top, &all);
        match top.text(findings, "config_version") {
            Some(field) if field.text != "1" && !field.text.starts_with("1.") => {
                let found = shown(field.text);
                findings.add(field.at, format!("config_version is {found}, and only 1.x is understood"));
            }
            None if top.at_key("config_version").is_none() => {
                findings.add(0, "config_version is missing: this is not a file of the Raspberry Pi Imager");
            }
            _ => {}
        }
        let hostname = top.section(findings, "system").and_then(|section| self.system(findings, section));
        if let Some(section) = top.section(findings, "user") {
            self.user(findings, section);
        }
        let ssh = match top.section(findings, "ssh") {
            Some(section) => self.ssh(findings, section),
            None => Ssh::default(),
        };
        let wifi = top.section(findings, "wlan").and_then(|section| self.wlan(findings, section));
        for (name, instead) in UNUSED {
            let Some(at) = top.at_key(name) else { continue };
            self.warn(findings, at, format!("[{name}] is not used: {instead}"));
            if name == "connect"
                && let Some(section) = top.section(findings, name)
                && let Some(token) = section.text(findings, "token")
            {
                self.burned |= burn::is_burned(token.text);
            }
        }
        Seed { hostname, ssh, wifi: wifi.into_iter().collect(), ..Seed::default() }
    }

    fn system(&mut self, findings: &mut Findings<'_>, section: Section<'_>) -> Option<String> {
        self.only(findings, section, &["hostname"]);
        let field = section.text(findings, "hostname")?;
        let lower = field.text.to_ascii_lowercase();
        if lower != field.text {
            self.warn(
                findings,
                field.at,
                format!("the hostname is written in lower case: {}", shown(&lower)),
            );
        }
        let right = read::hostname(findings, "hostname", Field { text: &lower, at: field.at });
        right.then_some(lower)
    }

    fn user(&mut self, findings: &mut Findings<'_>, section: Section<'_>) {
        let known = ["name", "password", "password_encrypted", "passwordless_sudo", "groups"];
        self.only(findings, section, &known);
        let name = section.text(findings, "name");
        if let Some(name) = name {
            let message = format!("user {} is not made: log in as root, with an SSH key", shown(name.text));
            self.warn(findings, name.at, message);
        }
        if let Some(password) = section.text(findings, "password") {
            self.burned |= burn::is_burned(password.text);
            let message =
                "the user's password is not used: nobody logs in with a password, only with an SSH key";
            self.warn(findings, password.at, message);
        }
    }

    fn ssh(&mut self, findings: &mut Findings<'_>, section: Section<'_>) -> Ssh {
        let known = ["enabled", "password_authentication", "ssh_import_id", "authorized_keys"];
        self.only(findings, section, &known);
        let authorized_keys = read::keys(findings, section, "authorized_keys");
        if section.flag(findings, "enabled") == Some(false) {
            self.warn(
                findings,
                section.at,
                "ssh is not enabled, so its keys are not taken over: nobody can log in",
            );
            return Ssh::default();
        }
        if section.flag(findings, "password_authentication") == Some(true) {
            let message = "logging in with a password is not possible: use an SSH key";
            self.warn(findings, section.at, message);
        }
        if let Some(at) = section.at_key("ssh_import_id") {
            let message = "ssh_import_id is not used: put the key itself into authorized_keys";
            self.warn(findings, at, message);
        }
        if authorized_keys.is_empty() {
            self.warn(findings, section.at, "there is no SSH key: nobody can log in");
        }
        Ssh { authorized_keys }
    }

    fn wlan(&mut self, findings: &mut Findings<'_>, section: Section<'_>) -> Option<Wifi> {
        let known = ["ssid", "ssid_hex", "password", "password_encrypted", "hidden", "country", "key_mgmt"];
        self.only(findings, section, &known);
        let ssid = match section.text(findings, "ssid_hex") {
            Some(hex) => (from_hex(findings, hex)?, hex.at),
            None => section
                .needed(findings, "ssid", "\"My network\"")
                .map(|field| (field.text.to_owned(), field.at))?,
        };
        if let Err(why) = value::ssid(&ssid.0) {
            findings.add(ssid.1, format!("ssid {why}"));
        }
        let password = section.text(findings, "password").filter(|field| !field.text.is_empty());
        if let Some(field) = password {
            self.burned |= burn::is_burned(field.text);
            if let (false, Err(why)) = (burn::is_burned(field.text), value::wifi_password(field.text)) {
                findings.add(field.at, format!("password {why}"));
            }
        }
        // Whether the password is a key already shows in the password itself: 64 hexadecimal digits.
        section.flag(findings, "password_encrypted");
        let way = section.text(findings, "key_mgmt");
        match (way.map(|field| field.text), password) {
            (None, _) | (Some("none"), None) | (Some("wpa-psk" | "sae"), Some(_)) => {}
            (Some("owe"), None) => {
                self.warn(
                    findings,
                    section.at,
                    "key_mgmt \"owe\" is not known here: the network is taken as an open one",
                );
            }
            (Some("none" | "owe"), Some(_)) => {
                findings.add(section.at, "[wlan] has a password, but key_mgmt says an open network")
            }
            (Some("wpa-psk" | "sae"), None) => {
                findings.add(section.at, "[wlan] has no password, but key_mgmt needs one")
            }
            (Some(other), _) => findings.add(section.at, format!("key_mgmt {} is not known", shown(other))),
        }
        let hidden = section.flag(findings, "hidden").unwrap_or(false);
        let country = section.needed(findings, "country", "\"DE\"")?;
        let capitals = country.text.to_ascii_uppercase();
        if let Err(why) = value::country(&capitals) {
            findings.add(country.at, format!("country {why}"));
        }
        Some(Wifi {
            ssid: ssid.0,
            password: password.map(|field| Secret::new(field.text)),
            country: capitals,
            hidden,
        })
    }
}

/// A network's name that the imager could not write as text.
fn from_hex(findings: &mut Findings<'_>, field: Field<'_>) -> Option<String> {
    let Ok(bytes) = hex::decode(field.text) else {
        findings.add(field.at, "ssid_hex is not an even number of hexadecimal digits");
        return None;
    };
    let text = String::from_utf8(bytes).ok().filter(|text| !text.chars().any(char::is_control));
    if text.is_none() {
        let message =
            "the name of this wireless network is not UTF-8, which is not supported: give it another name";
        findings.add_as(Code::J04, field.at, message);
    }
    text
}
