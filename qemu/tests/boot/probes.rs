//! The overlays' own probes, which are on the node: the same definition gates updates.

use crate::{LONG, checks::Checks};
use contract::{Check, Probe};
use qemu::Ssh;
use std::time::Instant;

/// Every probe of the image passes. Its deadline is for real machines; here it is only told when it was missed.
pub(crate) fn all_pass(checks: &mut Checks, ssh: &Ssh) {
    let read = ssh.ask("cat /usr/lib/hcimage/probes.json").map_err(|error| error.to_string());
    let probes: Vec<Probe> = match read.and_then(|text| parse(&text)) {
        Ok(probes) => probes,
        Err(why) => return checks.that("the node has probes", Err(why)),
    };
    let some = if probes.is_empty() { Err("the list is empty".to_owned()) } else { Ok(()) };
    checks.that("the node has probes", some);
    for probe in probes {
        let started = Instant::now();
        let patient = format!(
            "end=$((SECONDS + {})); until {}; do [ $SECONDS -lt $end ] || exit 1; sleep 1; done",
            LONG.as_secs() / 2,
            command(&probe.check)
        );
        let script = format!("bash -c {}", quoted(&patient));
        let passed = ssh.run(&script, LONG).and_then(qemu::Output::success).map(drop);
        checks.record(&format!("probe of {}: {}", probe.overlay, probe.name), passed);
        let took = started.elapsed().as_secs();
        if took > probe.deadline {
            eprintln!("timing: probe `{}` took {took} s, its deadline is {} s", probe.name, probe.deadline);
        }
    }
}

fn parse(text: &str) -> Result<Vec<Probe>, String> {
    serde_json::from_str(text).map_err(|error| format!("probes.json: {error}"))
}

/// The check as a command of bash.
fn command(check: &Check) -> String {
    match check {
        Check::Unit(unit) => format!("systemctl is-active --quiet {}", quoted(unit)),
        Check::File(path) => format!("test -e {}", quoted(path)),
        // Word splitting makes one space of tabs.
        Check::Sysctl { key, value } => {
            let file = format!("/proc/sys/{}", key.replace('.', "/"));
            format!("[ \"$(echo $(cat {}))\" = {} ]", quoted(&file), quoted(value))
        }
        Check::Tcp(address) => {
            let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
            format!("(exec 3<>/dev/tcp/{host}/{port}) 2>/dev/null")
        }
        Check::Http { url, expect } => {
            let rest = url.trim_start_matches("http://");
            let (address, path) = rest.split_once('/').unwrap_or((rest, ""));
            let (host, port) = address.rsplit_once(':').unwrap_or((address, "80"));
            let wanted = quoted(expect.as_deref().unwrap_or_default());
            format!(
                "answer=$( (exec 3<>/dev/tcp/{host}/{port} && \
                 printf 'GET /{path} HTTP/1.0\\r\\nHost: {address}\\r\\n\\r\\n' >&3 && cat <&3) 2>/dev/null) && \
                 [[ $answer =~ ^HTTP/[0-9.]+\\ 2 && $answer == *{wanted}* ]]"
            )
        }
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::{Read as _, Write as _},
        net::TcpListener,
        process::Command,
        thread,
    };

    fn passes(check: &Check) -> bool {
        Command::new("bash").args(["-c", &command(check)]).status().unwrap().success()
    }

    /// A server that gives `answer` to one connection; its address.
    fn server(answer: &'static str) -> String {
        let door = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = door.local_addr().unwrap().to_string();
        thread::spawn(move || {
            let (mut stream, _) = door.accept().unwrap();
            // The whole question, which bash may send line by line: closing with some of it unread resets the
            // connection, and the answer with it.
            let mut asked = Vec::new();
            let mut byte = [0];
            while !asked.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
                asked.push(byte[0]);
            }
            assert!(asked.is_empty() || asked.starts_with(b"GET /health HTTP/1.0\r\n"), "{asked:?}");
            stream.write_all(answer.as_bytes()).unwrap();
        });
        address
    }

    #[test]
    fn files_and_ports_are_looked_for() {
        assert!(passes(&Check::File("/proc/self".into())));
        assert!(!passes(&Check::File("/it's not there".into())));
        assert!(passes(&Check::Tcp(server(""))));
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        assert!(!passes(&Check::Tcp(closed)));
    }

    #[test]
    fn settings_of_the_kernel_are_read() {
        let sysctl = |value: &str| Check::Sysctl { key: "kernel.ostype".into(), value: value.into() };
        assert!(passes(&sysctl("Linux")));
        assert!(!passes(&sysctl("Hurd")));
        assert!(!passes(&Check::Sysctl { key: "kernel.not_there".into(), value: "1".into() }));
    }

    #[test]
    fn an_answer_needs_its_status_and_its_text() {
        let fine = "HTTP/1.0 200 OK\r\n\r\n{\"status\": \"OK\"}\n";
        for (answer, expect, passing) in [
            (fine, None, true),
            (fine, Some("\"OK\""), true),
            (fine, Some("it's"), false),
            ("HTTP/1.1 204 No Content\r\n\r\n", None, true),
            ("HTTP/1.1 503 Service Unavailable\r\n\r\n{\"status\": \"OK\"}\n", None, false),
            ("", None, false),
        ] {
            let url = format!("http://{}/health", server(answer));
            let check = Check::Http { url, expect: expect.map(str::to_owned) };
            assert_eq!(passes(&check), passing, "{answer:?} {expect:?}");
        }
    }

    #[test]
    fn a_probe_of_the_contract_is_read() {
        let text = r#"[{"overlay": "ssh", "name": "ssh", "deadline": 60, "check": {"unit": "ssh.service"}}]"#;
        let probes = parse(text).unwrap();
        assert_eq!(command(&probes[0].check), "systemctl is-active --quiet 'ssh.service'");
        assert!(parse(r#"[{"name": "ssh", "check": {"socket": "x"}}]"#).unwrap_err().contains("socket"));
    }
}
