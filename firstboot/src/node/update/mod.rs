//! A/B updates: `hcnode update` (ADR 15; docs/formats/selector.md).
//!
//! What is true is derived from the boot partition, the partition table and the running slot; files on state are notes,
//! and losing them loses words, never a node. `Committed(S)` becomes `Staged(T)` by one sector on the boot partition,
//! `Trial(T)` by a restart, and `Committed(T)` by one sector more, after the health gate.
//!
//! Decisions: [`policy`], [`trial`]. The work: [`apply`]. Ports: [`source`], [`slot`], [`select`]; what the node owes its
//! cluster meanwhile: [`cluster`] (ADR 17). Notes: [`record`]. Words: [`reasons`]. All
//! of it put together: [`command`].

pub mod apply;
pub mod cluster;
pub mod command;
pub mod lock;
pub mod policy;
pub mod progress;
pub mod reasons;
pub mod record;
pub mod select;
pub mod slot;
pub mod socket;
pub mod source;
pub mod trial;
