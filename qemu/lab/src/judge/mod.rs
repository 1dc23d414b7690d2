//! What a machine would boot from a medium, found out without booting: firmware, loader, kernel image, slot, hash tree.

pub(crate) mod fat;
pub(crate) mod gpt;
pub(crate) mod loader;
pub mod pe;
pub mod verity;

use crate::Medium;
use fat::{Fat, Node};
use gpt::Partition;
use loader::Entry;
use sha2::{Digest as _, Sha256};
use std::{
    collections::{HashMap, hash_map},
    ops::Range,
};

/// The type of the partition that firmware starts from.
const ESP: [u8; 16] = 0xc12a7328_f81f_11d2_ba4b_00a0c93ec93b_u128.to_be_bytes();
/// So many boots after each other are followed.
const BOOTS: usize = 12;

/// The two releases between which an update goes, by their root hashes, and the kernel images that belong to them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Releases {
    /// Root hash and SHA-256 of the kernel image of the release that runs.
    pub old: ([u8; 32], [u8; 32]),
    /// The same of the release that comes.
    pub new: ([u8; 32], [u8; 32]),
}

/// What becomes of a machine that is switched on with this medium.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It starts the release of before.
    Old,
    /// It starts the new release.
    New,
    /// It does not start, or something that nobody signed.
    Lost(String),
}

/// One start of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boot {
    /// The loader's entry.
    pub entry: Entry,
    /// Which release that is.
    pub verdict: Verdict,
}

/// Judges media. It remembers what it has seen, so that a thousand states of one walk cost little more than one.
#[derive(Debug)]
pub struct Judge {
    releases: Releases,
    /// SHA-256 of the boot loader that every state must have.
    loader: [u8; 32],
    program: &'static str,
    digests: HashMap<Vec<u64>, [u8; 32]>,
    roots: HashMap<(u64, u64, [u8; 32]), Result<(), String>>,
    texts: HashMap<[u8; 32], Option<String>>,
}

impl Judge {
    /// A judge of an update from `healthy`, whose boot loader (`BOOTX64.EFI` or `BOOTAA64.EFI`) must stay as it is.
    ///
    /// # Errors
    /// When there is no loader in `healthy`.
    pub fn new(healthy: &dyn Medium, releases: Releases) -> Result<Self, String> {
        let esp = boot_partition(&gpt::partitions(healthy)?)?.extent.clone();
        let fat = Fat::open(healthy, &esp)?;
        for program in ["EFI/BOOT/BOOTX64.EFI", "EFI/BOOT/BOOTAA64.EFI"] {
            if let Some(node) = fat.find(program)? {
                let loader = Sha256::digest(fat.read(&node)?).into();
                let (digests, roots, texts) = (HashMap::new(), HashMap::new(), HashMap::new());
                return Ok(Self { releases, loader, program, digests, roots, texts });
            }
        }
        Err("there is no EFI/BOOT/BOOT*.EFI".into())
    }

    /// What the next start gives.
    pub fn verdict(&mut self, medium: &dyn Medium) -> Verdict {
        let boots = self.boots(medium).unwrap_or_else(|why| vec![Err(why)]);
        let mut first = None;
        for boot in boots {
            match boot {
                Err(why) => return Verdict::Lost(why),
                Ok(Boot { verdict: Verdict::Lost(why), .. }) => return Verdict::Lost(why),
                Ok(boot) => first = first.or(Some(boot.verdict)),
            }
        }
        first.unwrap_or_else(|| Verdict::Lost("nothing is started".into()))
    }

    /// The starts one after the other, if every one of them fails: the loader counts, until nothing changes any more.
    ///
    /// # Errors
    /// When the loader itself is not reached.
    pub fn boots(&mut self, medium: &dyn Medium) -> Result<Vec<Result<Boot, String>>, String> {
        let partitions = gpt::partitions(medium)?;
        let fat = Fat::open(medium, &boot_partition(&partitions)?.extent)?;
        let program = fat.find(self.program)?.ok_or_else(|| format!("there is no {}", self.program))?;
        if self.digest(medium, &fat, &program)? != self.loader {
            return Err(format!("{} is not the loader of before", self.program));
        }
        let mut entries = self.menu(medium, &fat)?;
        let mut boots = Vec::new();
        for _ in 0..BOOTS {
            let Some(entry) = loader::choice(&fat, &entries)? else {
                boots.push(Err("the loader finds nothing to start".into()));
                break;
            };
            boots.push(self.boot(medium, &partitions, &fat, &entry));
            let Some(left) = entry.left.filter(|left| *left > 0) else { break };
            for known in entries.iter_mut().filter(|known| known.file == entry.file) {
                (known.left, known.done) = (Some(left - 1), entry.done + 1);
            }
            loader::order(&mut entries);
        }
        Ok(boots)
    }

