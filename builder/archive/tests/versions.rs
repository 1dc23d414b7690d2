//! Our order of versions against dpkg's.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::print_stderr, reason = "skipped tests say so")]

use archive::version::Version;
use std::{
    cmp::Ordering,
    io::Write,
    process::{Command, Stdio},
};

/// Versions of every shape that the grammar allows, from a fixed linear congruential sequence.
fn generated(count: usize) -> Vec<String> {
    let pieces = [
        "0", "1", "2", "9", "10", "007", "~", "~~", "+", ".", ".", "a", "b", "rc", "Z", "+b1", "~bpo", "-",
        "dfsg",
    ];
    let mut state = 42_u64;
    let mut next = |bound: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % bound
    };
    let mut versions = Vec::new();
    while versions.len() < count {
        let epoch = ["", "", "", "0:", "1:", "10:"][next(6)];
        let upstream: String = (0..=next(5)).map(|_| pieces[next(pieces.len())]).collect();
        let revision = ["", "-1", "-0", "-1+b2", "-1~deb13u1", "-2.1"][next(6)];
        let version = format!("{epoch}{}{upstream}{revision}", next(3));
        if Version::parse(&version).is_ok() {
            versions.push(version);
        }
    }
    versions
}

fn output(program: &str, arguments: &[&str], input: &str) -> Option<String> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().ok()?;
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn dpkg_agrees_on_the_order() {
    let test = "dpkg_agrees_on_the_order";
    let Some(installed) = output("dpkg-query", &["-W", "-f", "${Version}\\n"], "") else {
        eprintln!("skipped: {test}: dpkg is not installed");
        assert!(std::env::var_os("HCIMAGE_CI").is_none(), "dpkg is not installed");
        return;
    };
    let mut versions = generated(1200);
    versions.extend(installed.lines().map(str::to_owned));
    let mut parsed: Vec<_> = versions.iter().map(|text| Version::parse(text).unwrap()).collect();
    parsed.sort();
    // An order is right if each neighbour is: what dpkg does not confirm is printed.
    let questions: String = parsed
        .windows(2)
        .map(|pair| {
            let operator = if pair[0].cmp(&pair[1]) == Ordering::Less { "lt" } else { "eq" };
            format!("{} {operator} {}\n", pair[0], pair[1])
        })
        .collect();
    assert!(questions.contains(" eq ") && questions.lines().count() > 1200);
    let script = r#"while read -r a o b; do dpkg --compare-versions "$a" "$o" "$b" || echo "$a $o $b"; done; echo done"#;
    assert_eq!(output("sh", &["-c", script], &questions).unwrap(), "done\n");
    // And it does not confirm everything.
    assert_eq!(output("sh", &["-c", script], "1.0 lt 1.0~rc1\n").unwrap(), "1.0 lt 1.0~rc1\ndone\n");
}
