//! What the boot loader left in EFI variables: which ESP it was started from.
//!
//! Source: the Boot Loader Interface of systemd (`LoaderDevicePartUUID`, `StubDevicePartUUID`), as efivarfs shows
//! it: four bytes of attributes, then UTF-16LE text with a closing NUL.

use contract::Guid;

/// The variables that may name the ESP, in the order in which they are believed.
pub const ESP_VARIABLES: [&str; 2] = [
    "LoaderDevicePartUUID-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f",
    "StubDevicePartUUID-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f",
];

/// A variable whose content is not one GUID in UTF-16.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "EFI variable {variable} holds {found}, which is no partition GUID: the boot loader or the firmware is damaged"
)]
pub struct EfiError {
    /// The variable's name.
    pub variable: String,
    /// What it holds, readable.
    pub found: String,
}

/// The GUID in `content`, the bytes of `variable` as efivarfs gives them.
pub fn part_uuid(variable: &str, content: &[u8]) -> Result<Guid, EfiError> {
    let units: Vec<u16> = content
        .get(4..)
        .unwrap_or_default()
        .chunks_exact(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        .take_while(|unit| *unit != 0)
        .collect();
    let text = String::from_utf16_lossy(&units);
    guid(&text).ok_or_else(|| EfiError { variable: variable.to_owned(), found: format!("`{text}`") })
}

/// A GUID from its text form, in either case.
#[must_use]
pub fn guid(text: &str) -> Option<Guid> {
    let groups: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    if lengths != [8, 4, 4, 4, 12] {
        return None;
    }
    let digits = groups.concat();
    let mut bytes = [0; 16];
    for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = u8::try_from(high * 16 + low).ok()?;
    }
    Some(Guid(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(text: &str) -> Vec<u8> {
        let units = text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes);
        [6, 0, 0, 0].into_iter().chain(units).collect()
    }

    #[test]
    fn a_guid_is_read_in_either_case() {
        let text = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B";
        let guid = part_uuid("v", &variable(text)).unwrap();
        assert_eq!(guid.to_string(), text.to_lowercase());
    }

    #[test]
    fn anything_else_is_named() {
        for text in
            ["", "c12a7328", "zz2a7328-f81f-11d2-ba4b-00a0c93ec93b", "c12a7328f-81f-11d2-ba4b-00a0c93ec93b"]
        {
            let message = part_uuid("LoaderX", &variable(text)).unwrap_err().to_string();
            assert!(message.contains(&format!("LoaderX holds `{text}`")), "{message}");
        }
        assert!(part_uuid("v", &[6, 0]).is_err());
    }
}
