//! First boot, from the card to the rendered files. Every step may be the last one before the power goes: each is whole,
//! and doing all of it again leads to the same end.
//!
//! Nothing here stops a boot: what cannot be done becomes a reason, and the story goes on without it.

use super::machine::{CardFile, Machine};
use crate::node::{
    burn::{self, Need},
    card::{self, CardError},
    disk::{self, DataPlace, Plan},
    place,
    render::{Facts, Rendered, render},
    settings::Settings,
};
use contract::{
    Blame, Code, Reason, Seed,
    seed::{self, Identity, Secret},
};
use std::io;

/// Names the pair of machine ids for which the machine was restarted: never twice for the same.
const RESTARTED: &str = "/var/lib/hcimage/restarted-for";
/// Names the data disk while a file system is being made on it.
const FORMATTING: &str = "/var/lib/hcimage/formatting";
/// Names of every image, which are no node's.
const IMAGE_NAME: &str = "/etc/hostname";
const SUPPLICANT: &str = "/usr/sbin/wpa_supplicant";

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    /// The node's name.
    pub(super) name: String,
    /// Whether there are any settings.
    pub(super) settled: bool,
    /// What could not be done, the gravest first.
    pub(super) reasons: Vec<Reason>,
    /// Whether the machine is about to restart.
    pub(super) restarting: bool,
}

/// Carries the settings out.
pub(super) fn tell(machine: &mut impl Machine) -> Outcome {
    let mut story = Story { machine, reasons: Vec::new() };
    let joined = story.joined_as();
    let settings = story.settings(joined.as_deref());
    let name = story.name(settings.as_ref(), joined.as_deref());
    let seed = settings.as_ref().map(|settings| settings.seed.clone()).unwrap_or_default();
    let data = story.data(&seed);
    let facts = Facts { name: name.clone(), wifi: story.machine.has(SUPPLICANT), data };
    story.show(&seed, &facts);
    let restarting = story.restart_for_machine_id();
    let mut reasons = story.reasons;
    reasons.sort_by_key(|reason| reason.code == Code::J15);
    Outcome { name, settled: settings.is_some(), reasons, restarting }
}

struct Story<'m, M> {
    machine: &'m mut M,
    reasons: Vec<Reason>,
}

