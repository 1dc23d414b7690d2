use super::*;
use crate::testing::{FakeDeb, FakeEntry, ar};
use std::io;

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
        let read = content.read_to_end(&mut bytes);
        read.map_err(|source| DebError::Stream { member: "seen by the visitor".to_owned(), source })?;
        self.entries.push((entry, bytes));
        Ok(())
    }
}

fn visit(bytes: &[u8]) -> Result<(Seen, Finished), DebError> {
    let mut seen = Seen::default();
    let finished = read(bytes, &mut seen)?;
    Ok((seen, finished))
}

fn refusal(bytes: &[u8]) -> String {
    let error = visit(bytes).map(drop).unwrap_err();
    assert!(!error.to_string().contains("seen by the visitor"), "our own error comes first: {error}");
    error.to_string()
}

fn with(entries: Vec<FakeEntry>) -> FakeDeb {
    let mut deb = FakeDeb::new("a", "1");
    deb.entries.extend(entries);
    deb
}

#[test]
fn everything_that_a_package_holds() {
    let long = format!("./{}/{}", "d".repeat(90), "f".repeat(90));
    let mut capable = FakeEntry::file("./bin/ping", b"elf");
    capable.pax = vec![("SCHILY.xattr.security.capability".to_owned(), b"\x01\x00\n=".to_vec())];
    let mut named = FakeEntry::file("./short", b"long");
    named.pax =
        vec![("path".to_owned(), long.clone().into_bytes()), ("mtime".to_owned(), b"1800000000.25".to_vec())];
    let mut device = FakeEntry::file("./null", b"");
    (device.kind, device.owner) = (b'3', (0o666, 0, 3_000_000_000));
    let mut sudo = FakeEntry::file("./bin/sudo", &[7; 1000]);
    sudo.owner = (0o4755, 1, 2);
    for compression in ["", ".gz", ".xz", ".zst"] {
        let mut deb = with(vec![
            FakeEntry::dir("./bin/"),
            capable.clone(),
            sudo.clone(),
            FakeEntry::hardlink("./bin/sudoedit", "./bin/sudo"),
            FakeEntry::symlink("./bin/sh", "/usr/bin/dash"),
            device.clone(),
            named.clone(),
        ]);
        deb.compression = compression;
        deb.fields = "Multi-Arch: foreign\n".to_owned();
        deb.control = vec![
            ("postinst".to_owned(), b"#!/bin/sh\n".to_vec()),
            ("conffiles".to_owned(), b"/etc/a\nremove-on-upgrade /etc/b\n".to_vec()),
            ("triggers".to_owned(), b"# why\nactivate-noawait ldconfig\n\n".to_vec()),
            ("md5sums".to_owned(), b"sums".to_vec()),
        ];
        let (seen, finished) = visit(&deb.build()).unwrap();
        let control = seen.control.unwrap();
        assert_eq!(
            (control.package.as_str(), control.version.as_str(), control.architecture.as_str()),
            ("a", "1", "all")
        );
        assert_eq!(control.paragraph().unwrap().get("Multi-Arch"), Some("foreign"));
        assert_eq!(control.scripts, BTreeMap::from([(ScriptKind::Postinst, b"#!/bin/sh\n".to_vec())]));
        assert_eq!(
            (control.conffiles, control.former_conffiles),
            (vec!["/etc/a".to_owned()], vec!["/etc/b".to_owned()])
        );
        assert_eq!(control.triggers, ["activate-noawait ldconfig"]);
        assert_eq!(control.members, BTreeMap::from([("md5sums".to_owned(), b"sums".to_vec())]));
        assert_eq!(finished.newest, 1_800_000_000);

        let paths: Vec<_> = seen.entries.iter().map(|(entry, _)| entry.path.as_str()).collect();
        assert_eq!(paths, ["", "bin", "bin/ping", "bin/sudo", "bin/sudoedit", "bin/sh", "null", &long[2..]]);
        let entry = |index: usize| &seen.entries[index].0;
        assert_eq!(entry(2).xattrs["security.capability"], b"\x01\x00\n=");
        assert_eq!(
            (entry(3).mode, entry(3).uid, entry(3).gid, entry(3).uname.as_str()),
            (0o4755, 1, 2, "root")
        );
        assert_eq!(seen.entries[3].1, [7; 1000]);
        assert_eq!(entry(4).kind, EntryKind::Hardlink("bin/sudo".to_owned()));
        assert_eq!(entry(5).kind, EntryKind::Symlink("/usr/bin/dash".to_owned()));
        assert_eq!((&entry(6).kind, entry(6).gid), (&EntryKind::Char { major: 0, minor: 0 }, 3_000_000_000));
        assert_eq!((entry(7).mtime, seen.entries[7].1.as_slice()), (1_800_000_000, &b"long"[..]));
    }
}

