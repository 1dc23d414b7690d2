//! A project, a mirror and a cache of one test's own, and the program run on them.

pub(crate) mod mirror;
pub(crate) mod packages;

use archive::testing::PUBLIC_KEY;
use contract::{Arch, Digest};
use mirror::{Archive, Mirror};
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};
use tempfile::TempDir;

pub(crate) const PROFILE: &str = r#"description = "the smallest image"
board = "uefi"
hostname = "tiny"
overlays = ["base"]
packages = ["hello"]

[image]
slot = "16MiB"
esp = "64MiB"
level = 5

[drop]
paths = ["/boot/**", "/usr/lib/systemd/boot/**", "/usr/share/doc/**"]

[kernel]
drop = ["sound/**"]
"#;

pub(crate) const OVERLAY: &str = r#"description = "what the smallest image has"
packages = ["base-files", "base-passwd", "libc6", "systemd-boot-efi", "linux-image-test"]
persist = ["/etc/tiny"]
ports = ["tcp/22"]

[modes]
"/usr/bin/tiny" = "0755"

[directories]
"/var/lib/tiny" = "2770 tiny:tiny"

[[user]]
name = "tiny"
group = "tiny"
home = "/var/lib/tiny"
shell = "/usr/sbin/nologin"
gecos = "Tiny"
groups = []

[[probe]]
name = "it is tiny"
deadline = "60s"
file = "/usr/bin/tiny"
"#;

/// Everything that one test works with, in a folder that goes with it.
#[derive(Debug)]
pub(crate) struct Lab {
    folder: TempDir,
    pub(crate) archive: Archive,
    pub(crate) mirror: Mirror,
}

impl Lab {
    /// A project with the profile `tiny`, not locked yet.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Other users may look in: some tests run the program as one.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let archive = packages::archive();
        let mirror = Mirror::serve(&archive);
        let lab = Self { folder, archive, mirror };
        lab.write("project/profiles/tiny.toml", PROFILE);
        lab.write("project/overlays/base/overlay.toml", OVERLAY);
        lab.write("project/overlays/base/files/usr/bin/tiny", "#!/bin/sh\n");
        lab.write("project/overlays/base/files/etc/tiny.conf", "tiny = true\n");
        lab.write("archive.asc", PUBLIC_KEY);
        for program in ["hcinit", "hcnode"] {
            lab.write(&format!("node/{program}"), "not a program, but the same bytes everywhere\n");
        }
        lab
    }

    /// The same, locked.
    pub(crate) fn locked() -> Self {
        let lab = Self::new();
        lab.hcimage(&["lock", "--profile", "tiny"]).succeeds();
        lab
    }

    /// A path in the test's folder.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    pub(crate) fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn read(&self, path: &str) -> Vec<u8> {
        fs::read(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    pub(crate) fn text(&self, path: &str) -> String {
        String::from_utf8(self.read(path)).unwrap()
    }

    /// Replaces `from`, which must be there, in a text file.
    pub(crate) fn edit(&self, path: &str, from: &str, to: &str) {
        let text = self.text(path);
        assert!(text.contains(from), "{path} has no {from:?}");
        self.write(path, text.replacen(from, to, 1));
    }

    pub(crate) fn exists(&self, path: &str) -> bool {
        self.path(path).exists()
    }

    /// The names in a folder, sorted.
    pub(crate) fn list(&self, path: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(path)).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Serves the archive as it is now.
    pub(crate) fn publish(&self) {
        self.mirror.update(&self.archive);
    }

    /// The cached file with the digest which the lock has for `package` (the first of its architectures).
    pub(crate) fn cached(&self, package: &str) -> PathBuf {
        self.path("cache/files-v1").join(self.locked_digest(package))
    }

    /// The digest that the lock has for `package` (the first of its architectures).
    pub(crate) fn locked_digest(&self, package: &str) -> String {
        let lock: toml::Table = self.text("project/profiles/tiny.lock").parse().unwrap();
        lock["packages"]["x86_64"][package]["sha256"].as_str().unwrap().to_owned()
    }

    /// A command line of the program in an environment that has nothing.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hcimage"));
        self.prepare(&mut command, args);
        command
    }

    /// The program in a copy that any user can run, as user and group `nobody`, with `folder` to write in.
    pub(crate) fn command_as_nobody(&self, folder: &str, args: &[&str]) -> Command {
        let program = self.path("hcimage");
        if !program.exists() {
            fs::copy(env!("CARGO_BIN_EXE_hcimage"), &program).unwrap();
        }
        fs::create_dir_all(self.path(folder)).unwrap();
        std::os::unix::fs::chown(self.path(folder), Some(65534), Some(65534)).unwrap();
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(program);
        self.prepare(&mut command, args);
        command
    }

    fn prepare(&self, command: &mut Command, args: &[&str]) {
        command
            .args(args)
            .arg("--project")
            .arg(self.path("project"))
            .arg("--keyring")
            .arg(self.path("archive.asc"))
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HCIMAGE_CACHE", self.path("cache"))
            .env("HCIMAGE_MIRROR", self.mirror.url())
            .env("ALL_PROXY", self.mirror.proxy())
            .env("NO_PROXY", "127.0.0.1")
            .stdin(Stdio::null());
    }

    /// Runs the program.
    pub(crate) fn hcimage(&self, args: &[&str]) -> Said {
        Said::of(&mut self.command(args))
    }

    /// The words of `build` for this lab, into `out`.
    pub(crate) fn build_args(arch: Arch) -> [&'static str; 8] {
        ["build", "--profile", "tiny", "--arch", arch.name(), "--node-bin", "node", "--out=out"]
    }

    /// Builds for x86-64.
    pub(crate) fn build(&self) -> Said {
        self.hcimage(&Self::build_args(Arch::X86_64))
    }

    /// The digest of a built image, read from its file.
    pub(crate) fn image(&self, folder: &str) -> String {
        Digest::of(&self.read(&format!("{folder}/disk.img"))).to_string()
    }
}

