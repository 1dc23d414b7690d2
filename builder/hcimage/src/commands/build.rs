//! `hcimage build`.

use super::{relock, seed};
use crate::{
    args::BuildArgs,
    config::{Described, Lock, Locked, size},
    error::Failure,
    node,
    pipeline::{
        artifacts::{self, Artifacts, Wishes},
        build::{Built, Order},
        disk::DiskImage,
        packages, resolve,
        tree::Additions,
    },
    printer::{Printer, seconds},
    settings::{Workshop, host_arch},
    signing::SecretKey,
};
use contract::{
    Arch, Digest, Release,
    release::{Artifact, How, Tool},
    trust::Chain,
};
use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
};

pub(crate) fn run(args: BuildArgs, workshop: &Workshop, printer: &Printer) -> Result<(), Failure> {
    let BuildArgs { profile, arch, out, key, ssh_key, relock_gone, node_bin, level, artifacts } = args;
    let arch = arch.map_or_else(host_arch, Ok)?;
    // A key that cannot be used is found before the work, not after it.
    let key = key.map(|file| SecretKey::load(&file)).transpose()?;
    let ssh_key = ssh_key.as_deref().map(read_ssh_key).transpose()?;
    if key.is_some() && ssh_key.is_some() {
        return Err(Failure::with_hint(
            "--key and --ssh-key together: an image that a lab can log in to is no release",
            "build it without --ssh-key, or sign it knowingly with `hcimage sign --lab`",
        ));
    }
    let wishes = Wishes::of(artifacts)?;
    if let (Some(_), [first, ..]) = (&key, &wishes.substituted()[..]) {
        return Err(Failure::with_hint(
            format!(
                "--key and --substitute together: an image with another program in place of `{first}` is no release"
            ),
            "build it without --substitute, or sign it knowingly with `hcimage sign --lab`",
        ));
    }
    let mut described = workshop.project.describe(&profile)?;
    if let Some(level) = level {
        if !(1..=19).contains(&level) {
            return Err(Failure::refused(format!("--level {level}: it must be from 1 to 19")));
        }
        described.profile.image.level = level;
    }
    let mut lock = workshop.project.lock(&profile)?;
    resolve::check_current(&described, &lock)?;
    let artifacts = artifacts::gather(workshop, &described, &lock, arch, &wishes, &typed(), printer)?;
    let folder = out.join(format!("{profile}-{arch}"));
    fs::create_dir_all(&folder).map_err(Failure::file("create", &folder))?;

    let node =
        node_bin.map_or_else(|| node::compile(&workshop.project, arch, printer), |dir| node::given(&dir))?;
    lock = fetch(workshop, &described, lock, arch, relock_gone, printer)?;
    let additions = Additions { node, artifacts, ssh_key };
    let order =
        Order { workshop, described: &described, lock: &lock, arch, additions: &additions, tool: tool()? };
    let target = folder.join("disk.img");
    let (disk, built) = order.image(&target, printer)?;
    publish(&folder, disk, &built, packages::of(&lock, arch)?, &described.trust, key.as_ref())?;
    report(&built, &additions.artifacts, &folder, key.is_some(), workshop, printer)
}

/// The command line as it can be typed again.
fn typed() -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_=+./:,@%".contains(&byte);
    let quoted = |word: String| {
        if !word.is_empty() && word.bytes().all(plain) {
            word
        } else {
            format!("'{}'", word.replace('\'', "'\\''"))
        }
    };
    let words = env::args_os().skip(1).map(|word| quoted(word.to_string_lossy().into_owned()));
    format!("hcimage {}", words.collect::<Vec<_>>().join(" "))
}

/// Downloads; with `relock_gone`, what no mirror has any more is chosen anew first.
fn fetch(
    workshop: &Workshop,
    described: &Described,
    lock: Lock,
    arch: Arch,
    relock_gone: bool,
    printer: &Printer,
) -> Result<Lock, Failure> {
    match packages::fetch(workshop, &lock, arch, printer) {
        Err(Failure::Gone(_, gone)) if relock_gone => {
            for name in &gone {
                printer.warn(&format!("{name}: the locked version is on no mirror any more; choosing anew"));
            }
            let lock = relock(workshop, described, Some(&lock), &gone, printer)?;
            packages::fetch(workshop, &lock, arch, printer)?;
            Ok(lock)
        }
        result => result.map(|()| lock),
    }
}

/// The lines of a `.pub` file as they go into an image.
fn read_ssh_key(file: &Path) -> Result<String, Failure> {
    Ok(seed::public_keys(file)?.join("\n") + "\n")
}

/// What this program is, for the manifest.
fn tool() -> Result<Tool, Failure> {
    let path = env::current_exe().map_err(Failure::file("find", "this program"))?;
    let bytes = fs::read(&path).map_err(Failure::file("read", path))?;
    Ok(Tool { version: env!("CARGO_PKG_VERSION").to_owned(), sha256: Digest::of(&bytes) })
}

