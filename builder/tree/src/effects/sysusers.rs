//! `sysusers.d`: users and groups that packages declare. Format: sysusers.d(5) of systemd 257.

use super::{
    EffectError, Hand,
    accounts::{Accounts, Group, Id, User},
};
use crate::ImagePath;

const DIRECTORIES: &[&str] = &["/etc/sysusers.d", "/usr/lib/sysusers.d"];

/// Reads every `sysusers.d` file of the tree: groups, then users, then members, each by file name.
pub(super) fn read(accounts: &mut Accounts, hand: &Hand<'_>) -> Result<(), EffectError> {
    let mut lines = Vec::new();
    for (path, text) in hand.drop_ins(DIRECTORIES, ".conf")? {
        for (number, line) in text.lines().enumerate() {
            let fields = fields(line);
            if !fields.is_empty() {
                lines.push((path.clone(), number + 1, fields));
            }
        }
    }
    for kinds in [&["g"][..], &["u", "u!"], &["m"], &["r"]] {
        for (path, line, fields) in lines.iter().filter(|(.., fields)| kinds.contains(&fields[0].as_str())) {
            let field = |at: usize| fields.get(at).filter(|text| *text != "-").map(String::as_str);
            declare(accounts, &fields[0], field, path, *line)?;
        }
    }
    match lines.iter().find(|(.., fields)| !["g", "u", "u!", "m", "r"].contains(&fields[0].as_str())) {
        Some((path, line, fields)) => {
            let why = format!("`{}` is no kind of sysusers.d line: expected u, u!, g, m or r", fields[0]);
            Err(EffectError::Line { path: path.clone(), line: *line, why })
        }
        None => Ok(()),
    }
}

fn declare<'a>(
    accounts: &mut Accounts,
    kind: &str,
    field: impl Fn(usize) -> Option<&'a str>,
    path: &ImagePath,
    line: usize,
) -> Result<(), EffectError> {
    let refused = |why: String| EffectError::Line { path: path.clone(), line, why };
    let by = path.to_string();
    if kind == "r" {
        // A range says what systemd may allocate on the machine; here the ledger allocates.
        return Ok(());
    }
    let name = field(1).ok_or_else(|| refused("a name is missing".to_owned()))?;
    if field(1).into_iter().chain(field(2)).any(|text| text.contains('%')) {
        return Err(refused(
            "specifiers with `%` depend on the machine, and an image has none yet".to_owned(),
        ));
    }
    let number = |text: &str| text.parse::<u32>().map_err(|_| refused(format!("`{text}` is no id")));
    match kind {
        "g" => {
            let id = field(2).map(number).transpose()?.map_or(Id::Ledger, Id::Fixed);
            accounts.group(Group { name: name.to_owned(), id, by });
        }
        "m" => {
            let group = field(2).ok_or_else(|| refused("the group is missing".to_owned()))?;
            accounts.member(name, group, &by);
        }
        _ => {
            let (id, group) = match field(2) {
                None => (Id::Ledger, name.to_owned()),
                Some(text) => match text.split_once(':') {
                    Some(("-", group)) => (Id::Ledger, group.to_owned()),
                    Some((id, group)) => (Id::Fixed(number(id)?), group.to_owned()),
                    None => (Id::Fixed(number(text)?), name.to_owned()),
                },
            };
            accounts.user(User {
                name: name.to_owned(),
                id,
                group,
                gecos: field(3).unwrap_or_default().to_owned(),
                home: field(4).unwrap_or("/").to_owned(),
                shell: field(5).unwrap_or("/usr/sbin/nologin").to_owned(),
                closed: kind == "u!",
                by,
            });
        }
    }
    Ok(())
}

/// The fields of a line, quotes taken off; none for a comment.
pub(super) fn fields(line: &str) -> Vec<String> {
    let line = line.trim();
    if line.starts_with('#') {
        return Vec::new();
    }
    let mut fields = Vec::new();
    let mut rest = line;
    while !rest.is_empty() {
        let quote = rest.chars().next().filter(|letter| ['"', '\''].contains(letter));
        let (field, behind) = match quote {
            Some(quote) => rest[1..].split_once(quote).unwrap_or((&rest[1..], "")),
            None => rest.split_once(char::is_whitespace).unwrap_or((rest, "")),
        };
        fields.push(field.to_owned());
        rest = behind.trim_start();
    }
    fields
}
