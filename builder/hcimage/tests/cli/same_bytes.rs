//! Two builds of one input: whatever differs around them, the bytes are the same.

use crate::kit::{Lab, Said, digests, mirror::pool_path, missing, not_root, packages::hello};
use contract::Arch;
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Command,
    time::{Duration, SystemTime},
};

/// What a build leaves, but for the digest of the program itself, by name.
fn outputs(lab: &Lab, folder: &str) -> Vec<(String, String)> {
    digests(&lab.path(folder))
}

/// A command line, run by a shell that has set another file mode mask.
fn with_umask(umask: &str, command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("umask {umask}; exec \"$0\" \"$@\"")]);
    shell.arg(command.get_program()).args(command.get_args()).env_clear();
    shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.current_dir(command.get_current_dir().unwrap());
    shell
}

/// Gives every file and folder below `folder` another time and other modes.
fn age(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            age(&path);
            fs::set_permissions(&path, fs::Permissions::from_mode(0o775)).unwrap();
        } else {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o775)).unwrap();
        }
        let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        fs::File::open(&path).unwrap().set_modified(then).unwrap();
    }
}

#[test]
fn user_folder_locale_umask_and_threads_are_not_in_the_image() {
    let lab = Lab::locked();
    for arch in Arch::ALL {
        let out = format!("out/tiny-{arch}");
        let mut plain = lab.command(&Lab::build_args(arch));
        plain.args(["--jobs", "1"]).env("TZ", "UTC").env("LC_ALL", "C").env("HOME", lab.path("home"));
        Said::of(&mut with_umask("022", &plain)).succeeds();
        let expected = outputs(&lab, &out);
        assert_eq!(
            expected.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
            ["disk.img", "files.txt", "packages.txt", "release.json"]
        );

        // Another project folder with other times and modes, another cache, which is cold.
        let moved = format!("elsewhere/{arch}/a checkout of mine");
        for file in [
            "profiles/tiny.toml",
            "profiles/tiny.lock",
            "overlays/base/overlay.toml",
            "overlays/base/files/usr/bin/tiny",
            "overlays/base/files/etc/tiny.conf",
        ] {
            lab.write(&format!("{moved}/{file}"), lab.read(&format!("project/{file}")));
        }
        age(&lab.path(&moved));
        let mut other = lab.command(&["build", "--profile", "tiny", "--arch", arch.name(), "--jobs", "4"]);
        other.arg("--node-bin").arg(lab.path("node"));
        other.arg("--cache").arg(lab.path(&format!("cache-{arch}"))).arg(format!("--out=../{arch}-result"));
        let args: Vec<_> = other.get_args().map(|arg| arg.to_owned()).collect();
        let project = args.iter().position(|arg| arg == "--project").unwrap();
        let mut other_args = args.clone();
        // The project is found from the current folder.
        other_args.drain(project..project + 2);
        let mut command = Command::new(other.get_program());
        command.args(other_args).current_dir(lab.path(&moved)).env_clear();
        command.envs(other.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command
            .env("TZ", "Asia/Kathmandu")
            .env("LC_ALL", "tr_TR.UTF-8")
            .env("LANG", "de_DE.UTF-8")
            .env("HOME", "/nonexistent");
        Said::of(&mut with_umask("077", &command)).succeeds();
        let result = format!("elsewhere/{arch}/{arch}-result/tiny-{arch}");
        assert_eq!(outputs(&lab, &result), expected, "{arch}: cold cache, other folder");

        // Again over what is there, with a warm cache.
        Said::of(&mut with_umask("027", &plain)).succeeds();
        assert_eq!(outputs(&lab, &out), expected, "{arch}: warm cache");
    }
}

#[test]
fn another_user_gets_the_same_image() {
    if not_root("another_user_gets_the_same_image") {
        return;
    }
    let lab = Lab::locked();
    lab.build().succeeds();
    let mut other = lab.command_as_nobody(
        "theirs",
        &["build", "--profile=tiny", "--arch=x86_64", "--node-bin=node", "--out=theirs"],
    );
    Said::of(other.env("HCIMAGE_CACHE", lab.path("theirs/cache"))).succeeds();
    assert_eq!(outputs(&lab, "theirs/tiny-x86_64"), outputs(&lab, "out/tiny-x86_64"));
}

/// A library that, loaded before the C library, tells a clock ten years ahead.
const CLOCK: &str = include_str!("kit/clock.c");

#[test]
fn another_clock_gives_the_same_image() {
    if missing("another_clock_gives_the_same_image", "cc") {
        return;
    }
    let mut lab = Lab::locked();
    lab.build().succeeds();
    lab.write("clock.c", CLOCK);
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-o"]).args(["clock.so", "clock.c"].map(|file| lab.path(file)));
    Said::of(&mut compiler).succeeds();
    let later = |args: &[&str]| Said::of(lab.command(args).env("LD_PRELOAD", lab.path("clock.so")));
    age(&lab.path("project"));
    later(&["build", "--profile=tiny", "--arch=x86_64", "--node-bin=node", "--out=later"]).succeeds();
    assert_eq!(outputs(&lab, "later/tiny-x86_64"), outputs(&lab, "out/tiny-x86_64"));

    // The clock is told indeed: this one index was valid until then.
    let in_five_years = SystemTime::now() + Duration::from_secs(5 * 365 * 86_400);
    let year = 1970 + in_five_years.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() / 31_556_952;
    lab.archive.release_fields = format!("Valid-Until: {}\n", new_year(year));
    lab.publish();
    lab.hcimage(&["lock", "--profile=tiny"]).succeeds();
    let later = Said::of(lab.command(&["lock", "--profile=tiny"]).env("LD_PRELOAD", lab.path("clock.so")));
    later.fails(&["expired: valid until "]);
}

/// The first moment of a year as Release files write it.
fn new_year(year: u64) -> String {
    let days = (year - 1970) * 365 + (year - 1969) / 4 - (year - 1901) / 100 + (year - 1601) / 400;
    let weekday = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][(days % 7) as usize];
    format!("{weekday}, 01 Jan {year} 00:00:00 UTC")
}

