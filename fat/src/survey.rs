//! What the paths of a volume reach.

use crate::{Entry, FatError, Fault, ReadAt, Volume, entry};

/// The deepest directory that is looked at.
const DEPTH: usize = 32;
/// The most files and directories that are looked at.
const ENTRIES: usize = 1 << 20;
/// The most faults that are kept.
const FAULTS: usize = 256;

/// All files and directories, and what is wrong with them.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// Path and entry of each, a directory before what it holds.
    pub entries: Vec<(String, Entry)>,
    /// What is wrong.
    pub faults: Vec<Fault>,
    /// Whether a path reaches the cluster.
    pub(crate) used: Vec<bool>,
}

impl Survey {
    fn fault(&mut self, fault: Fault) {
        if self.faults.len() < FAULTS {
            self.faults.push(fault);
        }
    }

    /// Marks clusters as used; whether all of them were not.
    fn mark(&mut self, path: &str, clusters: &[u32]) -> bool {
        let mut own = true;
        for cluster in clusters {
            let Some(used) = self.used.get_mut(*cluster as usize) else { continue };
            if std::mem::replace(used, true) {
                own = false;
                self.fault(Fault::Shared { path: path.to_owned(), cluster: *cluster });
            }
        }
        own
    }
}

impl<S: ReadAt> Volume<S> {
    /// Follows every path. No damage stops it.
    ///
    /// # Errors
    /// When the source cannot be read.
    pub fn survey(&self) -> Result<Survey, FatError> {
        let mut survey = Survey { used: vec![false; self.table.len()], ..Survey::default() };
        let mut pending = vec![(String::new(), self.boot.root, 0)];
        while let Some((path, cluster, depth)) = pending.pop() {
            let directory = match self.directory_at(&path, cluster) {
                Ok(directory) => directory,
                Err(FatError::Damaged(fault)) => {
                    survey.fault(fault);
                    continue;
                }
                Err(other) => return Err(other),
            };
            // A directory that was seen is not entered again: there is no way to go round for ever.
            if !survey.mark(&path, &directory.clusters) {
                continue;
            }
            let found = entry::list(&directory.raw);
            if found.odd {
                survey.fault(Fault::Entry { path: path.clone() });
            }
            if depth >= DEPTH || survey.entries.len() + found.entries.len() > ENTRIES {
                survey.fault(Fault::Limit { path });
                continue;
            }
            for entry in found.entries {
                let path =
                    if path.is_empty() { entry.name.clone() } else { format!("{path}/{}", entry.name) };
                if entry.directory {
                    pending.push((path.clone(), entry.cluster, depth + 1));
                } else {
                    match self.file_chain(&path, &entry) {
                        Ok(clusters) => {
                            survey.mark(&path, &clusters);
                        }
                        Err(FatError::Damaged(fault)) => survey.fault(fault),
                        Err(other) => return Err(other),
                    }
                }
                survey.entries.push((path, entry));
            }
        }
        Ok(survey)
    }
}
