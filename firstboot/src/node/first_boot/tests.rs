//! First boot on a machine of values, cut off after every act.

use super::{
    machine::{CardFile, Machine},
    part,
    story::{Outcome, tell},
};
use crate::node::{
    burn::{self, Need},
    card::CardError,
    disk::{DataPlace, Found, Holds},
    place,
    render::RunFile,
    settings::Settings,
};
use contract::{Code, Stage, seed};
use std::{collections::BTreeMap, io};

const KEY: &str = "-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW
QyNTUxOQAAACAHsPP4WqZ1mxZk0TzbXKO4HwXkZUBjRmd/ZPwl9H1xWQAAAJgAAAAAAAAA
-----END OPENSSH PRIVATE KEY-----
";
const OLD_ID: &str = "ffffffffffff4fffbfffffffffffffff";
const NEW_ID: &str = "0123456789ab4def8123456789abcdef";

/// A machine. State and card survive a cut; what is in memory does not.
#[derive(Clone)]
struct Fake {
    card: BTreeMap<String, Vec<u8>>,
    card_fault: bool,
    state: BTreeMap<String, (Vec<u8>, u32)>,
    image: Vec<&'static str>,
    disk: Option<Found>,
    run: Vec<RunFile>,
    name: String,
    machine_id: String,
    restarts: usize,
    formats: usize,
    /// Acts that are still done before the power goes.
    left: usize,
}

impl Fake {
    fn new(seed: Option<&str>) -> Self {
        let id = (format!("{OLD_ID}\n").into_bytes(), 0o444);
        Self {
            card: seed.map(|text| (seed::FILE.to_owned(), text.as_bytes().to_vec())).into_iter().collect(),
            card_fault: false,
            state: [(place::KEPT_MACHINE_ID.to_owned(), id)].into(),
            image: vec!["/state", "/etc/rancher", "/etc/ssh/host", "/usr/sbin/wpa_supplicant"],
            disk: None,
            run: Vec::new(),
            name: "nas".to_owned(),
            machine_id: OLD_ID.to_owned(),
            restarts: 0,
            formats: 0,
            left: usize::MAX,
        }
    }

    /// Counts an act; fails it when the power is gone.
    fn act(&mut self) -> io::Result<()> {
        self.left = self.left.checked_sub(1).ok_or_else(|| io::Error::other("no power"))?;
        Ok(())
    }

    /// A boot with power for `acts` acts.
    fn boot(&mut self, acts: usize) -> Outcome {
        let kept = &self.state[place::KEPT_MACHINE_ID].0;
        self.machine_id = String::from_utf8_lossy(kept).trim().to_owned();
        (self.run, self.name, self.left) = (Vec::new(), "nas".to_owned(), acts);
        tell(self)
    }

    /// Boots until it does not restart by itself.
    fn settle(&mut self) -> Outcome {
        for _ in 0..3 {
            let outcome = self.boot(usize::MAX);
            if !outcome.restarting {
                return outcome;
            }
        }
        panic!("restarts for ever");
    }

    fn joined(mut self, name: &str) -> Self {
        self.state.insert(place::JOINED_AS.to_owned(), (format!("{name}\n").into_bytes(), 0o600));
        self
    }

    fn card_text(&self) -> String {
        String::from_utf8(self.card[seed::FILE].clone()).unwrap()
    }

    fn run_text(&self, path: &str) -> &str {
        self.run.iter().find(|file| file.path == path).map_or("", |file| &file.text)
    }

    /// What must be equal however the end was reached.
    fn end(&self) -> String {
        let state: Vec<_> = self.state.iter().filter(|(path, _)| !path.ends_with("restarted-for")).collect();
        format!("{:?} {state:?} {:?} {} {}", self.card, self.run, self.name, self.machine_id)
    }
}

