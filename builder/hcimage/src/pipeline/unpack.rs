//! Packages unpacked once: every file compressed into the form in which an image holds it, and an index of
//! everything else. A package is unpacked again only when it, the compression or the drop rules change.

use crate::error::Failure;
use archive::deb::{self, Control, DebError, EntryKind, Visitor};
use contract::Digest;
use disk::erofs::{PackSettings, Packed, pack};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufReader, Read},
};
use store::{Cache, PackReader, PackWriter, StoreError};
use tree::{ImagePath, merge::DropRules};

/// The version of the index's form and of what is packed how: part of every pack's key.
const FORM: &str = "unpacked-1";

/// A package as its pack's index says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Unpacked {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) arch: String,
    pub(crate) control: String,
    #[serde(with = "scripts_in_hex")]
    pub(crate) scripts: BTreeMap<String, Vec<u8>>,
    pub(crate) triggers: String,
    pub(crate) newest: i64,
    pub(crate) entries: Vec<Entry>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) path: String,
    pub(crate) mode: u16,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mtime: i64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", with = "scripts_in_hex")]
    pub(crate) xattrs: BTreeMap<String, Vec<u8>>,
    pub(crate) kind: Kind,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Kind {
    Directory,
    File {
        sha256: Digest,
        size: u64,
        /// `None` for files which the drop rules take away.
        body: Option<Body>,
    },
    Symlink(String),
    Hardlink(String),
    Char(u32, u32),
    Block(u32, u32),
    Fifo,
}

/// Where a packed file is in its pack.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Body {
    pub(crate) offset: u64,
    /// Digest of the stored bytes, by which the cache is checked.
    pub(crate) sha256: Digest,
    /// [`disk::erofs::Shape`] in its serialised form, in hexadecimal digits.
    pub(crate) shape: String,
}

/// What the boot stage takes from packages, whether or not it stays in the root file system.
const BUILD_INPUTS: [&str; 2] = ["boot/vmlinuz-", "usr/lib/systemd/boot/efi/"];

/// How packages are unpacked for one profile.
#[derive(Debug)]
pub(crate) struct Unpacking<'a> {
    pub(crate) cache: &'a Cache,
    pub(crate) settings: PackSettings,
    pub(crate) rules: &'a DropRules,
}

impl Unpacking<'_> {
    fn key(&self, sha256: &Digest) -> Digest {
        let settings = format!("{} {}", self.settings.level(), self.settings.extent_size());
        let rules = format!("{:?}", self.rules);
        Digest::of_fields([FORM.as_bytes(), &sha256.0, settings.as_bytes(), rules.as_bytes()])
    }

    /// The package with this digest, from its pack or from the downloaded file.
    pub(crate) fn package(&self, name: &str, sha256: &Digest) -> Result<(Unpacked, PackReader), Failure> {
        let key = self.key(sha256);
        if let Some(pack) = self.cache.read_pack(&key)?
            && let Ok(index) = serde_json::from_slice(pack.index())
        {
            return Ok((index, pack));
        }
        self.unpack(name, sha256, &key)
    }

    /// A file of the cache that is no package, as a package of that one file. Drop rules are about packages.
    pub(crate) fn lone_file(
        &self,
        name: &str,
        path: &ImagePath,
        sha256: &Digest,
    ) -> Result<(Unpacked, PackReader), Failure> {
        let settings = format!("{} {}", self.settings.level(), self.settings.extent_size());
        let key =
            Digest::of_fields([&b"lone-file-1"[..], &sha256.0, settings.as_bytes(), path.name().as_bytes()]);
        if let Some(pack) = self.cache.read_pack(&key)?
            && let Ok(index) = serde_json::from_slice(pack.index())
        {
            return Ok((index, pack));
        }
        let file = self.cache.file(sha256);
        let mut input = File::open(&file).map_err(StoreError::file("read", &file))?;
        let size = input.metadata().map_err(StoreError::file("read", &file))?.len();
        let rules = DropRules::default();
        let pack = self.cache.write_pack(&key)?;
        let mut packing =
            Packing { settings: self.settings, rules: &rules, pack, control: None, entries: Vec::new() };
        let kind = packing.file(path, size, &mut input).map_err(|fault| fault.of(name))?;
        if let Kind::File { sha256: found, .. } = &kind
            && found != sha256
        {
            fs::remove_file(&file).map_err(StoreError::file("remove", &file))?;
            return Err(Failure::DamagedCache { name: name.to_owned(), found: *found, expected: *sha256 });
        }
        let entry = Entry {
            path: path.as_str().to_owned(),
            mode: 0o644,
            uid: 0,
            gid: 0,
            mtime: 0,
            xattrs: BTreeMap::new(),
            kind,
        };
        let unpacked = Unpacked {
            name: name.to_owned(),
            version: String::new(),
            arch: String::new(),
            control: String::new(),
            scripts: BTreeMap::new(),
            triggers: String::new(),
            newest: 0,
            entries: vec![entry],
        };
        let index = serde_json::to_vec(&unpacked).map_err(|error| Failure::refused(error.to_string()))?;
        Ok((unpacked, packing.pack.finish(&index)?))
    }

    fn unpack(&self, name: &str, sha256: &Digest, key: &Digest) -> Result<(Unpacked, PackReader), Failure> {
        let path = self.cache.file(sha256);
        let file = File::open(&path).map_err(StoreError::file("read", &path))?;
        let mut input = Hashing { input: BufReader::with_capacity(1 << 20, file), hash: Sha256::new() };
        let mut packing = Packing {
            settings: self.settings,
            rules: self.rules,
            pack: self.cache.write_pack(key)?,
            control: None,
            entries: Vec::new(),
        };
        let read = deb::read(&mut input, &mut packing);
        // Whatever the reader says of a file that is not the locked one, that it is another one comes first.
        io::copy(&mut input, &mut io::sink()).map_err(StoreError::file("read", &path))?;
        let found = Digest(input.hash.finalize().into());
        if found != *sha256 {
            fs::remove_file(&path).map_err(StoreError::file("remove", &path))?;
            return Err(Failure::DamagedCache { name: name.to_owned(), found, expected: *sha256 });
        }
        let finished = read.map_err(|error| error.of(name))?;
        let Packing { pack, control, entries, .. } = packing;
        let control = control.ok_or_else(|| Failure::refused(format!("{name}: no control part")))?;
        let unpacked = Unpacked {
            name: control.package,
            version: control.version,
            arch: control.architecture,
            control: control.text,
            scripts: control.scripts.into_iter().map(|(kind, text)| (kind.name().to_owned(), text)).collect(),
            triggers: control.triggers.join("\n"),
            newest: finished.newest,
            entries,
        };
        let index = serde_json::to_vec(&unpacked).map_err(|error| Failure::refused(error.to_string()))?;
        let pack = pack.finish(&index)?;
        Ok((unpacked, pack))
    }
}

