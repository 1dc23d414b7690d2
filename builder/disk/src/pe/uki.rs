//! A unified kernel image: one file that firmware starts.

use super::{
    Image, PeError,
    append::{Kind, NX_COMPAT, NewSection, append},
};

/// The parts of a unified kernel image.
#[derive(Clone, Copy, Debug)]
pub struct Uki<'a> {
    /// Systemd's stub for the target (`linuxx64.efi.stub`, `linuxaa64.efi.stub`), unsigned. Its own sections,
    /// `.sbat` among them, are kept.
    pub stub: &'a [u8],
    /// The contents of `/etc/os-release`.
    pub os_release: &'a str,
    /// The kernel's command line.
    pub cmdline: &'a str,
    /// The kernel's release, as `uname -r` will say.
    pub uname: &'a str,
    /// The kernel, itself a PE image.
    pub linux: &'a [u8],
    /// The initrd.
    pub initrd: &'a [u8],
    /// Device trees of which the stub takes the one that fits the machine.
    pub device_trees: &'a [&'a [u8]],
    /// Microcode for the stub to put in front of the initrd: an uncompressed cpio archive.
    pub microcode: Option<&'a [u8]>,
}

impl Uki<'_> {
    /// The image: the stub with `.osrel`, `.cmdline`, `.dtbauto`…, `.uname`, `.linux`, `.initrd` and `.ucode`, in
    /// the order in which `ukify` has them and the stub measures them.
    ///
    /// # Errors
    /// A stub or kernel that is no PE image, one for another machine than the other, an empty part, a command line
    /// with control characters, and what [`append`] refuses.
    pub fn assemble(&self) -> Result<Vec<u8>, PeError> {
        self.check()?;
        let (stub, kernel) = (Image::parse(self.stub)?, Image::parse(self.linux)?);
        if stub.machine() != kernel.machine() {
            return Err(PeError::Machine { stub: stub.machine(), kernel: kernel.machine() });
        }
        let contents = |name, bytes| NewSection { name, kind: Kind::Contents, bytes };
        let mut sections = vec![
            contents(".osrel", self.os_release.as_bytes()),
            contents(".cmdline", self.cmdline.as_bytes()),
        ];
        sections.extend(self.device_trees.iter().map(|tree| contents(".dtbauto", tree)));
        sections.push(contents(".uname", self.uname.as_bytes()));
        sections.push(NewSection { name: ".linux", kind: Kind::Kernel, bytes: self.linux });
        sections.push(contents(".initrd", self.initrd));
        sections.extend(self.microcode.map(|microcode| contents(".ucode", microcode)));
        // Firmware that enforces it would else map the kernel in a way that it cannot live with.
        append(self.stub, &sections, kernel.dll_characteristics() & NX_COMPAT != 0)
    }

    fn check(&self) -> Result<(), PeError> {
        let texts =
            [(self.os_release, "os-release"), (self.cmdline, "command line"), (self.uname, "kernel release")];
        for (text, part) in texts {
            if text.is_empty() {
                return Err(PeError::Part { part, problem: "is empty" });
            }
            let line_break = part == "os-release";
            if text.chars().any(|c| c.is_control() && !(line_break && c == '\n')) {
                return Err(PeError::Part { part, problem: "has a control character" });
            }
        }
        let trees = self.device_trees.iter().map(|tree| (*tree, "device tree"));
        let microcode = self.microcode.into_iter().map(|bytes| (bytes, "microcode"));
        for (bytes, part) in trees.chain(microcode).chain([(self.initrd, "initrd")]) {
            if bytes.is_empty() {
                return Err(PeError::Part { part, problem: "is empty" });
            }
        }
        Ok(())
    }
}
