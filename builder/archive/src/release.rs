//! Signed Release files.
