//! What `hcinit` knows of this boot, for everything that comes after it: so nothing ever searches by a label.

use contract::{Digest, Guid, slots::Slot};
use std::{fmt, io, path::Path};

/// The facts of a boot. Text form: one `key=value` a line, unknown keys are left out, so a newer `hcinit` may say more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boot {
    /// The running slot.
    pub slot: Slot,
    /// Root hash of what runs there.
    pub root: Digest,
    /// The disk that the machine was started from, such as `vda`.
    pub disk: String,
    /// The boot partition's GUID, if the disk has one.
    pub esp: Option<Guid>,
    /// The boot partition's device, such as `/dev/vda1`, if the disk has one.
    pub esp_device: Option<String>,
    /// The state partition's device.
    pub state: String,
    /// Whether this boot made the state partition's file system.
    pub state_made: bool,
}

/// A text that no `hcinit` wrote.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BootError {
    /// A key is missing.
    #[error("the facts of this boot have no `{0}`")]
    Missing(&'static str),
    /// A value is not of its kind.
    #[error("the facts of this boot have `{key}={value}`, which is no {expected}")]
    Value {
        /// The key.
        key: &'static str,
        /// Its value.
        value: String,
        /// What was expected.
        expected: &'static str,
    },
}

impl Boot {
    /// Reads the text form.
    ///
    /// # Errors
    /// When a key is missing or a value is not of its kind.
    pub fn parse(text: &str) -> Result<Self, BootError> {
        let find = |key| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        let get = |key| find(key).filter(|value| !value.is_empty()).ok_or(BootError::Missing(key));
        let wrong = |key, value: &str, expected| BootError::Value { key, value: value.to_owned(), expected };
        let slot = get("slot")?;
        let slot = Slot::ALL
            .into_iter()
            .find(|known| known.name() == slot)
            .ok_or_else(|| wrong("slot", slot, "slot"))?;
        let root = get("root")?;
        let made = get("state-made")?;
        let esp = find("esp").filter(|value| !value.is_empty());
        Ok(Self {
            slot,
            root: root.parse().map_err(|_| wrong("root", root, "root hash"))?,
            disk: get("disk")?.to_owned(),
            esp: esp.map(|text| guid(text).ok_or_else(|| wrong("esp", text, "GUID"))).transpose()?,
            esp_device: find("esp-device").filter(|value| !value.is_empty()).map(str::to_owned),
            state: get("state")?.to_owned(),
            state_made: match made {
                "yes" => true,
                "no" => false,
                other => return Err(wrong("state-made", other, "`yes` or `no`")),
            },
        })
    }

    /// Reads them from where `hcinit` left them.
    ///
    /// # Errors
    /// When they are not there, or not understood.
    pub fn load(path: &Path) -> io::Result<Self> {
        Self::parse(&std::fs::read_to_string(path)?).map_err(io::Error::other)
    }
}

impl fmt::Display for Boot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { slot, root, disk, esp, esp_device, state, state_made } = self;
        writeln!(f, "slot={slot}\nroot={root}\ndisk={disk}")?;
        if let Some(esp) = esp {
            writeln!(f, "esp={esp}")?;
        }
        if let Some(device) = esp_device {
            writeln!(f, "esp-device={device}")?;
        }
        writeln!(f, "state={state}\nstate-made={}", if *state_made { "yes" } else { "no" })
    }
}

fn guid(text: &str) -> Option<Guid> {
    let digits: String = text.chars().filter(|character| *character != '-').collect();
    let number = u128::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 32)?;
    let guid = Guid(number.to_be_bytes());
    (guid.to_string() == text).then_some(guid)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boot() -> Boot {
        Boot {
            slot: Slot::B,
            root: Digest::of(b"root"),
            disk: "vda".to_owned(),
            esp: Some(Guid([0xc1; 16])),
            esp_device: Some("/dev/vda1".to_owned()),
            state: "/dev/vda6".to_owned(),
            state_made: true,
        }
    }

    #[test]
    fn what_hcinit_writes_is_read_back() {
        let without = Boot { esp: None, esp_device: None, state_made: false, ..boot() };
        for facts in [boot(), without] {
            assert_eq!(Boot::parse(&facts.to_string()), Ok(facts));
        }
        assert_eq!(Boot::parse(&format!("{}later=more\n", boot())), Ok(boot()));
    }

    #[test]
    fn faults_name_the_key_and_the_value() {
        let good = boot().to_string();
        let cases = [
            (String::new(), "no `slot`"),
            (good.replace("slot=b", "slot=c"), "`slot=c`, which is no slot"),
            (good.replace("disk=vda", "disk="), "no `disk`"),
            (good.replace("esp=c1c1", "esp=zzc1"), "which is no GUID"),
            (good.replace("esp=c1c1c1c1-", "esp=c1c1c1c1"), "which is no GUID"),
            (good.replace("root=", "root=x"), "which is no root hash"),
            (good.replace("state-made=yes", "state-made=1"), "`state-made=1`, which is no `yes` or `no`"),
        ];
        for (text, expected) in cases {
            let message = Boot::parse(&text).unwrap_err().to_string();
            assert!(message.contains(expected), "{text}: {message}");
        }
    }
}
