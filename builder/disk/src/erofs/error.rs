use std::io;

/// What can go wrong with an EROFS image: in its settings, in the tree to write, or in an image that is read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An extent size that is no power of two, or out of range.
    #[error("extent size {got} bytes: must be a power of two from {min} to {max}")]
    ExtentSize {
        /// The size asked for, bytes.
        got: u32,
        /// The smallest allowed, bytes.
        min: u32,
        /// The largest allowed, bytes.
        max: u32,
    },
    /// A compression level that zstd does not have.
    #[error("zstd level {got}: must be from 1 to 22")]
    Level {
        /// The level asked for.
        got: i32,
    },
    /// The compressor refused: out of memory, or a parameter.
    #[error("zstd refused to compress an extent of {len} bytes")]
    Compress {
        /// The extent's length, bytes.
        len: usize,
        /// What zstd said.
        source: io::Error,
    },
    /// Stored bytes that do not expand to what the shape says.
    #[error("extent {extent}: {stored} stored bytes do not expand to {logical} bytes: {why}")]
    Expand {
        /// Which extent, from 0.
        extent: usize,
        /// Its stored length, bytes.
        stored: usize,
        /// Its length in the file, bytes.
        logical: u32,
        /// What is wrong.
        why: String,
    },
    /// A shape whose numbers contradict each other, or whose serialised form is damaged.
    #[error("shape of a packed file: {why}")]
    Shape {
        /// What is wrong, with the values.
        why: String,
    },
    /// A path that cannot be written.
    #[error("`{path}`: {why}")]
    Name {
        /// The path.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A path below something that is not a directory, or below nothing.
    #[error("`{path}`: its parent `{parent}` is not a directory of the tree")]
    Parent {
        /// The path.
        path: String,
        /// The parent's path.
        parent: String,
    },
    /// A name that refers to an inode which does not exist.
    #[error("`{path}`: refers to inode {id} of {count}")]
    Inode {
        /// The path.
        path: String,
        /// The inode that the name refers to.
        id: usize,
        /// How many inodes there are.
        count: usize,
    },
    /// An inode that no name reaches.
    #[error("inode {id} has no name")]
    Unnamed {
        /// Its index.
        id: usize,
    },
    /// An extended attribute that EROFS cannot hold.
    #[error("`{path}`: extended attribute `{name}`: {why}")]
    Xattr {
        /// The path.
        path: String,
        /// The attribute's full name.
        name: String,
        /// Why not.
        why: &'static str,
    },
    /// A volume label that is too long.
    #[error("volume label `{label}` has {len} bytes, at most 15 fit")]
    Label {
        /// The label.
        label: String,
        /// Its length, bytes.
        len: usize,
    },
    /// More than the format's numbers can count.
    #[error("the image is too large: {what} is {got}, at most {max}")]
    TooLarge {
        /// What is counted.
        what: &'static str,
        /// The count.
        got: u64,
        /// The most the format can hold.
        max: u64,
    },
    /// A body could not be had.
    #[error("`{path}`: body {body}")]
    Body {
        /// The file's path.
        path: String,
        /// The body's id.
        body: u64,
        /// Why not.
        source: io::Error,
    },
    /// A body whose length is not what its shape says.
    #[error("`{path}`: body {body} has {got} bytes, its shape says {expected}")]
    BodyLength {
        /// The file's path.
        path: String,
        /// The body's id.
        body: u64,
        /// The shape's stored length, bytes.
        expected: u64,
        /// The body's length, bytes.
        got: u64,
    },
    /// The image could not be written.
    #[error("writing the image")]
    Write(#[source] io::Error),
    /// The image could not be read.
    #[error("reading the image at byte {at}")]
    Read {
        /// Where, bytes from the start of the image.
        at: u64,
        /// Why not.
        source: io::Error,
    },
    /// The image is not EROFS, is damaged, or uses a part of the format that is not read here.
    #[error("damaged or foreign EROFS image at byte {at}: {why}")]
    Damaged {
        /// Where, bytes from the start of the image.
        at: u64,
        /// What is wrong.
        why: String,
    },
    /// A path that the image does not have.
    #[error("`{path}` is not in the image")]
    NotFound {
        /// The path.
        path: String,
    },
    /// A file larger than the caller wants to hold.
    #[error("the file has {size} bytes, more than the {limit} allowed here")]
    Limit {
        /// The file's size, bytes.
        size: u64,
        /// The caller's limit, bytes.
        limit: u64,
    },
}
