//! `.deb` files from values.

use std::{fmt::Write as _, io::Write as _};

/// A package to be.
#[derive(Clone, Debug)]
pub struct FakeDeb {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Debian architecture.
    pub arch: String,
    /// Further lines of the control file, such as `Depends: a\n`.
    pub fields: String,
    /// Further members of `control.tar`, such as `postinst`.
    pub control: Vec<(String, Vec<u8>)>,
    /// Members of `data.tar`, in order. The directories above them are not added.
    pub entries: Vec<FakeEntry>,
    /// Modification time of everything, in seconds since 1970.
    pub mtime: u64,
    /// Suffix of the tar members: `.xz`, `.zst`, `.gz` or nothing.
    pub compression: &'static str,
}

/// A member of `data.tar`.
#[derive(Clone, Debug)]
pub struct FakeEntry {
    /// Name as it is written, with its leading `./`.
    pub path: String,
    /// Type as it is written: `b'0'` for a file, `b'5'` for a directory, `b'2'` for a symbolic link, ...
    pub kind: u8,
    /// Mode, uid and gid.
    pub owner: (u32, u64, u64),
    /// Content of a file.
    pub content: Vec<u8>,
    /// Target of a link; empty for others.
    pub target: String,
    /// PAX records that precede it.
    pub pax: Vec<(String, Vec<u8>)>,
}

impl FakeEntry {
    /// A file with mode 0644.
    #[must_use]
    pub fn file(path: &str, content: &[u8]) -> Self {
        let (path, content) = (path.to_owned(), content.to_vec());
        Self { path, kind: b'0', owner: (0o644, 0, 0), content, target: String::new(), pax: Vec::new() }
    }

    /// A directory with mode 0755.
    #[must_use]
    pub fn dir(path: &str) -> Self {
        Self { kind: b'5', owner: (0o755, 0, 0), ..Self::file(path, b"") }
    }

    /// A symbolic link.
    #[must_use]
    pub fn symlink(path: &str, target: &str) -> Self {
        Self { kind: b'2', owner: (0o777, 0, 0), target: target.to_owned(), ..Self::file(path, b"") }
    }

    /// A hard link.
    #[must_use]
    pub fn hardlink(path: &str, target: &str) -> Self {
        Self { kind: b'1', target: target.to_owned(), ..Self::file(path, b"") }
    }
}

impl FakeDeb {
    /// A package for all architectures with a root directory and nothing else, made on 2024-01-01.
    #[must_use]
    pub fn new(name: &str, version: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            arch: "all".to_owned(),
            fields: String::new(),
            control: Vec::new(),
            entries: vec![FakeEntry::dir("./")],
            mtime: 1_704_067_200,
            compression: ".xz",
        }
    }

    /// The control file.
    #[must_use]
    pub fn control_text(&self) -> String {
        let Self { name, version, arch, fields, .. } = self;
        format!("Package: {name}\nVersion: {version}\nArchitecture: {arch}\n{fields}")
    }

    /// The bytes of the package.
    #[must_use]
    pub fn build(&self) -> Vec<u8> {
        let mut control =
            vec![FakeEntry::dir("./"), FakeEntry::file("./control", self.control_text().as_bytes())];
        control.extend(self.control.iter().map(|(name, bytes)| FakeEntry::file(&format!("./{name}"), bytes)));
        ar(&[
            ("debian-binary", b"2.0\n"),
            (&format!("control.tar{}", self.compression), &compress(self.compression, &self.tar(&control))),
            (&format!("data.tar{}", self.compression), &compress(self.compression, &self.tar(&self.entries))),
        ])
    }

    #[allow(clippy::unwrap_used, reason = "for tests: writes to memory")]
    fn tar(&self, entries: &[FakeEntry]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for entry in entries {
            let pax = entry.pax.iter().map(|(key, value)| (key.as_str(), value.as_slice()));
            if !entry.pax.is_empty() {
                builder.append_pax_extensions(pax).unwrap();
            }
            builder.append(&self.header(entry), &entry.content[..]).unwrap();
        }
        builder.into_inner().unwrap()
    }

    /// A GNU header; names are put in as they are, for the `tar` crate refuses `..` and absolute ones.
    #[allow(clippy::unwrap_used, reason = "for tests: the names fit")]
    fn header(&self, entry: &FakeEntry) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        let old = header.as_old_mut();
        old.name[..entry.path.len()].copy_from_slice(entry.path.as_bytes());
        old.linkname[..entry.target.len()].copy_from_slice(entry.target.as_bytes());
        header.set_entry_type(tar::EntryType::new(entry.kind));
        let (mode, uid, gid) = entry.owner;
        header.set_mode(mode);
        header.set_uid(uid);
        header.set_gid(gid);
        header.set_mtime(self.mtime);
        header.set_size(entry.content.len() as u64);
        header.set_username("root").unwrap();
        header.set_groupname("root").unwrap();
        header.set_cksum();
        header
    }
}

/// `plain` compressed as `suffix` says (`.gz`, `.xz`, `.zst`, else not at all).
///
/// # Panics
/// When memory runs out.
#[must_use]
#[allow(clippy::unwrap_used, reason = "for tests: writes to memory")]
pub fn compress(suffix: &str, plain: &[u8]) -> Vec<u8> {
    match suffix {
        ".gz" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(plain).unwrap();
            encoder.finish().unwrap()
        }
        ".xz" => {
            let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
            encoder.write_all(plain).unwrap();
            encoder.finish().unwrap()
        }
        ".zst" => zstd::encode_all(plain, 1).unwrap(),
        _ => plain.to_vec(),
    }
}

/// An ar archive of `members`, by name and content.
///
/// # Panics
/// When memory runs out.
#[must_use]
#[allow(clippy::unwrap_used, reason = "for tests: writes to memory")]
pub fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = b"!<arch>\n".to_vec();
    for (name, content) in members {
        let mut header = String::new();
        writeln!(
            header,
            "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`",
            1_704_067_200,
            0,
            0,
            100_644,
            content.len()
        )
        .unwrap();
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(content);
        if content.len() % 2 == 1 {
            bytes.push(b'\n');
        }
    }
    bytes
}
