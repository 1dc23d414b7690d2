//! Sections of a PE file, such as a unified kernel image's command line.

use super::gpt::u32_at;

/// The bytes of the section `name`, such as `.cmdline`, as far as they are in the file and meant.
#[must_use]
pub fn section<'f>(file: &'f [u8], name: &str) -> Option<&'f [u8]> {
    let header = u32_at(file.get(..64)?, 60) as usize;
    let coff = file.get(header..header + 24)?;
    if &coff[..4] != b"PE\0\0" {
        return None;
    }
    let short = |at: usize| u16::from_le_bytes([coff[at], coff[at + 1]]) as usize;
    let (count, optional) = (short(6), short(20));
    let table = file.get(header + 24 + optional..)?;
    table.chunks_exact(40).take(count).find_map(|entry| {
        let own = entry[..8].split(|byte| *byte == 0).next()?;
        if own != name.as_bytes() {
            return None;
        }
        let (virtual_size, stored, at) = (u32_at(entry, 8), u32_at(entry, 16), u32_at(entry, 20) as usize);
        file.get(at..at + virtual_size.min(stored) as usize)
    })
}

/// A section that holds text.
#[must_use]
pub fn text(file: &[u8], name: &str) -> Option<String> {
    let bytes = section(file, name)?;
    let bytes = bytes.split(|byte| *byte == 0).next()?;
    String::from_utf8(bytes.to_vec()).ok()
}
