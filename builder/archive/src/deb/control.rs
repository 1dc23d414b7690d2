//! What a package says about itself: the members of `control.tar`.

use super::{DebError, Entry, EntryKind, TarFault, tar::Tar};
use crate::{
    deb822::{self, Paragraph},
    version::Version,
};
use std::{collections::BTreeMap, fmt, io::Read};

/// The largest member of `control.tar` that we read, in bytes: scripts are kilobytes, md5sums and symbols of
/// the largest packages a few megabytes.
const LARGEST_MEMBER: u64 = 32 << 20;

/// A maintainer script that dpkg or debconf would run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ScriptKind {
    /// Before unpacking.
    Preinst,
    /// After unpacking: configuration.
    Postinst,
    /// Before removal.
    Prerm,
    /// After removal.
    Postrm,
    /// Debconf's questions.
    Config,
}

impl ScriptKind {
    /// All kinds, in the order of a package's life.
    pub const ALL: [Self; 5] = [Self::Preinst, Self::Postinst, Self::Prerm, Self::Postrm, Self::Config];

    /// The name of the member in `control.tar`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Preinst => "preinst",
            Self::Postinst => "postinst",
            Self::Prerm => "prerm",
            Self::Postrm => "postrm",
            Self::Config => "config",
        }
    }
}

impl fmt::Display for ScriptKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The control part of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// The package's name.
    pub package: String,
    /// Its version, as written.
    pub version: String,
    /// Its Debian architecture, such as `amd64` or `all`.
    pub architecture: String,
    /// The whole `control` file, one deb822 paragraph; see [`Control::paragraph`].
    pub text: String,
    /// The maintainer scripts, byte for byte.
    pub scripts: BTreeMap<ScriptKind, Vec<u8>>,
    /// Absolute paths of the configuration files that the package ships.
    pub conffiles: Vec<String>,
    /// Absolute paths listed with `remove-on-upgrade`: former configuration files, not shipped.
    pub former_conffiles: Vec<String>,
    /// The lines of `triggers` without comments, such as `interest-noawait /usr/share/icons`.
    pub triggers: Vec<String>,
    /// Every other member by name, byte for byte: `md5sums`, `templates`, `shlibs`, `symbols`, ...
    pub members: BTreeMap<String, Vec<u8>>,
    /// The newest modification time of a member, in seconds since 1970.
    pub newest: i64,
}

impl Control {
    /// The fields of the control file.
    ///
    /// # Errors
    /// None in practice: the text was parsed when the package was read.
    pub fn paragraph(&self) -> Result<Paragraph<'_>, deb822::SyntaxError> {
        deb822::paragraph(&self.text)
    }

    /// Takes the members of `control.tar` apart.
    pub(super) fn read(tar: &mut Tar<impl Read>, member: &str) -> Result<Self, DebError> {
        let mut members = BTreeMap::new();
        let mut newest = i64::MIN;
        while let Some(entry) = tar.advance()? {
            newest = newest.max(entry.mtime);
            let fault = |fault| DebError::Tar { member: member.to_owned(), path: entry.path.clone(), fault };
            match entry {
                Entry { kind: EntryKind::Dir, ref path, .. } if path.is_empty() => {}
                Entry { kind: EntryKind::File { size }, ref path, .. } if !path.contains('/') => {
                    if size > LARGEST_MEMBER {
                        return Err(fault(TarFault::LongExtension { size, limit: LARGEST_MEMBER }));
                    }
                    let mut bytes = Vec::new();
                    let read = tar.read_to_end(&mut bytes);
                    read.map_err(|e| tar.take_failure().unwrap_or_else(|| DebError::from_stream(member, e)))?;
                    if members.insert(path.clone(), bytes).is_some() {
                        return Err(fault(TarFault::Duplicate));
                    }
                }
                _ => return Err(fault(TarFault::NotAControlFile)),
            }
        }
        Self::from_members(members, newest)
    }

    fn from_members(mut members: BTreeMap<String, Vec<u8>>, newest: i64) -> Result<Self, DebError> {
        let text = take_text(&mut members, "control")?.ok_or(DebError::NoControlFile)?;
        let malformed = |source| DebError::Control { source };
        let paragraph = deb822::paragraph(&text).map_err(malformed)?;
        let required = |name| paragraph.required(name).map(str::to_owned).map_err(malformed);
        let (package, version) = (required("Package")?, required("Version")?);
        let architecture = required("Architecture")?;
        Version::parse(&version)?;

        let (mut conffiles, mut former_conffiles) = (Vec::new(), Vec::new());
        for line in take_lines(&mut members, "conffiles")? {
            let (list, path) = match line.strip_prefix("remove-on-upgrade ") {
                Some(path) => (&mut former_conffiles, path.trim_start()),
                None => (&mut conffiles, line.as_str()),
            };
            if !path.starts_with('/') {
                return Err(DebError::Conffile { line });
            }
            list.push(path.to_owned());
        }
        let mut triggers = take_lines(&mut members, "triggers")?;
        triggers.retain(|line| !line.starts_with('#'));
        let scripts =
            ScriptKind::ALL.into_iter().filter_map(|kind| Some((kind, members.remove(kind.name())?)));
        let scripts = scripts.collect();
        Ok(Self {
            package,
            version,
            architecture,
            text,
            scripts,
            conffiles,
            former_conffiles,
            triggers,
            members,
            newest,
        })
    }
}

fn take_text(
    members: &mut BTreeMap<String, Vec<u8>>,
    name: &'static str,
) -> Result<Option<String>, DebError> {
    let Some(bytes) = members.remove(name) else { return Ok(None) };
    String::from_utf8(bytes).map(Some).map_err(|_| DebError::ControlNotUtf8 { name })
}

/// The lines of a member that are not blank, without the space around them.
fn take_lines(members: &mut BTreeMap<String, Vec<u8>>, name: &'static str) -> Result<Vec<String>, DebError> {
    let text = take_text(members, name)?.unwrap_or_default();
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
}
