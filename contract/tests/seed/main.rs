//! Seeds as their owners write them: right, wrong, and from every editor.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "the functions around the tests are tests too")]

mod burned;
mod fields;
mod files;
mod kit;
mod never;
mod preseed;
mod relations;
mod tokens;