    fn menu(&mut self, medium: &dyn Medium, fat: &Fat<'_>) -> Result<Vec<Entry>, String> {
        let mut release = |node: &Node| -> Result<Option<String>, String> {
            let digest = self.digest(medium, fat, node)?;
            match self.texts.entry(digest) {
                hash_map::Entry::Occupied(known) => Ok(known.get().clone()),
                hash_map::Entry::Vacant(new) => Ok(new.insert(pe::text(&fat.read(node)?, ".osrel")).clone()),
            }
        };
        loader::entries_with(fat, &mut release)
    }

    fn boot(
        &mut self,
        medium: &dyn Medium,
        partitions: &[Partition],
        fat: &Fat<'_>,
        entry: &Entry,
    ) -> Result<Boot, String> {
        let said = |why: String| format!("{}: {why}", entry.file);
        let node =
            fat.find(&entry.program).map_err(said)?.ok_or_else(|| said("its program is gone".into()))?;
        let image = self.digest(medium, fat, &node).map_err(said)?;
        let (old, new) = (self.releases.old, self.releases.new);
        let (root, verdict) = match image {
            image if image == old.1 => (old.0, Verdict::Old),
            image if image == new.1 => (new.0, Verdict::New),
            _ => return Err(said(format!("{} is of no signed release", entry.program))),
        };
        let find = |half: &[u8]| partitions.iter().find(|partition| partition.guid == half);
        let (Some(data), Some(hash)) = (find(&root[..16]), find(&root[16..])) else {
            return Err(said("no slot belongs to its root hash".into()));
        };
        self.root(medium, &data.extent, &hash.extent, &root).map_err(said)?;
        Ok(Boot { entry: entry.clone(), verdict })
    }

    /// The hash tree of a slot, computed once for each content.
    fn root(
        &mut self,
        medium: &dyn Medium,
        data: &Range<u64>,
        hash: &Range<u64>,
        root: &[u8; 32],
    ) -> Result<(), String> {
        let (Some(first), Some(second)) =
            (medium.fingerprint(data.clone()), medium.fingerprint(hash.clone()))
        else {
            return verity::verify(medium, data, hash, root);
        };
        let key = (first, second, *root);
        if let Some(known) = self.roots.get(&key) {
            return known.clone();
        }
        let outcome = verity::verify(medium, data, hash, root);
        self.roots.insert(key, outcome.clone());
        outcome
    }

    fn digest(&mut self, medium: &dyn Medium, fat: &Fat<'_>, node: &Node) -> Result<[u8; 32], String> {
        let extents = fat.extents(node)?;
        let key: Option<Vec<u64>> = extents.iter().map(|extent| medium.fingerprint(extent.clone())).collect();
        if let Some(known) = key.as_ref().and_then(|key| self.digests.get(key)) {
            return Ok(*known);
        }
        let digest = Sha256::digest(fat.read(node)?).into();
        if let Some(key) = key {
            self.digests.insert(key, digest);
        }
        Ok(digest)
    }
}

fn boot_partition(partitions: &[Partition]) -> Result<&Partition, String> {
    partitions
        .iter()
        .find(|partition| partition.kind == ESP)
        .ok_or_else(|| "there is no boot partition".into())
}

/// SHA-256 of the kernel image in a file of a boot partition, to make [`Releases`] with.
///
/// # Errors
/// When it is not there.
pub fn image_digest(medium: &dyn Medium, path: &str) -> Result<[u8; 32], String> {
    let esp = boot_partition(&gpt::partitions(medium)?)?.extent.clone();
    let fat = Fat::open(medium, &esp)?;
    let node = fat.find(path)?.ok_or_else(|| format!("there is no {path}"))?;
    Ok(Sha256::digest(fat.read(&node)?).into())
}
