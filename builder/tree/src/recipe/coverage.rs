//! Which scripts are understood, and by what.

use super::{Declared, Recipe, Residue, ResidueError, Script, residue, triggers};
use crate::{Package, ScriptKind};
use contract::Digest;
use std::fmt;

/// One script or trigger of one package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The package.
    pub package: String,
    /// Its script.
    pub script: ScriptKind,
    /// How it is covered.
    pub state: State,
}

/// How a script is covered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// debhelper wrote all of it.
    DebhelperOnly,
    /// A recipe covers what debhelper did not write.
    Recipe {
        /// The recipe's reason.
        why: String,
        /// The recipe's file.
        file: String,
    },
    /// Nothing does.
    Unknown {
        /// Digest of the residue.
        digest: Digest,
        /// The residue.
        text: String,
        /// Whether a recipe for other variants of this script exists: its file.
        other: Option<String>,
    },
    /// A generated block is not understood.
    Malformed(ResidueError),
}

/// Everything that the scripts of a build ask for, by package.
#[derive(Clone, Debug, Default)]
pub struct Asked<'a> {
    /// What generated blocks declare.
    pub declared: Vec<(&'a str, Declared)>,
    /// The recipes that apply.
    pub scripts: Vec<(&'a str, &'a Script)>,
}

/// Goes through the scripts of `packages`, sorted by name.
#[must_use]
pub fn coverage<'a>(packages: &'a [Package], recipes: &'a [Recipe]) -> (Vec<Line>, Asked<'a>) {
    let mut order: Vec<&Package> = packages.iter().collect();
    order.sort_by_key(|package| (&package.name, &package.arch));
    let mut lines = Vec::new();
    let mut asked = Asked::default();
    for package in order {
        let installed = package.scripts.iter().filter(|(kind, _)| kind.runs_at_installation());
        for (kind, script) in installed {
            let state = match residue(script) {
                Ok(residue) => {
                    for block in &residue.blocks {
                        let declared = block.declares.iter().cloned();
                        asked.declared.extend(declared.map(|one| (package.name.as_str(), one)));
                    }
                    state(package, *kind, &[neutral(package, &residue), residue], recipes, &mut asked)
                }
                Err(error) => State::Malformed(error),
            };
            lines.push(Line { package: package.name.clone(), script: *kind, state });
        }
    }
    (lines, asked)
}

fn state<'a>(
    package: &'a Package,
    kind: ScriptKind,
    residues: &[Residue; 2],
    recipes: &'a [Recipe],
    asked: &mut Asked<'a>,
) -> State {
    if residues[0].text.is_empty() {
        return State::DebhelperOnly;
    }
    let mut own = recipes.iter().filter(|recipe| recipe.is_for(&package.name));
    let script_of = |recipe: &'a Recipe| residues.iter().find_map(|residue| recipe.script(kind, residue));
    match own.clone().find_map(|recipe| Some((recipe, script_of(recipe)?))) {
        Some((recipe, script)) => {
            asked.scripts.push((&package.name, script));
            State::Recipe { why: script.why.clone(), file: recipe.file.clone() }
        }
        None => State::Unknown {
            digest: residues[0].digest,
            text: residues[0].text.clone(),
            other: own
                .find(|recipe| recipe.scripts.iter().any(|one| one.kind == kind))
                .map(|one| one.file.clone()),
        },
    }
}

/// The residue without what changes with every kernel: in the scripts of `linux-image-<uname>`, the uname is
/// replaced by `@UNAME@`, so that one recipe with `package = "linux-image-*"` fits all that are alike.
fn neutral(package: &Package, residue: &Residue) -> Residue {
    match package
        .name
        .strip_prefix("linux-image-")
        .filter(|uname| uname.starts_with(|c: char| c.is_ascii_digit()))
    {
        Some(uname) => {
            let text = residue.text.replace(uname, "@UNAME@");
            Residue { blocks: Vec::new(), digest: Digest::of(text.as_bytes()), text }
        }
        None => residue.clone(),
    }
}

/// Scripts or triggers that nothing covers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.explain())]
pub struct Uncovered {
    /// The lines of the coverage which are not covered.
    pub scripts: Vec<Line>,
    /// Triggers that are not in the table.
    pub triggers: Vec<triggers::UnknownTrigger>,
}

impl Uncovered {
    /// What `lines` and `packages` leave open.
    ///
    /// # Errors
    /// When there is any such script or trigger.
    pub fn none_in(lines: &[Line], packages: &[Package]) -> Result<(), Self> {
        let open = |line: &&Line| matches!(line.state, State::Unknown { .. } | State::Malformed(_));
        let scripts: Vec<Line> = lines.iter().filter(open).cloned().collect();
        let triggers = triggers::unknown(packages);
        if scripts.is_empty() && triggers.is_empty() { Ok(()) } else { Err(Self { scripts, triggers }) }
    }

    fn explain(&self) -> String {
        let mut text = String::new();
        for line in &self.scripts {
            text.push_str(&line.to_string());
        }
        for trigger in &self.triggers {
            text.push_str(&format!("{trigger}\n"));
        }
        let (scripts, triggers) = (self.scripts.len(), self.triggers.len());
        text + &format!("{scripts} scripts and {triggers} triggers of packages are not covered by any recipe")
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { package, script, state } = self;
        match state {
            State::DebhelperOnly => write!(f, "{package} {script}: debhelper only"),
            State::Recipe { why, file } => write!(f, "{package} {script}: {file}: {why}"),
            State::Malformed(error) => writeln!(f, "{package} {script}: {error}"),
            State::Unknown { digest, text, other } => {
                writeln!(
                    f,
                    "{package} {script} is not covered by any recipe. What debhelper did not write of it:"
                )?;
                for line in text.lines() {
                    writeln!(f, "    {line}")?;
                }
                let file = format!("builder/tree/recipes/{package}.toml");
                match other {
                    Some(file) => {
                        writeln!(f, "  {file} covers another version: review the change, then add")?
                    }
                    None => writeln!(
                        f,
                        "  read it, then add to {file} (or to the overlay's recipes/{package}.toml)"
                    )?,
                }
                writeln!(f, "    [[script]]\n    kind = \"{script}\"\n    residue = [\"{digest}\"]")?;
                writeln!(
                    f,
                    "    why = \"what it does, or why nothing is to be done\"\n    # do = [ {{ directory = {{ path = \"/etc/x\" }} }} ]"
                )
            }
        }
    }
}
