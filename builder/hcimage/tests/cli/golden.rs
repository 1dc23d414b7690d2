//! The bytes of one tiny image, pinned: the same on every machine, whatever compiled the program.

use crate::kit::Lab;
use contract::Arch;

/// They change only when what is written changes: a commit that moves them says why.
const GOLDEN: [(Arch, &str); 2] = [
    (Arch::X86_64, "07c4d16576661378ffc8111378c3e6558dfcc334f7577d722743f02aaa8f1206"),
    (Arch::Aarch64, "5c441f50b6f5fa64b36739a8f47e7abd05773cdcc9a31076191763a5bb96b6ff"),
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
