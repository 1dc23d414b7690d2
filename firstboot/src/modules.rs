//! Kernel modules as depmod describes them: which one drives a device, and what must be loaded before it.
//!
//! Source: `modules.dep(5)`, `depmod.d(5)`. Names are compared with `-` and `_` taken as equal, as kmod does.

mod glob;

use std::collections::{BTreeMap, BTreeSet};

/// A module that the initrd carries.
#[derive(Debug, PartialEq, Eq)]
struct Module {
    /// Path below `/lib/modules/<release>`.
    path: String,
    /// Names of the modules that it needs.
    needs: Vec<String>,
}

/// The initrd's modules.
#[derive(Debug, Default)]
pub struct Index {
    modules: BTreeMap<String, Module>,
    /// Patterns and module names by bus, the part of an alias before the first `:`.
    aliases: BTreeMap<String, Vec<(String, String)>>,
    /// Modules that should be loaded before another one, if they can be.
    before: BTreeMap<String, Vec<String>>,
    builtin: BTreeSet<String>,
}

/// A module to load.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Step<'i> {
    /// Its name, with `_`.
    pub name: &'i str,
    /// Path below `/lib/modules/<release>`.
    pub path: &'i str,
}

/// What loading a module takes.
#[derive(Debug, PartialEq, Eq)]
pub enum Order<'i> {
    /// It is part of the kernel.
    Builtin,
    /// The initrd has no module of this name.
    Unknown,
    /// Load these, in this order; the last one is the module itself.
    Load(Vec<Step<'i>>),
}

impl Index {
    /// The index from the texts of `modules.dep`, `modules.alias`, `modules.softdep` and `modules.builtin`. Lines of
    /// other kinds are depmod's comments and are left out.
    #[must_use]
    pub fn parse(dep: &str, alias: &str, softdep: &str, builtin: &str) -> Self {
        let mut index = Self::default();
        for (path, needs) in dep.lines().filter_map(|line| line.split_once(':')) {
            let needs = needs.split_ascii_whitespace().map(name).collect();
            index.modules.insert(name(path), Module { path: path.to_owned(), needs });
        }
        for line in alias.lines() {
            if let ["alias", pattern, module] = line.split_ascii_whitespace().collect::<Vec<_>>()[..] {
                let pattern = glob::normalised(pattern);
                let bus = bus(&pattern).to_owned();
                index.aliases.entry(bus).or_default().push((pattern, name(module)));
            }
        }
        for line in softdep.lines().filter_map(|line| line.strip_prefix("softdep ")) {
            let mut words = line.split_ascii_whitespace();
            if let Some(module) = words.next() {
                let before =
                    words.skip_while(|word| *word != "pre:").skip(1).take_while(|word| *word != "post:");
                index.before.entry(name(module)).or_default().extend(before.map(name));
            }
        }
        index.builtin = builtin.lines().map(name).collect();
        index
    }

    /// Names of the modules that drive the device which calls itself `modalias`.
    pub fn drivers(&self, modalias: &str) -> impl Iterator<Item = &str> {
        let modalias = glob::normalised(modalias);
        let of_bus = self.aliases.get(bus(&modalias)).map(Vec::as_slice).unwrap_or_default();
        of_bus
            .iter()
            .filter(move |(pattern, _)| glob::matches(pattern.as_bytes(), modalias.as_bytes()))
            .map(|(_, module)| module.as_str())
    }

    /// How to load the module `wanted`.
    #[must_use]
    pub fn order(&self, wanted: &str) -> Order<'_> {
        let wanted = name(wanted);
        if !self.modules.contains_key(&wanted) {
            return if self.builtin.contains(&wanted) { Order::Builtin } else { Order::Unknown };
        }
        let mut steps = Vec::new();
        self.collect(&wanted, &mut BTreeSet::new(), &mut steps);
        Order::Load(steps)
    }

    /// Depth first; `seen` ends circles, which soft dependencies may have.
    fn collect<'i>(&'i self, wanted: &str, seen: &mut BTreeSet<String>, steps: &mut Vec<Step<'i>>) {
        let Some((name, module)) = self.modules.get_key_value(wanted) else {
            // A soft dependency may name an alias, such as `crc32c` for whatever computes it.
            self.drivers(wanted).for_each(|driver| self.collect(driver, seen, steps));
            return;
        };
        if !seen.insert(name.clone()) {
            return;
        }
        let before = self.before.get(name).map(Vec::as_slice).unwrap_or_default();
        // modules.dep lists a module's needs with the deepest last.
        for need in before.iter().chain(module.needs.iter().rev()) {
            self.collect(need, seen, steps);
        }
        steps.push(Step { name, path: &module.path });
    }

    /// Number of modules in the initrd.
    #[must_use]
    pub fn len(&self) -> usize {
        self.modules.len()
    }

    /// Whether the initrd carries no module.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.modules.is_empty()
    }
}

