use super::*;
use crate::args::{Cli, Command, SeedCommand};
use clap::Parser as _;
use std::collections::VecDeque;

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA me@laptop";

/// Answers that are known beforehand.
struct Script {
    answers: VecDeque<&'static str>,
    said: Vec<String>,
}

impl Script {
    fn of(answers: &[&'static str]) -> Self {
        Self { answers: answers.iter().copied().collect(), said: Vec::new() }
    }
}

impl Person for Script {
    fn answer(&mut self, question: &str) -> Result<String, Failure> {
        self.said.push(question.to_owned());
        Ok(self.answers.pop_front().expect(question).to_owned())
    }

    fn secret(&mut self, question: &str) -> Result<String, Failure> {
        self.answer(question)
    }

    fn tell(&mut self, text: &str) -> Result<(), Failure> {
        self.said.push(text.to_owned());
        Ok(())
    }
}

fn args(more: &[&str]) -> SeedNewArgs {
    let all = ["hcimage", "seed", "new"].iter().chain(more);
    match Cli::try_parse_from(all).unwrap().command {
        Command::Seed { command: SeedCommand::New(args) } => *args,
        _ => unreachable!("it is seed new"),
    }
}

#[test]
fn what_no_flag_said_is_asked_until_it_is_right() {
    let folder = tempfile::tempdir().unwrap();
    let offer = folder.path().join("id.pub");
    fs::write(&offer, format!("{KEY}\n")).unwrap();
    let token = "K100123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef::node:secret";
    let mut person = Script::of(&[
        "NAS",
        "nas1",
        "2",
        "1",
        "boss",
        "agent",
        "",
        "http://nas",
        "https://nas.lan",
        "K10abc",
        token,
    ]);
    let args = args(&[]);
    let mut draft = Draft::of(&args).unwrap();
    draft.ask(&args, &[offer], &mut person).unwrap();
    assert!(person.answers.is_empty());
    let seed = draft.seed(&args).unwrap();
    assert_eq!(Seed::parse(seed.render().as_bytes()), Ok(seed.clone()));
    assert_eq!(
        (seed.hostname.as_deref(), seed.ssh.authorized_keys.as_slice()),
        (Some("nas1"), &[KEY.to_owned()][..])
    );
    assert_eq!(seed.cluster.unwrap().token.reveal(), token);
    let said = person.said.join("\n");
    for expected in [
        "hostname `NAS` has capitals: write `nas`",
        "id.pub",
        "agent, server or none",
        "token is cut off (CA hash has 3 of 64",
    ] {
        assert!(said.contains(expected), "{expected} is missing in\n{said}");
    }
}

#[test]
fn flags_leave_nothing_to_ask() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("id.pub");
    fs::write(&key, format!("# mine\n{KEY}\n")).unwrap();
    let args = args(&["--hostname=a", "--role=none", "--ssh-key", key.to_str().unwrap()]);
    let mut draft = Draft::of(&args).unwrap();
    draft.ask(&args, &[], &mut Script::of(&[])).unwrap();
    let seed = draft.seed(&args).unwrap();
    assert_eq!((seed.cluster, seed.ssh.authorized_keys), (None, vec![KEY.to_owned()]));
}

#[test]
fn a_first_server_is_asked_for_no_token() {
    let args = args(&["--hostname=a"]);
    let mut draft = Draft::of(&args).unwrap();
    draft.ask(&args, &[], &mut Script::of(&["", "server", ""])).unwrap();
    assert!(draft.token.is_none() && draft.server.is_none());
    draft.token = Some(drawn().unwrap());
    let seed = draft.seed(&args).unwrap();
    assert_eq!(Seed::parse(seed.render().as_bytes()), Ok(seed));
}

#[test]
fn the_file_is_its_owners_alone_and_not_replaced() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("seed.toml");
    write(&file, "one", false).unwrap();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);
    assert!(write(&file, "two", false).is_err());
    assert_eq!(fs::read_to_string(&file).unwrap(), "one");
    write(&file, "two", true).unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), "two");
}
