//! The node's own binaries: inputs of a build, compiled for its target or given.

use crate::{config::Project, error::Failure, printer::Printer};
use contract::{Arch, Digest, release::NodeBinary};
use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The first program of the initrd.
pub(crate) const INIT: &str = "hcinit";
/// What its services run.
pub(crate) const NODE: &str = "hcnode";
/// What every image runs, in the order of their names.
const NAMES: [&str; 2] = [INIT, NODE];

/// A binary with what the manifest says of it.
#[derive(Clone, Debug)]
pub(crate) struct Binary {
    pub(crate) bytes: Vec<u8>,
    pub(crate) described: NodeBinary,
}

/// The binaries by name.
pub(crate) type Binaries = BTreeMap<String, Binary>;

/// Takes the binaries from `folder`.
pub(crate) fn given(folder: &Path) -> Result<Binaries, Failure> {
    collect(folder, "given", "given")
}

/// Compiles `firstboot/` of the checkout for `arch`.
pub(crate) fn compile(project: &Project, arch: Arch, printer: &Printer) -> Result<Binaries, Failure> {
    let manifest = project.root.join("firstboot/Cargo.toml");
    if !manifest.is_file() {
        return Err(Failure::with_hint(
            format!("there is no {}: the node's binaries cannot be compiled here", manifest.display()),
            "give them with --node-bin DIR",
        ));
    }
    printer.stage("node", |stage| {
        let toolchain = Toolchain::find(project, arch)?;
        stage.note(format!("{} for {}", NAMES.join(", "), toolchain.target));
        let folder = toolchain.compile(project)?;
        collect(&folder, &toolchain.version, toolchain.target)
    })
}

fn collect(folder: &Path, compiler: &str, target: &str) -> Result<Binaries, Failure> {
    let mut binaries = Binaries::new();
    for name in NAMES {
        let path = folder.join(name);
        let bytes = fs::read(&path).map_err(Failure::file("read", &path))?;
        let described = NodeBinary {
            sha256: Digest::of(&bytes),
            size: bytes.len() as u64,
            compiler: compiler.to_owned(),
            target: target.to_owned(),
        };
        binaries.insert(name.to_owned(), Binary { bytes, described });
    }
    Ok(binaries)
}

/// A compiler that can make static binaries for a target.
#[derive(Debug)]
struct Toolchain {
    rustc: PathBuf,
    version: String,
    target: &'static str,
    linker: Linker,
}

/// What links for the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Linker {
    /// The linker that comes with rustup's toolchains: nothing of the host gets in.
    RustLld,
    /// A C compiler, by name.
    Program(&'static str),
}

impl Toolchain {
    /// Musl first: its binaries hold nothing of the host's C library, so every machine makes the same bytes.
    fn find(project: &Project, arch: Arch) -> Result<Self, Failure> {
        let (musl, gnu, cross) = match arch {
            Arch::X86_64 => ("x86_64-unknown-linux-musl", "x86_64-unknown-linux-gnu", "x86_64-linux-gnu-gcc"),
            Arch::Aarch64 => {
                ("aarch64-unknown-linux-musl", "aarch64-unknown-linux-gnu", "aarch64-linux-gnu-gcc")
            }
        };
        let native = env::consts::ARCH == arch.name();
        let default = PathBuf::from(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        // Asked in the project's folder: rustup takes the version that the project wants.
        let ask = |program: &Path, args: &[&str]| output(&project.root, program, args);
        for rustc in [default, PathBuf::from("/usr/bin/rustc")] {
            let Some(version) = ask(&rustc, &["--version"]) else { continue };
            let has = |target: &str| {
                ask(&rustc, &["--print", "target-libdir", "--target", target])
                    .is_some_and(|folder| has_std(Path::new(folder.trim())))
            };
            let found = |target, linker| {
                Ok(Self { rustc: rustc.clone(), version: version.trim().to_owned(), target, linker })
            };
            if has(musl) && ask(&rustc, &["--print", "sysroot"]).is_some_and(|root| has_rust_lld(root.trim()))
            {
                return found(musl, Linker::RustLld);
            }
            let linker = if native { "cc" } else { cross };
            if has(gnu) && ask(Path::new(linker), &["--version"]).is_some() {
                return found(gnu, Linker::Program(linker));
            }
        }
        let mut hint = format!("with rustup: rustup target add {musl}");
        if !native {
            let debian = arch.debian();
            hint += &format!(
                "\n      on Debian, as root: dpkg --add-architecture {debian} && apt-get update && apt-get install rustc-web libstd-rust-web-dev:{debian} gcc-{}-linux-gnu",
                arch.name().replace('_', "-")
            );
        }
        hint += "\n      or give compiled ones with --node-bin DIR";
        Err(Failure::with_hint(format!("no Rust compiler here makes static programs for {arch}"), hint))
    }

    /// Compiles, and says where the binaries are.
    fn compile(&self, project: &Project) -> Result<PathBuf, Failure> {
        let root = fs::canonicalize(&project.root).map_err(Failure::file("find", &project.root))?;
        let target_dir = root.join("target/node");
        let home = env::var_os("CARGO_HOME")
            .map(PathBuf::from)
            .or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")));
        let mut flags = vec![
            format!("--remap-path-prefix={}=/hcimage", root.display()),
            "-Ctarget-feature=+crt-static".to_owned(),
            "-Crelocation-model=static".to_owned(),
        ];
        if let Some(home) = home {
            flags.push(format!("--remap-path-prefix={}=/cargo", home.display()));
        }
        match self.linker {
            Linker::RustLld => flags.push("-Clinker=rust-lld".to_owned()),
            Linker::Program(name) => flags.push(format!("-Clinker={name}")),
        }
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo
            .current_dir(&root)
            .args(["build", "--locked", "--quiet", "--profile", "node", "--package", "firstboot", "--bins"])
            .args(["--target", self.target, "--target-dir"])
            .arg(&target_dir)
            .env("RUSTC", &self.rustc)
            .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
            .env("CARGO_INCREMENTAL", "0")
            .env("SOURCE_DATE_EPOCH", "0")
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_BUILD_TARGET")
            .env_remove("RUSTC_WRAPPER");
        let done = cargo.output().map_err(Failure::file("run", "cargo"))?;
        if !done.status.success() {
            let said = String::from_utf8_lossy(&done.stderr);
            return Err(Failure::with_hint(
                format!(
                    "cargo could not compile firstboot/ for {} ({}):\n{}",
                    self.target,
                    done.status,
                    said.trim_end()
                ),
                "mend what it says, or give compiled binaries with --node-bin DIR",
            ));
        }
        Ok(target_dir.join(self.target).join("node"))
    }
}

/// Whether a target's library folder holds the standard library.
fn has_std(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut entries| {
        entries
            .any(|entry| entry.is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with("libstd-")))
    })
}

fn has_rust_lld(sysroot: &str) -> bool {
    let host = format!("{}-unknown-linux-gnu", env::consts::ARCH);
    Path::new(sysroot).join("lib/rustlib").join(host).join("bin/rust-lld").is_file()
}

/// What a program prints, or `None` when it is missing or fails: a question, not an act.
fn output(folder: &Path, program: &Path, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).current_dir(folder).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