#[test]
fn a_lock_is_the_same_twice_and_a_small_change_is_a_small_diff() {
    let mut lab = Lab::locked();
    let file = "project/profiles/tiny.lock";
    let first = lab.text(file);
    lab.hcimage(&["lock", "--profile", "tiny"]).succeeds();
    assert_eq!(lab.text(file), first);
    fs::remove_file(lab.path(file)).unwrap();
    fs::remove_dir_all(lab.path("cache")).unwrap();
    lab.hcimage(&["lock", "--all", "--jobs=1"]).succeeds();
    assert_eq!(lab.text(file), first, "made anew");

    // A newer version beside the old one is taken when it is asked for.
    let newer = hello("1.1-1");
    let path = pool_path(&newer);
    lab.archive.add("trixie-updates", newer);
    lab.publish();
    lab.hcimage(&["lock", "--profile", "tiny"]).succeeds();
    assert_eq!(lab.text(file), first, "without --update nothing moves");
    let said = lab.hcimage(&["lock", "--profile", "tiny", "--update", "hello"]).succeeds();
    assert!(said.err.contains("x86_64: hello 1.0-1 -> 1.1-1\n"), "{}", said.err);
    let second = lab.text(file);
    let changed: Vec<_> = second.lines().filter(|line| !first.lines().any(|old| old == *line)).collect();
    assert_eq!(changed.len(), 2, "one line for each architecture: {changed:#?}");
    for line in changed {
        assert!(line.starts_with("\"hello\" = { version = \"1.1-1\", suite = \"trixie-updates\""), "{line}");
        assert!(line.contains(&path), "{line}");
    }
    assert_eq!(second.lines().count(), first.lines().count());
    lab.build().succeeds();
}
