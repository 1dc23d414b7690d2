//! What first boot needs of the machine. Thin: everything is decided in [`super::story`].

use crate::node::{
    burn::Need,
    card::CardError,
    disk::{DataPlace, Found},
    render::RunFile,
    settings::Settings,
};
use std::io;

/// A file of settings on the boot partition.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct CardFile {
    /// Its name.
    pub(super) name: String,
    /// What it holds.
    pub(super) bytes: Vec<u8>,
}

/// The machine, for first boot. Every act is whole or not at all, and on the medium when it returns.
pub(super) trait Machine {
    /// The seed on the boot partition, or the imager's preseed where there is none.
    fn seed(&mut self) -> Result<Option<CardFile>, CardError>;
    /// See [`crate::node::card::burn`].
    fn burn(&mut self, settings: &Settings, done: &[Need]) -> Result<Option<String>, CardError>;
    /// What a file holds, if it is there.
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>>;
    /// Whether a path is in this image.
    fn has(&self, path: &str) -> bool;
    /// Writes a file on state.
    fn keep(&mut self, path: &str, bytes: &[u8], mode: u32) -> io::Result<()>;
    /// Removes a file from state, if it is there.
    fn forget(&mut self, path: &str) -> io::Result<()>;
    /// Makes `files` the only rendered ones below /run.
    fn show(&mut self, files: &[RunFile]) -> io::Result<()>;
    /// Gives the running system its name.
    fn set_name(&mut self, name: &str) -> io::Result<()>;
    /// A disk by its name in `/dev/disk/by-id`, waiting for it for a while.
    fn data_disk(&mut self, disk: &str) -> io::Result<Option<Found>>;
    /// Makes a file system on such a disk.
    fn format(&mut self, disk: &str) -> io::Result<()>;
    /// Mounts what the rendered unit says over the data directory; a disk gets the directory's owner and mode.
    fn mount_data(&mut self, data: &DataPlace) -> io::Result<()>;
    /// Asks for a restart of the machine.
    fn restart(&mut self) -> io::Result<()>;
    /// Tells a step.
    fn say(&mut self, text: String);
}
