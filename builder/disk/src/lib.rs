//! Bytes on disk: pure writers of the formats that an image is made of, and bounded readers of what is read back.
#![forbid(unsafe_code)]

pub mod cpio;
pub mod erofs;
pub mod fat;
pub mod gpt;
pub mod output;
pub mod pe;
pub mod verity;
