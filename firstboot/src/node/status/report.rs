//! `hc-report.txt` on the boot partition: what a laptop tells of a node that has neither a screen nor a network.
//!
//! The status service, which has no rights, writes the text below /run; a service with the right to mount, and nothing
//! else to do, brings it to the card. Nothing is written there that the card already says.

use super::{
    scrub::scrubbed,
    words::{moment, release, stage, wrap},
};
use contract::{Blame, Stage, Status};
use std::time::Duration;

/// A node that is not ready after this time has something to report.
pub const PATIENCE: Duration = Duration::from_secs(300);
/// Lines of the journal in a report.
pub const LINES: usize = 40;
const WIDTH: usize = 76;
/// What stands above this line is the news.
const WHEN: &str = "When: ";
const TITLE: &str = "Report of the node ";
const WELL: &str = "All is well.";

/// Whether there is something to report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// The node is on its way; it is too early to say.
    None,
    /// Something has to be mended.
    Trouble,
    /// The node is ready: an older report is out of date.
    Well,
}

/// What is to be reported of `status`, `uptime` after the start.
#[must_use]
pub fn news(status: &Status, uptime: Duration) -> News {
    let ours = status.reason.as_ref().is_some_and(|reason| reason.blame != Blame::Elsewhere);
    match status.stage {
        Stage::Ready => News::Well,
        _ if ours || uptime >= PATIENCE => News::Trouble,
        _ => News::None,
    }
}

/// The report: plain ASCII words, CRLF for every editor of Windows. `log` are lines of the journal.
#[must_use]
pub fn text(status: &Status, log: &[String]) -> String {
    let mut lines = vec![format!("{TITLE}{}", status.name), String::new()];
    if status.stage == Stage::Ready {
        lines.push(WELL.to_owned());
    } else {
        lines.push(format!("The node is not ready. It is: {}", stage(status.stage)));
    }
    if let Some(reason) = &status.reason {
        lines.extend([String::new(), format!("Code: {} ({})", reason.code.name(), reason.area)]);
        lines.extend(paragraph("What happened: ", &reason.text));
    }
    if status.stage != Stage::Ready {
        lines.extend(paragraph("What comes next: ", &status.next));
    }
    lines.extend([String::new(), format!("{WHEN}{} by the node's clock", moment(status.at))]);
    lines.push(format!("Release: {}", release(&status.release, status.slot)));
    lines.extend(paragraph(
        "Addresses: ",
        &match status.addresses.is_empty() {
            true => "none".to_owned(),
            false => status.addresses.join(", "),
        },
    ));
    let failed = status.probes.iter().filter(|probe| !probe.passed).map(|probe| {
        let found = probe.found.as_deref().unwrap_or("it is not so");
        format!("Not so: {} ({}): {found}", probe.name, probe.overlay)
    });
    lines.extend(failed);
    if status.stage != Stage::Ready && !log.is_empty() {
        let newest = &log[log.len().saturating_sub(LINES)..];
        lines.extend([String::new(), "The last lines of the node's log:".to_owned()]);
        lines.extend(newest.iter().map(|line| format!("  {}", scrubbed(line))));
    }
    lines.extend([
        String::new(),
        "The node writes this file itself, and writes it anew when something changes.".to_owned(),
    ]);
    let mut text: String = lines.iter().map(|line| super::words::plain(line) + "\r\n").collect();
    text.truncate(contract::seed::LIMIT);
    text
}

fn paragraph(key: &str, text: &str) -> Vec<String> {
    let indent = " ".repeat(key.len());
    let line = |(index, line): (usize, String)| format!("{}{line}", if index == 0 { key } else { &indent });
    wrap(&super::words::plain(text), WIDTH - key.len()).into_iter().enumerate().map(line).collect()
}

/// Whether `new` belongs on a card that holds `old`: it says something else, and "all is well" only replaces trouble.
#[must_use]
pub fn due(old: Option<&str>, new: &str) -> bool {
    let news = |text: &str| text.split(WHEN).next().unwrap_or_default().replace('\r', "");
    match old {
        None => !news(new).contains(WELL),
        Some(old) => news(old) != news(new),
    }
}

/// The card, as far as a report needs it.
pub trait Shelf {
    /// The report that is there.
    ///
    /// # Errors
    /// Why the card cannot be read, in words.
    fn report(&self) -> Result<Option<String>, String>;
    /// Puts this report there, whole.
    ///
    /// # Errors
    /// Why the card does not take it, in words.
    fn put(&self, text: &str) -> Result<(), String>;
}