impl Machine for Fake {
    fn seed(&mut self) -> Result<Option<CardFile>, CardError> {
        if self.card_fault {
            return Err(CardError::Absent { device: "/dev/vda1".to_owned(), seconds: 60 });
        }
        let found = [seed::FILE, seed::PRESEED].iter().find_map(|name| self.card.get_key_value(*name));
        Ok(found.map(|(name, bytes)| CardFile { name: name.clone(), bytes: bytes.clone() }))
    }
    fn burn(&mut self, settings: &Settings, done: &[Need]) -> Result<Option<String>, CardError> {
        let text = String::from_utf8(self.card[&settings.file].clone()).unwrap();
        let ashes = burn::burned(&text, done);
        // The power may go while the blocks are written: half of them are.
        let half = ashes.len() / 2;
        let halves = [0..half, half..ashes.len()];
        for range in halves {
            if self.act().is_err() {
                return Err(CardError::None);
            }
            self.card.get_mut(&settings.file).unwrap()[range.clone()].copy_from_slice(&ashes[range]);
        }
        Ok(None)
    }
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(match path {
            place::MACHINE_ID => Some(format!("{}\n", self.machine_id).into_bytes()),
            "/etc/hostname" => Some(b"nas\n".to_vec()),
            _ => self.state.get(path).map(|(bytes, _)| bytes.clone()),
        })
    }
    fn has(&self, path: &str) -> bool {
        self.image.contains(&path)
    }
    fn keep(&mut self, path: &str, bytes: &[u8], mode: u32) -> io::Result<()> {
        self.act()?;
        self.state.insert(path.to_owned(), (bytes.to_vec(), mode));
        Ok(())
    }
    fn forget(&mut self, path: &str) -> io::Result<()> {
        self.act()?;
        self.state.remove(path);
        Ok(())
    }
    fn show(&mut self, files: &[RunFile]) -> io::Result<()> {
        self.act()?;
        self.run = files.to_vec();
        Ok(())
    }
    fn set_name(&mut self, name: &str) -> io::Result<()> {
        self.act()?;
        name.clone_into(&mut self.name);
        Ok(())
    }
    fn data_disk(&mut self, _: &str) -> io::Result<Option<Found>> {
        Ok(self.disk.clone())
    }
    fn format(&mut self, _: &str) -> io::Result<()> {
        let disk = self.disk.as_mut().unwrap();
        // Half a file system is something of an unknown kind.
        disk.holds = Holds::Other("data of an unknown kind".to_owned());
        self.act()?;
        self.formats += 1;
        self.disk.as_mut().unwrap().holds = Holds::Ext4;
        Ok(())
    }
    fn mount_data(&mut self, data: &DataPlace) -> io::Result<()> {
        assert_ne!(*data, DataPlace::State);
        self.act()
    }
    fn restart(&mut self) -> io::Result<()> {
        self.act()?;
        self.restarts += 1;
        Ok(())
    }
    fn say(&mut self, _: String) {}
}

/// A seed with all that first boot acts on.
fn whole() -> String {
    format!(
        "hostname = \"pi3\"\n\n[network]\naddresses = [\"192.168.1.20/24\"]\ngateway = \"192.168.1.1\"\n\n\
         [[wifi]]\nssid = \"home\"\npassword = \"correct horse\"\ncountry = \"DE\"\n\n\
         [data]\ndisk = \"ata-X_1\"\nformat = true\n\n\
         [cluster]\nrole = \"agent\"\nserver = \"https://192.168.1.10:6443\"\ntoken = \"{}\"\n\n\
         [identity]\nname = \"pi3\"\nmachine-id = \"{NEW_ID}\"\nnode-password = \"00112233445566778899aabbccddeeff\"\n",
        token()
    )
}

fn token() -> String {
    format!("K10{}::node:geheimnisgeheimnis", "ab".repeat(32))
}

fn empty_disk() -> Option<Found> {
    Some(Found { own: false, holds: Holds::Nothing })
}

#[test]
fn a_node_without_a_seed_comes_up_and_says_so() {
    let mut fake = Fake::new(None);
    let outcome = fake.boot(usize::MAX);
    assert_eq!((outcome.name.as_str(), outcome.reasons.len(), outcome.settled), ("nas", 0, false));
    assert!(fake.run_text("/run/hcimage/hosts").contains("127.0.1.1 nas"));
    let part = part(outcome);
    assert!(part.stage == Stage::Ready && part.next.contains("homecloud.toml"), "{part:?}");
}