/// What a run said, and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    pub(crate) fn of(command: &mut Command) -> Self {
        let Output { status, stdout, stderr } = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: status.code(), out: text(stdout), err: text(stderr) }
    }

    #[track_caller]
    pub(crate) fn succeeds(self) -> Self {
        assert_eq!(self.code, Some(0), "{}", self.err);
        self
    }

    /// It ended with 1 and said each of `words`.
    #[track_caller]
    pub(crate) fn fails(self, words: &[&str]) -> Self {
        self.ends(1, words)
    }

    /// It ended with `code` and said each of `words` on standard error.
    #[track_caller]
    pub(crate) fn ends(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{}", self.err);
        for word in words {
            assert!(self.err.contains(word), "not said: {word}\n{}", self.err);
        }
        self
    }
}

/// Whether a tool is missing: said aloud, and a failure where CI has set up the machine.
pub(crate) fn missing(test: &str, tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    if std::env::split_paths(&path).chain(system).any(|folder| folder.join(tool).is_file()) {
        return false;
    }
    skipped(test, &format!("{tool} is not installed"));
    true
}

/// Whether this is not root, without whom `test` cannot be had.
pub(crate) fn not_root(test: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        // An ordinary user's run is meant to skip it, in CI too.
        eprintln!("skipped: {test}: needs root");
    }
    !root
}

fn skipped(test: &str, why: &str) {
    assert!(std::env::var_os("HCIMAGE_CI").is_none(), "{test}: {why}");
    eprintln!("skipped: {test}: {why}");
}

/// The names of files below `folder`, with their bytes' digests.
pub(crate) fn digests(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        found.push((name, Digest::of(&fs::read(&path).unwrap()).to_string()));
    }
    found.sort();
    found
}
