//! The status service: looks at the parts and the machine every other second, and tells the console, the network and
//! the report what changed.

use super::{
    announce::{Announce, Announcement, Multicast},
    combine::combine,
    console::{Throttle, issue},
    facts::{self, Facts},
    parts,
    report::{self, News},
};
use crate::node::{file, health::ask::said, notify, part::Part, place, say};
use contract::Status;
use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

const TURN: Duration = Duration::from_secs(2);
const JOURNALCTL: &str = "/usr/bin/journalctl";
const JOURNAL_PATIENCE: Duration = Duration::from_secs(10);

/// What the service tells others with: files in `folder`, and the network.
pub struct Desk<A> {
    folder: PathBuf,
    network: A,
    log: fn() -> Vec<String>,
    /// Whether the status page is on.
    page: bool,
    console: Throttle,
    announced: Option<Announcement>,
    /// Why the last announcement failed.
    mute: Option<String>,
    reported: Option<(News, Option<contract::Reason>)>,
}

/// Serves until the parts cannot be read or the service's own folder cannot be written.
///
/// # Errors
/// Which of these it was.
pub fn serve() -> io::Result<()> {
    let page = Path::new(place::PAGE).exists();
    let mut desk = Desk::new(PathBuf::from(place::STATUS), Multicast::default(), journal, page);
    let mut first = true;
    loop {
        desk.turn(&parts::read(Path::new(place::PARTS))?, facts::gather())?;
        if std::mem::take(&mut first) {
            notify::ready()?;
        }
        notify::alive()?;
        thread::sleep(TURN);
    }
}

impl<A: Announce> Desk<A> {
    /// A desk that has told nobody anything.
    pub fn new(folder: PathBuf, network: A, log: fn() -> Vec<String>, page: bool) -> Self {
        let (console, announced, mute, reported) = (Throttle::default(), None, None, None);
        Self { folder, network, log, page, console, announced, mute, reported }
    }

    /// One look: tells what changed.
    ///
    /// # Errors
    /// When the service's folder cannot be written.
    pub fn turn(&mut self, parts: &BTreeMap<String, Part>, facts: Facts) -> io::Result<()> {
        let uptime = facts.uptime;
        let status = combine(parts, facts);
        self.console(&status, uptime)?;
        self.network(&status);
        self.report(&status, uptime)
    }

    fn console(&mut self, status: &Status, now: Duration) -> io::Result<()> {
        let text = issue(status);
        if self.console.due(&text, now) {
            file::replace(&self.folder.join(place::CONSOLE), text.as_bytes(), 0o644)?;
        }
        Ok(())
    }

    fn network(&mut self, status: &Status) {
        let announcement = Announcement::of(status, self.page);
        // Without an address there is nobody to tell.
        if status.addresses.is_empty() || self.announced.as_ref() == Some(&announcement) {
            return;
        }
        match self.network.say(&announcement) {
            Ok(()) => (self.announced, self.mute) = (Some(announcement), None),
            Err(why) if self.mute.as_ref() == Some(&why) => {}
            Err(why) => {
                say::warn(&why);
                self.mute = Some(why);
            }
        }
    }

    fn report(&mut self, status: &Status, uptime: Duration) -> io::Result<()> {
        let news = report::news(status, uptime);
        let told = Some((news, status.reason.clone()));
        if news == News::None || self.reported == told {
            return Ok(());
        }
        let log = if news == News::Trouble { (self.log)() } else { Vec::new() };
        let text = report::text(status, &log);
        file::replace(&self.folder.join(contract::seed::REPORT), text.as_bytes(), 0o644)?;
        self.reported = told;
        Ok(())
    }
}

