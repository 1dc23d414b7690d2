//! What is known of kernel modules, remembered between builds: reading them takes longer than all other
//! effects together.

use super::unpack::Unpacked;
use crate::error::Failure;
use contract::Digest;
use std::{collections::BTreeMap, sync::Mutex};
use store::Cache;
use tree::kernel::FactsCache;

/// Facts by the digest of a module's file; one memory for each version of the kernel's package.
#[derive(Debug)]
pub(crate) struct RememberedFacts {
    key: Digest,
    known: Mutex<(BTreeMap<String, String>, bool)>,
}

impl RememberedFacts {
    /// Recalls what is known for the kernel among `packages`.
    pub(crate) fn open(cache: &Cache, packages: &[Unpacked]) -> Result<Self, Failure> {
        let kernels = packages.iter().filter(|package| package.name.starts_with("linux-image-"));
        let names: Vec<String> =
            kernels.map(|package| format!("{} {} {}", package.name, package.version, package.arch)).collect();
        let key = Digest::of_fields([&b"module-facts-1"[..], names.join("\n").as_bytes()]);
        // A memory that cannot be read is none: the facts are read from the modules again.
        let known = cache.recall(&key)?.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Ok(Self { key, known: Mutex::new((known.unwrap_or_default(), false)) })
    }

    /// Remembers what was learnt.
    pub(crate) fn close(self, cache: &Cache) -> Result<(), Failure> {
        let (known, learnt) = self.known.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        if learnt {
            let bytes = serde_json::to_vec(&known).map_err(|error| Failure::refused(error.to_string()))?;
            cache.remember(&self.key, &bytes)?;
        }
        Ok(())
    }
}

impl FactsCache for RememberedFacts {
    fn get(&self, file: &Digest) -> Option<Vec<u8>> {
        let known = self.known.lock().ok()?;
        hex::decode(known.0.get(&file.to_string())?).ok()
    }

    fn put(&self, file: &Digest, facts: Vec<u8>) {
        if let Ok(mut known) = self.known.lock() {
            known.0.insert(file.to_string(), hex::encode(facts));
            known.1 = true;
        }
    }
}
