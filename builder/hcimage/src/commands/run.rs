//! `hcimage run`: a build in a virtual machine, with its console on this terminal.

use super::sign::manifest_file;
use crate::{args::RunArgs, error::Failure, printer::Printer};
use contract::Release;
use qemu::Machine;
use std::{fs, os::unix::process::ExitStatusExt as _, path::Path};

/// Ports of the host's loopback and of the guest: what, host, guest.
const FORWARDS: [(&str, u16, u16); 3] = [("ssh", 2222, 22), ("smb", 4450, 445), ("nfs", 12049, 2049)];

pub(crate) fn run(args: &RunArgs, printer: &Printer) -> Result<(), Failure> {
    let (folder, image) = match args.image.is_dir() {
        true => (args.image.clone(), args.image.join("disk.img")),
        false => (args.image.parent().unwrap_or(Path::new(".")).to_owned(), args.image.clone()),
    };
    let manifest = manifest_file(&folder);
    let release = Release::parse(&fs::read(&manifest).map_err(Failure::file("read", manifest))?)?;
    fs::metadata(&image).map_err(Failure::file("read", &image))?;

    let mut machine =
        Machine::new(release.arch, &image).memory(args.memory).disk_size(u64::from(args.disk) << 30);
    let declared = |guest: u16| release.ports.iter().any(|port| *port == format!("tcp/{guest}"));
    let forwards = FORWARDS.into_iter().filter(|(_, _, guest)| declared(*guest));
    for (_, host, guest) in forwards.clone() {
        machine = machine.forward_from(host, guest);
    }
    if args.keep {
        machine = machine.keep(folder.join("machine"));
    }
    let machine = machine.prepare().map_err(qemu_failure)?;
    let mut command = machine.terminal_command().map_err(qemu_failure)?;
    if args.print {
        return printer.data(&format!("{command:?}\n"));
    }
    for (name, host, _) in forwards {
        printer.say(&format!("  {name:<4} 127.0.0.1 port {host}"));
    }
    let kept = if args.keep {
        format!("in {}", folder.join("machine").display())
    } else {
        "thrown away at the end".to_owned()
    };
    printer.say(&format!("  disk {} GiB, {kept}\n  Ctrl-A X ends the machine, Ctrl-A H helps\n", args.disk));
    let status = command.status().map_err(Failure::file("run", command.get_program()))?;
    match (status.success(), status.signal()) {
        (true, _) => Ok(()),
        (false, Some(signal)) => Err(Failure::refused(format!("QEMU was ended by signal {signal}"))),
        (false, None) => Err(Failure::with_hint(
            format!("QEMU ended with {status}"),
            "a port may be in use by another machine; --print shows the command",
        )),
    }
}

fn qemu_failure(error: qemu::Error) -> Failure {
    let mut message = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        let text = cause.to_string();
        if !message.contains(&text) {
            message += &format!(": {text}");
        }
        source = cause.source();
    }
    Failure::refused(message)
}
