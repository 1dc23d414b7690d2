//! A server's datastore before another k3s: what fits, and the snapshot. What a node does *after* it came back from a
//! newer k3s is `join`'s: it copies the datastore before every change of version and does not start an older minor.

use crate::node::join::k3s::{self, Release};
use contract::seed::Role;
use std::{
    io::{self, Read as _},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// k3s itself, in the running slot.
const BINARY: &str = "/usr/bin/k3s";
/// How long a snapshot may take.
const PATIENCE: Duration = Duration::from_secs(300);
/// Snapshots for updates that are kept.
const KEPT: &str = "3";
/// The beginning of their names.
const NAME: &str = "hcimage-before";

/// What is to be done before another k3s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Nothing: it is the same, or an agent, which has no datastore.
    Nothing,
    /// A snapshot.
    Snapshot,
}

/// Whether a node of this role may go from one k3s to another. `server`: the version that its cluster's API says.
pub(super) fn fits(
    role: Role,
    from: Option<&str>,
    to: Option<&str>,
    server: Option<&str>,
) -> Result<Need, String> {
    if from == to {
        return Ok(Need::Nothing);
    }
    let Some(to) = to else {
        return Err(
            "this node is in a cluster, and the release has no k3s: bring a release of its own profile"
                .to_owned(),
        );
    };
    let (Some(ours), Some(new)) = (from.and_then(Release::parse), Release::parse(to)) else {
        // Versions that are not k3s's own cannot be compared; the copy is made all the same.
        return Ok(if role == Role::Server { Need::Snapshot } else { Need::Nothing });
    };
    if role == Role::Agent {
        return match server.and_then(Release::parse) {
            Some(server) if new.minor > server.minor => Err(format!(
                "the release has k3s 1.{}, and the cluster's servers have 1.{}: update the servers first",
                new.minor, server.minor
            )),
            _ => Ok(Need::Nothing),
        };
    }
    if new.minor < ours.minor {
        return Err(format!(
            "the release has k3s 1.{}, and this server's datastore was written by 1.{}, which an older one must not open: bring a release with 1.{} or later",
            new.minor, ours.minor, ours.minor
        ));
    }
    if new.minor > ours.minor + 1 {
        return Err(format!(
            "the release has k3s 1.{}, and this server has 1.{}: servers take one minor version at a time, so bring a release with 1.{} first",
            new.minor,
            ours.minor,
            ours.minor + 1
        ));
    }
    Ok(Need::Snapshot)
}

/// Makes the snapshot.
pub(super) fn snapshot(to: &str, alive: &mut dyn FnMut()) -> Result<String, String> {
    if !Path::new(k3s::SERVER).join("db/etcd").exists() {
        return Ok(
            "the datastore is SQLite: it is copied before the new k3s starts for the first time".to_owned()
        );
    }
    let tag: String = to
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() || letter == '.' { letter } else { '-' })
        .collect();
    let name = format!("{NAME}-{tag}");
    run(&["etcd-snapshot", "save", "--name", &name], alive)
        .map_err(|error| format!("the snapshot of etcd that must come before another k3s failed: {error}"))?;
    let pruned = run(&["etcd-snapshot", "prune", "--name", NAME, "--snapshot-retention", KEPT], alive);
    let rest = pruned.err().map(|error| format!("; older ones were not removed: {error}"));
    Ok(format!("etcd was saved as {name}-… below {}/db/snapshots{}", k3s::SERVER, rest.unwrap_or_default()))
}

/// Runs k3s, and ends it when it takes too long.
fn run(arguments: &[&str], alive: &mut dyn FnMut()) -> io::Result<()> {
    finish(Command::new(BINARY).args(arguments), PATIENCE, alive)
}

fn finish(command: &mut Command, patience: Duration, alive: &mut dyn FnMut()) -> io::Result<()> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let mut said = child.stderr.take().ok_or_else(|| io::Error::other("it has no standard error"))?;
    // Read beside it: a program that says much would wait for us otherwise.
    let words = thread::spawn(move || {
        let mut words = Vec::new();
        said.read_to_end(&mut words).map(|_| words)
    });
    let deadline = Instant::now() + patience;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Err(io::Error::other(format!("it took more than {} s", patience.as_secs())));
        }
        alive();
        thread::sleep(Duration::from_millis(200));
    };
    if status.success() {
        return Ok(());
    }
    let words = words.join().map_err(|_| io::Error::other("its words were lost"))??;
    let words = String::from_utf8_lossy(&words);
    let last = words.lines().last().unwrap_or("it says nothing");
    Err(io::Error::other(format!("{status}: {last}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_goes_up_one_minor_at_a_time_and_never_down() {
        use Role::{Agent, Server};
        for (role, from, to, server, expected) in [
            (Server, Some("v1.34.3+k3s1"), Some("v1.34.3+k3s1"), None, "nothing"),
            (Server, None, None, None, "nothing"),
            (Server, Some("v1.34.3+k3s1"), Some("v1.34.4+k3s1"), None, "snapshot"),
            (Server, Some("v1.34.3+k3s1"), Some("v1.35.0+k3s1"), None, "snapshot"),
            (Server, Some("v1.34.3+k3s1"), Some("v1.36.0+k3s1"), None, "with 1.35 first"),
            (Server, Some("v1.34.3+k3s1"), Some("v1.34.1+k3s1"), None, "snapshot"),
            (Server, Some("v1.34.3+k3s1"), Some("v1.33.9+k3s1"), None, "an older one must not open"),
            (Server, Some("v1.34.3+k3s1"), None, None, "has no k3s"),
            (Server, Some("unknown"), Some("v1.34.3+k3s1"), None, "snapshot"),
            (Server, None, Some("v1.34.3+k3s1"), None, "snapshot"),
            (Agent, Some("v1.34.3+k3s1"), Some("v1.35.0+k3s1"), Some("v1.35.1+k3s1"), "nothing"),
            (Agent, Some("v1.34.3+k3s1"), Some("v1.35.0+k3s1"), Some("v1.34.9+k3s1"), "servers first"),
            // The servers cannot be asked now: the join says the same afterwards.
            (Agent, Some("v1.34.3+k3s1"), Some("v1.35.0+k3s1"), None, "nothing"),
            (Agent, Some("v1.34.3+k3s1"), Some("v1.33.0+k3s1"), Some("v1.34.9+k3s1"), "nothing"),
        ] {
            let found = match fits(role, from, to, server) {
                Ok(need) => format!("{need:?}").to_lowercase(),
                Err(why) => why,
            };
            assert!(found.contains(expected), "{role:?} {from:?} {to:?} {server:?}: {found}");
        }
    }

    #[test]
    fn a_program_that_hangs_is_ended_and_one_that_fails_is_heard() {
        let mut beats = 0;
        let short = Duration::from_millis(300);
        let hung = finish(Command::new("sleep").arg("600"), short, &mut || beats += 1).unwrap_err();
        assert!(hung.to_string().contains("took more than") && beats > 0, "{hung}");
        let long = Duration::from_secs(60);
        let failed = finish(Command::new("sh").args(["-c", "echo no room >&2; exit 3"]), long, &mut || ());
        assert!(failed.unwrap_err().to_string().ends_with("no room"));
        finish(&mut Command::new("true"), long, &mut || ()).unwrap();
    }
}
