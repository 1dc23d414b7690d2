//! Both ends against each other, and lines that are no questions.

use super::{
    Answer, LIMIT, Question,
    ask::{self, Stand, stand},
    desk::Desk,
    serve,
};
use serde_json::{Value, json};
use std::{
    io::{Read as _, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    thread,
};

#[derive(Default)]
struct Pretended {
    started: Vec<Option<String>>,
}

impl Desk for Pretended {
    fn status(&mut self) -> Result<Value, String> {
        Ok(json!({"release": "nas-aarch64 1.4"}))
    }

    fn start(&mut self, to: Option<&str>) -> Result<(), String> {
        self.started.push(to.map(str::to_owned));
        if self.started.len() > 1 { Err("an update is at work".to_owned()) } else { Ok(()) }
    }
}

/// What is answered to these bytes.
fn told(bytes: &[u8], desk: &mut Pretended) -> Answer {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    ours.write_all(bytes).unwrap();
    ours.shutdown(std::net::Shutdown::Write).unwrap();
    serve::converse(theirs, desk).unwrap();
    let mut text = String::new();
    ours.read_to_string(&mut text).unwrap();
    assert!(text.ends_with('\n'));
    serde_json::from_str(&text).unwrap()
}

#[test]
fn questions_are_carried_out_and_all_else_is_refused() {
    let mut desk = Pretended::default();
    let answer = told(b"{\"ask\":\"status\"}\n", &mut desk);
    assert_eq!(answer.update.unwrap()["release"], "nas-aarch64 1.4");
    assert!(told(b"{\"ask\":\"start\",\"to\":\"https://nas.lan/x.hcb\"}", &mut desk).ok);
    assert_eq!(told(b"{\"ask\":\"start\"}\nmore", &mut desk).error.as_deref(), Some("an update is at work"));
    assert_eq!(desk.started, [Some("https://nas.lan/x.hcb".to_owned()), None]);
    let long = [b"{\"ask\":\"start\",\"to\":\"/".as_slice(), &vec![b'x'; LIMIT], b"\"}\n"].concat();
    for line in [
        &b""[..],
        b"\n",
        b"status\n",
        b"{\"ask\":\"reboot\"}\n",
        b"{\"ask\":\"start\",\"too\":\"x\"}\n",
        b"{\"ask\":\"start\",\"to\":\"--no-reboot\"}\n",
        b"{\"ask\":\"start\",\"to\":\"/a b\"}\n",
        b"{\"ask\":\"start\",\"to\":\"https://x/\\n--again\"}\n",
        b"\xff\xfe\n",
        &long,
    ] {
        let answer = told(line, &mut desk);
        assert!(!answer.ok && answer.error.is_some(), "{}", String::from_utf8_lossy(line));
    }
    assert_eq!(desk.started.len(), 2);
}

#[test]
fn both_ends_understand_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("update.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let server = thread::spawn(move || {
        let mut desk = Pretended::default();
        for _ in 0..2 {
            serve::converse(listener.accept().unwrap().0, &mut desk).unwrap();
        }
        desk.started
    });
    let answer = ask::question(&path, &Question::Status {}).unwrap();
    assert_eq!(answer.update.unwrap()["release"], "nas-aarch64 1.4");
    let to = Some("/media/x.hcb".to_owned());
    assert!(ask::question(&path, &Question::Start { to: to.clone() }).unwrap().ok);
    assert_eq!(server.join().unwrap(), [to]);
}

#[test]
fn a_release_is_waited_for_until_it_stays_or_does_not() {
    for (update, expected) in [
        (json!({"release": "nas 1.5", "here": "committed (generation 3)"}), Stand::Committed),
        (json!({"release": "nas 1.5", "here": "on trial (generation 3, 1 starts, 2 left)"}), Stand::UnderWay),
        (json!({"release": "nas 1.4", "here": "committed (generation 2)", "staged": "1.5"}), Stand::UnderWay),
        (json!({"release": "nas 1.4", "running": {"release": "1.5"}}), Stand::UnderWay),
        (
            json!({"release": "nas 1.4", "failures": [{"version": "1.5", "why": ["a", "b"]}]}),
            Stand::Failed("a; b".into()),
        ),
        (json!({"release": "nas 1.4", "failures": [{"version": "1.3", "why": []}]}), Stand::Absent),
        (json!({"release": "nas 1.55", "here": "committed"}), Stand::Absent),
        (json!({}), Stand::Absent),
    ] {
        assert_eq!(stand(&update, "1.5"), expected, "{update}");
    }
}
