//! The recipes that come with the builder.

use super::{Recipe, RecipeError};

/// Package and text of every file in `recipes/`, by name.
const TEXTS: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/recipes.rs"));

/// The recipes that come with the builder, by package.
///
/// # Errors
/// When one is malformed.
pub fn embedded() -> Result<Vec<Recipe>, RecipeError> {
    let parse = |(package, text): &(&str, &str)| {
        Recipe::parse(package, &format!("builder/tree/recipes/{package}.toml"), text)
    };
    TEXTS.iter().map(parse).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn all_embedded_recipes_are_well_formed() {
        super::embedded().map(drop).unwrap();
    }
}
