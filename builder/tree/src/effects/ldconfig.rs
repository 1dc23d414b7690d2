//! `/etc/ld.so.cache` and the links from sonames to libraries, as ldconfig of Debian's glibc 2.41 makes them, for either
//! architecture on any host.
//!
//! Layout (dl-cache.h; numbers are little-endian, offsets from the file's begin): magic `glibc-ld.so.cache1.1`, number of entries,
//! length of the strings, flags (2: little-endian), the extensions' offset, 12 bytes unused; entries of 24 bytes (kind
//! of library, soname, path, unused, hardware capability) in descending order; strings ended by NUL, a tail of
//! another being stored once; then, 4-byte aligned, a directory of extensions: the generator's name, and the
//! names of `glibc-hwcaps` directories if any is used.

use crate::{Contents, Glob, ImagePath, Kind, Node, Origin, Tree, TreeError};
use contract::Arch;
use object::{
    LittleEndian,
    elf::{DT_SONAME, DT_STRTAB, EM_AARCH64, EM_X86_64, ET_DYN, FileHeader64, PT_DYNAMIC, PT_LOAD},
    read::elf::{Dyn, FileHeader, ProgramHeader},
};
use std::{cmp::Ordering, collections::BTreeMap};

mod cache;

/// Includes may nest; glibc has no limit and would recurse for ever.
const MAX_INCLUDES: usize = 16;
/// `GNU_PROPERTY_X86_ISA_1_NEEDED`: bits for the levels of the x86-64 psABI.
const ISA_NEEDED: u32 = 0xc000_8002;

/// Why there is no cache.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LdconfigError {
    /// Configuration files include each other too deeply.
    #[error("{0}: includes nest deeper than 16 files")]
    Includes(ImagePath),
    /// A soname is taken by a file that is no link.
    #[error("{link} should be a link to {library}, and is something else ({origin})")]
    NotALink {
        /// Where the link should be.
        link: ImagePath,
        /// The library's file name.
        library: String,
        /// Who put something else there.
        origin: Origin,
    },
    /// The cache would have offsets of more than 32 bits.
    #[error("the library cache would be larger than 4 GiB")]
    TooLarge,
    /// A pattern of an `include` line cannot be understood.
    #[error(transparent)]
    Pattern(#[from] crate::MalformedGlob),
    /// The tree could not be read or changed.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A path could not be formed.
    #[error(transparent)]
    Path(#[from] crate::MalformedPath),
}

/// What ldconfig did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Linked {
    /// Libraries in the cache.
    pub libraries: usize,
    /// Links that no package shipped, with what they lead to.
    pub links: Vec<(ImagePath, String)>,
}

/// One library of the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Library {
    soname: String,
    path: String,
    /// Level of the instruction set, and the directory below `glibc-hwcaps` in which it lies.
    hwcap: Option<(u32, String)>,
}

/// A directory to search: as written (the paths in the cache are), and where that is.
struct Directory {
    written: String,
    real: ImagePath,
    hwcap: Option<String>,
}

/// How ldconfig of Debian's package libc-bin names itself; `version` is the package's.
#[must_use]
pub fn generator(version: &str) -> String {
    let upstream = version.split_once('-').map_or(version, |(upstream, _)| upstream);
    format!("ldconfig (Debian GLIBC {version}) stable release version {upstream}")
}

/// Makes the links which are missing and writes `/etc/ld.so.cache`. See [`generator`] for the last argument.
///
/// Libraries for other machines are passed over, as are links that lead nowhere (ldconfig would remove those).
///
/// # Errors
/// When the configuration or a library cannot be read, or a soname is taken by something else.
pub fn apply(
    tree: &mut Tree,
    contents: &dyn Contents,
    arch: Arch,
    generator: &str,
) -> Result<Linked, LdconfigError> {
    let mut libraries = Vec::new();
    let mut hwcaps = Vec::new();
    let mut linked = Linked::default();
    for directory in directories(tree, contents, arch)? {
        hwcaps.extend(directory.hwcap.clone());
        for (soname, found) in search(tree, contents, arch, &directory)? {
            let file = match &directory.hwcap {
                Some(_) => &found.file,
                None => &soname,
            };
            let path = format!("{}/{file}", directory.written);
            if directory.hwcap.is_none() && !found.is_link {
                link(tree, &directory.real, &soname, &found.file, &mut linked.links)?;
            }
            let hwcap = directory.hwcap.clone().map(|name| (found.isa, name));
            libraries.push(Library { soname, path, hwcap });
        }
    }
    linked.libraries = libraries.len();
    let bytes = cache::to_bytes(libraries, &hwcaps, arch, generator)?;
    tree.write(&ImagePath::parse("etc/ld.so.cache")?, bytes, Origin::Effect("ldconfig".to_owned()))?;
    Ok(linked)
}

