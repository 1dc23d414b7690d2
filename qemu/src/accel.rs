//! TCG or KVM: what works here, not what is installed.

use crate::{Error, Machine, Result, Running};
use contract::Arch;
use std::{
    env,
    fs::{self, File},
    path::Path,
    sync::OnceLock,
    time::{Duration, Instant},
};

/// How a guest's instructions are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accel {
    /// QEMU translates them: works everywhere, and is the normal case.
    Tcg,
    /// The host's processor runs them.
    Kvm,
}

impl Accel {
    /// QEMU's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcg => "tcg",
            Self::Kvm => "kvm",
        }
    }
}

/// Which accelerator guests get, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The accelerator.
    pub accel: Accel,
    /// The reason, to be told once.
    pub why: String,
}

/// The accelerator for guests of `arch`. `HCIMAGE_ACCEL` (`tcg`, `kvm`, `auto`) decides; `auto`, which is also
/// the default, tries a guest when there is a `/dev/kvm` for this architecture. On some machines that device
/// opens and every guest dies with an internal error or a refused MSR. Tried once per process.
pub fn verdict(arch: Arch) -> Result<&'static Verdict> {
    static CHOICE: OnceLock<Result<Choice, String>> = OnceLock::new();
    static TRIED: OnceLock<Verdict> = OnceLock::new();
    static FOREIGN: OnceLock<Verdict> = OnceLock::new();
    static NAMED: OnceLock<Verdict> = OnceLock::new();
    let choice = CHOICE.get_or_init(|| choice(env::var("HCIMAGE_ACCEL").ok().as_deref()));
    let named = |accel| Verdict { accel, why: "HCIMAGE_ACCEL says so".into() };
    Ok(match choice {
        Err(word) => return Err(Error::UnknownAccel(word.clone())),
        Ok(Choice::Named(accel)) => NAMED.get_or_init(|| named(*accel)),
        Ok(Choice::Auto) if arch.name() != env::consts::ARCH => FOREIGN
            .get_or_init(|| Verdict { accel: Accel::Tcg, why: format!("the host is {}", env::consts::ARCH) }),
        Ok(Choice::Auto) => TRIED.get_or_init(|| attempt(arch)),
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    Auto,
    Named(Accel),
}

fn choice(word: Option<&str>) -> Result<Choice, String> {
    match word {
        None | Some("" | "auto") => Ok(Choice::Auto),
        Some("tcg") => Ok(Choice::Named(Accel::Tcg)),
        Some("kvm") => Ok(Choice::Named(Accel::Kvm)),
        Some(other) => Err(other.to_owned()),
    }
}

fn attempt(arch: Arch) -> Verdict {
    let tcg = |why: String| Verdict { accel: Accel::Tcg, why };
    if let Err(error) = File::options().read(true).write(true).open("/dev/kvm") {
        return tcg(format!("/dev/kvm cannot be used: {error}"));
    }
    match trial(arch) {
        Ok(()) => Verdict { accel: Accel::Kvm, why: "a trial guest ran".into() },
        Err(error) => tcg(format!("/dev/kvm is there but a trial guest failed: {}", first_line(&error))),
    }
}

fn first_line(error: &Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

/// The firmware with an empty disk, up to the first byte that it writes to its console.
fn trial(arch: Arch) -> Result<()> {
    let dir = tempfile::tempdir().map_err(Error::file("create a directory in", env::temp_dir()))?;
    let disk = empty_disk(dir.path())?;
    let mut guest: Running =
        Machine::new(arch, disk).memory(256).cpus(1).prepare()?.start_with(Accel::Kvm)?;
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let status = guest.qmp.status()?;
        if status != "running" {
            return Err(Error::Qmp { command: "query-status".into(), answer: format!("`{status}`") });
        }
        // Both firmwares name their boot stage when they look at the empty disk.
        match guest.console.expect_any(&["BdsDxe", "UEFI"], Duration::from_millis(500)) {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() > deadline || !guest.console.is_open() => return Err(error),
            Err(_) => {}
        }
    }
}

fn empty_disk(dir: &Path) -> Result<std::path::PathBuf> {
    let disk = dir.join("empty.img");
    fs::write(&disk, [0; 1 << 20]).map_err(Error::file("write", &disk))?;
    Ok(disk)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_override_knows_three_words() {
        assert_eq!(choice(None), Ok(Choice::Auto));
        assert_eq!(choice(Some("auto")), Ok(Choice::Auto));
        assert_eq!(choice(Some("tcg")), Ok(Choice::Named(Accel::Tcg)));
        assert_eq!(choice(Some("kvm")), Ok(Choice::Named(Accel::Kvm)));
        assert_eq!(choice(Some("hvf")), Err("hvf".into()));
        assert!(Error::UnknownAccel("hvf".into()).to_string().contains("expected auto, tcg or kvm"));
    }
}
