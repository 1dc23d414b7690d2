//! The power-cut laboratory. A [`Device`] is a disk for a guest, spoken to over NBD, that remembers every write and every
//! flush and does what a bad disk does when it is told to. From what it remembers, a [`History`], come all the states in
//! which a power cut could have left the medium. A [`Judge`] says of each what a machine would boot from it; states can be
//! booted too, since a state is a medium like any other. A [`Site`] serves files over HTTP as badly as a test wants.
//!
//! Nothing here shares code with what is judged: the readers of GPT, FAT, PE and dm-verity are this crate's own.
#![forbid(unsafe_code)]

mod cuts;
mod device;
mod error;
mod history;
mod judge;
mod layers;
mod medium;
mod nbd;
mod random;
mod site;

pub use cuts::{exhaustive, sampled};
pub use device::{Device, Fault, How, On};
pub use error::{Error, Result};
pub use history::{Cut, Epoch, History, Kept, State};
pub use judge::{
    Boot, Judge, Releases, Verdict,
    fat::{Fat, Node},
    gpt::{Partition, partitions},
    image_digest,
    loader::{Entry, entries},
    pe, verity,
};
pub use medium::{Image, Medium};
pub use random::Random;
pub use site::{Counts, Ill, Site};
