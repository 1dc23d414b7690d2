//! `hcimage scripts`.

use crate::{
    args::ScriptsArgs,
    error::Failure,
    pipeline::{packages, tree as trees, unpack::Unpacking},
    printer::Printer,
    settings::{Workshop, host_arch},
};
use disk::erofs::PackSettings;
use tree::recipe::{Line, State, coverage};

pub(crate) fn run(args: &ScriptsArgs, workshop: &Workshop, printer: &Printer) -> Result<(), Failure> {
    let arch = args.arch.map_or_else(host_arch, Ok)?;
    let described = workshop.project.describe(&args.profile)?;
    let lock = workshop.project.lock(&args.profile)?;
    packages::fetch(workshop, &lock, arch, printer)?;
    let rules = trees::drop_rules(&described)?;
    let image = &described.profile.image;
    let settings = PackSettings::new(image.level, image.extent)?;
    let unpacking = Unpacking { cache: &workshop.cache, settings, rules: &rules };
    let locked = packages::of(&lock, arch)?;
    let (unpacked, _) = printer.stage("unpack", |stage| packages::unpack(&unpacking, locked, stage))?;
    let assembly =
        trees::assembly(&described, &lock, arch, &unpacked, &trees::Additions::default(), "report")?;
    let (lines, _) = coverage(&assembly.packages, &assembly.recipes);
    if workshop.json {
        let rows: Vec<_> = lines.iter().map(json_row).collect();
        printer.data(&format!("{:#}\n", serde_json::Value::from(rows)))?;
    } else {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        printer.data(&text)?;
    }
    let count = |wanted: fn(&State) -> bool| lines.iter().filter(|line| wanted(&line.state)).count();
    let open = count(|state| matches!(state, State::Unknown { .. } | State::Malformed(_)));
    printer.say(&format!(
        "{} scripts: {} by debhelper alone, {} by a recipe, {open} not covered",
        lines.len(),
        count(|state| matches!(state, State::DebhelperOnly)),
        count(|state| matches!(state, State::Recipe { .. })),
    ));
    if open > 0 {
        return Err(Failure::refused(format!("{open} scripts are not covered: a build would stop")));
    }
    Ok(())
}

fn json_row(line: &Line) -> serde_json::Value {
    let (state, detail) = match &line.state {
        State::DebhelperOnly => ("debhelper", serde_json::Value::Null),
        State::Recipe { why, file } => ("recipe", serde_json::json!({ "why": why, "file": file })),
        State::Unknown { digest, text, .. } => {
            ("unknown", serde_json::json!({ "residue": digest, "text": text }))
        }
        State::Malformed(error) => ("malformed", serde_json::json!({ "error": error.to_string() })),
    };
    serde_json::json!({ "package": line.package, "script": line.script.name(), "state": state, "detail": detail })
}
