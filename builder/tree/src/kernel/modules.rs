//! One module: what the kernel's tools read out of a `.ko` file.
//!
//! A module is a relocatable ELF object. Section `.modinfo` holds `key=value` strings, each ended by NUL;
//! the symbol table names what it exports (`__crc_NAME`, or else the strings of `__ksymtab_strings`) and what it
//! needs (undefined symbols, and names in `__versions` that are no symbols).

use super::KernelError;
use object::{
    LittleEndian,
    elf::{FileHeader64, SHN_UNDEF, SHT_SYMTAB, Sym64},
    read::elf::{FileHeader, SectionHeader, SectionTable, Sym},
};
use std::{borrow::Cow, collections::BTreeSet, io::Read};

/// The largest module that is read, decompressed: amdgpu, the largest of Debian 13, has 21 MB.
pub const LARGEST: u64 = 256 << 20;
/// Memory that a decompressor may use for its dictionary.
const DICTIONARY: u64 = 128 << 20;
/// First bytes of serialised facts; raise the number when the fields or their meaning change.
const MAGIC: &[u8] = b"hcfacts1\0";
/// Values must be shorter: kmod reads them into buffers of this size.
const LONGEST: usize = 4096;
/// `struct modversion_info` on a 64-bit kernel: an 8-byte checksum and a name padded with NUL.
const VERSION_SIZE: usize = 64;

type Elf = FileHeader64<LittleEndian>;

/// What is known of one module. Depends on the file's bytes only, so it may be kept under their digest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Patterns of devices and names that the module serves.
    pub aliases: Vec<String>,
    /// Names of the modules that it needs, as the kernel's build noted them.
    pub depends: Vec<String>,
    /// Soft dependencies, such as `pre: crc32c`.
    pub softdeps: Vec<String>,
    /// Weak dependencies: modules that it may ask for.
    pub weakdeps: Vec<String>,
    /// Firmware files that it may load, below `/usr/lib/firmware`.
    pub firmware: Vec<String>,
    /// Symbols for other modules, in the file's order.
    pub exports: Vec<String>,
    /// Symbols that the kernel or other modules must have, in the file's order.
    pub needs: Vec<String>,
}

/// A module with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// Path below `/usr/lib/modules/<release>/`, such as `kernel/fs/erofs/erofs.ko.xz`.
    pub path: String,
    /// What is known of it.
    pub facts: Facts,
}

impl Module {
    /// The name by which the kernel knows it.
    #[must_use]
    pub fn name(&self) -> String {
        module_name(&self.path)
    }
}

/// The kernel's name of the module in the file `path`: the file's name up to its first dot, `-` as `_`.
#[must_use]
pub fn module_name(path: &str) -> String {
    let file = path.rsplit_once('/').map_or(path, |(_, file)| file);
    normal_name(file.split_once('.').map_or(file, |(name, _)| name))
}

/// `-` and `_` are the same to the kernel.
#[must_use]
pub fn normal_name(name: &str) -> String {
    name.replace('-', "_")
}

/// The path without the suffix of its compression; `None` if it is no module's.
#[must_use]
pub fn plain_path(path: &str) -> Option<&str> {
    let plain = path.strip_suffix(".xz").or_else(|| path.strip_suffix(".zst")).unwrap_or(path);
    plain.ends_with(".ko").then_some(plain)
}

/// The ELF object in a `.ko`, `.ko.xz` or `.ko.zst` file; `path` tells which it is.
///
/// # Errors
/// When the name is no module's, the data is damaged, or it is larger than [`LARGEST`].
pub fn decompress<'a>(path: &str, bytes: &'a [u8]) -> Result<Cow<'a, [u8]>, KernelError> {
    let failed = |source| KernelError::Decompress { path: path.to_owned(), source };
    if plain_path(path).is_none() {
        return Err(KernelError::Suffix { path: path.to_owned() });
    }
    let mut object = Vec::with_capacity(bytes.len().saturating_mul(5).min(64 << 20));
    if path.ends_with(".xz") {
        let stream = liblzma::stream::Stream::new_stream_decoder(DICTIONARY, 0)
            .map_err(|error| failed(error.into()))?;
        let reader = liblzma::bufread::XzDecoder::new_stream(bytes, stream);
        reader.take(LARGEST + 1).read_to_end(&mut object).map_err(failed)?;
    } else if path.ends_with(".zst") {
        let reader = zstd::stream::read::Decoder::with_buffer(bytes).map_err(failed)?;
        reader.take(LARGEST + 1).read_to_end(&mut object).map_err(failed)?;
    } else {
        return Ok(Cow::Borrowed(bytes));
    }
    if object.len() as u64 > LARGEST {
        return Err(KernelError::TooLarge { path: path.to_owned(), limit: LARGEST });
    }
    Ok(Cow::Owned(object))
}

impl Facts {
    /// Reads a module file, compressed or not.
    ///
    /// # Errors
    /// As [`decompress`], and when the object is no module.
    pub fn of_file(path: &str, bytes: &[u8]) -> Result<Self, KernelError> {
        Self::of_object(path, &decompress(path, bytes)?)
    }