/// Puts everything in its place. The manifest of an earlier build goes before its image does, and ours comes
/// last: whatever interrupts this, no manifest lies beside an image that it is not about.
fn publish(
    folder: &Path,
    disk: DiskImage,
    built: &Built,
    packages: &BTreeMap<String, Locked>,
    trust: &Chain,
    key: Option<&SecretKey>,
) -> Result<(), Failure> {
    let write = |name: &str, bytes: &[u8]| {
        let (path, partial) = (folder.join(name), folder.join(format!("{name}.partial")));
        fs::write(&partial, bytes).map_err(Failure::file("write", &partial))?;
        fs::rename(&partial, &path).map_err(Failure::file("write", path))
    };
    remove_stale(&folder.join("release.json.minisig"))?;
    remove_stale(&folder.join("release.json"))?;
    remove_stale(&folder.join("trust.json"))?;
    disk.publish()?;
    let line = |(name, locked): (&String, &Locked)| {
        format!("{name} {} {} {}\n", locked.version, locked.suite, locked.sha256)
    };
    let release = &built.release;
    let artifact = |(name, it): (&String, &Artifact)| {
        let kind = if it.how == How::Deferred { "artifact-deferred" } else { "artifact" };
        format!("{name} {} {kind} {}\n", it.version, it.sha256)
    };
    let lines = packages.iter().map(line).chain(release.artifacts.iter().map(artifact));
    write("packages.txt", lines.collect::<String>().as_bytes())?;
    write("files.txt", built.files.as_bytes())?;
    if !trust.0.is_empty() {
        write("trust.json", &trust.render())?;
    }
    let manifest = release.render();
    if let Some(key) = key {
        write("release.json.minisig", key.sign(&manifest, &super::sign::comment(release)).as_bytes())?;
    }
    write("release.json", &manifest)
}

/// A signature over an earlier build would only confuse.
fn remove_stale(path: &Path) -> Result<(), Failure> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Failure::file("remove", path)(error))
        }
        _ => Ok(()),
    }
}

fn report(
    built: &Built,
    artifacts: &Artifacts,
    folder: &Path,
    signed: bool,
    workshop: &Workshop,
    printer: &Printer,
) -> Result<(), Failure> {
    use std::os::unix::fs::MetadataExt as _;
    let Built { release, root_size, uki_size, initrd_size, dropped, .. } = built;
    let image: PathBuf = folder.join("disk.img");
    let on_disk = fs::metadata(&image).map_err(Failure::file("read", &image))?.blocks() * 512;
    if workshop.json {
        let stages: serde_json::Map<String, serde_json::Value> =
            printer.stages().into_iter().map(|(name, time)| (name, time.as_secs_f64().into())).collect();
        let summary = serde_json::json!({
            "folder": folder, "release": release, "root_bytes": root_size, "kernel_image_bytes": uki_size,
            "initrd_bytes": initrd_size, "disk_bytes": release.disk.size, "disk_bytes_allocated": on_disk,
            "seconds": stages,
            "dropped": dropped.iter().map(|(rule, files, bytes)| serde_json::json!({"rule": rule, "files": files, "bytes": bytes})).collect::<Vec<_>>(),
        });
        return printer.data(&format!("{summary:#}\n"));
    }
    let (files, bytes) = dropped.iter().fold((0, 0), |(files, bytes), it| (files + it.1, bytes + it.2));
    let total = printer.stages().iter().map(|(_, time)| *time).sum();
    let row = |name: &str, value: String| (name.to_owned(), value);
    printer.say(&format!(
        "\n{}",
        printer.bold(&format!("{} {} {}", release.profile, release.arch, release.version))
    ));
    let mut rows = vec![
        row(
            "disk image",
            format!(
                "{} ({} on disk, {} when written out)",
                image.display(),
                size::show(on_disk),
                size::show(release.disk.size)
            ),
        ),
        row(
            "root",
            format!(
                "{} of a slot of {}",
                size::show(*root_size),
                size::show(
                    release.parts.iter().find(|part| part.name == "root-a").map_or(0, |_| slot_size(release))
                )
            ),
        ),
        row("kernel image", format!("{} (initrd {})", size::show(*uki_size), size::show(*initrd_size))),
        row("dropped", format!("{files} files, {} (--json lists the rules)", size::show(bytes))),
        row("root hash", release.verity.root_hash.to_string()),
        row("image sha256", release.disk.sha256.to_string()),
        row(
            "signed",
            if signed {
                "yes: release.json.minisig"
            } else {
                "no: `hcimage sign` when you want to release it"
            }
            .to_owned(),
        ),
        row("time", seconds(total)),
    ];
    for (name, artifact) in artifacts.iter().rev() {
        rows.insert(3, row("artifact", artifact.say(name)));
    }
    printer.table(&rows);
    printer.say(&format!(
        "\nNext: hcimage run {0}     boot it in a virtual machine\n      hcimage verify {0} {1}",
        folder.display(),
        if signed { "--pubkey FILE" } else { "--unsigned" }
    ));
    Ok(())
}

/// The room between the root partition and its hash tree's.
fn slot_size(release: &Release) -> u64 {
    match (release.part("root-a"), release.part("root-a-verity")) {
        (Some(root), Some(verity)) => verity.offset - root.offset,
        _ => 0,
    }
}
