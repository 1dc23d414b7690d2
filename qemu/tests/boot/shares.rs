//! One directory, three ways in: SMB and NFS from the host, Syncthing's health in the guest.

use crate::{LONG, checks::Checks, must};
use qemu::{Error, Nfs, Output, Running, Smb, Ssh};
use std::{
    collections::BTreeMap,
    fs, thread,
    time::{Duration, Instant},
};

const PLACE: &str = "/var/lib/dnas";
const PASSWORD: &str = "correct horse battery";

/// Asks until the share is in the list: the first question starts the services that answer it, and a slow guest
/// has them ready only for a later one.
fn lists_the_share(user: &Smb) -> Result<(), String> {
    let started = Instant::now();
    loop {
        let answer = match user.shares().and_then(Output::success) {
            Ok(list) if list.contains("Disk|dnas|") => return Ok(()),
            Ok(list) => format!("the list is: {list}"),
            Err(error) => error.to_string(),
        };
        if started.elapsed() > Duration::from_secs(240) {
            return Err(answer);
        }
        thread::sleep(Duration::from_secs(2));
    }
}

/// A user with a password lists the shares, writes and reads back; a guest does not write.
pub(crate) fn smb(checks: &mut Checks, guest: &Running, ssh: &Ssh) {
    let twice = format!("{PASSWORD}\n{PASSWORD}\n");
    let made = ssh.feed("smbpasswd -s -a dnas", twice.as_bytes(), LONG).and_then(Output::success);
    checks.record("smbpasswd gives dnas a password", made.map(drop));
    let port = guest.port(445).unwrap();
    let (Some(user), Some(stranger)) =
        (checks.client(Smb::user(port, "dnas", PASSWORD)), checks.client(Smb::guest(port)))
    else {
        return;
    };
    checks.that("SMB lists the share dnas", lists_the_share(&user));

    let dir = tempfile::tempdir().unwrap();
    let (sent, back) = (dir.path().join("sent"), dir.path().join("back"));
    let sent_text = content("smb", 10_000);
    fs::write(&sent, &sent_text).unwrap();
    let put = user.run("dnas", &format!("put {} over-smb", sent.display())).and_then(Output::success);
    checks.record("SMB writes a file", put.map(drop));
    let get = user.run("dnas", &format!("get over-smb {}", back.display())).and_then(Output::success);
    checks.record("SMB reads a file", get.map(drop));
    let read = fs::read_to_string(&back).map_err(|source| Error::File { act: "read", path: back, source });
    checks.that("the file came back over SMB as it was", same(read, &sent_text));

    let refused = stranger.run("dnas", &format!("put {} by-a-guest", sent.display()));
    let arrived = ssh.ask(&format!("test -e {PLACE}/by-a-guest && echo yes || echo no"));
    checks.that(
        "SMB refuses a guest's write",
        match refused {
            Ok(output) if output.status.success() => {
                Err(format!("it said: {}{}", output.stdout, output.stderr))
            }
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        },
    );
    checks.equal("nothing arrived from the guest", arrived, "no");
}

/// An export for the lab's network is made, and a client lists, writes and reads back.
pub(crate) fn nfs(checks: &mut Checks, guest: &Running, ssh: &Ssh) {
    let export = format!(
        "mkdir -p /etc/exports.d && u=$(id -u dnas) && g=$(id -g dnas) && \
         echo \"{PLACE} 10.0.2.0/24(rw,insecure,no_subtree_check,all_squash,anonuid=$u,anongid=$g)\" \
         > /etc/exports.d/lab.exports && exportfs -ra"
    );
    checks.record("exportfs takes an export for the lab", ssh.ask(&export).map(drop));
    let Some(client) = nfs_client(checks, guest, ssh) else { return };

    let dir = tempfile::tempdir().unwrap();
    let sent = dir.path().join("sent");
    let sent_text = content("nfs", 100);
    fs::write(&sent, &sent_text).unwrap();
    let written = patiently(|| client.write(&sent, &format!("{PLACE}/over-nfs")));
    checks.record("NFS writes a file", written.map(drop));
    let list = patiently(|| client.list(PLACE));
    let listed = list.map_err(|error| error.to_string()).and_then(|list| match list.contains("over-nfs") {
        true => Ok(()),
        false => Err(format!("the list is: {list}")),
    });
    checks.that("NFS lists the directory", listed);
    let read = patiently(|| client.read(&format!("{PLACE}/over-nfs")));
    checks.that("the file came back over NFS as it was", same(read, &sent_text));
    if ssh.ask(&format!("test -e {PLACE}/over-smb")).is_ok() {
        let other = patiently(|| client.read(&format!("{PLACE}/over-smb")));
        checks.that("NFS reads the file that SMB wrote", same(other, &content("smb", 10_000)));
    }
    let owner = ssh.ask(&format!("stat -c %U {PLACE}/over-nfs"));
    checks.equal("the file is the service's", owner, "dnas");
}

