//! Is the system whole, is its root what was built, and which doors are open?

use crate::{LONG, checks::Checks, image::Image};
use qemu::{Running, Ssh};

/// systemd has started everything and nothing has failed.
pub(crate) fn of_the_system(checks: &mut Checks, guest: &Running, ssh: &Ssh) {
    let state = ssh.run("systemctl is-system-running --wait", LONG).map(|output| output.stdout);
    checks.equal("systemd says running", state, "running");
    let failed = ssh.ask("systemctl list-units --failed --no-legend --plain --full");
    let journal = match &failed {
        Ok(units) if !units.trim().is_empty() => {
            let names: Vec<&str> = units.lines().filter_map(|line| line.split_whitespace().next()).collect();
            let script = format!("journalctl -b --no-pager -o cat -n 40 -u {}", names.join(" -u "));
            ssh.ask(&script).unwrap_or_else(|error| error.to_string())
        }
        _ => String::new(),
    };
    checks.equal(&format!("no unit has failed {journal}"), failed, "");
    let systemd = guest.console.first("systemd[1]:").ok_or("no line of systemd's".to_owned()).map(drop);
    checks.that("the console shows systemd", systemd);
}

/// The root is read-only, over dm-verity with the root hash of the manifest, and nobody named it by device.
pub(crate) fn of_the_root(checks: &mut Checks, image: &Image, ssh: &Ssh) {
    let mount = ssh.ask(
        "while read -r _ _ dev _ at opts _; do [ $at = / ] && last=\"$dev ${opts%%,*}\"; done \
         < /proc/self/mountinfo; echo $last",
    );
    let device = mount.as_deref().ok().and_then(|line| line.split(' ').next()).unwrap_or("?").to_owned();
    let mode = mount.map(|line| line.split(' ').nth(1).unwrap_or_default().to_owned());
    checks.equal("the root is mounted read-only", mode, "ro");
    let uuid = ssh.ask(&format!("cat /sys/dev/block/{device}/dm/uuid"));
    let verity = match &uuid {
        Ok(uuid) if uuid.starts_with("CRYPT-VERITY-") => Ok(()),
        Ok(uuid) => Err(format!("its device-mapper uuid is `{uuid}`")),
        Err(error) => Err(error.to_string()),
    };
    checks.that("the root is a dm-verity device", verity);
    let line = ssh.ask("cat /proc/cmdline").unwrap_or_else(|error| error.to_string());
    let named = line.split_whitespace().find(|word| word.starts_with("root=") && *word != "root=");
    checks.that("the command line has no root=", named.map_or(Ok(()), |word| Err(word.to_owned())));
    let hash = image.root_hash();
    let known = if line.contains(&hash) { Ok(()) } else { Err(format!("{hash} is not in: {line}")) };
    checks.that("the command line has the manifest's root hash", known);
    let refused = ssh.run("touch /usr/hcimage-test", LONG).map(|output| match output.status.success() {
        true => "written".to_owned(),
        false => "refused".to_owned(),
    });
    checks.equal("a write to /usr is refused", refused, "refused");
}

/// Nobody gets in with a password, and only declared ports are open.
pub(crate) fn of_the_doors(checks: &mut Checks, image: &Image, ssh: &Ssh) {
    let refusal = ssh.without_key();
    checks.that(
        "password login is refused",
        match refusal {
            Ok(output) if output.stderr.contains("Permission denied (publickey)") => Ok(()),
            Ok(output) => Err(format!("{}: {}", output.status, output.stderr.trim())),
            Err(error) => Err(error.to_string()),
        },
    );
    let (open, declared) = (ssh.ask("ss -Hlntu"), image.ports());
    checks.that(
        &format!("only declared ports are open ({})", declared.join(" ")),
        open.map_err(|error| error.to_string()).and_then(|table| undeclared(&table, declared)),
    );
    let policy = ssh.ask("nft list ruleset");
    let dropped = policy.map_err(|error| error.to_string()).and_then(|rules| {
        let input =
            rules.lines().find(|line| line.contains("hook input")).unwrap_or("no chain hooks into input");
        if input.contains("policy drop") { Ok(()) } else { Err(input.to_owned()) }
    });
    checks.that("the firewall drops what it does not know", dropped);
    let empty = ssh.ask(
        "while IFS=: read -r name hash _; do case $hash in ''|'$'*) echo $name;; esac; done < /etc/shadow",
    );
    checks.equal("no account has a password or an empty one", empty, "");
}

/// The lowest port that the kernel gives to a socket which asked for any (`ip_local_port_range`).
const EPHEMERAL: u16 = 32768;

/// The listening sockets of `ss -Hlntu` that are neither on loopback nor declared. A UDP socket on a port that
/// the kernel chose waits for answers to what it sent (Syncthing's announcements): the firewall is there for it.
fn undeclared(table: &str, declared: &[String]) -> Result<(), String> {
    let mut found: Vec<String> = Vec::new();
    for line in table.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [protocol, _, _, _, local, ..] = fields[..] else { return Err(format!("ss printed `{line}`")) };
        let (address, port) = local.rsplit_once(':').ok_or_else(|| format!("ss printed `{line}`"))?;
        let loopback = address.starts_with("127.") || address.starts_with("[::1]") || address == "::1";
        let number: u16 = port.parse().map_err(|_| format!("ss printed `{line}`"))?;
        let sender = protocol == "udp" && number >= EPHEMERAL;
        let name = format!("{protocol}/{port}");
        if !loopback && !sender && !declared.contains(&name) {
            found.push(format!("{name} on {address}"));
        }
    }
    if found.is_empty() { Ok(()) } else { Err(format!("also open: {}", found.join(", "))) }
}

/// Prints when the landmarks of this boot were reached; facts, not checks.
pub(crate) fn timing(guest: &Running, ssh: &Ssh) {
    for landmark in ["Linux version", "hcinit", "systemd[1]: systemd ", "Reached target", "login:"] {
        match guest.console.first(landmark) {
            Some(mark) => eprintln!("timing: {:6.1} s: {}", mark.at.as_secs_f64(), mark.line.trim()),
            None => eprintln!("timing:      - : no line with `{landmark}`"),
        }
    }
    match ssh.ask("systemd-analyze time") {
        Ok(text) => text.lines().for_each(|line| eprintln!("timing: {line}")),
        Err(error) => eprintln!("timing: systemd-analyze: {error}"),
    }
}

#[test]
fn undeclared_ports_are_found() {
    let table = "udp UNCONN 0 0 10.0.2.15%eth0:68 0.0.0.0:*\nudp UNCONN 0 0 0.0.0.0:5353 0.0.0.0:*\n\
                 tcp LISTEN 0 128 [::]:22 [::]:*\ntcp LISTEN 0 10 127.0.0.1:8384 0.0.0.0:*\n\
                 tcp LISTEN 0 10 [::1]:323 [::]:*\nudp UNCONN 0 0 *:45583 *:*\ntcp LISTEN 0 9 *:45583 *:*\n";
    let declared = ["tcp/22".to_owned(), "udp/68".to_owned()];
    assert_eq!(undeclared(table, &declared), Err("also open: udp/5353 on 0.0.0.0, tcp/45583 on *".into()));
    assert_eq!(undeclared(table, &["tcp/22", "udp/68", "udp/5353", "tcp/45583"].map(str::to_owned)), Ok(()));
    assert_eq!(undeclared("nonsense", &declared), Err("ss printed `nonsense`".into()));
}