#[test]
fn a_cut_after_any_act_leads_to_the_same_end() {
    let fresh = || Fake { disk: empty_disk(), ..Fake::new(Some(&whole())) };
    let mut expected = fresh();
    let outcome = expected.settle();
    assert_eq!((outcome.name.as_str(), outcome.reasons), ("pi3", Vec::new()));
    assert_eq!((expected.restarts, expected.formats), (1, 1));
    assert_eq!(expected.machine_id, NEW_ID);
    let card = expected.card_text();
    assert!(card.contains(&token()) && !card.contains("horse") && !card.contains("00112233"), "{card}");
    assert_eq!(expected.state[place::SETTINGS].1, 0o600);

    let mut cuts = 0;
    loop {
        let mut fake = fresh();
        let whole = fake.boot(cuts).reasons.is_empty();
        fake.settle();
        assert_eq!(fake.end(), expected.end(), "cut after {cuts} acts");
        assert!(fake.restarts <= 1 && fake.disk == Some(Found { own: false, holds: Holds::Ext4 }));
        if whole && cuts > 0 {
            break;
        }
        // And a second cut, in the boot after the first.
        for second in 0..=cuts {
            let mut fake = fresh();
            fake.boot(cuts);
            fake.boot(second);
            fake.settle();
            assert_eq!(fake.end(), expected.end(), "cuts after {cuts} and {second} acts");
        }
        cuts += 1;
    }
    assert!(cuts > 10, "{cuts} acts");
}

#[test]
fn a_second_boot_changes_nothing() {
    let mut fake = Fake { disk: empty_disk(), ..Fake::new(Some(&whole())) };
    fake.settle();
    let end = fake.end();
    let before = fake.clone();
    let outcome = fake.boot(usize::MAX);
    assert_eq!((fake.end(), outcome.restarting, fake.formats), (end, false, before.formats));
    // Only the name, the files and the mount are made anew; nothing is written to state or card.
    assert_eq!(usize::MAX - fake.left, 3);
}

#[test]
fn the_token_goes_when_the_node_has_joined() {
    let mut fake = Fake { disk: empty_disk(), ..Fake::new(Some(&whole())) };
    fake.settle();
    assert!(fake.card_text().contains(&token()));
    let mut fake = fake.joined("pi3");
    assert_eq!(fake.settle().reasons, Vec::new());
    assert!(!fake.card_text().contains("geheimnis"), "{}", fake.card_text());
    let stored = Settings::parse(&fake.state[place::SETTINGS].0).unwrap();
    assert_eq!(stored.seed.cluster.unwrap().token.reveal(), token());
}

#[test]
fn a_seed_that_is_wrong_changes_nothing_and_is_told_by_line() {
    let mut fake = Fake::new(Some("hostname = \"pi3\"\n"));
    fake.settle();
    for (wrong, expected) in [
        ("hostname = \"pi4\"\nhostnme = \"x\"\n", "line 2:"),
        ("hostname = \"Not A Name\"\n", "line 1:"),
        ("\u{0}", "line 1:"),
    ] {
        let mut fake = fake.clone();
        fake.card.insert(seed::FILE.to_owned(), wrong.as_bytes().to_vec());
        let outcome = fake.boot(usize::MAX);
        assert_eq!(outcome.name, "pi3", "{wrong}");
        assert!(outcome.reasons[0].text.starts_with(expected), "{wrong}: {:?}", outcome.reasons);
        assert!(fake.card_text() == wrong && !fake.run.is_empty());
        assert_eq!(part(outcome).stage, Stage::Degraded);
    }
    let mut fresh = Fake::new(Some("[cluster\n"));
    let outcome = fresh.boot(usize::MAX);
    assert_eq!((outcome.name.as_str(), outcome.reasons[0].code), ("nas", Code::J01));
}

#[test]
fn a_card_that_is_away_is_no_new_node() {
    let mut fake = Fake::new(Some("hostname = \"pi3\"\n"));
    fake.settle();
    fake.card_fault = true;
    let outcome = fake.boot(usize::MAX);
    assert_eq!((outcome.name.as_str(), outcome.reasons.len()), ("pi3", 1));
    assert_eq!(
        outcome.reasons[0].to_string(),
        "HC-J00 storage: the system partition did not appear after 60 s (card reader or card fault). Not treating this as a new node."
    );
}

#[test]
fn a_joined_node_keeps_its_name_and_identity() {
    let mut fake = Fake::new(Some("hostname = \"pi3\"\n")).joined("pi3");
    fake.settle();
    let other = whole().replace("pi3", "pi4").replace("[data]\ndisk = \"ata-X_1\"\nformat = true\n", "");
    fake.card.insert(seed::FILE.to_owned(), other.into_bytes());
    let outcome = fake.settle();
    assert_eq!(outcome.name, "pi3");
    assert_eq!(
        outcome.reasons[0].to_string(),
        "HC-J02 name: this card was joined as \"pi3\" but config says \"pi4\". Use \"hcnode reset-identity\" or fix the name."
    );
    assert_eq!(fake.machine_id, OLD_ID);
    assert!(!fake.state.contains_key(place::NODE_PASSWORD));
    fake.state.remove(place::JOINED_AS);
    assert_eq!(fake.settle().name, "pi4");
}

