//! A terminal's byte stream as plain text.

/// Takes what a guest writes to a serial terminal and keeps the text: escape sequences (ECMA-48 CSI, OSC, DCS,
/// charset choices) are dropped, a carriage return is no character, and moving the cursor ends a line, so that
/// words which firmware puts in different places do not run together. Sequences may be split over pieces.
#[derive(Clone, Debug, Default)]
pub struct Plain {
    text: String,
    state: State,
    utf8: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    Escape,
    /// One more byte belongs to the sequence.
    Charset,
    Csi,
    /// OSC, DCS, SOS, PM or APC: up to BEL or ST.
    Command,
    CommandEscape,
}

impl Plain {
    /// The text so far.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Takes the next piece of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.state = self.next(byte);
        }
        if self.state == State::Text {
            self.flush(Ending::MayGoOn);
        }
    }

    fn next(&mut self, byte: u8) -> State {
        match (self.state, byte) {
            (State::Command, 0x1b) => State::CommandEscape,
            (State::Command, 0x07) | (State::CommandEscape, b'\\') => State::Text,
            (State::Command | State::CommandEscape, _) => State::Command,
            (_, 0x1b) => {
                self.flush(Ending::Final);
                State::Escape
            }
            (State::Escape, b'[') => State::Csi,
            (State::Escape, b']' | b'P' | b'X' | b'^' | b'_') => State::Command,
            (State::Escape, b'(' | b')' | b'*' | b'+' | b'#' | b'%' | b' ') => State::Charset,
            (State::Escape | State::Charset, _) => State::Text,
            (State::Csi, 0x40..=0x7e) => {
                if matches!(byte, b'H' | b'f') && !self.text.ends_with('\n') && !self.text.is_empty() {
                    self.text.push('\n');
                }
                State::Text
            }
            (State::Csi, _) => State::Csi,
            (State::Text, b'\n' | b'\t' | 0x20..) => {
                self.utf8.push(byte);
                State::Text
            }
            (State::Text, _) => State::Text,
        }
    }

    /// Moves whole characters to the text; half a character waits for its rest unless the text ends here.
    fn flush(&mut self, ending: Ending) {
        while let Err(error) = std::str::from_utf8(&self.utf8) {
            let bad = error.error_len();
            if bad.is_none() && ending == Ending::MayGoOn {
                let rest = self.utf8.split_off(error.valid_up_to());
                self.text.push_str(&String::from_utf8_lossy(&self.utf8));
                self.utf8 = rest;
                return;
            }
            let until = error.valid_up_to() + bad.unwrap_or(self.utf8.len() - error.valid_up_to());
            self.text.push_str(&String::from_utf8_lossy(&self.utf8[..until]));
            self.utf8.drain(..until);
        }
        self.text.push_str(&String::from_utf8_lossy(&self.utf8));
        self.utf8.clear();
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    MayGoOn,
    Final,
}

#[cfg(test)]
mod tests {
    use super::Plain;

    const TABLE: &[(&str, &str)] = &[
        ("[\x1b[0;32m  OK  \x1b[0m] Reached target\r\n", "[  OK  ] Reached target\n"),
        ("\x1b[2J\x1b[01;01HBdsDxe: loading\x1b[05;01HUEFI", "BdsDxe: loading\nUEFI"),
        ("\x1b]8;;file://x\x07link\x1b]8;;\x1b\\ end", "link end"),
        ("\x1bP+q436f\x1b\\a\x1b(Bb\x1b=c", "abc"),
        ("login\x1b[K: \x1b[6n", "login: "),
        ("50 %\r100 %\n", "50 %100 %\n"),
        ("grüße → \u{1f600}\x1b[mok", "grüße → \u{1f600}ok"),
        ("bell\x07 and backspace\x08", "bell and backspace"),
    ];

    #[test]
    fn escapes_vanish_wherever_the_stream_is_cut() {
        for (raw, plain) in TABLE {
            for cut in 0..=raw.len() {
                let mut screen = Plain::default();
                screen.push(&raw.as_bytes()[..cut]);
                screen.push(&raw.as_bytes()[cut..]);
                assert_eq!(screen.text(), *plain, "{raw:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_shown_as_such() {
        let mut screen = Plain::default();
        screen.push(b"a\xffb\xc3");
        screen.push(b"\x1b[mc");
        assert_eq!(screen.text(), "a\u{fffd}b\u{fffd}c");
    }
}