/// The file of before is served again, which needs the server to find its state.
pub(crate) fn nfs_still_serves(checks: &mut Checks, guest: &Running, ssh: &Ssh) {
    let Some(client) = nfs_client(checks, guest, ssh) else { return };
    let found = patiently(|| client.read(&format!("{PLACE}/over-nfs")));
    checks.that("NFS serves the file of before", same(found, &content("nfs", 100)));
}

fn nfs_client(checks: &mut Checks, guest: &Running, ssh: &Ssh) -> Option<Nfs> {
    let id = |which: &str| ssh.ask(&format!("id -{which} dnas")).ok().and_then(|text| text.parse().ok());
    let (Some(uid), Some(gid)) = (id("u"), id("g")) else {
        checks.that("the user dnas has ids", Err("id printed no number".into()));
        return None;
    };
    checks.client(Nfs::user(guest.port(2049).unwrap(), uid, gid))
}

/// Syncthing answers on loopback in the guest, and only there.
pub(crate) fn syncthing(checks: &mut Checks, ssh: &Ssh) {
    let get = |address: &str| {
        format!(
            "bash -c 'exec 3<>/dev/tcp/{address}/8384 && \
             printf \"GET /rest/noauth/health HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n\" >&3 && cat <&3'"
        )
    };
    let health = patiently(|| ssh.run(&get("127.0.0.1"), LONG));
    checks.that(
        "Syncthing's health answers in the guest",
        match health {
            Ok(answer) if answer.contains(" 200 OK") && answer.contains("\"OK\"") => Ok(()),
            Ok(answer) => Err(format!("it answered: {answer}")),
            Err(error) => Err(error.to_string()),
        },
    );
    let outside = ssh.run(&get("10.0.2.15"), LONG).map(|output| match output.status.success() {
        true => format!("answered: {}", output.stdout),
        false => "refused".to_owned(),
    });
    checks.equal("Syncthing's interface is closed to the network", outside, "refused");
}

/// What must be the same after every restart, once it is on the disk.
pub(crate) fn remember(checks: &mut Checks, ssh: &Ssh) -> BTreeMap<&'static str, String> {
    checks.record("the guest syncs its disk", ssh.ask("sync").map(drop));
    facts(ssh).into_iter().map(|(name, fact)| (name, must(fact))).collect()
}

pub(crate) fn nothing_changed(
    checks: &mut Checks,
    after: &str,
    before: &BTreeMap<&'static str, String>,
    ssh: &Ssh,
) {
    for (name, fact) in facts(ssh) {
        checks.equal(&format!("{name} is the same after {after}"), fact, &before[name]);
    }
}

fn facts(ssh: &Ssh) -> [(&'static str, qemu::Result<String>); 3] {
    // A file is missing where the client is that would have written it.
    let checksums =
        format!("cd {PLACE} && for f in over-smb over-nfs; do test ! -e $f || sha256sum $f; done");
    let machine_id = ssh.ask("cat /etc/machine-id && test $(stat -c %s /etc/machine-id) = 33");
    [
        ("the machine's id", machine_id),
        ("the host key", ssh.host_key()),
        ("the content of the files", ssh.ask(&checksums)),
    ]
}

/// Runs a client until it succeeds: services start after sshd, and an NFS server that knew clients before a
/// restart makes new ones wait 90 s for them.
fn patiently(act: impl Fn() -> qemu::Result<Output>) -> qemu::Result<String> {
    let deadline = Instant::now() + LONG;
    loop {
        match act().and_then(Output::success) {
            Err(_) if Instant::now() < deadline => thread::sleep(Duration::from_secs(3)),
            outcome => return outcome,
        }
    }
}

/// Whether a text is what was sent but for its last line end; a difference is told by its place.
fn same(found: qemu::Result<String>, sent: &str) -> Result<(), String> {
    let (found, sent) = (found.map_err(|error| error.to_string())?, sent.trim_end());
    let found = found.trim_end();
    if found == sent {
        return Ok(());
    }
    let line = found.lines().zip(sent.lines()).take_while(|(found, sent)| found == sent).count();
    let differs = found.lines().nth(line).unwrap_or("nothing");
    Err(format!("{} bytes came back, {} were sent; after {line} lines: {differs}", found.len(), sent.len()))
}

/// Text that is told apart by its way in, some 27 bytes a line. What goes in over NFS is short: Debian 12's
/// libnfs 4.0 cannot write more than about 4 kB at once over NFS 4.
fn content(way: &str, lines: u32) -> String {
    (0..lines).map(|line| format!("line {line} written over {way}\n")).collect()
}