/// Hashes what is read through it.
struct Hashing<R> {
    input: R,
    hash: Sha256,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.hash.update(&buffer[..count]);
        Ok(count)
    }
}

/// What goes wrong while a package is read; the package's name is added outside.
enum Fault {
    Deb(DebError),
    Other(Failure),
}

impl Fault {
    fn of(self, name: &str) -> Failure {
        match self {
            Self::Deb(source) => Failure::Deb { name: name.to_owned(), source },
            Self::Other(failure) => failure,
        }
    }
}

impl From<DebError> for Fault {
    fn from(error: DebError) -> Self {
        Self::Deb(error)
    }
}

impl<E: Into<Failure>> From<E> for Fault {
    fn from(error: E) -> Self {
        Self::Other(error.into())
    }
}

struct Packing<'a> {
    settings: PackSettings,
    rules: &'a DropRules,
    pack: PackWriter,
    control: Option<Control>,
    entries: Vec<Entry>,
}

impl Packing<'_> {
    fn file(&mut self, path: &ImagePath, size: u64, content: &mut dyn Read) -> Result<Kind, Fault> {
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0).min(64 << 20));
        content.read_to_end(&mut bytes).map_err(|error| Failure::refused(format!("{path}: {error}")))?;
        let sha256 = Digest::of(&bytes);
        if is_dropped(self.rules, path) {
            return Ok(Kind::File { sha256, size, body: None });
        }
        let settings = if is_compressed(path.name()) { PackSettings::uncompressed() } else { self.settings };
        let Packed { shape, bytes } = pack(&bytes, settings)?;
        let offset = self.pack.append(&bytes)?;
        let body = Body { offset, sha256: Digest::of(&bytes), shape: hex::encode(shape.to_bytes()) };
        Ok(Kind::File { sha256, size, body: Some(body) })
    }
}

/// Whether the rules take this file out of every image of the profile.
fn is_dropped(rules: &DropRules, path: &ImagePath) -> bool {
    let of_the_build = BUILD_INPUTS.iter().any(|folder| path.as_str().starts_with(folder));
    !of_the_build
        && rules.paths.iter().any(|rule| rule.matches(path))
        && !rules.keep.iter().any(|rule| rule.matches(path))
}

/// Whether a file is compressed already, so that trying again only costs time.
fn is_compressed(name: &str) -> bool {
    [".xz", ".zst", ".gz", ".bz2"].iter().any(|suffix| name.ends_with(suffix))
}

impl Visitor for Packing<'_> {
    type Error = Fault;

    fn control(&mut self, control: Control) -> Result<(), Fault> {
        self.control = Some(control);
        Ok(())
    }

    fn entry(&mut self, entry: deb::Entry, content: &mut dyn Read) -> Result<(), Fault> {
        let path = ImagePath::parse(&entry.path)?;
        let kind = match entry.kind {
            EntryKind::Dir => Kind::Directory,
            EntryKind::File { size } => self.file(&path, size, content)?,
            EntryKind::Symlink(target) => Kind::Symlink(target),
            EntryKind::Hardlink(target) => Kind::Hardlink(target),
            EntryKind::Char { major, minor } => Kind::Char(major, minor),
            EntryKind::Block { major, minor } => Kind::Block(major, minor),
            EntryKind::Fifo => Kind::Fifo,
        };
        let number = |id: u64| {
            u32::try_from(id).map_err(|_| Failure::refused(format!("{path}: owner {id} is no 32-bit number")))
        };
        self.entries.push(Entry {
            mode: (entry.mode & 0o7777) as u16,
            uid: number(entry.uid)?,
            gid: number(entry.gid)?,
            mtime: entry.mtime,
            xattrs: entry.xattrs,
            kind,
            path: entry.path,
        });
        Ok(())
    }
}

mod scripts_in_hex {
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};
    use std::collections::BTreeMap;

    pub(super) fn serialize<S: Serializer>(
        map: &BTreeMap<String, Vec<u8>>,
        out: S,
    ) -> Result<S::Ok, S::Error> {
        out.collect_map(map.iter().map(|(name, bytes)| (name, hex::encode(bytes))))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        input: D,
    ) -> Result<BTreeMap<String, Vec<u8>>, D::Error> {
        let map = BTreeMap::<String, String>::deserialize(input)?;
        map.into_iter().map(|(name, text)| Ok((name, hex::decode(text).map_err(D::Error::custom)?))).collect()
    }
}