#[test]
fn a_burned_seed_may_be_edited() {
    let mut fake = Fake { disk: empty_disk(), ..Fake::new(Some(&whole())) };
    fake.settle();
    let edited = fake.card_text().replace("192.168.1.20", "192.168.1.21");
    fake.card.insert(seed::FILE.to_owned(), edited.clone().into_bytes());
    assert_eq!(fake.settle().reasons, Vec::new());
    assert!(fake.run_text("/run/systemd/network/10-hcimage.network").contains("192.168.1.21"));
    assert!(fake.run_text("/run/hcimage/wpa_supplicant.conf").contains("correct horse"));
    let mut stranger = Fake::new(Some(&edited));
    let outcome = stranger.boot(usize::MAX);
    assert!(outcome.reasons[0].text.contains("write it again"), "{outcome:?}");
}

#[test]
fn an_identity_has_its_places_with_their_modes() {
    let text = format!("{}ssh-host-key = '''\n{KEY}'''\n", whole());
    let mut fake = Fake { disk: empty_disk(), ..Fake::new(Some(&text)) };
    fake.state.insert(format!("{}.pub", place::HOST_KEY), (b"of the old key".to_vec(), 0o644));
    assert_eq!(fake.settle().reasons, Vec::new());
    assert_eq!(fake.state[place::HOST_KEY], (KEY.as_bytes().to_vec(), 0o600));
    assert!(!fake.state.contains_key(&format!("{}.pub", place::HOST_KEY)));
    let mut fake = Fake { disk: empty_disk(), ..Fake::new(Some(&whole())) };
    fake.image.retain(|path| *path != "/etc/rancher");
    assert_eq!(fake.settle().reasons, Vec::new());
    assert!(!fake.state.contains_key(place::NODE_PASSWORD));
    let mut fake = Fake { disk: empty_disk(), ..Fake::new(Some(&whole())) };
    fake.settle();
    assert_eq!(fake.state[place::NODE_PASSWORD], (b"00112233445566778899aabbccddeeff\n".to_vec(), 0o600));
}

#[test]
fn a_machine_id_that_does_not_take_is_tried_once() {
    let mut fake = Fake { disk: empty_disk(), ..Fake::new(Some(&whole())) };
    assert!(fake.boot(usize::MAX).restarting);
    // The running system has the old one again.
    fake.left = usize::MAX;
    fake.machine_id = OLD_ID.to_owned();
    let outcome = tell(&mut fake);
    assert!(!outcome.restarting && fake.restarts == 1);
    assert!(outcome.reasons[0].text.contains("restart the node by hand"), "{outcome:?}");
}

#[test]
fn a_data_disk_that_is_away_closes_the_shares() {
    let mut fake = Fake::new(Some(&whole()));
    let outcome = fake.settle();
    assert_eq!(outcome.reasons.len(), 1, "{outcome:?}");
    assert!(outcome.reasons[0].text.contains("ata-X_1 is not there"), "{outcome:?}");
    assert!(fake.run_text("/run/systemd/system/var-lib-dnas.mount").contains("Options=ro,"));
    assert_eq!(fake.formats, 0);
}

#[test]
fn the_imagers_file_is_read_when_there_is_no_seed() {
    let mut fake = Fake::new(None);
    let text = "config_version = \"1.0\"\n[system]\nhostname = \"pi9\"\n[wlan]\nssid = \"home\"\npassword = \"correct horse\"\ncountry = \"DE\"\n";
    fake.card.insert(seed::PRESEED.to_owned(), text.as_bytes().to_vec());
    let outcome = fake.settle();
    assert_eq!((outcome.name.as_str(), outcome.reasons), ("pi9", Vec::new()));
    assert!(fake.run_text("/run/hcimage/wpa_supplicant.conf").contains("correct horse"));
    let left = String::from_utf8(fake.card[seed::PRESEED].clone()).unwrap();
    assert!(!left.contains("horse") && left.len() == text.len(), "{left}");
    let end = fake.end();
    fake.settle();
    assert_eq!(fake.end(), end);
    // A seed wins over it.
    fake.card.insert(seed::FILE.to_owned(), b"hostname = \"pi3\"\n".to_vec());
    assert_eq!(fake.settle().name, "pi3");
}
