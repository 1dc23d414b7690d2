//! The bytes of the cache.

use super::{LdconfigError, Library, compare};
use contract::Arch;
use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
};

const MAGIC: &[u8; 20] = b"glibc-ld.so.cache1.1";
const HEADER: usize = 48;
const ENTRY: usize = 24;
const LITTLE_ENDIAN: u32 = 2;
/// glibc's random number, -358342284 as written there.
const EXTENSIONS: u32 = 0xEAA4_2174;
const GENERATOR: u32 = 0;
const HWCAPS: u32 = 1;
/// Set in an entry's capability when its low half is a place in the list of `glibc-hwcaps` directories.
const HWCAP_NAMED: u64 = 1 << 62;

/// The cache with these libraries, which come in the order of the search. `hwcaps` are the names of all `glibc-hwcaps`
/// directories that were searched: glibc keeps the names of empty ones among the strings, too.
pub(super) fn to_bytes(
    mut libraries: Vec<Library>,
    hwcaps: &[String],
    arch: Arch,
    generator: &str,
) -> Result<Vec<u8>, LdconfigError> {
    libraries.sort_by(order);
    let names: BTreeSet<&str> =
        libraries.iter().filter_map(|library| Some(library.hwcap.as_ref()?.1.as_str())).collect();
    let texts = libraries.iter().flat_map(|library| [library.soname.as_str(), library.path.as_str()]);
    let (strings, places) = strings(texts.chain(hwcaps.iter().map(String::as_str)).collect());
    let base = HEADER + ENTRY * libraries.len();
    let place = |text: &str| word(base + places.get(text).copied().unwrap_or_default());

    let extensions = (base + strings.len()).next_multiple_of(4);
    let mut out = MAGIC.to_vec();
    for number in [word(libraries.len())?, word(strings.len())?, LITTLE_ENDIAN, word(extensions)?, 0, 0, 0] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    for library in &libraries {
        let kind = match arch {
            Arch::X86_64 => 0x0303,
            Arch::Aarch64 => 0x0a03_u32,
        };
        for number in [kind, place(&library.soname)?, place(&library.path)?, 0] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        let index = |name: &str| names.iter().take_while(|other| **other != name).count() as u64;
        let capability = |(isa, name): &(u32, String)| HWCAP_NAMED | u64::from(*isa) << 32 | index(name);
        out.extend_from_slice(&library.hwcap.as_ref().map_or(0, capability).to_le_bytes());
    }
    out.extend_from_slice(&strings);
    out.resize(extensions, 0);

    let sections = if names.is_empty() { 1 } else { 2 };
    let data = extensions + 8 + 16 * sections;
    let mut directory = vec![EXTENSIONS, word(sections)?];
    directory.extend([GENERATOR, 0, word(data + 4 * names.len())?, word(generator.len())?]);
    if !names.is_empty() {
        directory.extend([HWCAPS, 0, word(data)?, word(4 * names.len())?]);
    }
    for name in &names {
        directory.push(place(name)?);
    }
    directory.iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
    out.extend_from_slice(generator.as_bytes());
    Ok(out)
}

fn word(number: usize) -> Result<u32, LdconfigError> {
    u32::try_from(number).map_err(|_| LdconfigError::TooLarge)
}

/// Descending, because the loader bisects downwards; libraries for special hardware before the plain ones.
fn order(one: &Library, other: &Library) -> Ordering {
    compare(&other.soname, &one.soname).then_with(|| match (&one.hwcap, &other.hwcap) {
        (Some((_, one)), Some((_, other))) => one.cmp(other),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    })
}

/// All strings, each ended by NUL, and where each one begins. They are sorted by their ends, descending, longer ones
/// first, so that one which ends another comes right behind it and needs no place of its own.
fn strings(texts: BTreeSet<&str>) -> (Vec<u8>, BTreeMap<&str, usize>) {
    let mut texts: Vec<&str> = texts.into_iter().collect();
    texts.sort_by(|one, other| other.bytes().rev().cmp(one.bytes().rev()));
    let (mut bytes, mut places) = (Vec::new(), BTreeMap::new());
    let mut previous: (usize, &str) = (0, "");
    for text in texts {
        let (begin, before) = previous;
        let at = if before.ends_with(text) && !before.is_empty() {
            begin + before.len() - text.len()
        } else {
            bytes.extend_from_slice(text.as_bytes());
            bytes.push(0);
            bytes.len() - text.len() - 1
        };
        places.insert(text, at);
        previous = (at, text);
    }
    (bytes, places)
}
