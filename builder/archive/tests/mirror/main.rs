//! Real Debian archives against Debian's own tools. The mirror is the one that this machine's apt sources name;
//! without one these tests are skipped, and say so.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::print_stderr, reason = "skipped tests say so")]

mod debs;
mod fetch;
mod release;
mod resolver;
