//! Package indexes (`Packages`, Debian repository format) and the catalog that several of them make.
//!
//! Everything is borrowed from the one decompressed text of each index, so that an index of 57 MB costs its text
//! and some 30 MB more.

mod error;

use crate::{
    compress::{Compression, TooLarge},
    deb822::{self, Paragraph},
    relation,
    version::Version,
};
use contract::Digest;
pub use error::PackagesError;
use std::{
    cmp::Reverse,
    collections::BTreeMap,
    io::{self, Read},
};

/// The largest index that we unpack: five times Debian's main.
pub const LARGEST_INDEX: u64 = 300 << 20;

/// The text of an index as it was fetched: xz, gzip, zstd (told apart by their magic bytes) or plain.
///
/// # Errors
/// [`PackagesError`] if it does not decompress, is larger than `limit` bytes, or is not UTF-8.
pub fn decompress(fetched: &[u8], limit: u64) -> Result<String, PackagesError> {
    let failed = |source: io::Error| match source.get_ref().and_then(|e| e.downcast_ref()) {
        Some(TooLarge { limit }) => PackagesError::TooLarge { limit: *limit },
        None => PackagesError::Decompress { source },
    };
    let mut plain = Vec::new();
    let mut decoder = Compression::of(fetched).decoder(fetched, limit).map_err(failed)?;
    decoder.read_to_end(&mut plain).map_err(failed)?;
    // Reading to the end doubles the buffer: up to half of it may be empty.
    plain.shrink_to_fit();
    String::from_utf8(plain)
        .map_err(|error| PackagesError::NotUtf8 { offset: error.utf8_error().valid_up_to() })
}

/// How a package stands to packages of other architectures (`Multi-Arch`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MultiArch {
    /// The field is absent or says `no`.
    #[default]
    No,
    /// Several architectures can be installed side by side.
    Same,
    /// It satisfies relations of any architecture.
    Foreign,
    /// It satisfies relations of any architecture that say `:any`.
    Allowed,
}

/// Debian's priorities, the weightiest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Priority {
    Required,
    Important,
    Standard,
    Optional,
    Extra,
}

/// One binary package of an index, borrowed from the index's text.
///
/// The relation fields are unparsed text, empty where the package has none: parse them with
/// [`relation::parse`], Provides with [`relation::parse_provides`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Package<'a> {
    pub name: &'a str,
    pub version: Version<'a>,
    /// The index's architecture or `all`.
    pub arch: &'a str,
    /// The label of the index it comes from, such as `trixie-security`.
    pub suite: &'a str,
    /// Name and perhaps version of the source package, `name (version)`; empty where it is the package's own.
    pub source: &'a str,
    pub section: &'a str,
    pub priority: Priority,
    pub essential: bool,
    pub multi_arch: MultiArch,
    pub depends: &'a str,
    pub pre_depends: &'a str,
    pub recommends: &'a str,
    pub provides: &'a str,
    pub conflicts: &'a str,
    pub breaks: &'a str,
    pub replaces: &'a str,
    /// Path below the base URI of the archive.
    pub filename: &'a str,
    /// Size of the `.deb` in bytes.
    pub size: u64,
    pub sha256: Digest,
    /// Estimate of the unpacked size in KiB; 0 where the package gives none.
    pub installed_size: u64,
}

/// The packages of one index, in the index's order.
#[derive(Clone, Debug, Default)]
pub struct Index<'a> {
    /// The packages.
    pub packages: Vec<Package<'a>>,
}

impl<'a> Index<'a> {
    /// Parses the text of an index; `suite` labels its packages.
    ///
    /// # Errors
    /// [`PackagesError`] with the line and the suite. One bad paragraph spoils the index: a signed index has none.
    pub fn parse(text: &'a str, suite: &'a str) -> Result<Self, PackagesError> {
        let mut packages = Vec::new();
        for paragraph in deb822::paragraphs(text) {
            let paragraph =
                paragraph.map_err(|source| PackagesError::Syntax { suite: suite.to_owned(), source })?;
            packages.push(Package::parse(&paragraph, suite)?);
        }
        Ok(Self { packages })
    }
}