impl<M: Machine> Story<'_, M> {
    fn fault(&mut self, code: Code, area: &str, blame: Blame, text: String) {
        self.reasons.push(Reason { code, area: area.to_owned(), text, blame });
    }

    /// A fault of the node's own storage.
    fn broken(&mut self, what: &str, error: &io::Error) {
        let text = format!("cannot {what}: {error}; the settings may not be complete");
        self.fault(Code::J00, "storage", Blame::Node, text);
    }

    fn text(&mut self, path: &str) -> Option<String> {
        match self.machine.read(path) {
            Ok(bytes) => bytes.map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned()),
            Err(error) => {
                self.broken(&format!("read {path}"), &error);
                None
            }
        }
    }

    fn joined_as(&mut self) -> Option<String> {
        self.text(place::JOINED_AS).filter(|name| !name.is_empty())
    }

    /// What is stored, brought up to what the card says.
    fn settings(&mut self, joined: Option<&str>) -> Option<Settings> {
        let stored = self.stored();
        let card = match self.machine.seed() {
            Ok(card) => card,
            Err(error) => {
                self.card_is_away(&error);
                return stored;
            }
        };
        let Some(card) = card else { return stored };
        let known =
            |stored: &Settings| stored.file == card.name && burn::is_known(&card.bytes, stored.card.reveal());
        let settings = match stored {
            Some(stored) if known(&stored) => stored,
            stored => match self.import(&card, stored.as_ref(), joined) {
                Some(new) => new,
                None => return stored,
            },
        };
        self.burn(&card, &settings, joined);
        Some(settings)
    }

    fn stored(&mut self) -> Option<Settings> {
        let bytes = match self.machine.read(place::SETTINGS) {
            Ok(bytes) => bytes?,
            Err(error) => {
                self.broken(&format!("read {}", place::SETTINGS), &error);
                return None;
            }
        };
        match Settings::parse(&bytes) {
            Ok(settings) => Some(settings),
            Err(error) => {
                let text = format!(
                    "the stored settings are damaged ({error}): put the seed back onto the card, with its secrets"
                );
                self.fault(Code::J00, "storage", Blame::Node, text);
                None
            }
        }
    }

    fn card_is_away(&mut self, error: &CardError) {
        let text = match error {
            CardError::Absent { seconds, .. } => format!(
                "the system partition did not appear after {seconds} s (card reader or card fault). Not treating this as a new node."
            ),
            other => format!("the boot partition cannot be read ({other}). Not treating this as a new node."),
        };
        self.fault(Code::J00, "storage", Blame::Node, text);
    }

    /// Takes a seed that the node does not know: the identity goes to its places, the rest is stored. The settings are
    /// stored last, so a cut before that begins again with the same card.
    fn import(
        &mut self,
        card: &CardFile,
        stored: Option<&Settings>,
        joined: Option<&str>,
    ) -> Option<Settings> {
        let (mut new, warnings) = match read(card, stored) {
            Ok(read) => read,
            Err(reasons) => {
                self.reasons.extend(reasons);
                return None;
            }
        };
        warnings.into_iter().for_each(|warning| self.machine.say(warning));
        let seed = &mut new.seed;
        seed.hostname = seed.name().map(str::to_owned);
        if let Some(identity) = seed.identity.take() {
            // Somebody else's identity must not replace the one under which the node is known.
            let before = self.reasons.len();
            if joined.is_none_or(|joined| joined == identity.name) {
                self.identify(&identity);
            }
            if self.reasons.len() > before {
                // The card keeps it; the next boot tries again.
                return Some(new);
            }
        }
        let kept = new.to_bytes().and_then(|bytes| self.machine.keep(place::SETTINGS, &bytes, 0o600));
        if let Err(error) = kept {
            self.broken("store the settings", &error);
        } else {
            self.machine.say(format!("took the settings of {}", card.name));
        }
        Some(new)
    }

    fn identify(&mut self, identity: &Identity) {
        let line = |text: &str| format!("{}\n", text.trim_end());
        let mut places = vec![(place::KEPT_MACHINE_ID, line(&identity.machine_id), 0o444)];
        let secret = |secret: &Option<Secret>| secret.as_ref().map(|secret| line(secret.reveal()));
        if let Some(password) = secret(&identity.node_password) {
            places.push((place::NODE_PASSWORD, password, 0o600));
        }
        if let Some(key) = secret(&identity.ssh_host_key) {
            places.push((place::HOST_KEY, key, 0o600));
        }
        for (path, text, mode) in places {
            if !self.machine.has(root_of(path)) {
                self.machine.say(format!(
                    "this image has no {}: that part of the identity is left out",
                    root_of(path)
                ));
                continue;
            }
            let same = self.machine.read(path).is_ok_and(|bytes| bytes.as_deref() == Some(text.as_bytes()));
            if same {
                continue;
            }
            // The public half beside a host key is of the old one.
            let stale = (path == place::HOST_KEY).then(|| format!("{path}.pub"));
            let cleared = stale.map_or(Ok(()), |stale| self.machine.forget(&stale));
            if let Err(error) = cleared.and_then(|()| self.machine.keep(path, text.as_bytes(), mode)) {
                self.broken(&format!("store {path}"), &error);
            }
        }
    }

    /// Overwrites what is not needed any more on the card: what the cluster is joined with stays until then.
    fn burn(&mut self, card: &CardFile, settings: &Settings, joined: Option<&str>) {
        let waits = settings.seed.cluster.is_some() && joined.is_none();
        let done: &[Need] = if waits { &[Need::Settings] } else { &[Need::Settings, Need::Join] };
        let text = String::from_utf8_lossy(&card.bytes);
        if burn::burned(&text, done) == card.bytes || self.reasons.iter().any(|fault| fault.code == Code::J00)
        {
            return;
        }
        match self.machine.burn(settings, done) {
            Ok(None) => self.machine.say(format!("erased the secrets in {} on the card", card.name)),
            Ok(Some(why)) => self.machine.say(format!(
                "erased the secrets in {} on the card; copies that an editor has deleted there may be left, as the card cannot trim: {why}",
                card.name
            )),
            Err(error) => self.reasons.push(card::not_erased(&error, None)),
        }
    }

    /// The name: the one that the cluster knows, else the one of the settings, else the image's.
    fn name(&mut self, settings: Option<&Settings>, joined: Option<&str>) -> String {
        let wanted = settings.and_then(|settings| settings.seed.hostname.clone());
        if let (Some(joined), Some(wanted)) = (joined, &wanted)
            && joined != wanted
        {
            let text = format!(
                "this card was joined as \"{joined}\" but config says \"{wanted}\". Use \"hcnode reset-identity\" or fix the name."
            );
            self.fault(Code::J02, "name", Blame::Settings, text);
        }
        let image = self.text(IMAGE_NAME).filter(|name| !name.is_empty());
        let name = joined.map(str::to_owned).or(wanted).or(image).unwrap_or_else(|| "node".to_owned());
        if let Err(error) = self.machine.set_name(&name) {
            self.broken("set the name", &error);
        }
        name
    }

    fn data(&mut self, seed: &Seed) -> DataPlace {
        let Some(wanted) = &seed.data else { return DataPlace::State };
        let found = match self.machine.data_disk(&wanted.disk) {
            Ok(found) => found,
            Err(error) => {
                let text = format!("the data disk {} cannot be read: {error}", wanted.disk);
                self.fault(Code::J03, "storage", Blame::Elsewhere, text);
                return DataPlace::Closed;
            }
        };
        let begun = self.text(FORMATTING);
        match disk::plan(wanted, found.as_ref(), begun.as_deref()) {
            Plan::Mount => {}
            Plan::Format => {
                if let Err(error) = self.format(&wanted.disk) {
                    let text =
                        format!("no file system could be made on the data disk {}: {error}", wanted.disk);
                    self.fault(Code::J03, "storage", Blame::Elsewhere, text);
                    return DataPlace::Closed;
                }
            }
            Plan::Leave(reason) => {
                self.reasons.push(reason);
                return DataPlace::Closed;
            }
        }
        DataPlace::Disk(wanted.disk.clone())
    }

    fn format(&mut self, disk: &str) -> io::Result<()> {
        self.machine.keep(FORMATTING, format!("{disk}\n").as_bytes(), 0o600)?;
        self.machine.format(disk)?;
        self.machine.forget(FORMATTING)?;
        self.machine.say(format!("made a file system on the data disk {disk}"));
        Ok(())
    }

    fn show(&mut self, seed: &Seed, facts: &Facts) {
        let Rendered { files, reasons } = render(seed, facts);
        self.reasons.extend(reasons);
        if let Err(error) = self.machine.show(&files) {
            self.broken("write the settings to /run", &error);
        }
        if facts.data != DataPlace::State
            && let Err(error) = self.machine.mount_data(&facts.data)
        {
            let text = format!("the data directory's disk cannot be mounted: {error}");
            self.fault(Code::J03, "storage", Blame::Elsewhere, text);
        }
    }

    /// The machine id is read once, by the first programs of a boot: another one needs a restart.
    fn restart_for_machine_id(&mut self) -> bool {
        let (Some(kept), Some(running)) = (self.text(place::KEPT_MACHINE_ID), self.text(place::MACHINE_ID))
        else {
            return false;
        };
        if kept == running {
            return false;
        }
        let pair = format!("{kept} {running}");
        let done = if self.text(RESTARTED).as_deref() == Some(&pair) {
            Err(io::Error::other("the restart for it did not help"))
        } else {
            self.machine.say("restarting once, for the machine id of the seed".to_owned());
            let marked = self.machine.keep(RESTARTED, format!("{pair}\n").as_bytes(), 0o600);
            marked.and_then(|()| self.machine.restart())
        };
        if let Err(error) = &done {
            let text =
                format!("the machine id of the seed is not in use yet ({error}): restart the node by hand");
            self.fault(Code::J02, "name", Blame::Node, text);
        }
        done.is_ok()
    }
}

