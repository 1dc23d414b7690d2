//! The bytes of one tiny image, pinned: the same on every machine, whatever compiled the program.

use crate::kit::Lab;
use contract::Arch;

/// They change only when what is written changes: a commit that moves them says why.
const GOLDEN: [(Arch, &str); 2] = [
    (Arch::X86_64, "1f507aa968526374a568fcb10a24bd87402d339c248205c52a8bfbb327ecfb60"),
    (Arch::Aarch64, "f016f0a7726db9dcbac5fd2f1d84f49e9a64e09fc93de5020103833a910c4f8f"),
];

#[test]
fn a_tiny_image_has_the_bytes_that_it_always_had() {
    let lab = Lab::locked();
    let found = GOLDEN.map(|(arch, _)| {
        lab.hcimage(&Lab::build_args(arch)).succeeds();
        (arch, lab.image(&format!("out/tiny-{arch}")))
    });
    assert_eq!(found, GOLDEN.map(|(arch, digest)| (arch, digest.to_owned())));
}
