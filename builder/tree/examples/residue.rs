//! Takes a maintainer script apart: `cargo run -p tree --example residue < postinst`.
#![allow(clippy::print_stdout)]

use std::io::Read as _;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut script = Vec::new();
    std::io::stdin().read_to_end(&mut script)?;
    let residue = tree::recipe::residue(&script)?;
    for block in &residue.blocks {
        println!("# {} {}", block.tool, block.version);
        for declared in &block.declares {
            println!("#   {declared:?}");
        }
    }
    if residue.text.is_empty() {
        println!("# debhelper wrote all of it: no recipe is needed");
    } else {
        print!("{}", residue.text);
        println!("# residue {}", residue.digest);
    }
    Ok(())
}
