use super::*;
use std::{cell::RefCell, io::Cursor, io::Read, rc::Rc, time::Duration};

/// A server by script: what it does to each question in turn; then it answers as it should.
struct Script {
    file: Vec<u8>,
    acts: Vec<Act>,
    asked: Rc<RefCell<Vec<Range<u64>>>>,
    ranges: bool,
}

#[derive(Clone, Debug)]
enum Act {
    Away,
    Refuses,
    BreaksAfter(usize),
    EndsAfter(usize),
    Tag(&'static str),
    Total(u64),
    Beyond,
    Later(u64),
}

struct Breaks(Cursor<Vec<u8>>);

impl Read for Breaks {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.0.read(into)? {
            0 => Err(io::ErrorKind::ConnectionReset.into()),
            count => Ok(count),
        }
    }
}

impl Get for Script {
    fn get(&mut self, _: &str, range: Option<Range<u64>>) -> Result<Answer, GetError> {
        let range = range.unwrap();
        self.asked.borrow_mut().push(range.clone());
        let range = if self.ranges { range } else { 0..self.file.len() as u64 };
        let bytes = self.file[range.start as usize..range.end as usize].to_vec();
        let mut answer = Answer {
            start: range.start,
            total: Some(self.file.len() as u64),
            tag: Some("one".to_owned()),
            body: Box::new(Cursor::new(bytes.clone())),
        };
        match (!self.acts.is_empty()).then(|| self.acts.remove(0)) {
            None => {}
            Some(Act::Away) => return Err(GetError::Away("no route to host".to_owned())),
            Some(Act::Refuses) => return Err(GetError::Refused("it answers 404".to_owned())),
            Some(Act::Beyond) => return Err(GetError::Beyond(Some(7))),
            Some(Act::BreaksAfter(end)) => answer.body = Box::new(Breaks(Cursor::new(bytes[..end].to_vec()))),
            Some(Act::EndsAfter(end)) => answer.body = Box::new(Cursor::new(bytes[..end].to_vec())),
            Some(Act::Tag(tag)) => answer.tag = Some(tag.to_owned()),
            Some(Act::Total(total)) => answer.total = Some(total),
            Some(Act::Later(by)) => answer.start += by,
        }
        Ok(answer)
    }
}

#[derive(Clone, Default)]
struct Pauses(Rc<RefCell<Vec<u64>>>);

impl Pause for Pauses {
    fn pause(&mut self, time: Duration) {
        self.0.borrow_mut().push(time.as_secs());
    }
}

fn bytes() -> Vec<u8> {
    (0..100_000_u32).map(|at| (at * 7 / 3) as u8).collect()
}

/// What two runs of the file (10..60 and 50000..90000) give, how long it waited, and what was asked.
type Told = (Result<u64, String>, Vec<u64>, Vec<Range<u64>>);

fn told(acts: &[Act], ranges: bool, allowed: Option<u64>) -> Told {
    let (asked, pauses) = (Rc::new(RefCell::new(Vec::new())), Pauses::default());
    let script = Script { file: bytes(), acts: acts.to_vec(), asked: asked.clone(), ranges };
    let mut source = Ranges::new("http://nas/x.hcb".to_owned(), script, pauses.clone(), allowed);
    let mut run = || -> Result<u64, SourceError> {
        for range in [10..60_u64, 50_000..90_000] {
            source.turn_to(range.clone())?;
            let mut found = vec![0; 20];
            source.read(&mut found)?;
            assert_eq!(found, bytes()[range.start as usize..][..20]);
            source.skip(10)?;
            let mut rest = vec![0; (range.end - range.start - 30) as usize];
            source.read(&mut rest)?;
            assert!(rest == bytes()[range.start as usize + 30..range.end as usize]);
        }
        assert_eq!(source.size(), Some(100_000));
        Ok(source.received())
    };
    let result = run().map_err(|error| error.to_string());
    (result, pauses.0.take(), asked.take())
}

#[test]
fn ranges_are_asked_for_and_taken_up_again_where_they_broke() {
    let (result, pauses, asked) = told(&[], true, None);
    assert_eq!((result, pauses, asked), (Ok(40_050), vec![], vec![10..60, 50_000..90_000]));
    let (result, pauses, asked) = told(&[Act::BreaksAfter(30), Act::Away, Act::EndsAfter(10)], true, None);
    assert_eq!((result, pauses), (Ok(40_050), vec![1, 2, 1]));
    assert_eq!(asked, [10..60, 40..60, 40..60, 50..60, 50_000..90_000]);
}

