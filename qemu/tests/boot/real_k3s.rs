//! The same two machines with a real k3s, when somebody has one: `ci/real-k3s FILE` builds both images around it.

use crate::{
    LONG,
    checks::Checks,
    cluster::{agent, first_server, machine},
    image::Image,
    must, node,
};
use contract::Arch;
use qemu::{Link, Ssh};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::{env, fs, thread, time::Duration};

/// The name of the pod's image; no registry has it.
const IMAGE: &str = "docker.io/hcimage/still:1";

/// Server and node join, a pod runs, and all of it comes back after both were reset.
pub(crate) fn joins_and_runs_a_pod(test: &str) {
    if env::var_os("HCIMAGE_K3S_IMAGES").is_none() {
        eprintln!("skipped: {test}: not run: no k3s binary (ci/real-k3s FILE runs it)");
        return;
    }
    let of = |profile: &str| Image::of(test, profile, Arch::X86_64, "HCIMAGE_K3S_IMAGES");
    let (Some(server_image), Some(node_image)) = (of("k3s-server"), of("dnas-node")) else { return };
    let still = env::var_os("HCIMAGE_STANDIN").map(|file| fs::read(file).unwrap());
    let still = still.unwrap_or_else(|| panic!("HCIMAGE_STANDIN names no static program for the pod"));
    let mut checks = Checks::new(test);
    let cable = tempfile::tempdir().unwrap();
    let (first, second) = Link::pair(cable.path());

    let off = must(machine(&server_image, first, 3072).prepare());
    node::seed(&server_image, &off, first_server().as_bytes());
    let mut server_guest = must(off.start());
    let server = server_image.ssh(&server_guest);
    must(server.wait(&server_guest.console, LONG));
    node::becomes_ready(&mut checks, &server, "the first server", LONG);
    let token = must(server.ask("cat /var/lib/rancher/k3s/server/node-token"));

    let off = must(machine(&node_image, second, 2048).prepare());
    node::seed(&node_image, &off, agent("pi3", token.trim()).as_bytes());
    let mut node_guest = must(off.start());
    let node = node_image.ssh(&node_guest);
    must(node.wait(&node_guest.console, LONG));
    node::becomes_ready(&mut checks, &node, "the node", LONG);
    checks.that("the cluster says that it is Ready", eventually(&server, READY, "True"));

    // No registry: the sandbox's image is the pod's as well.
    let sandbox = "grep -hoE 'sandbox(_image)? = .*' /var/lib/rancher/k3s/agent/etc/containerd/config.toml | cut -d'\"' -f2";
    let sandbox = must(node.ask(sandbox));
    let sandbox = sandbox.trim();
    let sandbox =
        if sandbox.starts_with("docker.io/") { sandbox.into() } else { format!("docker.io/{sandbox}") };
    let archive = archive(&[IMAGE, &sandbox], &still);
    let imported =
        node.feed("k3s ctr -n k8s.io images import -", &archive, LONG).and_then(qemu::Output::success);
    checks.record("the pod's image is imported", imported.map(drop));
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "still"},
        "spec": {
            "nodeName": "pi3", "automountServiceAccountToken": false, "tolerations": [{"operator": "Exists"}],
            "containers": [{"name": "still", "image": IMAGE, "imagePullPolicy": "Never"}],
        },
    });
    let made = server
        .feed("k3s kubectl apply -f -", pod.to_string().as_bytes(), LONG)
        .and_then(qemu::Output::success);
    checks.record("a pod is made", made.map(drop));
    checks.that("the pod runs", eventually(&server, RUNNING, "Running"));

    for guest in [&mut server_guest, &mut node_guest] {
        guest.console.skip();
        must(guest.qmp.reset());
    }
    for (guest, ssh) in [(&mut server_guest, &server), (&mut node_guest, &node)] {
        must(guest.console.expect_any(&["Linux version", "systemd[1]:"], LONG));
        must(ssh.wait(&guest.console, LONG));
        node::becomes_ready(&mut checks, ssh, "after the reset", LONG);
    }
    checks.that("the pod runs again", eventually(&server, RUNNING, "Running"));
    checks.finish();
}

const READY: &str =
    "k3s kubectl get node pi3 -o jsonpath='{.status.conditions[?(@.type==\"Ready\")].status}'";
const RUNNING: &str = "k3s kubectl get pod still -o jsonpath='{.status.phase}'";

/// Asks until the answer is `expected`.
fn eventually(ssh: &Ssh, question: &str, expected: &str) -> Result<(), String> {
    let started = std::time::Instant::now();
    loop {
        let last = match ssh.ask(question) {
            Ok(answer) if answer.trim() == expected => return Ok(()),
            Ok(answer) => answer,
            Err(error) => error.to_string(),
        };
        if started.elapsed() > LONG {
            return Err(format!("`{question}` is `{last}`, not `{expected}`"));
        }
        thread::sleep(Duration::from_secs(5));
    }
}

/// A container image of one static program, in the form of `docker save`.
fn archive(names: &[&str], program: &[u8]) -> Vec<u8> {
    let layer = tarball(&[("still", 0o755, program)]);
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": {"Entrypoint": ["/still", "pause"]},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", hex::encode(Sha256::digest(&layer)))]},
    });
    let config = config.to_string().into_bytes();
    let name = format!("{}.json", hex::encode(Sha256::digest(&config)));
    let manifest = json!([{"Config": name, "RepoTags": names, "Layers": ["layer.tar"]}]).to_string();
    tarball(&[
        ("manifest.json", 0o644, manifest.as_bytes()),
        (&name, 0o644, &config),
        ("layer.tar", 0o644, &layer),
    ])
}

fn tarball(files: &[(&str, u32, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, mode, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(*mode);
        builder.append_data(&mut header, name, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

#[test]
fn an_image_names_its_layer_by_its_hash() {
    let bytes = archive(&[IMAGE, "docker.io/rancher/pause:3.6"], b"program");
    let mut files = std::collections::BTreeMap::new();
    let mut reader = tar::Archive::new(bytes.as_slice());
    for entry in reader.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_string_lossy().into_owned();
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
        files.insert(path, content);
    }
    let manifest: serde_json::Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
    assert_eq!(manifest[0]["RepoTags"][1], "docker.io/rancher/pause:3.6");
    let config: serde_json::Value =
        serde_json::from_slice(&files[manifest[0]["Config"].as_str().unwrap()]).unwrap();
    let digest = format!("sha256:{}", hex::encode(Sha256::digest(&files["layer.tar"])));
    assert_eq!(config["rootfs"]["diff_ids"][0], *digest);
}