#[test]
fn what_reaches_out_of_the_package_is_refused() {
    let file = |path: &str| FakeEntry::file(path, b"evil");
    let fault = "`data.tar.xz`: `";
    for (entries, expected) in [
        (vec![file("./../etc/passwd")], "./../etc/passwd`: the path escapes with `..`"),
        (vec![file("../etc/passwd")], "../etc/passwd`: the path escapes with `..`"),
        (vec![file("./a/../../b")], "./a/../../b`: the path escapes with `..`"),
        (vec![file("/etc/passwd")], "/etc/passwd`: the path is absolute"),
        (
            vec![FakeEntry::hardlink("./a", "/etc/passwd")],
            "./a`: hard link to `/etc/passwd`: the path is absolute",
        ),
        (
            vec![FakeEntry::hardlink("./a", "../../b")],
            "./a`: hard link to `../../b`: the path escapes with `..`",
        ),
        (
            vec![FakeEntry::hardlink("./a", "./b")],
            "a`: hard link to `b`, which is not a file before it in this package",
        ),
        (
            vec![FakeEntry::symlink("./a", "/etc"), file("./a/passwd")],
            "a/passwd`: `a` above it is not a directory in this package",
        ),
        (vec![file("./a"), file("./a/b/c")], "a/b/c`: `a` above it is not a directory in this package"),
        (vec![file("./a"), file("./a")], "a`: the path occurs twice in this package"),
        (vec![FakeEntry::symlink("./a", "")], "./a`: symbolic link without target"),
        (vec![FakeEntry { kind: b'S', ..file("./a") }], "./a`: unknown entry type 0x53"),
        (
            vec![FakeEntry { kind: b'5', ..file("./a") }],
            "./a`: an entry that is no regular file has 4 bytes of content",
        ),
        (vec![file("./a\u{7f}")], "`: the path holds a control character"),
        (
            vec![FakeEntry { pax: vec![("GNU.sparse.name".into(), b"x".to_vec())], ..file("./a") }],
            "unknown PAX record",
        ),
    ] {
        let error = refusal(&with(entries).build());
        assert!(error.starts_with(fault) && error.contains(expected), "{error}");
    }
}

#[test]
fn a_truncated_package_names_the_member_and_both_sizes() {
    let mut deb = with(vec![FakeEntry::file(
        "./big",
        &(0..200_000_u32).flat_map(u32::to_le_bytes).collect::<Vec<_>>(),
    )]);
    for compression in ["", ".gz", ".xz", ".zst"] {
        deb.compression = compression;
        let whole = deb.build();
        let cut = whole.len() - whole.len() / 3;
        let error = visit(&whole[..cut]).map(drop).unwrap_err();
        let DebError::Truncated { member, expected, found } = &error else { panic!("{error}") };
        let start = whole.len() as u64 - (expected + expected % 2);
        assert_eq!(
            (member.as_str(), *found),
            (format!("data.tar{compression}").as_str(), cut as u64 - start)
        );
        let message = error.to_string();
        assert_eq!(message, format!("truncated: `{member}` ends after {found} of {expected} bytes"));
        // Wherever it is cut, it is an error; only the last padding byte of the file is nothing that anyone needs.
        for cut in (0..whole.len() - 1).rev().step_by(whole.len() / 40).chain([0, 7, 8, 30, 68, 70, 72]) {
            assert!(visit(&whole[..cut]).is_err(), "{compression} cut at {cut} of {}", whole.len());
        }
    }
}

