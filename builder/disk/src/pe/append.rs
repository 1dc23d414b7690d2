//! Appending sections to an image that is not signed.

use super::{
    Image, PeError, checksum,
    image::{SECTION_HEADER, Section},
};

/// `IMAGE_DLLCHARACTERISTICS_NX_COMPAT`: no page is both writable and executable.
pub(super) const NX_COMPAT: u16 = 0x100;

/// Sections begin at whole blocks of the file, so that a kernel that did not change is the same blocks in the next
/// release's image, whatever the sizes of the sections before it.
const FILE_BLOCK: usize = 4096;

/// What a section holds, for its flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Bytes that are only read.
    Contents,
    /// A kernel. Flagged as code, not as executable: the stub loads it elsewhere.
    Kernel,
}

impl Kind {
    /// `IMAGE_SCN_MEM_READ`, with `IMAGE_SCN_CNT_INITIALIZED_DATA` or `IMAGE_SCN_CNT_CODE`.
    const fn characteristics(self) -> u32 {
        match self {
            Self::Contents => 0x4000_0040,
            Self::Kernel => 0x4000_0020,
        }
    }
}

/// A section to append.
#[derive(Clone, Copy, Debug)]
pub struct NewSection<'a> {
    /// The name: 1 to 8 bytes.
    pub name: &'a str,
    /// What it is.
    pub kind: Kind,
    /// What it holds.
    pub bytes: &'a [u8],
}

/// `base` with `sections` behind its own, in memory and in the file; without a time stamp, with a checksum.
/// `nx_compat` says whether everything in it can live with pages that are not both writable and executable.
///
/// # Errors
/// A base that is signed, has symbols, or has no room for the headers; an image of 4 GiB and more.
pub fn append(base: &[u8], sections: &[NewSection<'_>], nx_compat: bool) -> Result<Vec<u8>, PeError> {
    let image = Image::parse(base)?;
    check(&image, sections)?;
    let [section_alignment, file_alignment] = image.alignments();
    let file_alignment = FILE_BLOCK.max(file_alignment as usize);
    let mut end = image.sections().iter().map(end_in_memory).max().unwrap_or_default();
    let mut bytes = base.to_vec();
    fill_last(&image, &mut bytes, file_alignment);
    let mut initialised = 0;
    for (section, index) in sections.iter().zip(image.sections().len()..) {
        let too_large =
            || PeError::TooLarge { name: section.name.to_owned(), size: section.bytes.len() as u64 };
        let size = u32::try_from(section.bytes.len()).map_err(|_| too_large())?;
        let address =
            u32::try_from(end.next_multiple_of(section_alignment.into())).map_err(|_| too_large())?;
        end = u64::from(address) + u64::from(size);
        let offset = bytes.len();
        bytes.extend(section.bytes);
        bytes.resize(bytes.len().next_multiple_of(file_alignment), 0);
        let raw = u32::try_from(bytes.len()).map_err(|_| too_large())?;
        u32::try_from(end.next_multiple_of(section_alignment.into())).map_err(|_| too_large())?;
        let at = image.table + index * SECTION_HEADER;
        bytes[at..at + SECTION_HEADER].fill(0);
        bytes[at..at + section.name.len()].copy_from_slice(section.name.as_bytes());
        let offset = u32::try_from(offset).map_err(|_| too_large())?;
        for (field, value) in [(8, size), (12, address), (16, raw - offset), (20, offset)] {
            put(&mut bytes, at + field, value);
        }
        put(&mut bytes, at + 36, section.kind.characteristics());
        initialised += size;
    }
    finish(&image, &mut bytes, sections.len(), end, initialised, nx_compat)?;
    Ok(bytes)
}

/// Fills the base up to whole blocks. The zeros become part of its last section, if that ends the file: what lies
/// between sections is hashed differently by different programs when an image is signed.
fn fill_last(image: &Image<'_>, bytes: &mut Vec<u8>, alignment: usize) {
    let len = bytes.len();
    bytes.resize(len.next_multiple_of(alignment), 0);
    let ends_file = |section: &Section<'_>| section.offset as usize + section.raw_size as usize == len;
    let last = image.sections().iter().position(|section| section.raw_size > 0 && ends_file(section));
    if let Some(index) = last {
        let filled = image.sections()[index].raw_size + (bytes.len() - len) as u32;
        put(bytes, image.table + index * SECTION_HEADER + 16, filled);
    }
}

fn end_in_memory(section: &Section<'_>) -> u64 {
    u64::from(section.address) + u64::from(section.virtual_size)
}

fn put(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

fn check(image: &Image<'_>, sections: &[NewSection<'_>]) -> Result<(), PeError> {
    let [_, size] = image.certificates();
    if size != 0 {
        return Err(PeError::Signed { size });
    }
    if image.symbols() != 0 {
        return Err(PeError::Symbols { at: image.symbols() });
    }
    for (field, alignment) in [32, 36].into_iter().zip(image.alignments()) {
        if !alignment.is_power_of_two() || !(512..=1 << 20).contains(&alignment) {
            return Err(
                image.malformed("an alignment that is no power of two from 512", image.optional(field))
            );
        }
    }
    let first =
        image.sections().iter().filter(|section| section.raw_size > 0).map(|section| section.offset).min();
    let room_end = first.unwrap_or(u32::MAX).min(image.size_of_headers()) as usize;
    let table_end = image.table + image.sections().len() * SECTION_HEADER;
    let room = room_end.min(image.bytes.len()).saturating_sub(table_end) / SECTION_HEADER;
    if room < sections.len() {
        return Err(PeError::NoRoom { room, wanted: sections.len() });
    }
    for section in sections {
        let invalid = |problem| Err(PeError::Name { name: section.name.to_owned(), problem });
        if section.name.is_empty() || section.name.len() > 8 || section.name.contains('\0') {
            return invalid("is not 1 to 8 bytes");
        }
        if image.section(section.name).is_some() {
            return invalid("is in the stub already");
        }
    }
    Ok(())
}

/// Brings the headers up to date: counts, sizes, time stamp, flags, checksum.
fn finish(
    image: &Image<'_>,
    bytes: &mut [u8],
    added: usize,
    end: u64,
    initialised: u32,
    nx_compat: bool,
) -> Result<(), PeError> {
    let count = u16::try_from(image.sections().len() + added).map_err(|_| PeError::NoRoom {
        room: usize::from(u16::MAX) - image.sections().len(),
        wanted: added,
    })?;
    bytes[image.coff + 2..][..2].copy_from_slice(&count.to_le_bytes());
    put(bytes, image.coff + 4, 0);
    let [alignment, _] = image.alignments();
    let too_large = |_| PeError::TooLarge { name: "the last".to_owned(), size: end };
    put(bytes, image.optional(56), u32::try_from(end.next_multiple_of(alignment.into())).map_err(too_large)?);
    let before = u32::from_le_bytes(bytes[image.optional(8)..][..4].try_into().unwrap_or_default());
    put(bytes, image.optional(8), before.wrapping_add(initialised));
    if !nx_compat {
        let flags = image.dll_characteristics() & !NX_COMPAT;
        bytes[image.optional(70)..][..2].copy_from_slice(&flags.to_le_bytes());
    }
    let sum = checksum(bytes)?;
    put(bytes, image.checksum_field(), sum);
    Ok(())
}
