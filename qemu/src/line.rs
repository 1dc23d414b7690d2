//! A command line of QEMU's in the making.

use std::{
    ffi::OsString,
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::Path,
};

/// Words, one after the other.
#[derive(Default)]
pub(crate) struct ArgumentLine {
    pub(crate) words: Vec<OsString>,
}

impl ArgumentLine {
    pub(crate) fn word(&mut self, word: &str) -> &mut Self {
        self.words.push(word.into());
        self
    }

    pub(crate) fn pair(&mut self, option: &str, value: &str) -> &mut Self {
        self.word(option).word(value)
    }

    pub(crate) fn drive(&mut self, options: &str, file: &Path) -> &mut Self {
        self.word("-drive").with_path(&format!("{options},file="), file)
    }

    pub(crate) fn socket(&mut self, id: &str, path: &Path) -> &mut Self {
        self.word("-chardev").with_path(&format!("socket,id={id},path="), path)
    }

    /// QEMU reads `,,` in a value as a comma.
    pub(crate) fn with_path(&mut self, options: &str, path: &Path) -> &mut Self {
        self.words.push(OsString::new());
        self.more_path(options, path)
    }

    /// Goes on with the last word.
    pub(crate) fn more_path(&mut self, options: &str, path: &Path) -> &mut Self {
        let mut word = self.words.pop().unwrap_or_default().into_vec();
        word.extend_from_slice(options.as_bytes());
        for &byte in path.as_os_str().as_bytes() {
            word.extend(std::iter::repeat_n(byte, if byte == b',' { 2 } else { 1 }));
        }
        self.words.push(OsString::from_vec(word));
        self
    }
}