impl<'a> Package<'a> {
    fn parse(paragraph: &Paragraph<'a>, suite: &'a str) -> Result<Self, PackagesError> {
        let get = |name| paragraph.get(name).unwrap_or_default();
        let required = |name| {
            let missing = |source| PackagesError::Syntax { suite: suite.to_owned(), source };
            paragraph.required(name).map_err(missing)
        };
        let name = required("Package")?;
        let bad = |field: &'static str, value: &str| PackagesError::Value {
            suite: suite.to_owned(),
            line: paragraph.field(field).map_or(paragraph.line, |f| f.line),
            package: name.to_owned(),
            field,
            value: value.to_owned(),
        };
        let yes = |field| match get(field) {
            "yes" => Ok(true),
            "" | "no" => Ok(false),
            other => Err(bad(field, other)),
        };
        let number = |field, text: &str| text.parse::<u64>().map_err(|_| bad(field, text));
        let version = required("Version")?;
        let filename = required("Filename")?;
        if filename.starts_with('/') || filename.split('/').any(|part| part == ".." || part.is_empty()) {
            return Err(bad("Filename", filename));
        }
        let digest = required("SHA256")?;
        Ok(Self {
            name,
            version: Version::parse(version).map_err(|source| PackagesError::Version {
                suite: suite.to_owned(),
                package: name.to_owned(),
                source,
            })?,
            arch: required("Architecture")?,
            suite,
            source: get("Source"),
            section: get("Section"),
            priority: parse_priority(get("Priority")).ok_or_else(|| bad("Priority", get("Priority")))?,
            essential: yes("Essential")?,
            multi_arch: parse_multi_arch(get("Multi-Arch"))
                .ok_or_else(|| bad("Multi-Arch", get("Multi-Arch")))?,
            depends: get("Depends"),
            pre_depends: get("Pre-Depends"),
            recommends: get("Recommends"),
            provides: get("Provides"),
            conflicts: get("Conflicts"),
            breaks: get("Breaks"),
            replaces: get("Replaces"),
            filename,
            size: number("Size", required("Size")?)?,
            sha256: digest.parse().map_err(|_| bad("SHA256", digest))?,
            installed_size: match get("Installed-Size") {
                "" => 0,
                text => number("Installed-Size", text)?,
            },
        })
    }
}

fn parse_priority(text: &str) -> Option<Priority> {
    Some(match text {
        "required" => Priority::Required,
        "important" => Priority::Important,
        "standard" => Priority::Standard,
        "" | "optional" => Priority::Optional,
        "extra" => Priority::Extra,
        _ => return None,
    })
}

fn parse_multi_arch(text: &str) -> Option<MultiArch> {
    Some(match text {
        "" | "no" => MultiArch::No,
        "same" => MultiArch::Same,
        "foreign" => MultiArch::Foreign,
        "allowed" => MultiArch::Allowed,
        _ => return None,
    })
}

/// Several indexes for one architecture, looked up by name.
#[derive(Clone, Debug)]
pub struct Catalog<'a> {
    arch: &'a str,
    /// By name, then the highest version first.
    packages: Vec<Package<'a>>,
    /// Provided name -> who provides it (place in `packages`), and in which version.
    providers: BTreeMap<&'a str, Vec<(usize, Option<Version<'a>>)>>,
}

impl<'a> Catalog<'a> {
    /// Puts the indexes for Debian architecture `arch` together. A version that is in several of them is taken
    /// from the first: the order is the caller's order of preference.
    ///
    /// # Errors
    /// [`PackagesError`] for a package of another architecture and for a malformed Provides field.
    pub fn new(arch: &'a str, indexes: Vec<Index<'a>>) -> Result<Self, PackagesError> {
        let mut packages: Vec<_> = indexes.into_iter().flat_map(|index| index.packages).collect();
        if let Some(other) = packages.iter().find(|p| p.arch != arch && p.arch != "all") {
            return Err(PackagesError::OtherArch {
                suite: other.suite.to_owned(),
                package: other.name.to_owned(),
                found: other.arch.to_owned(),
                expected: arch.to_owned(),
            });
        }
        // Stable: the same version stays in the order of the indexes.
        packages.sort_by(|a, b| a.name.cmp(b.name).then_with(|| Reverse(a.version).cmp(&Reverse(b.version))));
        packages.dedup_by(|later, first| later.name == first.name && later.version == first.version);
        let mut providers = BTreeMap::<_, Vec<_>>::new();
        for (place, package) in packages.iter().enumerate() {
            let provides =
                relation::parse_provides(package.provides).map_err(|source| PackagesError::Provides {
                    suite: package.suite.to_owned(),
                    package: package.name.to_owned(),
                    source,
                })?;
            for (name, version) in provides {
                providers.entry(name).or_default().push((place, version));
            }
        }
        Ok(Self { arch, packages, providers })
    }

