//! The results for a person at a terminal.

use super::gate::Verdict;
use contract::Outcome;
use std::fmt::Write as _;

/// One line for each probe.
#[must_use]
pub fn outcomes(outcomes: &[Outcome]) -> String {
    let width = outcomes.iter().map(|outcome| outcome.overlay.len()).max().unwrap_or_default();
    let mut text = String::new();
    for Outcome { overlay, name, passed, found } in outcomes {
        let mark = if *passed { "ok  " } else { "FAIL" };
        let found = found.as_ref().map(|found| format!(": {found}")).unwrap_or_default();
        // Writing to a string cannot fail.
        writeln!(text, "{mark} {overlay:width$} {name}{found}").unwrap_or_default();
    }
    text
}

/// The probes and what the gate makes of them.
#[must_use]
pub fn verdict(results: &[Outcome], verdict: &Verdict) -> String {
    let mut text = outcomes(results);
    for line in &verdict.excused {
        writeln!(text, "does not count: {line}").unwrap_or_default();
    }
    for line in &verdict.failed {
        writeln!(text, "fails the gate: {line}").unwrap_or_default();
    }
    text.push_str(if verdict.passes() { "This release may stay.\n" } else { "This release may not stay.\n" });
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_says_what_counts() {
        let results = [
            Outcome { overlay: "ssh".into(), name: "ssh listens".into(), passed: true, found: None },
            Outcome {
                overlay: "samba".into(),
                name: "smb listens".into(),
                passed: false,
                found: Some("refused".into()),
            },
        ];
        let judged =
            Verdict { failed: vec!["samba: smb listens: refused".into()], excused: vec!["k3s".into()] };
        assert_eq!(
            verdict(&results, &judged),
            "ok   ssh   ssh listens\nFAIL samba smb listens: refused\ndoes not count: k3s\n\
             fails the gate: samba: smb listens: refused\nThis release may not stay.\n"
        );
        assert!(verdict(&results[..1], &Verdict::default()).ends_with("This release may stay.\n"));
    }
}