/// What our own services said in this boot, the newest last.
fn journal() -> Vec<String> {
    let lines = report::LINES.to_string();
    let mut command = Command::new(JOURNALCTL);
    command
        .args(["--boot", "--unit=hcimage-*", "--quiet", "--no-pager", "--no-hostname", "--output=short"])
        .args(["--lines", &lines])
        .env_clear()
        .envs([("LC_ALL", "C"), ("TZ", "UTC")]);
    match said(command, JOURNAL_PATIENCE) {
        Ok(text) => text.lines().map(str::to_owned).collect(),
        Err(error) => vec![format!("(the journal could not be read: {error})")],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::{Blame, Code, Reason, Stage};

    /// A network that notes what it hears.
    #[derive(Default)]
    struct Fake {
        heard: Vec<Announcement>,
        deaf: bool,
    }

    impl Announce for Fake {
        fn say(&mut self, announcement: &Announcement) -> Result<(), String> {
            if self.deaf {
                return Err("no such device".to_owned());
            }
            self.heard.push(announcement.clone());
            Ok(())
        }
    }

    fn facts(addresses: &[&str], uptime: u64) -> Facts {
        Facts {
            name: "nas".into(),
            addresses: addresses.iter().map(|address| (*address).to_owned()).collect(),
            release: "nas 1".into(),
            slot: None,
            at: uptime,
            uptime: Duration::from_secs(uptime),
        }
    }

    fn parts(stage: Stage, code: Option<Code>) -> BTreeMap<String, Part> {
        let reason = code.map(|code| Reason {
            code,
            area: "area".into(),
            text: "text".into(),
            blame: Blame::Settings,
        });
        let ready = Part { stage: Stage::Ready, reason: None, next: String::new(), probes: Vec::new() };
        let join = Part { stage, reason, ..ready.clone() };
        [("first-boot", ready.clone()), ("health", ready), ("join", join)]
            .map(|(service, part)| (service.to_owned(), part))
            .into()
    }

    #[test]
    fn a_first_boot_as_the_outside_sees_it() {
        let dir = tempfile::tempdir().unwrap();
        let log = || vec!["one line".to_owned()];
        let mut desk = Desk::new(dir.path().to_owned(), Fake::default(), log, false);
        let eth0: &[&str] = &["192.168.1.20 (eth0)"];
        // The parts, the addresses and the time; then what the console says, how often the network was told, and what
        // the report says.
        #[rustfmt::skip]
        let story = [
            (BTreeMap::new(),                             &[][..], 5,   "is first boot",  0, None),
            (parts(Stage::Joining, None),                 eth0,    6,   "is first boot",  1, None),
            (parts(Stage::Joining, None),                 eth0,    12,  "is joining",     1, None),
            (parts(Stage::Joining, Some(Code::J09)),      eth0,    14,  "is joining",     2, Some("Code: HC-J09")),
            (parts(Stage::Joining, Some(Code::J09)),      eth0,    20,  "reason    HC-J09", 2, Some("Code: HC-J09")),
            (parts(Stage::Ready, None),                   eth0,    30,  "is ready",       3, Some("All is well.")),
            (parts(Stage::Degraded, None),                eth0,    200, "is degraded",    4, Some("All is well.")),
            (parts(Stage::Degraded, None),                eth0,    300, "is degraded",    4, Some("It is: degraded")),
        ];
        for (parts, addresses, at, console, heard, report) in story {
            desk.turn(&parts, facts(addresses, at)).unwrap();
            let shown = std::fs::read_to_string(dir.path().join(place::CONSOLE)).unwrap();
            assert!(shown.replace("\\e{reset}", "").contains(console), "at {at} s: {shown}");
            assert_eq!(desk.network.heard.len(), heard, "at {at} s: {:?}", desk.network.heard);
            let written = file::read(&dir.path().join(contract::seed::REPORT)).unwrap();
            let written = written.map(|bytes| String::from_utf8(bytes).unwrap());
            match report {
                None => assert_eq!(written, None, "at {at} s"),
                Some(text) => assert!(written.unwrap().contains(text), "at {at} s"),
            }
        }
    }

    #[test]
    fn a_network_that_fails_is_asked_again() {
        let dir = tempfile::tempdir().unwrap();
        let deaf = Fake { deaf: true, ..Fake::default() };
        let mut desk = Desk::new(dir.path().to_owned(), deaf, Vec::new, true);
        let ready = parts(Stage::Ready, None);
        desk.turn(&ready, facts(&["192.168.1.20 (eth0)"], 1)).unwrap();
        desk.network.deaf = false;
        for at in [3, 5] {
            desk.turn(&ready, facts(&["192.168.1.20 (eth0)"], at)).unwrap();
        }
        assert_eq!(desk.network.heard.iter().map(|heard| heard.port).collect::<Vec<_>>(), [80]);
    }
}
