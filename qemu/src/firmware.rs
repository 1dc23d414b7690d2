//! Where distributions put the UEFI firmware that QEMU boots.

use crate::{Error, Result};
use contract::Arch;
use std::path::{Path, PathBuf};

/// A pair of flash images: code, which is only read, and the template of the variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Firmware {
    /// The code, mapped read-only.
    pub code: PathBuf,
    /// The template of the variable store; every machine gets its own copy.
    pub variables: PathBuf,
}

/// Known pairs, best first: without Secure Boot, since our images are signed by nobody that firmware knows.
const KNOWN: &[(Arch, &str, &str)] = &[
    // Debian and Ubuntu: ovmf (only the 4 MiB ones are left in Debian 13)
    (Arch::X86_64, "/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    (Arch::X86_64, "/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
    // Fedora: edk2-ovmf
    (Arch::X86_64, "/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),
    // Arch Linux: edk2-ovmf
    (Arch::X86_64, "/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"),
    // Homebrew, and QEMU's own installation
    (
        Arch::X86_64,
        "/opt/homebrew/share/qemu/edk2-x86_64-code.fd",
        "/opt/homebrew/share/qemu/edk2-i386-vars.fd",
    ),
    (Arch::X86_64, "/usr/local/share/qemu/edk2-x86_64-code.fd", "/usr/local/share/qemu/edk2-i386-vars.fd"),
    // Debian and Ubuntu: qemu-efi-aarch64 (the first only from Debian 13 on)
    (Arch::Aarch64, "/usr/share/AAVMF/AAVMF_CODE.no-secboot.fd", "/usr/share/AAVMF/AAVMF_VARS.fd"),
    (Arch::Aarch64, "/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/AAVMF/AAVMF_VARS.fd"),
    // Fedora: edk2-aarch64
    (
        Arch::Aarch64,
        "/usr/share/edk2/aarch64/QEMU_EFI-silent-pflash.raw",
        "/usr/share/edk2/aarch64/vars-template-pflash.raw",
    ),
    // Arch Linux: edk2-aarch64
    (Arch::Aarch64, "/usr/share/edk2/aarch64/QEMU_CODE.fd", "/usr/share/edk2/aarch64/QEMU_VARS.fd"),
    // Homebrew, and QEMU's own installation
    (
        Arch::Aarch64,
        "/opt/homebrew/share/qemu/edk2-aarch64-code.fd",
        "/opt/homebrew/share/qemu/edk2-arm-vars.fd",
    ),
    (Arch::Aarch64, "/usr/local/share/qemu/edk2-aarch64-code.fd", "/usr/local/share/qemu/edk2-arm-vars.fd"),
];

impl Firmware {
    /// The first known pair for `arch` that is installed here.
    pub fn find(arch: Arch) -> Result<Self> {
        Self::find_with(arch, Path::is_file)
    }

    fn find_with(arch: Arch, is_file: impl Fn(&Path) -> bool) -> Result<Self> {
        let known = || KNOWN.iter().filter(|(known, ..)| *known == arch);
        known()
            .map(|(_, code, variables)| Self { code: code.into(), variables: variables.into() })
            .find(|pair| is_file(&pair.code) && is_file(&pair.variables))
            .ok_or_else(|| Error::MissingFirmware {
                arch,
                package: match arch {
                    Arch::X86_64 => "ovmf (Debian, Ubuntu) or edk2-ovmf (Fedora, Arch Linux)",
                    Arch::Aarch64 => "qemu-efi-aarch64 (Debian, Ubuntu) or edk2-aarch64 (Fedora, Arch Linux)",
                },
                looked: known().map(|(_, code, _)| *code).collect::<Vec<_>>().join(", "),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_without_its_variables_is_passed_over() {
        let lone = "/usr/share/OVMF/OVMF_CODE_4M.fd";
        let found = Firmware::find_with(Arch::X86_64, |path| {
            path == Path::new(lone) || path.starts_with("/usr/share/edk2/ovmf")
        });
        assert_eq!(found.unwrap().code, Path::new("/usr/share/edk2/ovmf/OVMF_CODE.fd"));
    }

    #[test]
    fn missing_firmware_names_the_package_and_where_it_was_looked_for() {
        for (arch, package) in [(Arch::X86_64, "ovmf"), (Arch::Aarch64, "qemu-efi-aarch64")] {
            let error = Firmware::find_with(arch, |_| false).unwrap_err();
            assert!(error.is_missing());
            let text = error.to_string();
            assert!(text.contains(package) && text.contains("/usr/share/"), "{text}");
            assert_eq!(text.matches("aarch64-code").count(), if arch == Arch::X86_64 { 0 } else { 2 });
        }
    }
}
