//! Reading PE32+ images. Nothing in them is believed: every offset is checked against the bytes that are there.

use super::PeError;

/// Bytes in a section header.
pub(super) const SECTION_HEADER: usize = 40;
/// Bytes in the COFF header that follows the signature.
const COFF_HEADER: usize = 20;
/// The optional header's magic for 64-bit images.
const PE32_PLUS: u16 = 0x20b;
/// The certificate table's place among the data directories, from the start of the optional header.
const CERTIFICATES: usize = 112 + 4 * 8;

/// A PE32+ image whose headers lie within its bytes.
#[derive(Clone, Debug)]
pub struct Image<'a> {
    pub(super) bytes: &'a [u8],
    /// Where the COFF header begins.
    pub(super) coff: usize,
    /// Where the section headers begin.
    pub(super) table: usize,
    sections: Vec<Section<'a>>,
}

/// One section of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section<'a> {
    /// The name without the NULs that fill it up; bytes that are no UTF-8 are replaced.
    pub name: String,
    /// Where it is in memory.
    pub address: u32,
    /// Its size in memory.
    pub virtual_size: u32,
    /// Where it is in the file, in bytes.
    pub offset: u32,
    /// Its size in the file, in bytes: a multiple of the file alignment.
    pub raw_size: u32,
    /// Flags (`IMAGE_SCN_…`).
    pub characteristics: u32,
    /// What it holds: no more than its size in memory, without the bytes that fill it up in the file.
    pub bytes: &'a [u8],
}

/// What the section `name` of a PE32+ image holds; nothing if the bytes are no such image or it has none.
#[must_use]
pub fn section<'a>(bytes: &'a [u8], name: &str) -> Option<&'a [u8]> {
    Image::parse(bytes).ok()?.section(name)
}

impl<'a> Image<'a> {
    /// Reads the headers.
    ///
    /// # Errors
    /// Anything but a PE32+ image whose headers and sections lie within `bytes`.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, PeError> {
        let reader = Reader(bytes);
        if bytes.get(..2) != Some(b"MZ") {
            return Err(reader.malformed("no `MZ`", 0));
        }
        let signature = reader.u32(0x3c)? as usize;
        if reader.slice(signature, 4)? != b"PE\0\0" {
            return Err(reader.malformed("no `PE` signature", signature));
        }
        let coff = signature + 4;
        let optional = coff + COFF_HEADER;
        let optional_size = usize::from(reader.u16(coff + 16)?);
        if reader.u16(optional)? != PE32_PLUS {
            return Err(reader.malformed("no PE32+ magic", optional));
        }
        if optional_size < CERTIFICATES + 8 {
            return Err(reader.malformed("an optional header that is too short", coff + 16));
        }
        let table = optional + optional_size;
        let count = usize::from(reader.u16(coff + 2)?);
        let headers = reader.slice(table, count * SECTION_HEADER)?;
        let sections = headers.chunks_exact(SECTION_HEADER).enumerate();
        let sections = sections.map(|(index, header)| reader.section(header, table + index * SECTION_HEADER));
        Ok(Self { bytes, coff, table, sections: sections.collect::<Result<_, _>>()? })
    }

    /// The sections in the order of their headers.
    #[must_use]
    pub fn sections(&self) -> &[Section<'a>] {
        &self.sections
    }

    /// What the first section `name` holds.
    #[must_use]
    pub fn section(&self, name: &str) -> Option<&'a [u8]> {
        self.sections.iter().find(|section| section.name == name).map(|section| section.bytes)
    }

    /// The machine type, such as 0x8664 (x86-64) or 0xaa64 (64-bit ARM).
    #[must_use]
    pub fn machine(&self) -> u16 {
        self.u16(self.coff)
    }

    /// The DLL characteristics, of which `NX_COMPAT` matters to a UKI.
    pub(super) fn dll_characteristics(&self) -> u16 {
        self.u16(self.optional(70))
    }

    /// The size of all headers in the file, in bytes.
    pub(super) fn size_of_headers(&self) -> u32 {
        self.u32(self.optional(60))
    }

    /// Alignment in memory and in the file, in bytes.
    pub(super) fn alignments(&self) -> [u32; 2] {
        [32, 36].map(|field| self.u32(self.optional(field)))
    }

    /// Where the certificate table begins in the file and its size, both in bytes; zeros if there is none.
    pub(super) fn certificates(&self) -> [u32; 2] {
        [0, 4].map(|field| self.u32(self.certificate_entry() + field))
    }

    /// The offset of the certificate table's entry among the data directories.
    pub(super) const fn certificate_entry(&self) -> usize {
        self.optional(CERTIFICATES)
    }

    /// The offset of the checksum.
    pub(super) const fn checksum_field(&self) -> usize {
        self.optional(64)
    }

    /// The offset of the symbol table in the file, or 0.
    pub(super) fn symbols(&self) -> u32 {
        self.u32(self.coff + 8)
    }

    /// The offset of a field of the optional header.
    pub(super) const fn optional(&self, field: usize) -> usize {
        self.coff + COFF_HEADER + field
    }

    /// An error about this image.
    pub(super) fn malformed(&self, what: &'static str, at: usize) -> PeError {
        Reader(self.bytes).malformed(what, at)
    }

    /// Fields below: `parse` has seen that the headers are there.
    fn u16(&self, at: usize) -> u16 {
        Reader(self.bytes).u16(at).unwrap_or_default()
    }

    fn u32(&self, at: usize) -> u32 {
        Reader(self.bytes).u32(at).unwrap_or_default()
    }
}

/// Little-endian numbers at checked offsets.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn malformed(&self, what: &'static str, at: usize) -> PeError {
        PeError::Malformed { what, at: at as u64, length: self.0.len() as u64 }
    }

    fn slice(&self, at: usize, length: usize) -> Result<&'a [u8], PeError> {
        let end = at.checked_add(length);
        end.and_then(|end| self.0.get(at..end)).ok_or_else(|| self.malformed("no more bytes", at))
    }

    fn u16(&self, at: usize) -> Result<u16, PeError> {
        let bytes = self.slice(at, 2)?;
        Ok(u16::from_le_bytes([bytes[0], bytes[1]]))
    }

    fn u32(&self, at: usize) -> Result<u32, PeError> {
        let bytes = self.slice(at, 4)?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn section(&self, header: &[u8], at: usize) -> Result<Section<'a>, PeError> {
        let name = &header[..8];
        let name = &name[..name.iter().position(|byte| *byte == 0).unwrap_or(name.len())];
        let field = |offset| self.u32(at + offset);
        let (virtual_size, raw_size, offset) = (field(8)?, field(16)?, field(20)?);
        let raw = self.slice(offset as usize, raw_size as usize)?;
        let shown = raw.len().min(virtual_size as usize);
        Ok(Section {
            name: String::from_utf8_lossy(name).into_owned(),
            address: field(12)?,
            virtual_size,
            offset,
            raw_size,
            characteristics: field(36)?,
            bytes: &raw[..shown],
        })
    }
}
