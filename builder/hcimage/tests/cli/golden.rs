//! The bytes of one tiny image, pinned: the same on every machine, whatever compiled the program.

use crate::kit::Lab;
use contract::Arch;

/// They change only when what is written changes: a commit that moves them says why.
const GOLDEN: [(Arch, &str); 2] = [
    (Arch::X86_64, "01c12629ad19b9bb5a47b0ce615eef1aae1a9c73697fe4b5901152f6cf4d39a2"),
    (Arch::Aarch64, "3b675bbcdb939ff1a206d24d17bc15eb11d0ef0e122f94d805dec79fe6741e3a"),
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