    /// Reads a module's ELF object; `path` is for messages.
    ///
    /// # Errors
    /// When it is no 64-bit little-endian ELF object, or an alias or a name is not ASCII.
    pub fn of_object(path: &str, object: &[u8]) -> Result<Self, KernelError> {
        let wrong = |source| KernelError::Elf { path: path.to_owned(), source };
        let header = Elf::parse(object).map_err(wrong)?;
        let endian = header.endian().map_err(wrong)?;
        let sections = header.sections(endian, object).map_err(wrong)?;
        let mut facts = Self::default();
        facts.read_modinfo(path, section(&sections, object, b".modinfo").map_err(wrong)?)?;
        facts.read_symbols(path, &sections, object)?;
        Ok(facts)
    }

    fn read_modinfo(&mut self, path: &str, modinfo: &[u8]) -> Result<(), KernelError> {
        for pair in strings(modinfo) {
            let Some(equals) = pair.iter().position(|byte| *byte == b'=') else { continue };
            let (key, value) = (&pair[..equals], &pair[equals + 1..]);
            let (list, what) = match key {
                b"alias" => (&mut self.aliases, "alias"),
                b"softdep" => (&mut self.softdeps, "softdep"),
                b"weakdep" => (&mut self.weakdeps, "weakdep"),
                b"firmware" => (&mut self.firmware, "firmware"),
                b"depends" => {
                    let names = ascii(path, "depends", value)?;
                    let names = names.split(',').filter(|name| !name.is_empty()).map(normal_name);
                    self.depends.extend(names);
                    continue;
                }
                _ => continue,
            };
            if !value.is_empty() {
                list.push(ascii(path, what, value)?);
            }
        }
        Ok(())
    }

    fn read_symbols(
        &mut self,
        path: &str,
        sections: &SectionTable<'_, Elf>,
        object: &[u8],
    ) -> Result<(), KernelError> {
        let wrong = |source| KernelError::Elf { path: path.to_owned(), source };
        let table = sections.symbols(LittleEndian, object, SHT_SYMTAB).map_err(wrong)?;
        let mut needed = BTreeSet::new();
        for symbol in table.iter().skip(1) {
            let symbol: &Sym64<LittleEndian> = symbol;
            let name = symbol.name(LittleEndian, table.strings()).map_err(wrong)?;
            if let Some(name) = name.strip_prefix(b"__crc_") {
                self.exports.push(ascii(path, "symbol", name)?);
            }
            if symbol.st_shndx(LittleEndian) == SHN_UNDEF && !name.is_empty() {
                needed.insert(name);
                self.needs.push(ascii(path, "symbol", name)?);
            }
        }
        let versions = section(sections, object, b"__versions").map_err(wrong)?;
        for entry in versions.as_chunks::<VERSION_SIZE>().0 {
            let name = entry[8..].split(|byte| *byte == 0).next().unwrap_or_default();
            if !name.is_empty() && !needed.contains(name) {
                self.needs.push(ascii(path, "symbol version", name)?);
            }
        }
        if self.exports.is_empty() {
            for name in strings(section(sections, object, b"__ksymtab_strings").map_err(wrong)?) {
                self.exports.push(ascii(path, "exported symbol", name)?);
            }
        }
        Ok(())
    }

    /// The facts as bytes for a cache: a version, then each list's strings ended by NUL and the list by another.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        let Self { aliases, depends, softdeps, weakdeps, firmware, exports, needs } = self;
        for list in [aliases, depends, softdeps, weakdeps, firmware, exports, needs] {
            for value in list {
                bytes.extend_from_slice(value.as_bytes());
                bytes.push(0);
            }
            bytes.push(0);
        }
        bytes
    }

    /// Reads what [`Facts::to_bytes`] wrote.
    ///
    /// # Errors
    /// When the bytes are of another version, cut off or too long.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KernelError> {
        let damaged = |why| KernelError::Facts { why };
        let rest = bytes.strip_prefix(MAGIC).ok_or(damaged("another version"))?;
        let mut values = rest.split(|byte| *byte == 0);
        let mut list = || {
            let mut list = Vec::new();
            loop {
                match values.next().map(str::from_utf8) {
                    Some(Ok("")) => return Ok(list),
                    Some(Ok(value)) if value.is_ascii() => list.push(value.to_owned()),
                    Some(_) => return Err(damaged("a value is not ASCII")),
                    None => return Err(damaged("cut off")),
                }
            }
        };
        let facts = Self {
            aliases: list()?,
            depends: list()?,
            softdeps: list()?,
            weakdeps: list()?,
            firmware: list()?,
            exports: list()?,
            needs: list()?,
        };
        match (values.next(), values.next()) {
            (Some(b""), None) => Ok(facts),
            (None, _) => Err(damaged("cut off")),
            _ => Err(damaged("something follows")),
        }
    }
}

/// The data of the first section with this name; nothing when there is none.
fn section<'a>(
    sections: &SectionTable<'a, Elf>,
    object: &'a [u8],
    name: &[u8],
) -> Result<&'a [u8], object::Error> {
    match sections.section_by_name(LittleEndian, name) {
        Some((_, section)) => section.data(LittleEndian, object),
        None => Ok(&[]),
    }
}

fn strings(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| *byte == 0).filter(|string| !string.is_empty())
}

fn ascii(path: &str, what: &'static str, value: &[u8]) -> Result<String, KernelError> {
    match str::from_utf8(value) {
        Ok(text) if text.is_ascii() && text.len() < LONGEST => Ok(text.to_owned()),
        _ => Err(KernelError::NotAscii {
            path: path.to_owned(),
            what,
            value: String::from_utf8_lossy(value).into_owned(),
        }),
    }
}