/// A module's name from its path or any spelling of it.
fn name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    let stem = file.split_once(".ko").map_or(file, |(stem, _)| stem);
    stem.replace('-', "_")
}

fn bus(alias: &str) -> &str {
    alias.split_once(':').map_or(alias, |(bus, _)| bus)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEP: &str = "kernel/fs/ext4/ext4.ko: kernel/fs/jbd2/jbd2.ko kernel/fs/mbcache.ko\n\
        kernel/fs/jbd2/jbd2.ko:\nkernel/fs/mbcache.ko:\nkernel/crypto/crc32c-intel.ko:\n\
        kernel/drivers/nvme/host/nvme.ko: kernel/drivers/nvme/host/nvme-core.ko\nkernel/drivers/nvme/host/nvme-core.ko:\n\
        kernel/drivers/ata/ahci.ko: kernel/drivers/ata/libahci.ko kernel/drivers/ata/libata.ko\n\
        kernel/drivers/ata/libahci.ko: kernel/drivers/ata/libata.ko\nkernel/drivers/ata/libata.ko:\n";
    const ALIAS: &str = "# Aliases extracted from modules themselves.\n\
        alias pci:v*d*sv*sd*bc01sc08i02* nvme\nalias pci:v00008086d00002652sv*sd*bc*sc*i* ahci\n\
        alias of:N*T*Cbrcm,bcm2835_sdhost bcm2835\nalias usb:v054Cp0010d0[4-5]*dc* ums-x\n\
        alias crc32c crc32c_intel\n";

    fn index() -> Index {
        Index::parse(DEP, ALIAS, "softdep ext4 pre: crc32c gone post: nvme\n", "kernel/fs/vfat.ko\n")
    }

    fn names(order: Order<'_>) -> Vec<String> {
        match order {
            Order::Load(steps) => steps.iter().map(|step| step.name.to_owned()).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn needs_come_first_and_soft_needs_before_them() {
        let index = index();
        assert_eq!(names(index.order("ext4")), ["crc32c_intel", "mbcache", "jbd2", "ext4"]);
        assert_eq!(names(index.order("ahci")), ["libata", "libahci", "ahci"]);
        let Order::Load(steps) = index.order("nvme-core") else { panic!("nvme-core is a module") };
        assert_eq!(steps, [Step { name: "nvme_core", path: "kernel/drivers/nvme/host/nvme-core.ko" }]);
        assert_eq!((index.order("vfat"), index.order("zfs")), (Order::Builtin, Order::Unknown));
    }

    #[test]
    fn devices_find_their_drivers() {
        let index = index();
        let drivers = |alias: &str| index.drivers(alias).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(drivers("pci:v00001B36d00000010sv00001AF4sd00001100bc01sc08i02"), ["nvme"]);
        assert_eq!(drivers("pci:v00008086d00002652sv00000000sd00000000bc01sc06i01"), ["ahci"]);
        assert_eq!(drivers("of:NmmcT(null)Cbrcm,bcm2835-sdhost"), ["bcm2835"]);
        assert_eq!(drivers("usb:v054Cp0010d0430dc00"), ["ums_x"]);
        assert!(drivers("usb:v054Cp0010d0630dc00").is_empty() && drivers("virtio:d1v1").is_empty());
    }

    #[test]
    fn circles_end() {
        let index = Index::parse("a.ko: b.ko\nb.ko: a.ko\n", "", "softdep b pre: a\n", "");
        assert_eq!(names(index.order("a")), ["b", "a"]);
    }
}