#[test]
fn a_server_without_ranges_is_read_once_from_front_to_back() {
    let (result, _, asked) = told(&[], false, None);
    assert_eq!((result, asked.len()), (Ok(90_000), 1));
    // It breaks in the middle: from the front again, for nothing else is offered.
    let (result, _, asked) = told(&[Act::BreaksAfter(70_000)], false, None);
    assert_eq!((result, asked.len()), (Ok(160_000), 2));
}

#[test]
fn every_fault_ends_with_its_reason() {
    let away = vec![Act::Away; 8];
    for (acts, ranges, allowed, expected) in [
        (&away[..], true, None, "no route to host (tried 8 times, 0 bytes came)"),
        (&[Act::Refuses], true, None, "it answers 404"),
        (&[Act::Tag("one"), Act::Tag("two")], true, None, "its ETag was one, is two"),
        (&[Act::Total(100_000), Act::Total(99_000)], true, None, "its size was 100000, is 99000"),
        (&[Act::Total(40)], true, None, "it ends at byte 40, but bytes 10 to 60 were expected"),
        (&[Act::Total(60)], true, None, "it ends at byte 60, but bytes 50000 to 90000 were expected"),
        (&[Act::Beyond], true, None, "it ends at byte 7, but bytes 10 to 60 were expected"),
        (&[], true, Some(40_049), "40049 are allowed"),
        // Not silently everything in place of a part.
        (&[], false, Some(40_050), "100000 bytes would have to be fetched and 40050 are allowed"),
    ] {
        let (result, ..) = told(acts, ranges, allowed);
        let message = result.unwrap_err();
        assert!(message.contains(expected), "{expected}: {message}");
    }
    let (result, pauses, _) = told(&[Act::Later(5)], true, None);
    assert_eq!((result, pauses), (Ok(40_050), vec![1]));
    assert_eq!(told(&away, true, None).1, [1, 2, 4, 8, 16, 32, 60]);
    assert_eq!(told(&[], true, Some(40_050)).0, Ok(40_050));
}

#[test]
fn files_are_read_as_servers_are() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.hcb");
    std::fs::write(&path, bytes()).unwrap();
    let mut stick = Stick::open(&path).unwrap();
    stick.turn_to(50..90).unwrap();
    let mut found = [0; 10];
    stick.skip(10).unwrap();
    stick.read(&mut found).unwrap();
    assert_eq!((found[..].to_vec(), stick.received()), (bytes()[60..70].to_vec(), 10));
    let message = stick.turn_to(0..100_001).unwrap_err().to_string();
    assert!(message.contains("ends at byte 100000"), "{message}");
    assert!(Stick::open(dir.path()).unwrap_err().to_string().contains("no plain file"));
    assert!(Stick::open(&dir.path().join("y")).unwrap_err().to_string().contains("y: No such file"));
}

#[test]
fn content_ranges_are_read() {
    for (text, expected) in [
        ("bytes 0-4095/10000", Some((0, 4095, Some(10_000)))),
        ("bytes 5-5/*", Some((5, 5, None))),
        ("bytes 5-4/10", None),
        ("bytes 0-10/10", None),
        ("bytes */10", None),
        ("items 0-1/2", None),
        ("", None),
    ] {
        assert_eq!(super::web::content_range(text), expected, "{text}");
    }
}

#[test]
fn a_real_server_that_stumbles_gives_the_file() {
    use std::{io::Write as _, net::TcpListener};
    let door = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/x.hcb", door.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let mut asked = Vec::new();
        for count in 0.. {
            let (mut stream, _) = door.accept().unwrap();
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
                head.push(byte[0]);
            }
            let head = String::from_utf8(head).unwrap().to_lowercase();
            let range = head.split("range: bytes=").nth(1).unwrap().lines().next().unwrap();
            let (from, to) = range.trim().split_once('-').unwrap();
            let (from, to): (usize, usize) = (from.parse().unwrap(), to.parse().unwrap());
            asked.push((from, to));
            let part = &bytes()[from..=to];
            let answer = format!(
                "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {from}-{to}/100000\r\nContent-Length: {}\r\n\
                 ETag: \"x\"\r\nConnection: close\r\n\r\n",
                part.len()
            );
            stream.write_all(answer.as_bytes()).unwrap();
            let sent = if count == 0 { part.len() / 2 } else { part.len() };
            stream.write_all(&part[..sent]).unwrap();
            if count == 1 {
                return asked;
            }
        }
        asked
    });
    let mut source = Ranges::new(url, Web::default(), Pauses::default(), None);
    source.turn_to(1000..3000).unwrap();
    let mut found = vec![0; 2000];
    source.read(&mut found).unwrap();
    assert!(found == bytes()[1000..3000]);
    assert_eq!(server.join().unwrap(), [(1000, 2999), (2000, 2999)]);
}
