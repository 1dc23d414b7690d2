use crate::fetch::{Mirror, catalog, have};
use archive::deb::{self, Control, DebError, Entry, EntryKind, ScriptKind, Visitor};
use std::{collections::BTreeMap, fs::File, io::Read, path::Path, process::Command};

/// Small packages with setuid and setgid files, hard links, long names, foreign owners, all scripts.
const PACKAGES: [&str; 12] = [
    "sudo",
    "perl-base",
    "bash",
    "openssh-server",
    "openssh-client",
    "samba-common",
    "udev",
    "base-files",
    "fping",
    "tzdata",
    "systemd",
    "dash",
];

#[derive(Default)]
struct Seen {
    control: Option<Control>,
    entries: Vec<(Entry, Vec<u8>)>,
}

impl Visitor for Seen {
    type Error = DebError;

    fn control(&mut self, control: Control) -> Result<(), DebError> {
        self.control = Some(control);
        Ok(())
    }

    fn entry(&mut self, entry: Entry, content: &mut dyn Read) -> Result<(), DebError> {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes).unwrap();
        self.entries.push((entry, bytes));
        Ok(())
    }
}

fn run(program: &str, arguments: &[&str], file: &Path) -> Vec<u8> {
    let output =
        Command::new(program).args(arguments).arg(file).env("LC_ALL", "C").env("TZ", "UTC").output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// A line of `tar --list --verbose --numeric-owner --full-time` for an entry.
fn line(entry: &Entry) -> String {
    let (kind, size, link) = match &entry.kind {
        EntryKind::Dir => ('d', "0".to_owned(), String::new()),
        EntryKind::File { size } => ('-', size.to_string(), String::new()),
        EntryKind::Symlink(target) => ('l', "0".to_owned(), format!(" -> {target}")),
        EntryKind::Hardlink(target) => ('h', "0".to_owned(), format!(" link to ./{target}")),
        EntryKind::Char { major, minor } => ('c', format!("{major},{minor}"), String::new()),
        EntryKind::Block { major, minor } => ('b', format!("{major},{minor}"), String::new()),
        EntryKind::Fifo => ('p', "0".to_owned(), String::new()),
    };
    let slash = if kind == 'd' && !entry.path.is_empty() { "/" } else { "" };
    let time = contract::Epoch(entry.mtime).to_string().replace('T', " ").replace('Z', "");
    let mode = mode_text(entry.mode);
    format!("{kind}{mode} {}/{} {size} {time} ./{}{slash}{link}", entry.uid, entry.gid, entry.path)
}

fn mode_text(mode: u32) -> String {
    let bit = |mask: u32, letter: char| if mode & mask != 0 { letter } else { '-' };
    let execute = |special: u32, mask: u32, letter: char| match (mode & special != 0, mode & mask != 0) {
        (true, true) => letter,
        (true, false) => letter.to_ascii_uppercase(),
        (false, set) => {
            if set {
                'x'
            } else {
                '-'
            }
        }
    };
    [
        bit(0o400, 'r'),
        bit(0o200, 'w'),
        execute(0o4000, 0o100, 's'),
        bit(0o040, 'r'),
        bit(0o020, 'w'),
        execute(0o2000, 0o010, 's'),
        bit(0o004, 'r'),
        bit(0o002, 'w'),
        execute(0o1000, 0o001, 't'),
    ]
    .into_iter()
    .collect()
}

#[test]
fn dpkg_deb_and_tar_agree_on_real_packages() {
    let test = "dpkg_deb_and_tar_agree_on_real_packages";
    if !have(test, "dpkg-deb") || !have(test, "tar") {
        return;
    }
    let Some(mirror) = Mirror::find(test) else { return };
    let texts = mirror.indexes("amd64");
    let catalog = catalog("amd64", &texts);
    let (mut special, mut hard_links) = (0, 0);
    for name in PACKAGES {
        let package = catalog.versions(name).iter().find(|p| p.suite == "trixie").unwrap();
        let file = mirror.fetch_by_hash("debian", package.filename, &package.sha256);
        let mut seen = Seen::default();
        let finished = deb::read(File::open(&file).unwrap(), &mut seen).unwrap();
        let control = seen.control.unwrap();
        assert_eq!((control.package.as_str(), control.version.as_str()), (name, package.version.as_str()));
        compare_control(&control, &file);

        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data.tar");
        std::fs::write(&data, run("dpkg-deb", &["--fsys-tarfile"], &file)).unwrap();
        let listed = run("tar", &["--list", "--verbose", "--numeric-owner", "--full-time", "--file"], &data);
        let listed: Vec<_> = String::from_utf8(listed).unwrap().lines().map(squeeze).collect();
        let ours: Vec<_> = seen.entries.iter().map(|(entry, _)| line(entry)).collect();
        assert_eq!(ours, listed, "{name}");
        special += seen.entries.iter().filter(|(entry, _)| entry.mode & 0o6000 != 0).count();
        hard_links +=
            seen.entries.iter().filter(|(entry, _)| matches!(entry.kind, EntryKind::Hardlink(_))).count();
        let newest = seen.entries.iter().map(|(entry, _)| entry.mtime).max().unwrap();
        assert!(finished.newest >= newest);

        let plain: Vec<u8> = seen.entries.iter().flat_map(|(_, content)| content.clone()).collect();
        assert_eq!(plain, run("tar", &["--extract", "--to-stdout", "--file"], &data), "{name}");
    }
    assert!(special > 0 && hard_links > 0, "{special} setuid or setgid entries, {hard_links} hard links");
}

/// The columns of tar's listing with one space between them: it pads the size.
fn squeeze(line: &str) -> String {
    let mut rest = line;
    let mut columns = Vec::new();
    for _ in 0..5 {
        let (column, behind) = rest.trim_start().split_once(' ').unwrap();
        columns.push(column);
        rest = behind;
    }
    format!("{} {rest}", columns.join(" "))
}

fn compare_control(control: &Control, file: &Path) {
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("control");
    let status = Command::new("dpkg-deb").arg("--control").arg(file).arg(&target).status().unwrap();
    assert!(status.success());
    let mut theirs = BTreeMap::new();
    for entry in std::fs::read_dir(&target).unwrap() {
        let entry = entry.unwrap();
        theirs.insert(entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap());
    }
    assert_eq!(theirs.remove("control").unwrap(), control.text.as_bytes());
    for kind in ScriptKind::ALL {
        assert_eq!(theirs.remove(kind.name()).as_ref(), control.scripts.get(&kind), "{kind}");
    }
    let lines = |bytes: Option<Vec<u8>>| {
        let text = String::from_utf8(bytes.unwrap_or_default()).unwrap();
        text.lines().filter(|l| !l.is_empty() && !l.starts_with('#')).map(str::to_owned).collect::<Vec<_>>()
    };
    let former = control.former_conffiles.iter().map(|path| format!("remove-on-upgrade {path}"));
    let mut conffiles: Vec<_> = control.conffiles.iter().cloned().chain(former).collect();
    let mut expected = lines(theirs.remove("conffiles"));
    conffiles.sort();
    expected.sort();
    assert_eq!(conffiles, expected);
    assert_eq!(control.triggers, lines(theirs.remove("triggers")));
    assert_eq!(control.members, theirs);
}
