//! `/etc/pam.d/common-*`: the templates of libpam-runtime, filled from the profiles of `/usr/share/pam-configs`
//! that are on by default. The way of `pam-auth-update` 1.7.

use super::{EffectError, Hand};
use crate::{Contents, ImagePath, Tree};
use std::collections::BTreeMap;

const TEMPLATES: &str = "/usr/share/pam";
const PROFILES: &str = "/usr/share/pam-configs";
/// File name and the prefix of a profile's fields.
const KINDS: &[(&str, &str)] = &[
    ("account", "Account"),
    ("auth", "Auth"),
    ("password", "Password"),
    ("session", "Session"),
    ("session-noninteractive", "Session"),
];
const PRIMARY: &str = "# here are the per-package modules (the \"Primary\" block)";
const FALLBACK: &str = "# here's the fallback if no module succeeds";
const ADDITIONAL: &str = "# and here are more per-package modules (the \"Additional\" block)";
const LAST: &str = "# end of pam-auth-update config";

type Fields = BTreeMap<String, String>;

/// Writes the five files, when libpam-runtime is in the image.
///
/// # Errors
/// When a profile or template is malformed.
pub fn apply(tree: &mut Tree, contents: &dyn Contents) -> Result<(), EffectError> {
    let mut hand = Hand::new(tree, contents, "pam");
    let profiles = profiles(&hand)?;
    for (kind, field) in KINDS {
        let Some(template) = hand.text(&format!("{TEMPLATES}/common-{kind}"))? else { continue };
        let chosen: Vec<&Fields> = profiles
            .iter()
            .filter(|fields| {
                let interactive = fields.get("Session-Interactive-Only").is_some_and(|only| only == "yes");
                *kind != "session-noninteractive" || !interactive
            })
            .collect();
        let service = kind.split('-').next().unwrap_or(kind);
        let text = fill(&template, service, field, &chosen).map_err(|(line, why)| {
            let path = ImagePath::root().join(&format!("{TEMPLATES}/common-{kind}"));
            path.map_or_else(|source| hand.malformed(source), |path| EffectError::Line { path, line, why })
        })?;
        hand.write(&format!("/etc/pam.d/common-{kind}"), text, 0o644)?;
    }
    Ok(())
}

/// The profiles that are on: highest priority first, then by name backwards.
fn profiles(hand: &Hand<'_>) -> Result<Vec<Fields>, EffectError> {
    let mut found = Vec::new();
    for (path, text) in hand.drop_ins(&[PROFILES], "")? {
        let fields = parse(&text);
        let priority = fields.get("Priority").map_or(Ok(0), |text| text.parse::<i64>()).map_err(|_| {
            EffectError::Line { path: path.clone(), line: 1, why: "`Priority` is no number".to_owned() }
        })?;
        if fields.get("Default").is_some_and(|default| default == "yes") {
            found.push((priority, path.name().to_owned(), fields));
        }
    }
    found.sort_by(|a, b| (b.0, &b.1).cmp(&(a.0, &a.1)));
    let mut chosen: Vec<(String, Fields)> = Vec::new();
    for (_, name, fields) in found {
        let conflicts = |fields: &Fields, name: &str| {
            fields.get("Conflicts").is_some_and(|list| list.split(", ").any(|one| one == name))
        };
        if let Some((other, _)) =
            chosen.iter().find(|(other, others)| conflicts(others, &name) || conflicts(&fields, other))
        {
            return Err(EffectError::Clash {
                what: "PAM profile",
                name,
                first: "is on by default".to_owned(),
                second: format!("conflicts with `{other}`, which is too"),
            });
        }
        chosen.push((name, fields));
    }
    Ok(chosen.into_iter().map(|(_, fields)| fields).collect())
}

/// The fields of a profile; the lines of a multi-line one without their indent.
fn parse(text: &str) -> Fields {
    let mut fields = Fields::new();
    let mut last = String::new();
    for line in text.lines() {
        let field =
            line.split_once(':').filter(|(name, _)| !name.contains(char::is_whitespace) && !name.is_empty());
        match field {
            Some((name, value)) => {
                last = name.strip_suffix("-Final").unwrap_or(name).to_owned();
                fields.insert(last.clone(), value.trim().to_owned());
            }
            None if !line.trim().is_empty() => {
                let value = fields.entry(last.clone()).or_default();
                if !value.is_empty() {
                    value.push('\n');
                }
                value.push_str(line.trim());
            }
            None => {}
        }
    }
    fields
}

fn fill(template: &str, service: &str, field: &str, profiles: &[&Fields]) -> Result<String, (usize, String)> {
    let mut text = String::new();
    let mut blocks = [(PRIMARY, "Primary", FALLBACK), (ADDITIONAL, "Additional", LAST)].into_iter();
    let mut block = blocks.next();
    let mut until: Option<&str> = None;
    for line in template.lines() {
        if let Some(end) = until {
            if !line.starts_with(end) {
                continue;
            }
            until = None;
        }
        text.push_str(line);
        text.push('\n');
        if let Some((begin, kind, end)) = block
            && line.starts_with(begin)
        {
            text.push_str(&modules(service, field, kind, profiles));
            until = Some(end);
            block = blocks.next();
        }
    }
    match (until, block) {
        (None, None) => Ok(text),
        (Some(missing), _) | (None, Some((missing, ..))) => {
            Err((template.lines().count(), format!("the template has no line `{missing}`")))
        }
    }
}

/// The lines of one block. `end` in a control stands for the number of lines behind it, which a success skips.
fn modules(service: &str, field: &str, kind: &str, profiles: &[&Fields]) -> String {
    let of_kind =
        profiles.iter().filter(|fields| fields.get(&format!("{field}-Type")).is_some_and(|t| t == kind));
    let mut lines = Vec::new();
    for (position, fields) in of_kind.enumerate() {
        let initial = fields.get(&format!("{field}-Initial")).filter(|_| position == 0);
        if let Some(text) = initial.or_else(|| fields.get(field)) {
            lines.extend(text.lines());
        }
    }
    if lines.is_empty() && kind == "Primary" {
        return format!("{service}\t[default=1]\t\t\tpam_permit.so\n");
    }
    // Behind the last line of the first block is `pam_deny`, which a success skips too; not so in the second.
    let count = lines.len() - usize::from(kind == "Additional" && !lines.is_empty());
    let line = |(position, line): (usize, &&str)| {
        let skipped = count.saturating_sub(position).to_string();
        let (module, options) = split_module(line);
        let options: Vec<&str> = options.split_whitespace().collect();
        format!("{service}\t{} {}\n", module.replace("end", &skipped), options.join(" "))
    };
    lines.iter().enumerate().map(line).collect()
}

/// `control module` and the options behind them.
fn split_module(line: &str) -> (&str, &str) {
    let control = match line.find(']').filter(|_| line.starts_with('[')) {
        Some(end) => end + 1,
        None => line.find(char::is_whitespace).unwrap_or(line.len()),
    };
    let module =
        line[control..].find(|letter: char| !letter.is_whitespace()).map_or(line.len(), |at| control + at);
    let end = line[module..].find(char::is_whitespace).map_or(line.len(), |at| module + at);
    (&line[..end], &line[end..])
}
