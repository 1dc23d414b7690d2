//! Real Debian archives against Debian's own tools. The mirror is the one that this machine's apt sources name;
//! without one these tests are skipped, and say so.

mod debs;
mod fetch;
mod release;
mod resolver;
