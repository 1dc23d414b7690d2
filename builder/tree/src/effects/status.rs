//! What is installed, in dpkg's own format, for scanners of vulnerabilities and for people.
//!
//! The file lies in `/usr`, so that it is of the same release as the root and cannot be changed;
//! `/var/lib/dpkg/status`, where scanners look, is a link to it, seeded onto state like the rest of `/var`.

use super::{EffectError, Hand};
use crate::{Contents, Package, Tree};

const STATUS: &str = "/usr/lib/sysimage/dpkg/status";

/// Writes the status of `packages`, sorted by name.
///
/// # Errors
/// When the tree refuses.
pub fn apply(tree: &mut Tree, contents: &dyn Contents, packages: &[Package]) -> Result<(), EffectError> {
    let mut hand = Hand::new(tree, contents, "status");
    let mut order: Vec<&Package> = packages.iter().collect();
    order.sort_by_key(|package| (&package.name, &package.arch));
    let status: String = order.into_iter().map(|package| paragraph(&package.control)).collect();
    hand.write(STATUS, status, 0o644)?;
    hand.symlink(&hand.path("/var/lib/dpkg/status")?, STATUS)
}

/// The control paragraph with `Status` behind `Package`, as dpkg writes it.
fn paragraph(control: &str) -> String {
    let mut text = String::new();
    for line in control.lines().filter(|line| !line.trim().is_empty()) {
        text.push_str(line);
        text.push('\n');
        if line.starts_with("Package:") {
            text.push_str("Status: install ok installed\n");
        }
    }
    text + "\n"
}
