//! The packages of the smallest image: made here, alike on every machine.

use super::mirror::Archive;
use archive::testing::{FakeDeb, FakeEntry, compress};
use contract::Arch;
use std::collections::BTreeSet;

/// The kernel's release on every architecture.
pub(crate) const KERNEL: &str = "6.12.1-test";

/// Modules that are files; all others of the board are built in.
const MODULES: [(&str, &str); 3] = [
    ("kernel/fs/erofs/erofs.ko", ""),
    ("kernel/drivers/md/dm-verity.ko.xz", "dm-bufio"),
    ("kernel/drivers/md/dm-bufio.ko.zst", ""),
];

/// A package with these entries and the directories above them.
pub(crate) fn package(name: &str, version: &str, entries: Vec<FakeEntry>) -> FakeDeb {
    let mut package = FakeDeb::new(name, version);
    package.fields =
        "Priority: optional\nMaintainer: Test <test@example.org>\nDescription: a test\n".to_owned();
    let mut known: BTreeSet<String> = entries
        .iter()
        .filter(|entry| entry.kind != b'0')
        .map(|entry| entry.path.trim_end_matches('/').to_owned())
        .collect();
    for entry in entries {
        let above: Vec<usize> = entry.path.match_indices('/').map(|(at, _)| at).skip(1).collect();
        for at in above {
            let parent = &entry.path[..at];
            if at + 1 < entry.path.len() && known.insert(parent.to_owned()) {
                package.entries.push(FakeEntry::dir(&format!("{parent}/")));
            }
        }
        package.entries.push(entry);
    }
    package
}

fn with_mode(mode: u32, entry: FakeEntry) -> FakeEntry {
    FakeEntry { owner: (mode, entry.owner.1, entry.owner.2), ..entry }
}

/// The archive of the smallest image.
pub(crate) fn archive() -> Archive {
    let mut archive = Archive::default();
    let suite = "trixie";
    let mut base = package(
        "base-files",
        "13.7",
        vec![
            FakeEntry::dir("./usr/bin/"),
            FakeEntry::dir("./usr/sbin/"),
            FakeEntry::dir("./usr/lib64/"),
            FakeEntry::symlink("./bin", "usr/bin"),
            FakeEntry::symlink("./lib", "usr/lib"),
            FakeEntry::symlink("./lib64", "usr/lib64"),
            FakeEntry::symlink("./sbin", "usr/sbin"),
            FakeEntry::file("./usr/lib/os-release", b"ID=debian\nVERSION_ID=\"13\"\n"),
            FakeEntry::symlink("./etc/os-release", "../usr/lib/os-release"),
            FakeEntry::file("./etc/debian_version", b"13.7\n"),
            with_mode(0o1777, FakeEntry::dir("./tmp/")),
            FakeEntry::dir("./var/log/"),
        ],
    );
    base.fields.insert_str(0, "Essential: yes\n");
    archive.add(suite, base);
    archive.add(
        suite,
        package(
            "base-passwd",
            "3.6.7",
            vec![
                FakeEntry::file(
                    "./usr/share/base-passwd/passwd.master",
                    b"root::0:0:root:/root:/bin/bash\nnobody:*:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
                ),
                FakeEntry::file("./usr/share/base-passwd/group.master", b"root:*:0:\ntty:*:5:\nshadow:*:42:\nnogroup:*:65534:\n"),
            ],
        ),
    );
    for arch in Arch::ALL {
        for package in of_arch(arch) {
            archive.add(suite, FakeDeb { arch: arch.debian().to_owned(), ..package });
        }
    }
    archive.add(suite, hello("1.0-1"));
    archive.add(
        "trixie-security",
        package("libgreet", "2.1", vec![FakeEntry::file("./usr/share/greet", b"hi\n")]),
    );
    archive
}

