//! The bytes of one tiny image, pinned: the same on every machine, whatever compiled the program.

use crate::kit::Lab;
use contract::Arch;

/// They change only when what is written changes: a commit that moves them says why.
const GOLDEN: [(Arch, &str); 2] = [
    (Arch::X86_64, "5131b6fc5f37e028693fda497d549ce42f361f9cc2b2dbab3756e1ecd654e54b"),
    (Arch::Aarch64, "9488ae70d614c7119cdc9a39dd0a5213bb1d0dadd95106a98ea88c2d6a3321e2"),
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
