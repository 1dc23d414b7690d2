//! What makes a node the one that its cluster and its clients know: printed for safe-keeping, put back from a seed,
//! forgotten on request.

use super::{file, place, say};
use contract::seed::{Identity, Secret};
use std::{
    fs,
    io::{self, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

/// k3s's own certificates and kubeconfigs, which carry the node's name.
const AGENT: &str = "/var/lib/rancher/k3s/agent";
const AGENT_ENDINGS: [&str; 3] = ["crt", "key", "kubeconfig"];

/// `hcnode escrow`: prints the `[identity]` of a seed.
#[must_use]
pub fn escrow() -> ExitCode {
    if !rustix::process::geteuid().is_root() {
        say::tell("hcnode escrow: only root may read what it prints");
        return ExitCode::FAILURE;
    }
    let mut out = io::stdout();
    if out.is_terminal() {
        say::tell(
            "hcnode escrow: what follows is secret, and is now on a screen. Better: hcnode escrow > FILE",
        );
    }
    let done = gather(Path::new("/")).and_then(|identity| out.write_all(identity.render().as_bytes()));
    match done.and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say::tell(format_args!("hcnode escrow: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// What the node below `root` is.
fn gather(root: &Path) -> io::Result<Identity> {
    let text = |path: &str| {
        let path = below(root, path);
        let bytes = file::read(&path).map_err(|error| {
            io::Error::new(error.kind(), format!("cannot read {}: {error}", path.display()))
        })?;
        bytes.map(|bytes| String::from_utf8(bytes).map_err(io::Error::other)).transpose()
    };
    let joined = text(place::JOINED_AS)?.map(|name| name.trim().to_owned());
    let running = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let machine_id = text(place::MACHINE_ID)?.unwrap_or_default().trim().to_owned();
    let node_password = text(place::NODE_PASSWORD)?.map(|password| Secret::new(password.trim()));
    let ssh_host_key = text(place::HOST_KEY)?.map(Secret::new);
    Ok(Identity { name: joined.unwrap_or(running), machine_id, node_password, ssh_host_key })
}

/// `hcnode reset-identity`: forgets the node's place in its cluster.
#[must_use]
pub fn reset(yes: bool) -> ExitCode {
    if !yes {
        say::tell(
            "hcnode reset-identity: the node forgets its name in the cluster, its password there and how far it had \
             joined; its data stays. To get it back later, keep the output of `hcnode escrow`. Say --yes to do it",
        );
        return ExitCode::FAILURE;
    }
    match forget(Path::new("/")) {
        Ok(gone) if gone.is_empty() => {
            say::tell("hcnode reset-identity: there was nothing to forget");
            ExitCode::SUCCESS
        }
        Ok(gone) => {
            let names: Vec<_> = gone.iter().map(|path| path.display().to_string()).collect();
            say::tell(format_args!(
                "hcnode reset-identity: removed {}; restart the node now",
                names.join(", ")
            ));
            ExitCode::SUCCESS
        }
        Err(error) => {
            say::tell(format_args!("hcnode reset-identity: {error}; run it again"));
            ExitCode::FAILURE
        }
    }
}

/// Removes what ties the node below `root` to a cluster. The name goes last: while it is there, there is more to do.
fn forget(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = vec![below(root, place::JOIN), below(root, place::NODE_PASSWORD)];
    let agent = below(root, AGENT);
    if agent.is_dir() {
        for entry in fs::read_dir(&agent)? {
            let path = entry?.path();
            if path.extension().is_some_and(|ending| AGENT_ENDINGS.iter().any(|known| ending == *known)) {
                paths.push(path);
            }
        }
    }
    paths.sort();
    paths.push(below(root, place::JOINED_AS));
    let mut gone = Vec::new();
    for path in paths {
        if path.exists() {
            file::remove(&path).map_err(|error| {
                io::Error::new(error.kind(), format!("cannot remove {}: {error}", path.display()))
            })?;
            gone.push(path);
        }
    }
    Ok(gone)
}

fn below(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::Seed;

    fn node() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let files = [
            (place::JOINED_AS, "pi3\n"),
            (place::MACHINE_ID, "0123456789abcdef0123456789abcdef\n"),
            (place::NODE_PASSWORD, "00112233445566778899aabbccddeeff\n"),
            (
                place::HOST_KEY,
                "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n-----END OPENSSH PRIVATE KEY-----\n",
            ),
            (place::JOIN, "{}"),
            ("/var/lib/rancher/k3s/agent/client-kubelet.key", "k"),
            ("/var/lib/rancher/k3s/agent/containerd/data", "kept"),
        ];
        for (path, text) in files {
            file::replace(&below(dir.path(), path), text.as_bytes(), 0o600).unwrap();
        }
        dir
    }

    #[test]
    fn what_escrow_prints_is_the_identity_of_a_seed() {
        #[derive(serde::Deserialize)]
        struct Part {
            identity: Identity,
        }
        let dir = node();
        let identity = gather(dir.path()).unwrap();
        assert_eq!(identity.name, "pi3");
        let text = identity.render();
        let read: Part = toml::from_str(&text).unwrap();
        assert_eq!(read.identity, identity);
        assert!(identity.ssh_host_key.unwrap().reveal().ends_with("KEY-----\n"));
        // And never by accident.
        assert!(!format!("{:?}", Seed { identity: Some(read.identity), ..Seed::default() }).contains("0011"));
    }

    #[test]
    fn a_node_forgets_its_cluster_and_nothing_else() {
        let dir = node();
        let gone = forget(dir.path()).unwrap();
        assert_eq!(gone.len(), 4, "{gone:?}");
        assert_eq!(gone.last(), Some(&below(dir.path(), place::JOINED_AS)));
        assert!(below(dir.path(), place::HOST_KEY).exists() && below(dir.path(), place::MACHINE_ID).exists());
        assert!(below(dir.path(), "/var/lib/rancher/k3s/agent/containerd/data").exists());
        assert_eq!(forget(dir.path()).unwrap(), Vec::<PathBuf>::new());
    }
}