    /// Debian's name of the catalog's architecture.
    #[must_use]
    pub const fn arch(&self) -> &'a str {
        self.arch
    }

    /// All packages, by name and then the highest version first.
    #[must_use]
    pub fn packages(&self) -> &[Package<'a>] {
        &self.packages
    }

    /// The versions of package `name`, the highest first; empty if there is none.
    #[must_use]
    pub fn versions(&self, name: &str) -> &[Package<'a>] {
        &self.packages[self.range(name)]
    }

    /// The highest version of package `name`: what apt calls its candidate.
    #[must_use]
    pub fn candidate(&self, name: &str) -> Option<&Package<'a>> {
        self.versions(name).first()
    }

    /// The package `name` in exactly `version`, as written.
    #[must_use]
    pub fn find(&self, name: &str, version: &str) -> Option<&Package<'a>> {
        self.versions(name).iter().find(|package| package.version.as_str() == version)
    }

    /// The packages that provide `name`, and in which version they do.
    pub fn providers(&self, name: &str) -> impl Iterator<Item = (&Package<'a>, Option<Version<'a>>)> {
        self.provider_places(name).iter().map(|(place, version)| (&self.packages[*place], *version))
    }

    pub(crate) fn range(&self, name: &str) -> std::ops::Range<usize> {
        let start = self.packages.partition_point(|package| package.name < name);
        let count = self.packages[start..].iter().take_while(|package| package.name == name).count();
        start..start + count
    }

    pub(crate) fn provider_places(&self, name: &str) -> &[(usize, Option<Version<'a>>)] {
        self.providers.get(name).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn stanza(name: &str, version: &str, more: &str) -> String {
        let digest = Digest::of(name.as_bytes());
        format!(
            "Package: {name}\nVersion: {version}\nArchitecture: amd64\nFilename: pool/{name}.deb\nSize: 7\n\
             SHA256: {digest}\n{more}\n"
        )
    }

    #[test]
    fn candidates_are_the_highest_and_ties_go_to_the_first_suite() {
        let stable = stanza("a", "1.0", "Essential: yes\nInstalled-Size: 12\n")
            + &stanza("b", "2.0", "Provides: v (= 3), w\n");
        let security = stanza("a", "1.0", "") + &stanza("b", "2.0-1", "Multi-Arch: foreign\n");
        let indexes = vec![
            Index::parse(&stable, "stable").unwrap(),
            Index::parse(&security, "stable-security").unwrap(),
        ];
        let catalog = Catalog::new("amd64", indexes).unwrap();
        let a = catalog.candidate("a").unwrap();
        assert_eq!((a.suite, a.essential, a.installed_size, a.size), ("stable", true, 12, 7));
        let b = catalog.candidate("b").unwrap();
        assert_eq!(
            (b.version.as_str(), b.suite, b.multi_arch),
            ("2.0-1", "stable-security", MultiArch::Foreign)
        );
        assert_eq!(catalog.versions("b").len(), 2);
        assert_eq!(catalog.find("b", "2.0").unwrap().suite, "stable");
        assert!(catalog.candidate("c").is_none() && catalog.find("a", "1").is_none());
        let providers: Vec<_> = catalog.providers("v").map(|(p, v)| (p.name, v.unwrap().as_str())).collect();
        assert_eq!(providers, [("b", "3")]);
    }

    #[test]
    fn faults_name_suite_line_and_package() {
        let good = stanza("a", "1", "");
        for (text, message) in [
            (good.replace("Size: 7", "Size: x"), "package index of s, line 5: `a` has Size `x`"),
            (good.replace("Size: 7\n", ""), "package index of s, line 1: the paragraph has no `Size` field"),
            (good.replace("pool/", "../"), "package index of s, line 4: `a` has Filename `../a.deb`"),
            (stanza("a", "1_2", ""), "package index of s: `a`: `1_2` is not a Debian version"),
            (stanza("a", "1", "Essential: maybe\n"), "line 7: `a` has Essential `maybe`"),
            (stanza("a", "1", "Multi-Arch: x\n"), "has Multi-Arch `x`"),
            (good + "garbage\n", "package index of s, line 8: `garbage` is not `Name: value`"),
        ] {
            let error = Index::parse(&text, "s").unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
        let text = stanza("a", "1", "Provides: b | c\n");
        let error = Catalog::new("amd64", vec![Index::parse(&text, "s").unwrap()]).unwrap_err().to_string();
        assert!(error.contains("Provides of `a`: relation `b | c`"), "{error}");
        let error = Catalog::new("arm64", vec![Index::parse(&text, "s").unwrap()]).unwrap_err().to_string();
        assert_eq!(error, "package index of s: `a` is for amd64, expected arm64 or all");
    }

    #[test]
    fn decompresses_by_magic_within_a_bound() {
        let text = stanza("a", "1", "");
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(text.as_bytes()).unwrap();
        let mut xz = Vec::new();
        liblzma::read::XzEncoder::new(text.as_bytes(), 1).read_to_end(&mut xz).unwrap();
        let zstd = zstd::encode_all(text.as_bytes(), 1).unwrap();
        for fetched in [text.clone().into_bytes(), gzip.finish().unwrap(), xz.clone(), zstd] {
            assert_eq!(decompress(&fetched, 1000).unwrap(), text);
            let error = decompress(&fetched, 10).unwrap_err().to_string();
            assert!(error.contains("more than the 10 bytes"), "{error}");
        }
        xz.pop();
        assert!(matches!(decompress(&xz, 1000), Err(PackagesError::Decompress { .. })));
        assert!(
            decompress(b"Package: \xff\n", 1000).unwrap_err().to_string().contains("not UTF-8 at byte 9")
        );
    }
}
