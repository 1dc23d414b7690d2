//! What hcnode says: to the journal, or to whoever called it, one line each.

use std::{
    fmt::Display,
    io::{self, Write as _},
};

/// Something that was done.
pub fn note(text: impl Display) {
    line("<6>", text);
}

/// Something that is wrong.
pub fn warn(text: impl Display) {
    line("<4>", text);
}

/// For a person at a terminal.
pub fn tell(text: impl Display) {
    line("", text);
}

fn line(level: &str, text: impl Display) {
    // The journal takes the level off (sd-daemon(3)). One write, so that lines of threads do not mix.
    let line = format!("{level}{text}\n");
    if io::stderr().write_all(line.as_bytes()).is_err() {
        // Nobody listens any more, and there is nowhere left to say so.
    }
}