#[test]
fn order_names_and_formats_are_checked() {
    let mut plain = FakeDeb::new("a", "1");
    plain.compression = "";
    let whole = plain.build();
    let tar = |from: &[u8]| from.to_vec();
    // Both tars of the package, cut out of it.
    let control = tar(&whole[72 + 60..72 + 60 + 2560.min(whole.len() - 132)]);
    for (members, expected) in [
        (vec![("debian-binary", b"3.0\n".to_vec())], "`debian-binary` names format \"3.0\", expected 2.0"),
        (vec![("control.tar", control.clone())], "found member `control.tar` where debian-binary should be"),
        (vec![("debian-binary", b"2.0\n".to_vec())], "the package ends before `control.tar`"),
        (
            vec![("debian-binary", b"2.0\n".to_vec()), ("data.tar", control.clone())],
            "found member `data.tar` where control.tar should be",
        ),
        (
            vec![("debian-binary", b"2.0\n".to_vec()), ("control.tar.lzma", control)],
            "found member `control.tar.lzma` where control.tar should be",
        ),
    ] {
        let members: Vec<_> = members.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect();
        assert_eq!(refusal(&ar(&members)), expected);
    }
    assert_eq!(refusal(b"PK\x03\x04 something else"), "not a .deb: it does not begin with `!<arch>`");
    assert_eq!(refusal(b""), "not a .deb: it does not begin with `!<arch>`");

    let mut more = whole.clone();
    more.extend_from_slice(&ar(&[("extra", b"xx")])[8..]);
    assert_eq!(refusal(&more), "found member `extra` where the end of the package should be");
    let mut signed = whole;
    signed.extend_from_slice(&ar(&[("_gpgorigin", b"xx")])[8..]);
    assert!(visit(&signed).is_ok());
}

#[test]
fn control_files_are_checked() {
    for (change, expected) in [
        (
            FakeDeb { version: "1_2".to_owned(), ..FakeDeb::new("a", "1") },
            "`control`: `1_2` is not a Debian version",
        ),
        (
            FakeDeb { fields: "Package: b\n".to_owned(), ..FakeDeb::new("a", "1") },
            "field `Package` occurs twice",
        ),
        (
            FakeDeb { arch: String::new(), ..FakeDeb::new("a", "1") },
            "line 1: the paragraph has no `Architecture` field",
        ),
        (
            FakeDeb {
                control: vec![("conffiles".to_owned(), b"etc/a\n".to_vec())],
                ..FakeDeb::new("a", "1")
            },
            "`conffiles`: `etc/a` is not an absolute path",
        ),
        (
            FakeDeb { control: vec![("sub/postinst".to_owned(), b"x".to_vec())], ..FakeDeb::new("a", "1") },
            "`sub/postinst`: not a plain file at the top of `control.tar`",
        ),
    ] {
        let error = refusal(&change.build());
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn bombs_stop_at_the_limit() {
    let deb = with(vec![FakeEntry::file("./zeros", &vec![0; 4 << 20]), FakeEntry::file("./more", b"")]);
    let bytes = deb.build();
    assert!(bytes.len() < 10_000);
    let limited = |limits| read_within(limits, &bytes[..], &mut Seen::default()).unwrap_err().to_string();
    let limits = Limits::default();
    let error = limited(Limits { data: 1 << 20, ..limits });
    assert_eq!(error, "`data.tar.xz` unpacks to more than the 1048576 bytes that are allowed");
    let error = limited(Limits { control: 100, ..limits });
    assert_eq!(error, "`control.tar.xz` unpacks to more than the 100 bytes that are allowed");
    let error = limited(Limits { entries: 2, ..limits });
    assert_eq!(error, "`data.tar.xz`: `more`: more than 2 entries");
}

#[test]
fn the_visitors_error_and_the_streams_error_come_through() {
    struct Refuses;
    impl Visitor for Refuses {
        type Error = DebError;
        fn control(&mut self, _: Control) -> Result<(), DebError> {
            Ok(())
        }
        fn entry(&mut self, _: Entry, _: &mut dyn Read) -> Result<(), DebError> {
            Err(DebError::NoControlFile)
        }
    }
    struct Breaks<'b>(&'b [u8]);
    impl Read for Breaks<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match self.0.read(buffer)? {
                0 => Err(io::Error::other("the cable is out")),
                count => Ok(count),
            }
        }
    }
    let bytes = with(vec![]).build();
    assert!(matches!(read(&bytes[..], &mut Refuses), Err(DebError::NoControlFile)));
    let error = read(Breaks(&bytes[..bytes.len() - 20]), &mut Seen::default()).unwrap_err();
    let DebError::Stream { member, source } = &error else { panic!("{error}") };
    assert_eq!((member.as_str(), source.to_string().as_str()), ("data.tar.xz", "the cable is out"));
}
