//! Embeds `recipes/*.toml`, sorted by name.

use std::{env, error::Error, fmt::Write as _, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=recipes");
    let folder = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("recipes");
    let mut files = Vec::new();
    if folder.is_dir() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                files.push(path);
            }
        }
    }
    files.sort();
    let mut code = String::from("&[\n");
    for path in files {
        let package =
            path.file_stem().and_then(|name| name.to_str()).ok_or("a recipe's name is not UTF-8")?;
        writeln!(code, "    ({package:?}, include_str!({path:?})),")?;
    }
    code.push(']');
    fs::write(Path::new(&env::var("OUT_DIR")?).join("recipes.rs"), code)?;
    Ok(())
}
