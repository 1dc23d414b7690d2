//! The kernel's command line: which root this kernel was sealed with.

use contract::Digest;

/// The one argument that `hcinit` reads: `hcimage.root=<64 hexadecimal digits>`, the verity root hash.
const ROOT: &str = "hcimage.root=";

/// A command line that names no root, two roots, or something that is not a root hash.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CmdlineError {
    /// The argument is missing.
    #[error(
        "the kernel command line has no `hcimage.root=` (it is `{0}`): boot the image's own UKI, or pass the root hash from release.json"
    )]
    Missing(String),
    /// The argument is there twice, with different values.
    #[error("the kernel command line names two roots, {0} and {1}: pass `hcimage.root=` once")]
    Twice(Digest, Digest),
    /// The value is no SHA-256 digest.
    #[error("`hcimage.root=` on the kernel command line: {0}")]
    Malformed(#[from] contract::MalformedDigest),
}

/// The root hash that `cmdline` (as `/proc/cmdline` has it) names.
pub fn root_hash(cmdline: &str) -> Result<Digest, CmdlineError> {
    let mut found = None;
    for value in cmdline.split_ascii_whitespace().filter_map(|word| word.strip_prefix(ROOT)) {
        let root: Digest = value.parse()?;
        match found.replace(root) {
            Some(earlier) if earlier != root => return Err(CmdlineError::Twice(earlier, root)),
            _ => {}
        }
    }
    found.ok_or_else(|| CmdlineError::Missing(cmdline.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_found_among_other_words() {
        let root = Digest::of(b"root");
        assert_eq!(root_hash(&format!("ro console=ttyS0 hcimage.root={root} panic=10\n")), Ok(root));
        assert_eq!(root_hash(&format!("hcimage.root={root} hcimage.root={root}")), Ok(root));
    }

    #[test]
    fn anything_else_is_refused_with_the_way_out() {
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        let message = |text: &str| root_hash(text).unwrap_err().to_string();
        assert!(message("ro root=/dev/vda\n").contains("has no `hcimage.root=` (it is `ro root=/dev/vda`)"));
        assert!(message("hcimage.root=abc").contains("`abc` is not a sha256 digest"));
        assert_eq!(root_hash(&format!("hcimage.root={a} hcimage.root={b}")), Err(CmdlineError::Twice(a, b)));
    }
}
