//! Why the kernel's modules could not be read, chosen or indexed.

/// One act each.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KernelError {
    /// A file's name does not end like a module's.
    #[error("{path}: a kernel module's name ends in `.ko`, `.ko.xz` or `.ko.zst`")]
    Suffix {
        /// The file.
        path: String,
    },
    /// A compressed module cannot be decompressed.
    #[error("{path}: cannot be decompressed: {source}")]
    Decompress {
        /// The file.
        path: String,
        /// What the decompressor said.
        source: std::io::Error,
    },
    /// A module is larger than any sane one when decompressed.
    #[error("{path}: decompresses to more than {limit} bytes")]
    TooLarge {
        /// The file.
        path: String,
        /// The limit, in bytes.
        limit: u64,
    },
    /// A file is no 64-bit little-endian ELF object.
    #[error("{path}: is no kernel module: {source}")]
    Elf {
        /// The file.
        path: String,
        /// What is wrong with it.
        source: object::Error,
    },
    /// A value which goes into an index is not ASCII; the indexes can hold nothing else.
    #[error("{path}: {what} `{value}` is not ASCII text of less than 4096 bytes")]
    NotAscii {
        /// The file.
        path: String,
        /// Which value.
        what: &'static str,
        /// The value, with what is not UTF-8 replaced.
        value: String,
    },
    /// Cached facts are of another version or damaged.
    #[error("cached facts of a module are damaged or of another version: {why}")]
    Facts {
        /// What is wrong with them.
        why: &'static str,
    },
    /// A pattern of a rule cannot be understood.
    #[error(transparent)]
    Pattern(#[from] crate::MalformedGlob),
    /// A pattern of a rule could never match.
    #[error("pattern `{pattern}`: modules are named without `.ko`, relative to `kernel/`")]
    Suffixed {
        /// The pattern.
        pattern: String,
    },
    /// Two files are the same module for the kernel.
    #[error("module {name} is there twice: {first} and {second}")]
    Twice {
        /// The module's name.
        name: String,
        /// One file.
        first: String,
        /// The other.
        second: String,
    },
    /// A module needs another which is neither a file nor built in.
    #[error("{path}: needs module {needs}, which is neither shipped nor built into the kernel")]
    Dependency {
        /// The module.
        path: String,
        /// The name which it depends on.
        needs: String,
    },
    /// Modules need each other in a circle.
    #[error("modules need each other in a circle: {}", names.join(", "))]
    Circle {
        /// Their names.
        names: Vec<String>,
    },
    /// A line of a list which the kernel package ships cannot be understood.
    #[error("{file}: `{line}`: {why}")]
    Line {
        /// The list.
        file: &'static str,
        /// The line.
        line: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A module that is asked for exists nowhere.
    #[error("no module, alias or built-in of the kernel is called `{name}`{hint}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// `; did you mean X?`, or nothing.
        hint: String,
    },
    /// A pattern that asks for modules matches none.
    #[error("pattern `{pattern}` matches no module")]
    Nothing {
        /// The pattern.
        pattern: String,
    },
    /// The tree holds no kernel modules.
    #[error("no kernel modules below {0}: add a linux-image package")]
    NoKernel(crate::ImagePath),
    /// The tree could not be read or changed.
    #[error(transparent)]
    Tree(#[from] crate::TreeError),
    /// A path could not be formed.
    #[error(transparent)]
    Path(#[from] crate::MalformedPath),
}
