//! The head of a bundle: read with bounds, and believed before anything else is looked at.

use super::ApplyError;
use crate::node::update::source::Source;
use contract::{
    bundle::{Head, PREFIX, Prefix},
    trust::Trust,
};

/// Reads the head of a bundle and checks who signed it.
///
/// # Errors
/// When it does not come, is none, or is not signed by those whom `trust` leads to.
pub fn head(source: &mut dyn Source, trust: &Trust) -> Result<Head, ApplyError> {
    let mut bytes = vec![0; PREFIX];
    source.turn_to(0..PREFIX as u64)?;
    source.read(&mut bytes)?;
    let size = Prefix::parse(&bytes)?.head_size();
    bytes.resize(size, 0);
    source.turn_to(PREFIX as u64..size as u64)?;
    source.read(&mut bytes[PREFIX..])?;
    let head = Head::read(&bytes, trust)?;
    // A server that does not say its size is found out at the last frame.
    if let Some(size) = source.size() {
        head.check_file_size(size)?;
    }
    Ok(head)
}