/// Brings `text` to the card, if it is news there. Returns whether it was.
///
/// # Errors
/// Those of the card.
pub fn deliver(shelf: &dyn Shelf, text: &str) -> Result<bool, String> {
    let due = due(shelf.report()?.as_deref(), text);
    if due {
        shelf.put(text)?;
    }
    Ok(due)
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::{Code, Outcome, Reason};
    use std::cell::RefCell;

    fn status(stage: Stage, reason: Option<(Code, Blame)>) -> Status {
        let reason = reason.map(|(code, blame)| Reason {
            code,
            area: "config".into(),
            text: "line 7: token is cut off".into(),
            blame,
        });
        Status {
            name: "pi3".into(),
            addresses: Vec::new(),
            release: "nas 1".into(),
            slot: None,
            stage,
            reason,
            next: "copy the whole line".into(),
            probes: vec![Outcome {
                overlay: "samba".into(),
                name: "smb listens".into(),
                passed: false,
                found: Some("refused".into()),
            }],
            at: 1_709_251_199,
        }
    }

    #[test]
    fn news_is_what_the_owner_can_mend() {
        use Blame::{Elsewhere, Node, Settings};
        let seconds = Duration::from_secs;
        for (stage, reason, uptime, expected) in [
            (Stage::FirstBoot, None, 20, News::None),
            (Stage::Joining, Some((Code::J06, Elsewhere)), 299, News::None),
            (Stage::Joining, Some((Code::J06, Elsewhere)), 300, News::Trouble),
            (Stage::Starting, None, 300, News::Trouble),
            (Stage::Degraded, Some((Code::J01, Settings)), 20, News::Trouble),
            (Stage::Joining, Some((Code::J03, Node)), 20, News::Trouble),
            (Stage::Ready, None, 20, News::Well),
            (Stage::Ready, Some((Code::J15, Node)), 900, News::Well),
        ] {
            assert_eq!(
                news(&status(stage, reason), seconds(uptime)),
                expected,
                "{stage:?} {reason:?} {uptime}"
            );
        }
    }

    #[test]
    fn a_report_is_read_by_notepad_and_by_people() {
        let log: Vec<String> = (0..50).map(|index| format!("line {index} token=x\u{1b}")).collect();
        let text = text(&status(Stage::Degraded, Some((Code::J01, Blame::Settings))), &log);
        assert!(text.split_inclusive('\n').all(|line| line.ends_with("\r\n")), "{text:?}");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[..14],
            [
                "Report of the node pi3",
                "",
                "The node is not ready. It is: degraded",
                "",
                "Code: HC-J01 (config)",
                "What happened: line 7: token is cut off",
                "What comes next: copy the whole line",
                "",
                "When: 2024-02-29 23:59 UTC by the node's clock",
                "Release: nas 1",
                "Addresses: none",
                "Not so: smb listens (samba): refused",
                "",
                "The last lines of the node's log:",
            ]
        );
        assert_eq!(lines[14], "  line 10 token= [hidden]");
        assert_eq!(lines.len(), 14 + LINES + 2);
    }

    /// A card in memory.
    #[derive(Default)]
    struct Fake {
        report: RefCell<Option<String>>,
        broken: bool,
    }

    impl Shelf for Fake {
        fn report(&self) -> Result<Option<String>, String> {
            if self.broken {
                Err("cannot mount /dev/vda1".to_owned())
            } else {
                Ok(self.report.borrow().clone())
            }
        }

        fn put(&self, text: &str) -> Result<(), String> {
            *self.report.borrow_mut() = Some(text.to_owned());
            Ok(())
        }
    }

    #[test]
    fn the_card_is_written_when_there_is_news_for_it() {
        let later = |status: Status| Status { at: status.at + 3600, ..status };
        let trouble = || status(Stage::Degraded, Some((Code::J01, Blame::Settings)));
        let other = || status(Stage::Joining, Some((Code::J09, Blame::Settings)));
        let well = || status(Stage::Ready, None);
        let card = Fake::default();
        for (what, status, written) in [
            ("a card without a report stays clean", well(), false),
            ("trouble", trouble(), true),
            ("the same at the next boot", later(trouble()), false),
            ("other trouble", other(), true),
            ("all is well again", well(), true),
            ("and still is", later(well()), false),
            ("trouble again", trouble(), true),
        ] {
            assert_eq!(deliver(&card, &text(&status, &["log".to_owned()])), Ok(written), "{what}");
        }
        let broken = Fake { broken: true, ..Fake::default() };
        assert!(deliver(&broken, "x").unwrap_err().contains("vda1"));
    }
}
