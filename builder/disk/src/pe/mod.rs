//! PE32+ images: unified kernel images around systemd's stub, and what is read back from them (Microsoft, *PE
//! Format*; UAPI.5, *Unified Kernel Image*; docs/formats/uki.md).
//!
//! [`Uki::assemble`] appends sections to a stub; [`Image`] reads any PE32+ without trusting it;
//! [`authenticode_digest`] is what a Secure Boot signature is about. Must not know: keys, or what a command line
//! means.

mod append;
mod digest;
mod image;
mod uki;

pub use append::{Kind, NewSection, append};
pub use digest::{authenticode_digest, checksum};
pub use image::{Image, Section, section};
pub use uki::Uki;

/// What can be wrong with a PE image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeError {
    /// Bytes that are no PE32+ image, or one that contradicts itself.
    #[error("pe: {what} at offset {at} of {length}")]
    Malformed {
        /// What was found there.
        what: &'static str,
        /// Where, in bytes.
        at: u64,
        /// The length of the image in bytes.
        length: u64,
    },
    /// A stub that is signed: appending to it would void the signature.
    #[error("pe: the stub is signed (a certificate table of {size} bytes): use the unsigned one")]
    Signed {
        /// The size of the certificate table, in bytes.
        size: u32,
    },
    /// A stub with a symbol table behind its sections, where ours go.
    #[error("pe: the stub has a symbol table at offset {at}: strip it")]
    Symbols {
        /// Where it is, in bytes.
        at: u32,
    },
    /// No room for more section headers in front of the stub's first section.
    #[error("pe: the stub has room for {room} more sections, and {wanted} are wanted")]
    NoRoom {
        /// How many fit.
        room: usize,
        /// How many there are.
        wanted: usize,
    },
    /// A section name that a header cannot hold, or that is taken.
    #[error("pe: the section name `{name}` {problem}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// An image of 4 GiB and more.
    #[error("pe: the section `{name}` ({size} bytes) makes the image larger than 4 GiB")]
    TooLarge {
        /// The section that no longer fits.
        name: String,
        /// Its size in bytes.
        size: u64,
    },
    /// A kernel for another machine than the stub.
    #[error("pe: the stub is for machine {stub:#06x} and the kernel for {kernel:#06x}")]
    Machine {
        /// The stub's machine type.
        stub: u16,
        /// The kernel's machine type.
        kernel: u16,
    },
    /// A part of a UKI that the stub would not take as it is meant.
    #[error("uki: the {part} {problem}")]
    Part {
        /// Which part.
        part: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
}
