//! `hcimage seed check`: what a node will do with its settings, or everything that is wrong with them.

use super::plan;
use crate::{error::Failure, printer::Printer};
use contract::{
    Seed,
    seed::{self, LIMIT, SeedError, preseed},
};
use serde_json::{Value, json};
use std::{fs::File, io::Read as _, path::Path};

pub(super) fn run(file: &Path, json: bool, printer: &Printer) -> Result<(), Failure> {
    let bytes = bounded(file)?;
    match read(file, &bytes) {
        Ok(found) if json => printer.data(&format!("{:#}\n", found.json())),
        Ok(found) => {
            let rows = plan::rows(&found.seed);
            let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
            printer.data(
                &rows.iter().map(|(name, value)| format!("{name:<width$}  {value}\n")).collect::<String>(),
            )?;
            for warning in &found.warnings {
                printer.warn(warning);
            }
            Ok(())
        }
        Err(error) => {
            if json {
                let problems: Vec<Value> = error.problems.iter().map(problem).collect();
                printer.data(&format!("{:#}\n", json!({ "ok": false, "problems": problems })))?;
            }
            Err(Failure::Seed(error))
        }
    }
}

/// A file of the user's, no more of it than a seed can have.
pub(super) fn bounded(file: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let most = u64::try_from(LIMIT).unwrap_or(u64::MAX).saturating_add(1);
    let opened = File::open(file).map_err(Failure::file("read", file))?;
    opened.take(most).read_to_end(&mut bytes).map_err(Failure::file("read", file))?;
    Ok(bytes)
}

/// Settings that a node can use.
struct Found {
    seed: Seed,
    warnings: Vec<String>,
    burned: bool,
    kind: &'static str,
}

fn read(file: &Path, bytes: &[u8]) -> Result<Found, SeedError> {
    let named = |error: SeedError| error.in_file(file.display().to_string());
    let imager = file.file_name().is_some_and(|name| name == seed::PRESEED);
    let (seed, burned, mut warnings, kind) = if imager || preseed::recognise(bytes) {
        let found = preseed::parse(bytes).map_err(named)?;
        let warnings = found.warnings.iter().map(ToString::to_string).collect();
        (found.seed, found.burned, warnings, "preseed")
    } else {
        let seed = Seed::parse(bytes).map_err(named)?;
        let burned = seed.is_burned();
        (seed, burned, Vec::new(), "seed")
    };
    if burned {
        let used = "a node has used these settings and burned their secrets: it puts back those that it keeps, and no other node can use the file";
        warnings.push(used.to_owned());
    }
    warnings.extend(plan::warnings(&seed));
    Ok(Found { seed, warnings, burned, kind })
}

impl Found {
    fn json(&self) -> Value {
        let rows = plan::rows(&self.seed).into_iter();
        let plan: Vec<Value> = rows.map(|(what, value)| json!({ "what": what, "answer": value })).collect();
        json!({
            "ok": true, "kind": self.kind, "burned": self.burned, "plan": plan, "warnings": self.warnings,
            "problems": [],
        })
    }
}

fn problem(problem: &seed::Problem) -> Value {
    json!({
        "line": problem.line, "column": problem.column, "code": problem.code.name(), "message": problem.message,
    })
}
