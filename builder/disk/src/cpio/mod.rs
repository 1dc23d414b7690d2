//! Archives for the kernel's initramfs: cpio "newc" (Linux, Documentation/driver-api/early-userspace/
//! buffer-format.rst; docs/formats/cpio.md).
//!
//! An archive is a value, sorted by path; the writer numbers inodes in that order, gives everything to root and
//! one time. Must not know: what runs in the initrd.

mod archive;
mod initrd;

pub use archive::{Archive, Entry};
pub use initrd::{Level, initrd};

/// What can be wrong with an archive.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CpioError {
    /// A path that is not a plain relative one.
    #[error("cpio: `{path}` is not a relative path without empty, `.` or `..` components")]
    Path {
        /// The path.
        path: String,
    },
    /// A path that is taken.
    #[error("cpio: `{path}` is there already")]
    Duplicate {
        /// The path.
        path: String,
    },
    /// Something below a path that is no directory.
    #[error("cpio: `{path}` cannot be below `{parent}`, which is no directory")]
    Parent {
        /// The path.
        path: String,
        /// The path that is no directory.
        parent: String,
    },
    /// Permission bits with others among them.
    #[error("cpio: `{path}` has the mode {mode:o}: expected permission bits only, at most 7777")]
    Mode {
        /// The path.
        path: String,
        /// The bits given.
        mode: u32,
    },
    /// A file that a header cannot describe.
    #[error("cpio: `{path}` has {size} bytes, and a file in a newc archive has at most {limit}")]
    TooLarge {
        /// The path.
        path: String,
        /// Its size in bytes.
        size: u64,
        /// The largest, in bytes.
        limit: u64,
    },
    /// A time that a header cannot say.
    #[error("cpio: the time {0} is outside of 1970 to 2106, the years that newc can say")]
    Epoch(contract::Epoch),
    /// A compression level that would make frames which the kernel refuses, or that zstd does not have.
    #[error("cpio: zstd level {0}: expected 1 to 19")]
    Level(i32),
    /// The compressor failed.
    #[error("cpio: compressing: {0}")]
    Compress(std::io::Error),
    /// The output could not be written.
    #[error("cpio: writing the archive: {0}")]
    Write(std::io::Error),
}
