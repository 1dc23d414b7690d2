//! UKI assembly and the PE reader, against tools that we did not write and against bytes that nobody should write.
#![allow(clippy::unwrap_used, reason = "functions that tests call are tests")]

mod oracle;

use contract::{Arch, Digest};
use disk::pe::{Image, Kind, NewSection, PeError, Uki, append, authenticode_digest, checksum, section};
use object::{Object as _, ObjectSection as _};
use proptest::prelude::*;
use std::fs;

const OS_RELEASE: &str = "ID=hcimage\nVERSION_ID=13.7\n";
const SBAT: &[u8] = b"sbat,1,SBAT Version,sbat,1,https://github.com/rhboot/shim/blob/main/SBAT.md\n";

/// A PE32+ image such as systemd's stub is one: headers, code, `.sbat`; `room` bytes of headers.
fn stub(machine: u16, room: u32) -> Vec<u8> {
    let sections: [(&[u8; 8], u32, &[u8], u32); 2] =
        [(b".text\0\0\0", 0x1000, &[0xc3; 700], 0x6000_0020), (b".sbat\0\0\0", 0x2000, SBAT, 0x4000_0040)];
    let mut bytes = vec![0; 0x40];
    bytes[..2].copy_from_slice(b"MZ");
    bytes[0x3c] = 0x40;
    bytes.extend(b"PE\0\0");
    for field in [machine, 2, 0x1111, 0x2222, 0, 0, 0, 0, 240, 0x022e] {
        bytes.extend(field.to_le_bytes());
    }
    let mut optional = vec![0; 240];
    let fields: [(usize, u32); 10] = [
        (0, 0x20b),
        (4, 0x400),
        (8, 0x200),
        (16, 0x1000),
        (32, 0x1000),
        (36, 0x200),
        (56, 0x3000),
        (60, room),
        (68, 10 | 0x160 << 16),
        (108, 16),
    ];
    for (at, value) in fields {
        optional[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
    bytes.extend(optional);
    let mut offset = room;
    for (name, address, contents, flags) in sections {
        let raw = (contents.len() as u32).next_multiple_of(0x200);
        bytes.extend(name);
        for field in [contents.len() as u32, address, raw, offset, 0, 0, 0, flags] {
            bytes.extend(field.to_le_bytes());
        }
        offset += raw;
    }
    bytes.resize(room as usize, 0);
    for (_, _, contents, _) in sections {
        bytes.extend(contents);
        bytes.resize(bytes.len().next_multiple_of(0x200), 0);
    }
    bytes
}

const fn machine(arch: Arch) -> u16 {
    match arch {
        Arch::X86_64 => 0x8664,
        Arch::Aarch64 => 0xaa64,
    }
}

fn sample(arch: Arch) -> Vec<u8> {
    let (stub, linux) = (stub(machine(arch), 0x600), stub(machine(arch), 0x400));
    uki(&stub, &linux).assemble().unwrap()
}

fn uki<'a>(stub: &'a [u8], linux: &'a [u8]) -> Uki<'a> {
    Uki {
        stub,
        os_release: OS_RELEASE,
        cmdline: "console=ttyS0 panic=10",
        uname: "6.12.107+deb13-amd64",
        linux,
        initrd: &[0x5a; 5000],
        device_trees: &[],
        microcode: None,
    }
}

/// Systemd's own stub, if the package `systemd-boot-efi` is installed and not older than 254, whose stubs still
/// have symbols. The package holds one architecture's; CI boots both architectures' in whole images.
fn real_stub(test: &str) -> Option<(Arch, Vec<u8>)> {
    let found = Arch::ALL.into_iter().find_map(|arch| {
        let path = format!("/usr/lib/systemd/boot/efi/linux{}.efi.stub", arch.efi());
        Some((arch, fs::read(path).ok()?))
    });
    let stripped = found.filter(|(_, stub)| !matches!(append(stub, &[], true), Err(PeError::Symbols { .. })));
    if stripped.is_none() {
        oracle::skipped(test, "systemd-boot-efi 254 or newer");
    }
    stripped
}

#[test]
fn the_object_crate_reads_every_section_back() {
    for arch in Arch::ALL {
        let (stub, linux) = (stub(machine(arch), 0x600), stub(machine(arch), 0x400));
        let trees: [&[u8]; 2] = [b"tree one", b"tree two"];
        let uki = Uki { device_trees: &trees, microcode: Some(b"microcode"), ..uki(&stub, &linux) };
        let bytes = uki.assemble().unwrap();
        let file = object::read::pe::PeFile64::parse(&*bytes).unwrap();
        let names: Vec<&str> = file.sections().map(|section| section.name().unwrap()).collect();
        let ours = [".osrel", ".cmdline", ".dtbauto", ".dtbauto", ".uname", ".linux", ".initrd", ".ucode"];
        assert_eq!(names[..2], [".text", ".sbat"]);
        assert_eq!(names[2..], ours);
        let mut end = 0;
        for part in file.sections() {
            assert!(part.address() >= end && part.address() % 0x1000 == 0, "{part:?}");
            let (offset, size) = part.file_range().unwrap();
            assert!(!ours.contains(&part.name().unwrap()) || offset % 4096 == 0, "{part:?}: {offset} {size}");
            end = part.address() + part.size();
        }
        let headers = file.nt_headers();
        assert_eq!(
            u64::from(headers.optional_header.size_of_image.get(object::LittleEndian)),
            end.next_multiple_of(4096)
        );
        assert_eq!(headers.file_header.time_date_stamp.get(object::LittleEndian), 0);
        let known: [(&str, &[u8]); 6] = [
            (".osrel", OS_RELEASE.as_bytes()),
            (".cmdline", uki.cmdline.as_bytes()),
            (".uname", uki.uname.as_bytes()),
            (".linux", &linux),
            (".initrd", uki.initrd),
            (".sbat", SBAT),
        ];
        for (name, contents) in known {
            assert_eq!(section(&bytes, name), Some(contents), "{name}");
            let theirs = file.section_by_name(name).unwrap();
            assert_eq!(&theirs.data().unwrap()[..contents.len()], contents, "{name}");
        }
        assert_eq!(section(&bytes, ".dtbauto"), Some(&b"tree one"[..]));
        assert_eq!(section(&bytes, ".pcrsig"), None);
    }
}

#[test]
fn objdump_lists_the_sections() {
    let Some(objdump) = oracle::tool("objdump_lists_the_sections", "objdump") else { return };
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("uki.efi");
    // An objdump for one architecture does not know the other's images.
    let arch = if cfg!(target_arch = "aarch64") { Arch::Aarch64 } else { Arch::X86_64 };
    fs::write(&path, sample(arch)).unwrap();
    let said = oracle::run(objdump.command().arg("-h").arg(&path));
    for (name, size) in [(".osrel", OS_RELEASE.len()), (".cmdline", 22), (".uname", 20), (".initrd", 5000)] {
        let line = said.lines().find(|line| line.contains(name)).unwrap();
        assert!(line.contains(&format!("{size:08x}")), "{line}");
    }
}

#[test]
fn signers_accept_the_image_and_agree_on_its_digest() {
    let test = "signers_accept_the_image_and_agree_on_its_digest";
    let tools = ["openssl", "sbsign", "sbverify"].map(|name| oracle::tool(test, name));
    let [Some(openssl), Some(sbsign), Some(sbverify)] = tools else { return };
    let scratch = tempfile::tempdir().unwrap();
    let at = |name: &str| scratch.path().join(name);
    let mut key = openssl.command();
    key.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=test", "-days", "2"]);
    oracle::run(key.arg("-keyout").arg(at("key")).arg("-out").arg(at("cert")));
    let mut images = vec![sample(Arch::X86_64), sample(Arch::Aarch64)];
    images.extend(
        real_stub(test).map(|(arch, stub)| uki(&stub, &self::stub(machine(arch), 0x400)).assemble().unwrap()),
    );
    for image in images {
        fs::write(at("uki"), &image).unwrap();
        let mut sign = sbsign.command();
        sign.arg("--key").arg(at("key")).arg("--cert").arg(at("cert"));
        let said = oracle::run(sign.arg("--output").arg(at("signed")).arg(at("uki")));
        assert!(!said.to_lowercase().contains("warning"), "{said}");
        let said = oracle::run(sbverify.command().arg("--cert").arg(at("cert")).arg(at("signed")));
        assert!(said.contains("Signature verification OK"), "{said}");
        let signed = fs::read(at("signed")).unwrap();
        let digest = authenticode_digest(&image).unwrap();
        assert_eq!(authenticode_digest(&signed).unwrap(), digest);
        // The certificate table holds the digest that the signer found.
        let table = &signed[image.len()..];
        assert!(table.windows(32).any(|window| window == digest.0), "{digest}");
        assert!(matches!(append(&signed, &[], true), Err(PeError::Signed { .. })));
    }
}

#[test]
fn the_checksum_is_the_one_that_osslsigncode_finds() {
    let test = "the_checksum_is_the_one_that_osslsigncode_finds";
    let Some(osslsigncode) = oracle::tool(test, "osslsigncode") else { return };
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("uki.efi");
    for arch in Arch::ALL {
        let mut bytes = sample(arch);
        let sum = format!("{:08X}", checksum(&bytes).unwrap());
        let verify = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            // It fails, since there is no signature, but says what it found first.
            let output = osslsigncode.command().arg("verify").arg("-in").arg(&path).output().unwrap();
            [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat()
        };
        let said = verify(&bytes);
        assert!(
            said.contains(&format!("PE checksum   : {sum}")) && !said.contains("Calculated"),
            "{sum}: {said}"
        );
        bytes[0x40 + 24 + 64] ^= 1;
        let said = verify(&bytes);
        assert!(said.contains(&format!("Calculated PE checksum: {sum}")), "{sum}: {said}");
    }
}

#[test]
fn ukify_makes_the_same_sections() {
    let test = "ukify_makes_the_same_sections";
    let Some((arch, stub)) = real_stub(test) else { return };
    let path = format!("/usr/lib/systemd/boot/efi/linux{}.efi.stub", arch.efi());
    // Not in Debian 12, so not asked for by CI.
    if std::process::Command::new("ukify").arg("--version").output().is_err() {
        oracle::skipped(test, "ukify");
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let at = |name: &str| scratch.path().join(name);
    let linux = self::stub(machine(arch), 0x400);
    let uki = uki(&stub, &linux);
    for (name, bytes) in [("linux", uki.linux), ("initrd", uki.initrd), ("osrel", uki.os_release.as_bytes())]
    {
        fs::write(at(name), bytes).unwrap();
    }
    let mut ukify = std::process::Command::new("ukify");
    ukify.args(["build", "--efi-arch", arch.efi(), "--stub", &path, "--cmdline", uki.cmdline]);
    ukify.args(["--uname", uki.uname]).arg("--linux").arg(at("linux")).arg("--initrd").arg(at("initrd"));
    ukify.arg("--os-release").arg(format!("@{}", at("osrel").display())).arg("--output").arg(at("uki"));
    oracle::run(&mut ukify);
    let (ours, theirs) = (uki.assemble().unwrap(), fs::read(at("uki")).unwrap());
    // Ours begin at whole blocks of the file, and `.sbat` is the stub's, where ukify merges in the kernel's.
    let sections = |bytes: &[u8]| -> Vec<_> {
        let image = Image::parse(bytes).unwrap();
        let kept = image.sections().iter().filter(|section| section.name != ".sbat");
        kept.map(|it| (it.name.clone(), it.address, it.virtual_size, it.characteristics, it.bytes.to_vec()))
            .collect()
    };
    assert!(sections(&ours) == sections(&theirs));
}

#[test]
fn the_same_parts_are_the_same_bytes() {
    assert_eq!(
        Digest::of(&sample(Arch::X86_64)).to_string(),
        "3a71543cb41b40fadfcf6099040f4a79af082f4eeaabc55c709f473ac2768c30"
    );
    assert_eq!(
        Digest::of(&sample(Arch::Aarch64)).to_string(),
        "e5cda72a882a2a982bceb9ca2890d87736e30cc82415c9a894b429866c8f6865"
    );
}

#[test]
fn a_kernel_that_needs_writable_code_takes_the_promise_away() {
    let stub = stub(0x8664, 0x600);
    let mut linux = self::stub(0x8664, 0x400);
    let flags = |bytes: &[u8]| u16::from_le_bytes([bytes[0x40 + 24 + 70], bytes[0x40 + 24 + 71]]);
    assert_eq!(flags(&uki(&stub, &linux).assemble().unwrap()), 0x160);
    linux[0x40 + 24 + 71] = 0;
    assert_eq!(flags(&uki(&stub, &linux).assemble().unwrap()), 0x060);
}

#[test]
fn what_cannot_boot_is_refused() {
    let (stub, linux) = (stub(0x8664, 0x600), stub(0x8664, 0x400));
    let good = uki(&stub, &linux);
    let arm = self::stub(0xaa64, 0x400);
    let tight = self::stub(0x8664, 0x200);
    let mut symbols = stub.clone();
    symbols[0x40 + 4 + 8] = 9;
    let table: [(Uki<'_>, &str); 10] = [
        (Uki { linux: &arm, ..good }, "pe: the stub is for machine 0x8664 and the kernel for 0xaa64"),
        (Uki { linux: b"\x1f\x8b", ..good }, "pe: no `MZ` at offset 0 of 2"),
        (Uki { stub: &tight, ..good }, "pe: the stub has room for 2 more sections, and 5 are wanted"),
        (Uki { stub: &symbols, ..good }, "pe: the stub has a symbol table at offset 9: strip it"),
        (Uki { stub: &stub[..0x700], ..good }, "pe: no more bytes at offset 1536 of 1792"),
        (Uki { cmdline: "", ..good }, "uki: the command line is empty"),
        (Uki { cmdline: "a\nb", ..good }, "uki: the command line has a control character"),
        (Uki { os_release: "a\0", ..good }, "uki: the os-release has a control character"),
        (Uki { initrd: b"", ..good }, "uki: the initrd is empty"),
        (Uki { microcode: Some(b""), ..good }, "uki: the microcode is empty"),
    ];
    for (uki, expected) in table {
        assert_eq!(uki.assemble().unwrap_err().to_string(), expected);
    }
    for (name, expected) in [
        ("", "pe: the section name `` is not 1 to 8 bytes"),
        (".too-long", "pe: the section name `.too-long` is not 1 to 8 bytes"),
        (".sbat", "pe: the section name `.sbat` is in the stub already"),
    ] {
        let section = NewSection { name, kind: Kind::Contents, bytes: b"x" };
        assert_eq!(append(&stub, &[section], true).unwrap_err().to_string(), expected);
    }
}

/// Reads `bytes` in every way there is. What it finds does not matter; that it comes back does.
fn read_everything(bytes: &[u8]) {
    if let Ok(image) = Image::parse(bytes) {
        for section in image.sections() {
            assert!(section.bytes.len() <= bytes.len());
        }
        let added = NewSection { name: ".new", kind: Kind::Contents, bytes: b"x" };
        if let Ok(appended) = append(bytes, &[added], false) {
            assert_eq!(section(&appended, ".new"), Some(&b"x"[..]));
        }
        let _digest: Result<Digest, PeError> = authenticode_digest(bytes);
        checksum(bytes).unwrap();
    } else {
        assert_eq!(section(bytes, ".cmdline"), None);
        assert!(authenticode_digest(bytes).is_err() && checksum(bytes).is_err());
    }
}

proptest! {
    #[test]
    fn readers_survive_arbitrary_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        read_everything(&bytes);
        read_everything(&[b"MZ", &*bytes].concat());
    }

    #[test]
    fn readers_survive_images_with_wrong_headers(
        changes in proptest::collection::vec((0_usize..0x200, prop_oneof![Just(0_u8), Just(1), Just(0x7f), Just(0xff), any::<u8>()]), 1..12),
        length in 0_usize..9000,
    ) {
        let mut bytes = sample(Arch::X86_64);
        for (at, value) in changes {
            bytes[at] = value;
        }
        read_everything(&bytes);
        bytes.truncate(length);
        read_everything(&bytes);
    }
}