/// A package with one of everything that a file can be.
pub(crate) fn hello(version: &str) -> FakeDeb {
    let text: Vec<u8> = (0..40_000_u32).flat_map(|line| format!("line {line}\n").into_bytes()).collect();
    let noise: Vec<u8> = (0..9_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let capable = FakeEntry {
        pax: vec![(
            "SCHILY.xattr.security.capability".to_owned(),
            b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec(),
        )],
        ..with_mode(0o755, FakeEntry::file("./usr/bin/hello-ping", b"#!/bin/true\n"))
    };
    let mut package = package(
        "hello",
        version,
        vec![
            with_mode(0o4755, FakeEntry::file("./usr/bin/hello", b"#!/bin/sh\necho hello\n")),
            FakeEntry::hardlink("./usr/bin/hello-again", "./usr/bin/hello"),
            capable,
            FakeEntry { owner: (0o2640, 0, 5), ..FakeEntry::file("./usr/lib/hello/noise", &noise) },
            FakeEntry::file("./usr/lib/hello/text", &text),
            FakeEntry::file("./usr/lib/hello/empty", b""),
            FakeEntry::file("./usr/lib/hello/Grüße", b"\xe2\x98\xba\n"),
            FakeEntry::file("./usr/lib/sysusers.d/hello.conf", b"u _hello - \"Hello\" /var/lib/hello\n"),
            FakeEntry::file("./usr/lib/tmpfiles.d/hello.conf", b"d /etc/hello.d 0750 root _hello\n"),
            FakeEntry::file("./usr/share/doc/hello/README", b"dropped\n"),
            FakeEntry::file("./var/lib/hello/state", b"seeded\n"),
        ],
    );
    package.fields.insert_str(0, "Depends: libgreet (>= 2), base-files\n");
    package
}

fn of_arch(arch: Arch) -> Vec<FakeDeb> {
    let efi = arch.efi();
    let boot = "./usr/lib/systemd/boot/efi";
    let loader = pe(arch, b"the boot loader");
    vec![
        package("libc6", "2.41-12", vec![FakeEntry::file("./etc/ld.so.conf", b"")]),
        package(
            "systemd-boot-efi",
            "257.8-1",
            vec![
                FakeEntry::file(&format!("{boot}/linux{efi}.efi.stub"), &pe(arch, b"the stub")),
                FakeEntry::file(&format!("{boot}/systemd-boot{efi}.efi"), &loader),
            ],
        ),
        kernel(arch),
    ]
}

/// The kernel's package, with all modules that the board loads.
fn kernel(arch: Arch) -> FakeDeb {
    let modules = format!("./usr/lib/modules/{KERNEL}");
    let mut builtin = String::new();
    for name in board_modules() {
        let is_file =
            MODULES.iter().any(|(path, _)| path.contains(&format!("/{}.ko", name.replace('_', "-"))));
        if !is_file {
            builtin += &format!("kernel/builtin/{name}.ko\n");
        }
    }
    let mut entries = vec![
        FakeEntry::file(&format!("./boot/vmlinuz-{KERNEL}"), &pe(arch, b"the kernel")),
        FakeEntry::file(&format!("{modules}/modules.order"), b"kernel/fs/erofs/erofs.ko\n"),
        FakeEntry::file(&format!("{modules}/modules.builtin"), builtin.as_bytes()),
        FakeEntry::file(&format!("{modules}/modules.builtin.modinfo"), b""),
    ];
    for (path, depends) in MODULES {
        let plain = module(arch, &format!("license=GPL\0depends={depends}\0name={path}\0"));
        let packed = path.rfind(".ko").map_or(path, |at| &path[at + 3..]);
        entries.push(FakeEntry::file(&format!("{modules}/{path}"), &compress(packed, &plain)));
    }
    let unused = module(arch, "license=GPL\0alias=usb:v1234p5678d*\0");
    entries.push(FakeEntry::file(&format!("{modules}/kernel/sound/beep.ko"), &unused));
    package("linux-image-test", "6.12.1-1", entries)
}

/// Every name in the board's lists.
fn board_modules() -> BTreeSet<String> {
    let board: toml::Table = include_str!("../../../boards/uefi.toml").parse().unwrap();
    let mut names = BTreeSet::new();
    let mut pending = vec![&board["initrd"]];
    while let Some(value) = pending.pop() {
        match value {
            toml::Value::Table(table) => pending.extend(table.values()),
            toml::Value::Array(words) => pending.extend(words),
            other => drop(names.insert(other.as_str().unwrap().to_owned())),
        }
    }
    names
}

/// A PE32+ image such as systemd's stub is one: headers, one section of code, `.sbat`.
pub(crate) fn pe(arch: Arch, code: &[u8]) -> Vec<u8> {
    const SBAT: &[u8] = b"sbat,1,SBAT Version,sbat,1,https://example.org/\n";
    const HEADERS: u32 = 0x600;
    let machine: u16 = match arch {
        Arch::X86_64 => 0x8664,
        Arch::Aarch64 => 0xaa64,
    };
    let sections: [(&[u8; 8], u32, &[u8], u32); 2] =
        [(b".text\0\0\0", 0x1000, code, 0x6000_0020), (b".sbat\0\0\0", 0x2000, SBAT, 0x4000_0040)];
    let mut bytes = vec![0; 0x40];
    bytes[..2].copy_from_slice(b"MZ");
    bytes[0x3c] = 0x40;
    bytes.extend(b"PE\0\0");
    for field in [machine, 2, 0, 0, 0, 0, 0, 0, 240, 0x022e] {
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
        (60, HEADERS),
        (68, 10 | 0x160 << 16),
        (108, 16),
    ];
    for (at, value) in fields {
        optional[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
    bytes.extend(optional);
    let mut offset = HEADERS;
    for (name, address, contents, flags) in sections {
        let raw = (contents.len() as u32).next_multiple_of(0x200);
        bytes.extend(name);
        for field in [contents.len() as u32, address, raw, offset, 0, 0, 0, flags] {
            bytes.extend(field.to_le_bytes());
        }
        offset += raw;
    }
    bytes.resize(HEADERS as usize, 0);
    for (_, _, contents, _) in sections {
        bytes.extend(contents);
        bytes.resize(bytes.len().next_multiple_of(0x200), 0);
    }
    bytes
}

/// A relocatable ELF object with a `.modinfo` section, as a kernel module has one.
fn module(arch: Arch, modinfo: &str) -> Vec<u8> {
    const NAMES: &[u8] = b"\0.modinfo\0.shstrtab\0";
    let machine: u16 = match arch {
        Arch::X86_64 => 62,
        Arch::Aarch64 => 183,
    };
    let modinfo_at = 64;
    let names_at = modinfo_at + modinfo.len();
    let table_at = (names_at + NAMES.len()).next_multiple_of(8);
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(16, 0);
    bytes.extend([1, 0]);
    bytes.extend(machine.to_le_bytes());
    bytes.extend(1_u32.to_le_bytes());
    bytes.extend([0; 16]);
    bytes.extend((table_at as u64).to_le_bytes());
    bytes.extend([0; 4]);
    for field in [64_u16, 0, 0, 64, 3, 2] {
        bytes.extend(field.to_le_bytes());
    }
    bytes.extend(modinfo.as_bytes());
    bytes.extend(NAMES);
    bytes.resize(table_at + 64, 0);
    for (name, kind, at, size) in [(1_u32, 1_u32, modinfo_at, modinfo.len()), (10, 3, names_at, NAMES.len())]
    {
        bytes.extend(name.to_le_bytes());
        bytes.extend(kind.to_le_bytes());
        bytes.extend([0; 16]);
        bytes.extend((at as u64).to_le_bytes());
        bytes.extend((size as u64).to_le_bytes());
        bytes.extend([0; 8]);
        bytes.extend(1_u64.to_le_bytes());
        bytes.extend([0; 8]);
    }
    bytes
}
