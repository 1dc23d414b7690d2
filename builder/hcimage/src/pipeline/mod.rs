//! The recipe of an image, stage by stage.

pub(crate) mod artifacts;
pub(crate) mod bodies;
pub(crate) mod boot;
pub(crate) mod build;
pub(crate) mod disk;
pub(crate) mod facts;
pub(crate) mod image;
pub(crate) mod packages;
pub(crate) mod resolve;
pub(crate) mod tree;
pub(crate) mod unpack;