fn link(
    tree: &mut Tree,
    directory: &ImagePath,
    soname: &str,
    file: &str,
    links: &mut Vec<(ImagePath, String)>,
) -> Result<(), LdconfigError> {
    let at = directory.join(soname)?;
    if tree.resolve(&at, true)? == tree.resolve(&directory.join(file)?, true)? {
        return Ok(());
    }
    if let Some(node) = tree.get(&at) {
        let same = tree.id(&at) == tree.id(&directory.join(file)?);
        match node.kind {
            _ if same => return Ok(()),
            Kind::Symlink(_) => {}
            _ => {
                let (library, origin) = (file.to_owned(), node.origin.clone());
                return Err(LdconfigError::NotALink { link: at, library, origin });
            }
        }
    }
    tree.insert(&at, Node::symlink(file, Origin::Effect("ldconfig".to_owned())))?;
    links.push((at, file.to_owned()));
    Ok(())
}

/// The directories in the order of the configuration, the system's last, each real directory once.
fn directories(tree: &Tree, contents: &dyn Contents, arch: Arch) -> Result<Vec<Directory>, LdconfigError> {
    let mut lines = Vec::new();
    configured(tree, contents, &ImagePath::parse("etc/ld.so.conf")?, 0, &mut lines)?;
    let multiarch = arch.multiarch();
    lines.extend([
        format!("/lib/{multiarch}"),
        format!("/usr/lib/{multiarch}"),
        "/lib".into(),
        "/usr/lib".into(),
    ]);
    let mut found: Vec<Directory> = Vec::new();
    for line in lines {
        let written = line.trim_end_matches('/').to_owned();
        let real = tree.resolve(&ImagePath::parse(&written)?, true)?;
        let known = found.iter().any(|directory| directory.real == real);
        if known || written.is_empty() || !tree.get(&real).is_some_and(Node::is_directory) {
            continue;
        }
        let hwcaps = real.join("glibc-hwcaps")?;
        found.push(Directory { written: written.clone(), real, hwcap: None });
        for (path, _) in tree.children(&hwcaps) {
            let (name, real) = (path.name(), tree.resolve(path, true)?);
            let usable = !name.starts_with('.') && !name.contains(':');
            if usable && tree.get(&real).is_some_and(Node::is_directory) {
                let written = format!("{written}/glibc-hwcaps/{name}");
                found.push(Directory { written, real, hwcap: Some(name.to_owned()) });
            }
        }
    }
    Ok(found)
}

/// The directories which a configuration file names; a file that is missing names none.
fn configured(
    tree: &Tree,
    contents: &dyn Contents,
    file: &ImagePath,
    depth: usize,
    lines: &mut Vec<String>,
) -> Result<(), LdconfigError> {
    if depth > MAX_INCLUDES {
        return Err(LdconfigError::Includes(file.clone()));
    }
    let text = match tree.read_text(file, contents) {
        Err(TreeError::Missing(_)) => return Ok(()),
        text => text?,
    };
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        let (word, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
        if word == "include" && !rest.is_empty() {
            for pattern in rest.split_ascii_whitespace() {
                let beside = file.parent().unwrap_or_else(ImagePath::root);
                let pattern =
                    if pattern.starts_with('/') { pattern.to_owned() } else { format!("{beside}/{pattern}") };
                let pattern = Glob::parse(&pattern)?;
                for (path, _) in tree.paths().filter(|(path, _)| pattern.matches(path)) {
                    configured(tree, contents, path, depth + 1, lines)?;
                }
            }
        } else {
            // glibc ignores its old `hwcap` lines.
            let old = word.eq_ignore_ascii_case("hwcap") && !rest.is_empty();
            if !old && !line.is_empty() {
                lines.push(line.to_owned());
            }
        }
    }
    Ok(())
}

struct Found {
    file: String,
    is_link: bool,
    isa: u32,
}

/// The sonames in a directory, each with the newest file that has it.
fn search(
    tree: &Tree,
    contents: &dyn Contents,
    arch: Arch,
    directory: &Directory,
) -> Result<BTreeMap<String, Found>, LdconfigError> {
    let mut found: BTreeMap<String, Found> = BTreeMap::new();
    for (path, node) in tree.children(&directory.real) {
        let name = path.name();
        let link = matches!(node.kind, Kind::Symlink(_));
        if !(looks_shared(name) || link && directory.hwcap.is_some()) {
            continue;
        }
        let real = tree.resolve(path, true)?;
        if !tree.get(&real).is_some_and(|node| matches!(node.kind, Kind::File(_))) {
            continue;
        }
        let Some((soname, isa)) = shared_object(&tree.read(&real, contents)?, arch) else { continue };
        let soname = soname.unwrap_or_else(|| name.to_owned());
        // `libx.so` for the linker leads to the soname's file and has no entry but its own.
        let is_link = link && (name == soname || name.ends_with(".so") && soname.starts_with(name));
        let soname = if is_link { name.to_owned() } else { soname };
        let new = Found { file: name.to_owned(), is_link, isa };
        match found.get(&soname) {
            Some(old) if old.is_link != is_link && is_link => {}
            Some(old) if old.is_link == is_link && compare(&old.file, name) != Ordering::Less => {}
            _ => {
                found.insert(soname, new);
            }
        }
    }
    Ok(found)
}

