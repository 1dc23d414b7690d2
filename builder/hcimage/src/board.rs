//! Boards: what differs between machines, as data.

use crate::error::Failure;
use contract::Arch;
use serde::Deserialize;
use std::{collections::BTreeMap, path::Path};

const BOARDS: [(&str, &str); 1] = [("uefi", include_str!("../boards/uefi.toml"))];

/// A board.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Board {
    #[serde(skip)]
    pub(crate) name: String,
    cmdline: Vec<String>,
    console: BTreeMap<Arch, Vec<String>>,
    initrd: Initrd,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Initrd {
    load: Vec<String>,
    carry: Vec<String>,
    x86_64: Modules,
    aarch64: Modules,
}

/// What one architecture adds.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Modules {
    load: Vec<String>,
    carry: Vec<String>,
}

impl Initrd {
    const fn of(&self, arch: Arch) -> &Modules {
        match arch {
            Arch::X86_64 => &self.x86_64,
            Arch::Aarch64 => &self.aarch64,
        }
    }
}

impl Board {
    /// The board with this name.
    pub(crate) fn named(name: &str) -> Result<Self, Failure> {
        let Some((_, text)) = BOARDS.iter().find(|(known, _)| *known == name) else {
            let known = BOARDS.map(|(known, _)| known).join(", ");
            return Err(Failure::refused(format!("board `{name}` is unknown; there are: {known}")));
        };
        let file = Path::new("boards").join(format!("{name}.toml"));
        let board: Self = crate::config::parse::toml(&file, text)?;
        Ok(Self { name: name.to_owned(), ..board })
    }

    /// The kernel's command line without the root hash, which comes first and is known last.
    pub(crate) fn cmdline(&self, arch: Arch) -> Vec<String> {
        self.console.get(&arch).into_iter().flatten().chain(&self.cmdline).cloned().collect()
    }

    /// Modules that the initrd loads at every boot, in this order.
    pub(crate) fn modules_loaded(&self, arch: Arch) -> Vec<String> {
        [&self.initrd.of(arch).load[..], &self.initrd.load].concat()
    }

    /// Modules that the initrd carries: those loaded at every boot, and those that the hardware may ask for.
    pub(crate) fn modules_carried(&self, arch: Arch) -> Vec<String> {
        let of_arch = self.initrd.of(arch);
        [&of_arch.load[..], &self.initrd.load, &self.initrd.carry, &of_arch.carry].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_board_parses_and_has_a_console_for_each_architecture() {
        for (name, _) in BOARDS {
            let board = Board::named(name).unwrap();
            for arch in Arch::ALL {
                assert!(board.cmdline(arch).iter().any(|word| word.starts_with("console=")), "{name} {arch}");
            }
        }
        let error = Board::named("toaster").unwrap_err().to_string();
        assert_eq!(error, "board `toaster` is unknown; there are: uefi");
    }
}
