//! Updates: a node takes a signed bundle, writes the other slot while it keeps serving, tries it, and keeps it or goes
//! back (ADR 15; docs/formats/selector.md). What it owes its cluster meanwhile is in [`cluster`] (ADR 17).

pub mod cluster;
pub mod select;
