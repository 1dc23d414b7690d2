//! What is left of a maintainer script once the parts that debhelper generated are taken out.

use super::grammar::{self, Declared};
use contract::Digest;

const BEGIN: &str = "# Automatically added by ";
const END: &str = "# End automatically added section";

/// A maintainer script, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Residue {
    /// The recognised blocks, in the order of the script.
    pub blocks: Vec<Block>,
    /// What is left, normalised; empty when debhelper wrote all of it.
    pub text: String,
    /// SHA-256 of `text`: what a recipe is bound to.
    pub digest: Digest,
}

/// A block which a debhelper tool added, every line of it recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The tool, such as `dh_installsystemd`.
    pub tool: String,
    /// Its version as written, empty when it gives none.
    pub version: String,
    /// The lines between the two markers.
    pub text: String,
    /// What the block does at a fresh installation.
    pub declares: Vec<Declared>,
}

/// A generated block that is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResidueError {
    /// A block without its end.
    #[error("line {line}: the block of {tool} has no `{END}`")]
    Unterminated {
        /// Line of the block's beginning, from 1.
        line: usize,
        /// The tool named there.
        tool: String,
    },
    /// A tool that is not in the table.
    #[error(
        "line {line}: {tool} is no debhelper tool that we know; teach it to the tree crate's recipe/grammar.rs"
    )]
    UnknownTool {
        /// Line of the block's beginning, from 1.
        line: usize,
        /// The tool named there.
        tool: String,
    },
    /// A line which the tool's grammar does not have: a newer debhelper, perhaps.
    #[error(
        "line {line}: {tool} never wrote `{text}` before; read it, then teach it to the tree crate's recipe/grammar.rs"
    )]
    UnknownLine {
        /// Line in the script, from 1.
        line: usize,
        /// The tool that wrote it.
        tool: String,
        /// The line.
        text: String,
    },
}

/// Takes `script` apart.
///
/// A shell script's residue has no interpreter line, no empty lines, no white space at the end of lines, and
/// none of `set -e`, `exit 0` and `#DEBHELPER#`, which do nothing. Full-line comments go too, unless the script
/// holds a here-document, in which they could be text. A script for another interpreter is kept as it is.
///
/// # Errors
/// When a generated block has a tool or a line that the grammar does not know.
pub fn residue(script: &[u8]) -> Result<Residue, ResidueError> {
    let Ok(text) = std::str::from_utf8(script) else {
        let text = format!("(binary, {} bytes)\n", script.len());
        return Ok(Residue { blocks: Vec::new(), text, digest: Digest::of(script) });
    };
    if !is_shell(text) {
        return Ok(Residue { blocks: Vec::new(), text: text.to_owned(), digest: Digest::of(script) });
    }
    let keeps_comments = outside_blocks(text).any(|line| line.contains("<<"));
    let mut blocks = Vec::new();
    let mut rest = String::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        if let Some(tool) = line.trim().strip_prefix(BEGIN) {
            let body: Vec<_> = lines.by_ref().take_while(|(_, line)| line.trim() != END).collect();
            // `take_while` also ends with the script: then the last line was taken, and is no end marker.
            let last = body.last().map_or(number, |(number, _)| *number);
            if text.lines().nth(last + 1).is_none() {
                return Err(ResidueError::Unterminated { line: number + 1, tool: tool.to_owned() });
            }
            blocks.push(block(tool, number + 1, &body)?);
        } else if !is_idle(line, number, keeps_comments) {
            rest.push_str(line.trim_end());
            rest.push('\n');
        }
    }
    let digest = Digest::of(rest.as_bytes());
    Ok(Residue { blocks, text: rest, digest })
}

fn is_shell(text: &str) -> bool {
    let first = text.lines().next().unwrap_or_default();
    let Some(interpreter) = first.strip_prefix("#!") else { return true };
    matches!(
        interpreter.split_whitespace().next(),
        Some("/bin/sh" | "/bin/bash" | "/bin/dash" | "/usr/bin/sh")
    )
}

fn outside_blocks(text: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    text.lines().filter(move |line| {
        inside = (inside || line.trim().starts_with(BEGIN)) && line.trim() != END;
        !inside
    })
}

/// Whether a line does nothing.
fn is_idle(line: &str, number: usize, keeps_comments: bool) -> bool {
    let line = line.trim();
    match line {
        "" | "set -e" | "set -eu" | "exit 0" | "#DEBHELPER#" => true,
        _ if number == 0 && line.starts_with("#!") => true,
        _ => line.starts_with('#') && !keeps_comments,
    }
}

fn block(tool: &str, line: usize, body: &[(usize, &str)]) -> Result<Block, ResidueError> {
    let (tool, version) = tool.split_once('/').unwrap_or((tool, ""));
    let Some(grammar) = grammar::of(tool) else {
        return Err(ResidueError::UnknownTool { line, tool: tool.to_owned() });
    };
    let mut declares = Vec::new();
    let mut pending = String::new();
    for (number, line) in body {
        if let Some(begun) = line.strip_suffix('\\') {
            pending.push_str(begun);
            continue;
        }
        let whole = std::mem::take(&mut pending) + line;
        let words = whole.split_whitespace().collect::<Vec<_>>().join(" ");
        let read = grammar::read(grammar, &words).ok_or_else(|| ResidueError::UnknownLine {
            line: number + 1,
            tool: tool.to_owned(),
            text: words.clone(),
        })?;
        declares.extend(read);
    }
    grammar::settle(&mut declares);
    let text = body.iter().map(|(_, line)| format!("{line}\n")).collect();
    Ok(Block { tool: tool.to_owned(), version: version.to_owned(), text, declares })
}
