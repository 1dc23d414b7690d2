//! The root file system as a value: nodes with an owner and an origin, the law by which packages share it,
//! and the effects that stand in for what dpkg and the maintainer scripts would have done. Nothing here
//! touches a file system, a clock or an environment.
#![forbid(unsafe_code)]

pub mod content;
pub mod effects;
pub mod node;
pub mod path;
pub mod recipe;
pub mod tree;

pub use content::{Content, Contents, ReadError};
pub use node::{Kind, Node, NodeId, Origin};
pub use path::{ImagePath, MalformedPath};
pub use tree::{Tree, TreeError};
