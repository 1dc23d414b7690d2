//! Somebody changed the medium: the kernel must stop, whatever was changed.

use crate::{
    LONG,
    checks::Checks,
    image::{Image, Part},
};
use contract::Arch;
use qemu::Machine;
use std::{fs::File, io, os::unix::fs::FileExt as _, process::Command};

/// One bit in each 64 KiB of the root partition: whatever the boot reads first, it soon meets one.
const STRIDE: u64 = 64 << 10;

/// The kernel says that the root is corrupt and resets; systemd never starts anything.
pub(crate) fn flipped_bits_stop_the_boot(test: &str, arch: Arch) {
    let Some(image) = Image::find(test, arch) else { return };
    let mut checks = Checks::new(test);
    let dir = tempfile::tempdir().unwrap();
    let disk = dir.path().join("disk.img");
    let copied = Command::new("cp").arg("--sparse=always").arg(&image.disk).arg(&disk).status().unwrap();
    assert!(copied.success(), "cp {}: {copied}", image.disk.display());
    flip_bits(&File::options().read(true).write(true).open(&disk).unwrap(), image.part("root-a")).unwrap();

    let machine = Machine::new(arch, disk).disk_size(4 << 30).forward(22);
    let mut guest = machine.prepare().unwrap().start().unwrap();
    guest.console.expect("Linux version", LONG).unwrap();
    let end = guest.console.expect_any(&["Kernel panic", "Reached target", "login:"], LONG).unwrap();
    let said = guest.console.tail();
    checks.that(
        "the boot ends in a panic",
        if end == 0 { Ok(()) } else { Err(format!("it went on:\n{said}")) },
    );
    let ended = guest.ending(LONG);
    let text = guest.console.text();
    // The panic's text is dm-verity's own: another reason to die is not the one that is tested here.
    let reason =
        ["dm-verity device corrupted", "data block", "metadata block"].map(|line| text.contains(line));
    let known = if reason[0] && (reason[1] || reason[2]) { Ok(()) } else { Err(guest.console.tail()) };
    checks.that("the panic is dm-verity's", known);
    let reset = ended.map(|ending| format!("{ending:?}"));
    checks.equal("the panicked kernel resets the machine", reset, "Reset");
    let late = ["Reached target", "login:"].into_iter().find(|line| text.contains(line));
    checks.that("no service was started", late.map_or(Ok(()), |line| Err(line.to_owned())));
    checks.finish();
}

fn flip_bits(disk: &File, part: Part) -> io::Result<()> {
    for offset in (part.offset..part.offset + part.size).step_by(STRIDE as usize) {
        let mut byte = [0];
        disk.read_exact_at(&mut byte, offset)?;
        disk.write_all_at(&[byte[0] ^ 0x10], offset)?;
    }
    Ok(())
}

#[test]
fn one_bit_in_each_stretch_of_the_partition_is_flipped() {
    let file = tempfile::tempfile().unwrap();
    file.set_len(4 * STRIDE).unwrap();
    flip_bits(&file, Part { offset: STRIDE, size: 2 * STRIDE }).unwrap();
    let mut bytes = vec![0; 4 * STRIDE as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    let flipped: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at] != 0).collect();
    assert_eq!(flipped, [STRIDE as usize, 2 * STRIDE as usize]);
}
