//! The grammar of labels and taints. Source: Kubernetes, "Labels and Selectors" and "Taints and Tolerations".

use super::{problem::shown, value};

/// A label's or a taint's key: `[PREFIX/]NAME`.
pub(super) fn key(text: &str) -> Result<(), String> {
    let (prefix, name) = split(text);
    if let Some(prefix) = prefix
        && (prefix != prefix.to_ascii_lowercase() || !value::dns_name(prefix))
    {
        return Err(format!(
            "{} must begin with a domain in lower case, such as \"hc.home/role\"",
            shown(text)
        ));
    }
    if name.is_empty() || !word(name) {
        return Err(format!(
            "{} is no key: it has 1 to 63 letters, digits, `-`, `_` and `.`, and begins and ends with a letter or digit",
            shown(text)
        ));
    }
    Ok(())
}

/// A label's or a taint's value.
pub(super) fn value(text: &str) -> Result<(), String> {
    if word(text) {
        return Ok(());
    }
    Err(format!(
        "{} may have 63 letters, digits, `-`, `_` and `.`, and begins and ends with a letter or digit",
        shown(text)
    ))
}

fn word(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    text.len() <= 63
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        && edge(text.chars().next())
        && edge(text.chars().next_back())
}

/// A label that k3s refuses to start with. The text is the one of step J10.
pub(super) fn reserved(label: &str) -> Result<(), String> {
    let (prefix, name) = split(label);
    let owned = |domain: &str| {
        prefix.is_some_and(|prefix| {
            prefix.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        })
    };
    if !owned("kubernetes.io") && !owned("k8s.io") {
        return Ok(());
    }
    let instead = match prefix {
        Some("node-role.kubernetes.io") => "role",
        _ => name,
    };
    Err(format!("label \"{label}\" is reserved and would stop k3s; use \"hc.home/{instead}\"."))
}

/// A taint, `KEY[=VALUE]:EFFECT`; gives back what must be unique.
pub(super) fn taint(text: &str) -> Result<(&str, &str), String> {
    const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
    let Some((head, effect)) = text.rsplit_once(':') else {
        return Err(format!("{} has no effect: write KEY=VALUE:NoSchedule", shown(text)));
    };
    if !EFFECTS.contains(&effect) {
        let hint = crate::suggest::did_you_mean(effect, EFFECTS);
        return Err(format!(
            "{} is no effect: there are NoSchedule, PreferNoSchedule and NoExecute{hint}",
            shown(effect)
        ));
    }
    let (name, set) = head.split_once('=').unwrap_or((head, ""));
    key(name)?;
    value(set)?;
    Ok((name, effect))
}

fn split(text: &str) -> (Option<&str>, &str) {
    text.rsplit_once('/').map_or((None, text), |(prefix, name)| (Some(prefix), name))
}
