//! The root file system as a value: nodes with an owner and an origin, the law by which packages share it,
//! and the effects that stand in for what dpkg and the maintainer scripts would have done. Nothing here
//! touches a file system, a clock or an environment.
#![forbid(unsafe_code)]

pub mod assemble;
pub mod content;
pub mod dump;
pub mod effects;
pub mod glob;
pub mod kernel;
pub mod merge;
pub mod node;
pub mod overlay;
pub mod package;
pub mod path;
pub mod recipe;
pub use contract::suggest;
pub mod tree;

pub use assemble::{AssembleError, Assembled, Assembly, Step, assemble, needed};
pub use content::{Content, Contents, ReadError};
pub use glob::{Glob, MalformedGlob};
pub use merge::{Diversion, DropRules, Dropped, MergeError, merge};
pub use node::{Kind, Node, NodeId, Origin};
pub use overlay::{Overlay, OverlayDirectory, OverlayError, OverlayFile};
pub use package::{Entry, Package, ScriptKind};
pub use path::{ImagePath, MalformedPath};
pub use tree::{Tree, TreeError};
