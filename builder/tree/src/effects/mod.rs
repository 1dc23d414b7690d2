//! What dpkg and the maintainer scripts would have done, as functions on the tree.
