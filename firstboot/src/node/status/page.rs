//! The status page: one page and its JSON, read-only, without a script.

use super::words::{moment, release, stage};
use contract::{Stage, Status};
use std::fmt::Write as _;

const STYLE: &str = "body{font:1rem/1.5 system-ui,sans-serif;margin:1rem auto;max-width:40rem;padding:0 1rem;\
color:#222;background:#fff}h1{font-size:1.5rem}.s{padding:.1rem .6rem;border-radius:1rem;color:#fff;\
background:#975a00}.ready{background:#1a6b2d}.degraded{background:#a31515}dt{font-weight:bold}\
dd{margin:0 0 .6rem;overflow-wrap:anywhere}ul{padding-left:1.2rem}\
@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}}";

/// The page, in HTML. It asks for itself again every ten seconds.
#[must_use]
pub fn html(status: &Status) -> String {
    let Status { name, addresses, release: version, slot, stage: at_stage, reason, next, probes, at } =
        status;
    let class = match at_stage {
        Stage::Ready => "s ready",
        Stage::Degraded => "s degraded",
        _ => "s",
    };
    let name = escaped(name);
    let mut rows = String::new();
    // Writing to a string cannot fail.
    let mut row =
        |key: &str, value: &str| writeln!(rows, "<dt>{key}</dt><dd>{value}</dd>").unwrap_or_default();
    if let Some(reason) = reason {
        row("Reason", &escaped(&reason.to_string()));
    }
    row("Next", &escaped(next));
    row("Addresses", &addresses.iter().map(|address| escaped(address)).collect::<Vec<_>>().join("<br>"));
    row("Release", &escaped(&release(version, *slot)));
    row("Time", &moment(*at));
    if !probes.is_empty() {
        let mut list = String::new();
        for probe in probes {
            let mark = if probe.passed { "\u{2714}" } else { "\u{2718}" };
            let found = probe.found.as_ref().map(|found| format!(": {}", escaped(found))).unwrap_or_default();
            let (overlay, name) = (escaped(&probe.overlay), escaped(&probe.name));
            writeln!(list, "<li>{mark} {name} ({overlay}){found}</li>").unwrap_or_default();
        }
        row("Services", &format!("<ul>{list}</ul>"));
    }
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <meta http-equiv=\"refresh\" content=\"10\"><title>{name}</title><style>{STYLE}</style></head>\n\
         <body><h1>{name} <span class=\"{class}\">{}</span></h1>\n<dl>\n{rows}</dl></body></html>\n",
        stage(*at_stage)
    )
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other if other.is_control() => safe.push(' '),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::{Blame, Code, Outcome, Reason};

    #[test]
    fn the_page_says_what_the_status_says_and_nothing_gets_out_of_its_place() {
        let attack = "<script>alert(1)</script>\" onload='x' &\u{0}".to_owned();
        let reason =
            Reason { code: Code::J07, area: "trust".into(), text: attack.clone(), blame: Blame::Settings };
        let outcome = Outcome {
            overlay: attack.clone(),
            name: attack.clone(),
            passed: false,
            found: Some(attack.clone()),
        };
        let status = Status {
            name: attack.clone(),
            addresses: vec![attack.clone(), "fd00::20 (eth0)".into()],
            release: attack.clone(),
            slot: None,
            stage: Stage::Degraded,
            reason: Some(reason),
            next: attack,
            probes: vec![outcome],
            at: 0,
        };
        let page = html(&status);
        assert!(!page.contains("<script") && !page.contains("onload='"), "{page}");
        assert!(!page.contains('\0'));
        for part in [
            "HC-J07 trust: &lt;script&gt;",
            "<span class=\"s degraded\">degraded</span>",
            "<br>fd00::20 (eth0)",
            "1970-01-01 00:00 UTC",
            "http-equiv=\"refresh\"",
        ] {
            assert!(page.contains(part), "{part}: {page}");
        }
    }
}