fn looks_shared(name: &str) -> bool {
    let library = (name.starts_with("lib") || name.starts_with("ld-")) && name.contains(".so");
    let unfinished = name.contains(';') || name.ends_with(".dpkg-new") || name.ends_with(".dpkg-tmp");
    (library || name.starts_with("ld.so.") || name.starts_with("ld64.so.")) && !unfinished
}

/// Soname and level of the instruction set of a shared object for this machine; nothing for any other file.
fn shared_object(bytes: &[u8], arch: Arch) -> Option<(Option<String>, u32)> {
    let header = FileHeader64::<LittleEndian>::parse(bytes).ok()?;
    let machine = match arch {
        Arch::X86_64 => EM_X86_64,
        Arch::Aarch64 => EM_AARCH64,
    };
    if header.e_machine(LittleEndian) != machine || header.e_type(LittleEndian) != ET_DYN {
        return None;
    }
    let segments = header.program_headers(LittleEndian, bytes).ok()?;
    let dynamic = segments.iter().find(|segment| segment.p_type(LittleEndian) == PT_DYNAMIC)?;
    let entries = dynamic.dynamic(LittleEndian, bytes).ok()??;
    let value = |tag| {
        let entry = entries.iter().find(|entry| entry.tag(LittleEndian) == tag);
        entry.map(|entry| entry.val(LittleEndian))
    };
    let strings = value(DT_STRTAB)?;
    let soname = value(DT_SONAME).and_then(|name| {
        let address = strings.checked_add(name)?;
        let mut loads = segments.iter().filter(|segment| segment.p_type(LittleEndian) == PT_LOAD);
        let text = loads.find_map(|segment| {
            let below = address.checked_sub(segment.p_vaddr(LittleEndian))?;
            segment.data(LittleEndian, bytes).ok()?.get(usize::try_from(below).ok()?..)
        })?;
        String::from_utf8(text.split(|byte| *byte == 0).next()?.to_vec()).ok()
    });
    Some((soname, isa_level(segments, bytes).unwrap_or(0)))
}

/// The highest level that the object's GNU property note asks for.
fn isa_level(segments: &[impl ProgramHeader<Endian = LittleEndian>], bytes: &[u8]) -> Option<u32> {
    let word = |data: &[u8], at: usize| Some(u32::from_le_bytes(data.get(at..at + 4)?.try_into().ok()?));
    let property =
        segments.iter().find(|segment| segment.p_type(LittleEndian) == object::elf::PT_GNU_PROPERTY)?;
    // A note's head has 12 bytes, its name (`GNU`) 4; then properties, each a type, a length and padded bytes.
    let mut note = property.data(LittleEndian, bytes).ok()?.get(16..)?;
    while let (Some(kind), Some(length)) = (word(note, 0), word(note, 4)) {
        if kind == ISA_NEEDED {
            return word(note, 8)?.checked_ilog2();
        }
        note = note.get(8 + usize::try_from(length).ok()?.checked_next_multiple_of(8)?..)?;
    }
    None
}

/// glibc's order of library names: numbers by value, and before nothing else.
fn compare(one: &str, other: &str) -> Ordering {
    let (mut a, mut b) = (one.as_bytes(), other.as_bytes());
    loop {
        match (a.first(), b.first()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(x), Some(y)) if x.is_ascii_digit() && y.is_ascii_digit() => {
                let (x, after_x) = number(a);
                let (y, after_y) = number(b);
                if x != y {
                    return x.cmp(&y);
                }
                (a, b) = (after_x, after_y);
            }
            (Some(x), _) if x.is_ascii_digit() => return Ordering::Greater,
            (_, Some(y)) if y.is_ascii_digit() => return Ordering::Less,
            (x, y) if x != y => return x.cmp(&y),
            _ => (a, b) = (&a[1..], &b[1..]),
        }
    }
}

fn number(text: &[u8]) -> (u64, &[u8]) {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let digits = text[..end]
        .iter()
        .fold(0_u64, |sum, digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0')));
    (digits, &text[end..])
}
