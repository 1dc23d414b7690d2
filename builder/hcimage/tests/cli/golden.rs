//! The bytes of one tiny image, pinned: the same on every machine, whatever compiled the program.

use crate::kit::Lab;
use contract::Arch;

/// They change only when what is written changes: a commit that moves them says why.
const GOLDEN: [(Arch, &str); 2] = [
    (Arch::X86_64, "dd91cb9a41ac006cb71c094aaeccf0f1821cb20b2802d633a61e7c66e432eb49"),
    (Arch::Aarch64, "6c16811b641611519266f972a4d1cb841d646fbca13359f92512549e97f0092d"),
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
