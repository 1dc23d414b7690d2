//! The machine is in trouble: full disk, folders that may not be written, a build that is killed. Nothing half-written is
//! ever taken for finished.

use crate::kit::{Lab, Said, missing, not_root};
use contract::Arch;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// A small file system in memory, unmounted at the end.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// One of `size`, or nothing where mounting is not allowed, as in many containers.
    fn mount(test: &str, at: PathBuf, size: &str) -> Option<Self> {
        if not_root(test) || missing(test, "mount") {
            return None;
        }
        fs::create_dir_all(&at).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(&at);
        let said = Said::of(&mut mount);
        if said.code != Some(0) {
            eprintln!("skipped: {test}: mounting is not allowed here: {}", said.err.trim());
            return None;
        }
        Some(Self(at))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let done = Command::new("umount").arg(&self.0).status();
        assert!(
            done.is_ok_and(|status| status.success()) || thread::panicking(),
            "{} stays mounted",
            self.0.display()
        );
    }
}

#[test]
fn a_full_disk_is_named_and_leaves_no_image() {
    const TEST: &str = "a_full_disk_is_named_and_leaves_no_image";
    let lab = Lab::locked();
    {
        let Some(_disk) = SmallDisk::mount(TEST, lab.path("out"), "64k") else { return };
        lab.build().fails(&[
            "error: cannot write out/tiny-x86_64/disk.img.partial: No space left on device",
            "hint: the disk is full: free some space",
        ]);
        assert_eq!(lab.list("out/tiny-x86_64"), [""; 0]);
    }
    let Some(disk) = SmallDisk::mount(TEST, lab.path("cache-small"), "24k") else { return };
    let args = ["build", "--profile=tiny", "--arch=x86_64", "--node-bin=node", "--cache=cache-small"];
    lab.hcimage(&args).fails(&[
        "cannot write cache-small/",
        "No space left on device",
        "hint: the disk is full: free some space",
    ]);
    assert!(!lab.exists("out/tiny-x86_64/disk.img"));
    drop(disk);
    // The same cache folder with room: nothing half-written is believed.
    lab.hcimage(&args).succeeds();
}

#[test]
fn a_lock_that_has_no_room_leaves_the_old_one_and_nothing_beside_it() {
    let lab = Lab::locked();
    let (profile, lock) = (lab.read("project/profiles/tiny.toml"), lab.read("project/profiles/tiny.lock"));
    // A page for each, and none for a second lock.
    assert!(profile.len() <= 4096 && lock.len() <= 4096);
    let test = "a_lock_that_has_no_room_leaves_the_old_one_and_nothing_beside_it";
    let Some(_disk) = SmallDisk::mount(test, lab.path("project/profiles"), "8k") else { return };
    lab.write("project/profiles/tiny.toml", &profile);
    lab.write("project/profiles/tiny.lock", &lock);
    lab.hcimage(&["lock", "--profile=tiny", "--update"])
        .fails(&["profiles/tiny.lock.partial: No space left on device", "hint: the disk is full"]);
    assert_eq!(lab.list("project/profiles"), ["tiny.lock", "tiny.toml"]);
    assert_eq!(lab.read("project/profiles/tiny.lock"), lock);
}

#[test]
fn folders_that_may_not_be_written_are_named() {
    if not_root("folders_that_may_not_be_written_are_named")
        || missing("folders_that_may_not_be_written_are_named", "setpriv")
    {
        return;
    }
    let lab = Lab::locked();
    fs::create_dir(lab.path("out")).unwrap();
    let args = ["build", "--profile=tiny", "--arch=x86_64", "--node-bin=node"];
    let as_nobody =
        |cache: &str| Said::of(lab.command_as_nobody("theirs", &args).env("HCIMAGE_CACHE", lab.path(cache)));
    as_nobody("theirs/cache").fails(&[
        "error: cannot create out/tiny-x86_64: Permission denied",
        "hint: choose a folder that you may write with --out DIR",
    ]);
    as_nobody("mine").fails(&["error: cannot create ", "/mine/files-v1: Permission denied", "--cache DIR"]);
    let args = ["lock", "--profile=tiny", "--update"];
    let said =
        Said::of(lab.command_as_nobody("theirs", &args).env("HCIMAGE_CACHE", lab.path("theirs/cache")));
    said.fails(&["error: cannot write ", "profiles/tiny.lock.partial: Permission denied"]);
    lab.write("file", "");
    lab.hcimage(&["build", "--profile=tiny", "--arch=x86_64", "--node-bin=node", "--out=file"])
        .fails(&["error: cannot create file/tiny-x86_64: Not a directory"]);
}

/// Starts a build and kills it as soon as `path` exists, or after it ended; whether it was killed.
fn kill_when(lab: &Lab, path: &Path) -> bool {
    let mut command = lab.command(&Lab::build_args(Arch::X86_64));
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(60) {
        if path.exists() {
            child.kill().unwrap();
            break;
        }
        if child.try_wait().unwrap().is_some() {
            break;
        }
        thread::sleep(Duration::from_micros(200));
    }
    child.kill().unwrap();
    !child.wait().unwrap().success()
}

#[test]
fn a_killed_build_leaves_nothing_that_looks_finished() {
    let lab = Lab::locked();
    let out = "out/tiny-x86_64";
    lab.build().succeeds();
    let image = lab.image(out);
    let partial = lab.path("out/tiny-x86_64/disk.img.partial");
    let cold_starts = [("cache/packs-v1", true), ("cache/memo-v1", true), (out, false)];
    let mut killed = 0;
    for (folder, of_cache) in cold_starts {
        fs::remove_dir_all(lab.path("out")).unwrap();
        if of_cache {
            fs::remove_dir_all(lab.path("cache/packs-v1")).unwrap();
            fs::remove_dir_all(lab.path("cache/memo-v1")).unwrap();
        }
        let sign = if of_cache { lab.path(folder) } else { partial.clone() };
        if kill_when(&lab, &sign) {
            killed += 1;
            assert!(!lab.exists("out/tiny-x86_64/disk.img"), "killed at {}", sign.display());
            assert!(!lab.exists("out/tiny-x86_64/release.json"), "killed at {}", sign.display());
        }
        lab.build().succeeds();
        assert_eq!(lab.image(out), image);
        assert!(!partial.exists());
    }
    assert!(killed > 0, "every build was faster than its killer");
}

#[test]
fn a_build_that_fails_does_not_leave_an_image_beside_another_ones_manifest() {
    let lab = Lab::locked();
    lab.build().succeeds();
    let before = (lab.image("out/tiny-x86_64"), lab.text("out/tiny-x86_64/release.json"));
    // The new manifest cannot be written: a folder has its name.
    lab.edit("project/overlays/base/files/etc/tiny.conf", "true", "false");
    fs::rename(lab.path("out/tiny-x86_64/files.txt"), lab.path("files.txt")).unwrap();
    fs::create_dir(lab.path("out/tiny-x86_64/files.txt")).unwrap();
    lab.build().fails(&["error: cannot write ", "files.txt", "Is a directory"]);
    let image = lab.exists("out/tiny-x86_64/disk.img").then(|| lab.image("out/tiny-x86_64"));
    let manifest =
        lab.exists("out/tiny-x86_64/release.json").then(|| lab.text("out/tiny-x86_64/release.json"));
    let fits = |(image, manifest): (String, String)| manifest.contains(&image);
    match (image, manifest) {
        (Some(image), Some(manifest)) => {
            assert!(fits((image, manifest)), "an image with a manifest that is not its own")
        }
        _ => assert!(fits(before)),
    }
}
