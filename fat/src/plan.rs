//! Ordered sector writes with flush barriers, as values.

use crate::{SECTOR, Sector};
use std::io;

/// The most bytes that [`Plan::apply`] writes at once.
const RUN: usize = 1 << 20;

/// One step of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A sector gets these bytes.
    Write {
        /// Its number on the volume.
        sector: u64,
        /// Its bytes.
        bytes: Box<Sector>,
    },
    /// Everything before it is on the medium before anything after it is written.
    Flush,
}

/// What an edit does to a volume, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The steps. The last one is a flush, if there are any.
    pub steps: Vec<Step>,
}

/// Where a plan is carried out.
pub trait WriteAt {
    /// Writes whole sectors at a multiple of 512 bytes.
    ///
    /// # Errors
    /// When the medium does not take it.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Brings all that was written to the medium.
    ///
    /// # Errors
    /// When the medium does not take it.
    fn flush(&mut self) -> io::Result<()>;
}

impl WriteAt for Vec<u8> {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let place = start.checked_add(bytes.len()).and_then(|end| self.get_mut(start..end));
        place.ok_or(io::ErrorKind::UnexpectedEof)?.copy_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Plan {
    /// Carries it out; sectors that follow each other are one write.
    ///
    /// # Errors
    /// Those of the medium. Nothing after a write or flush that failed is done.
    pub fn apply(&self, medium: &mut (impl WriteAt + ?Sized)) -> io::Result<()> {
        let mut run: Vec<u8> = Vec::new();
        let mut start = 0;
        for step in &self.steps {
            match step {
                Step::Write { sector, bytes } => {
                    let next = start + (run.len() / SECTOR) as u64;
                    if !run.is_empty() && (*sector != next || run.len() >= RUN) {
                        medium.write_at(start * SECTOR as u64, &run)?;
                        run.clear();
                    }
                    if run.is_empty() {
                        start = *sector;
                    }
                    run.extend_from_slice(&bytes[..]);
                }
                Step::Flush => {
                    if !run.is_empty() {
                        medium.write_at(start * SECTOR as u64, &run)?;
                        run.clear();
                    }
                    medium.flush()?;
                }
            }
        }
        if !run.is_empty() {
            medium.write_at(start * SECTOR as u64, &run)?;
        }
        Ok(())
    }

    /// The number of sector writes.
    #[must_use]
    pub fn writes(&self) -> usize {
        self.steps.iter().filter(|step| matches!(step, Step::Write { .. })).count()
    }
}