/// The settings that a file of the card stands for, and what of it is of no use here.
fn read(card: &CardFile, stored: Option<&Settings>) -> Result<(Settings, Vec<String>), Vec<Reason>> {
    let refuse = |text: String| {
        vec![Reason { code: Code::J01, area: "config".to_owned(), text, blame: Blame::Settings }]
    };
    let parsed = if card.name == seed::PRESEED {
        seed::preseed::parse(&card.bytes).map(|preseed| {
            let told = |warning: &seed::preseed::Warning| {
                format!("{}: line {}: {}", card.name, warning.line, warning.message)
            };
            (preseed.seed, preseed.warnings.iter().map(told).collect())
        })
    } else {
        Seed::parse(&card.bytes).map(|seed| (seed, Vec::new()))
    };
    let (parsed, warnings) = parsed.map_err(|error| {
        let lines = error.problems.iter().map(|problem| Reason {
            code: problem.code,
            area: if problem.code == Code::J02 { "name" } else { "config" }.to_owned(),
            text: problem.to_string(),
            blame: Blame::Settings,
        });
        lines.collect::<Vec<_>>()
    })?;
    let seed = burn::mended(parsed, stored.map(|stored| &stored.seed)).map_err(refuse)?;
    let text = String::from_utf8(card.bytes.clone()).map_err(|error| refuse(error.to_string()))?;
    Ok((Settings { file: card.name.clone(), card: Secret::new(text), seed }, warnings))
}

/// What an image has if it has a use for the file at `path`.
fn root_of(path: &str) -> &'static str {
    match path {
        place::NODE_PASSWORD => "/etc/rancher",
        place::HOST_KEY => "/etc/ssh/host",
        _ => "/state",
    }
}
