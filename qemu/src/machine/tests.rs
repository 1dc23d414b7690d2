use super::*;

fn line(arch: Arch, accel: Accel) -> String {
    let sockets = Wires::Sockets { serial: Path::new("/s"), qmp: Path::new("/q") };
    line_with(sockets, arch, accel)
}

fn line_with(wires: Wires<'_>, arch: Arch, accel: Accel) -> String {
    let machine = Machine::new(arch, "/i").memory(512).forward(22).forward_from(4450, 445);
    let firmware = Firmware { code: "/fw/code".into(), variables: "/fw/vars".into() };
    let place = Place::Kept("/a,b".into());
    let words = machine.arguments(&firmware, &place, wires, accel);
    words.iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_line_isolates_the_guest_and_sees_panics() {
    let line = line(Arch::Aarch64, Accel::Tcg);
    for part in [
        "-machine virt -accel tcg -cpu cortex-a72 -smp 2 -m 512M",
        "if=pflash,unit=0,format=raw,readonly=on,file=/fw/code",
        "discard=unmap,file=/a,,b/disk.qcow2",
        "user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:0-:22,hostfwd=tcp:127.0.0.1:4450-:445",
        "-chardev socket,id=qmp,path=/q -mon chardev=qmp,mode=control",
        "-no-reboot",
    ] {
        assert!(line.contains(part), "{part} is not in: {line}");
    }
}

#[test]
fn a_cable_has_two_ends_and_clock_and_kernel_are_told() {
    let (first, second) = Link::pair(Path::new("/c,d"));
    let words = |link: Link| {
        let machine =
            Machine::new(Arch::X86_64, "/i").link(link).clock("1970-01-01T00:00:00").kernel_words("a=b,c");
        let firmware = Firmware { code: "/fw/code".into(), variables: "/fw/vars".into() };
        let line = machine.arguments(&firmware, &Place::Kept("/p".into()), Wires::Terminal, Accel::Tcg);
        line.iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ")
    };
    let (first, second) = (words(first), words(second));
    assert!(first.contains("local.path=/c,,d/first,remote.type=unix,remote.path=/c,,d/second"), "{first}");
    assert!(second.contains("local.path=/c,,d/second,remote.type=unix,remote.path=/c,,d/first"), "{second}");
    assert!(first.contains("mac=52:54:00:00:77:01") && second.contains("mac=52:54:00:00:77:02"));
    assert!(first.contains("-smbios type=11,value=io.systemd.stub.kernel-cmdline-extra=a=b,,c"), "{first}");
    assert!(first.contains("-rtc base=1970-01-01T00:00:00"), "{first}");
}

#[test]
fn a_machine_on_the_terminal_reboots_as_it_likes() {
    let line = line_with(Wires::Terminal, Arch::X86_64, Accel::Kvm);
    assert!(line.contains("-machine q35 -accel kvm -cpu host"), "{line}");
    assert!(line.ends_with("-nographic -serial mon:stdio"), "{line}");
}

#[test]
fn an_emulated_x86_guest_gets_one_processor() {
    for (arch, accel, cpus) in [
        (Arch::X86_64, Accel::Tcg, "-smp 1 "),
        (Arch::X86_64, Accel::Kvm, "-smp 2 "),
        (Arch::Aarch64, Accel::Tcg, "-smp 2 "),
    ] {
        assert!(line(arch, accel).contains(cpus), "{arch} {accel:?}");
    }
}

#[test]
fn a_served_disk_reports_errors_and_a_watchdog_resets() {
    let host = "127.0.0.1:8099".parse().unwrap();
    let machine = Machine::served(Arch::X86_64, "/s,k").watchdog().reboots().service(80, host);
    let firmware = Firmware { code: "/fw/code".into(), variables: "/fw/vars".into() };
    let sockets = Wires::Sockets { serial: Path::new("/s"), qmp: Path::new("/q") };
    let line = machine.arguments(&firmware, &Place::Kept("/p".into()), sockets, Accel::Tcg);
    let line = line.iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ");
    for part in [
        "format=raw,cache=writeback,discard=unmap,werror=report,rerror=report,file.driver=nbd",
        "file.server.path=/s,,k -device virtio-blk-pci,drive=disk,bootindex=0",
        "-device i6300esb -action watchdog=reset",
        ",guestfwd=tcp:10.0.2.100:80-cmd:bash -c 'exec 3<>/dev/tcp/127.0.0.1/8099; cat",
    ] {
        assert!(line.contains(part), "{part} is not in: {line}");
    }
    assert!(!line.contains("-no-reboot") && !line.contains("disk.qcow2"), "{line}");
}
