//! The node on the local network: `_hcimage._tcp` (RFC 6763), and NAME.local for its addresses. For people and for
//! `hcimage` on a laptop to find nodes by; nothing ever joins or trusts anything because of it.

use super::facts::outward;
use contract::Status;
use mdns_sd::{IfKind, IfPredicate, ServiceDaemon, ServiceInfo};

/// The service's type.
pub const TYPE: &str = "_hcimage._tcp.local.";
/// The status page's port, and the port of a service that is nothing but its record (discard, as others do).
const PORTS: (u16, u16) = (80, 9);
/// A label of the DNS is no longer, in bytes.
const LABEL: usize = 63;
/// A value in a TXT record, with its key, is no longer than 255 bytes.
const VALUE: usize = 200;

/// What is announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// The name of the service's instance, and of the host.
    pub name: String,
    /// Where to ask.
    pub port: u16,
    /// `release`, `stage`, and `code` when there is a reason.
    pub text: Vec<(&'static str, String)>,
}

impl Announcement {
    /// What the network may know of a node: no address of the owner's, no reason in words.
    #[must_use]
    pub fn of(status: &Status, page: bool) -> Self {
        let label = status.name.split('.').next().unwrap_or_default();
        let mut text = vec![
            ("release", short(&status.release, VALUE)),
            ("stage", super::words::stage(status.stage).replace(' ', "-")),
        ];
        text.extend(status.reason.as_ref().map(|reason| ("code", reason.code.name())));
        Self { name: short(label, LABEL), port: if page { PORTS.0 } else { PORTS.1 }, text }
    }
}

fn short(text: &str, limit: usize) -> String {
    let mut end = text.len().min(limit);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

/// Whoever announces.
pub trait Announce {
    /// Announces this instead of what was announced before.
    ///
    /// # Errors
    /// Why it cannot, in words.
    fn say(&mut self, announcement: &Announcement) -> Result<(), String>;
}

/// Multicast DNS, on ports that lead out of the node. It starts with the first announcement, follows the node's
/// addresses by itself, and gives the name a number when another machine has it already.
#[derive(Default)]
pub struct Multicast {
    daemon: Option<ServiceDaemon>,
    /// The full name that is announced now.
    said: Option<String>,
}

impl Multicast {
    fn start() -> mdns_sd::Result<ServiceDaemon> {
        let daemon = ServiceDaemon::new()?;
        daemon.disable_interface(inward())?;
        Ok(daemon)
    }
}

fn inward() -> IfKind {
    IfKind::Predicate(IfPredicate::new(|interface| !outward(&interface.name)))
}

impl Announce for Multicast {
    fn say(&mut self, announcement: &Announcement) -> Result<(), String> {
        let words = |error: mdns_sd::Error| format!("mDNS: {error}");
        let daemon = match &self.daemon {
            Some(daemon) => daemon,
            None => self.daemon.insert(Self::start().map_err(words)?),
        };
        let service = service(announcement).map_err(words)?;
        let name = service.get_fullname().to_owned();
        if let Some(before) = self.said.take_if(|before| *before != name) {
            daemon.unregister(&before).map_err(words)?;
        }
        daemon.register(service).map_err(words)?;
        self.said = Some(name);
        Ok(())
    }
}

fn service(announcement: &Announcement) -> mdns_sd::Result<ServiceInfo> {
    let Announcement { name, port, text } = announcement;
    let host = format!("{name}.local.");
    let text: Vec<(&str, &str)> = text.iter().map(|(key, value)| (*key, value.as_str())).collect();
    Ok(ServiceInfo::new(TYPE, name, &host, "", *port, &text[..])?.enable_addr_auto())
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::{Blame, Code, Reason, Stage};

    fn status(name: &str, reason: Option<Code>) -> Status {
        let reason = reason.map(|code| Reason {
            code,
            area: "trust".into(),
            text: "at 192.168.1.10".into(),
            blame: Blame::Settings,
        });
        Status {
            name: name.to_owned(),
            addresses: vec!["192.168.1.20 (eth0)".into()],
            release: "nas 1.2".into(),
            slot: None,
            stage: Stage::FirstBoot,
            reason,
            next: "somebody's business".into(),
            probes: Vec::new(),
            at: 0,
        }
    }

    #[test]
    fn the_network_learns_release_stage_and_code() {
        let text = |code: Option<&str>| {
            let mut text = vec![("release", "nas 1.2".to_owned()), ("stage", "first-boot".to_owned())];
            text.extend(code.map(|code| ("code", code.to_owned())));
            text
        };
        let expected = Announcement { name: "nas".into(), port: 9, text: text(None) };
        assert_eq!(Announcement::of(&status("nas", None), false), expected);
        let expected = Announcement { name: "nas".into(), port: 80, text: text(Some("HC-J07")) };
        assert_eq!(Announcement::of(&status("nas.home.arpa", Some(Code::J07)), true), expected);
    }

    #[test]
    fn long_names_are_cut_between_characters() {
        let name = format!("{}é", "n".repeat(LABEL - 1));
        assert_eq!(Announcement::of(&status(&name, None), false).name, "n".repeat(LABEL - 1));
        let mut long = status("nas", None);
        long.release = "é".repeat(200);
        assert!(service(&Announcement::of(&long, false)).is_ok());
    }

    #[test]
    fn the_record_is_as_the_announcement() {
        let service = service(&Announcement::of(&status("nas", Some(Code::J07)), true)).unwrap();
        assert_eq!(service.get_fullname(), "nas._hcimage._tcp.local.");
        assert_eq!((service.get_hostname(), service.get_port()), ("nas.local.", 80));
        assert_eq!(service.get_property_val_str("code"), Some("HC-J07"));
        assert_eq!(service.get_property_val_str("stage"), Some("first-boot"));
    }
}
