//! TOML with errors that name the place and the word that was probably meant.

use serde::de::DeserializeOwned;
use std::{
    fmt,
    path::{Path, PathBuf},
};

/// Something wrong in a file that the user can edit.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) file: PathBuf,
    /// Line and column, both from 1; `None` when it is the file as a whole.
    pub(crate) at: Option<(usize, usize)>,
    pub(crate) message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some((line, column)) = self.at {
            write!(f, "{line}:{column}:")?;
        }
        write!(f, " {}", self.message)
    }
}

impl std::error::Error for Problem {}

impl Problem {
    pub(crate) fn in_file(file: &Path, message: impl Into<String>) -> Self {
        Self { file: file.to_owned(), at: None, message: message.into() }
    }
}

/// Parses `text`, which `file` holds.
pub(crate) fn toml<T: DeserializeOwned>(file: &Path, text: &str) -> Result<T, Problem> {
    toml::from_str(text).map_err(|error| {
        let (line, column, message) = tree::suggest::explain(text, &error);
        Problem { file: file.to_owned(), at: Some((line, column)), message }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize, Debug)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Sample {
        overlays: Vec<String>,
        packages: Option<Vec<String>>,
    }

    #[test]
    fn an_unknown_key_names_its_place_and_the_likely_word() {
        let text = "overlays = []\n\noverlay = [\"base\"]\n";
        let problem = toml::<Sample>(Path::new("profiles/nas.toml"), text).unwrap_err();
        assert_eq!(
            problem.to_string(),
            "profiles/nas.toml:3:1: unknown field `overlay`, expected `overlays` or `packages`; did you mean `overlays`?"
        );
        let problem = toml::<Sample>(Path::new("p.toml"), "overlays = 3").unwrap_err();
        assert!(problem.to_string().starts_with("p.toml:1:12: invalid type: integer `3`"), "{problem}");
    }
}
