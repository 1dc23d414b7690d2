//! `hcnode restore-datastore`: a server that came back from a newer k3s takes its datastore from before.

use super::{k3s::Release, machine};
use crate::node::{file, place, say};
use std::{io, path::Path, process::ExitCode};

/// `hcnode restore-datastore`.
#[must_use]
pub fn restore(only_server: bool) -> ExitCode {
    if !only_server {
        say::tell(
            "hcnode restore-datastore: puts back the copy that was made before the newer k3s ran here; what the cluster \
             was told since then is laid aside. Only where this is the cluster's ONLY server, since other servers would \
             not agree with it: there, bring a release with the newer k3s instead. Say --only-server to do it",
        );
        return ExitCode::FAILURE;
    }
    match put_back() {
        Ok(name) => {
            say::tell(format_args!(
                "hcnode restore-datastore: {name} was put back; now: systemctl restart hcimage-join"
            ));
            ExitCode::SUCCESS
        }
        Err(error) => {
            say::tell(format_args!("hcnode restore-datastore: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn put_back() -> io::Result<String> {
    let path = Path::new(place::JOIN);
    let text = file::read(path)?.ok_or_else(|| io::Error::other("this node was never in a cluster"))?;
    let mut progress: super::progress::Progress = serde_json::from_slice(&text).map_err(io::Error::other)?;
    let name = progress.copy.clone().ok_or_else(|| io::Error::other("no copy was ever made on this node"))?;
    let before =
        made_by(&name).ok_or_else(|| io::Error::other(format!("{name} does not say of which k3s it is")))?;
    machine::put_back(&name)?;
    progress.k3s = Some(before.to_owned());
    file::replace(path, &serde_json::to_vec_pretty(&progress)?, 0o600)?;
    Ok(name)
}

/// The version in `before-v1.35.0+k3s1-was-v1.34.3+k3s1` that wrote what is copied.
fn made_by(copy: &str) -> Option<&str> {
    let (_, before) = copy.rsplit_once("-was-")?;
    Release::parse(before).map(|_| before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_says_which_k3s_wrote_it() {
        assert_eq!(made_by("before-v1.35.0+k3s1-was-v1.34.3+k3s1"), Some("v1.34.3+k3s1"));
        assert_eq!(made_by("before-v1.35.0+k3s1-was-unknown"), None);
        assert_eq!(made_by("x"), None);
    }
}
