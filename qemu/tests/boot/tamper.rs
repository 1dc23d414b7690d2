//! Somebody changed the medium: the kernel must stop, whatever was changed.

use crate::{LONG, checks::Checks, image::Image, must};
use contract::Arch;
use qemu::{Machine, PoweredOff};
use std::{fs::File, io, ops::Range, os::unix::fs::FileExt as _, process::Command};

/// One bit in the middle of each 64 KiB of the root partition: the superblock is whole, so that the file system is
/// mounted, and whatever the boot reads then, it soon meets one.
const STRIDE: u64 = 64 << 10;

/// The kernel says that the root is corrupt and resets; systemd never starts anything.
pub(crate) fn flipped_bits_stop_the_boot(test: &str, arch: Arch) {
    let Some(image) = Image::find(test, arch) else { return };
    let mut checks = Checks::new(test);
    let dir = tempfile::tempdir().unwrap();
    let disk = dir.path().join("disk.img");
    let copied = Command::new("cp").arg("--sparse=always").arg(&image.disk).arg(&disk).status().unwrap();
    assert!(copied.success(), "cp {}: {copied}", image.disk.display());
    let file = File::options().read(true).write(true).open(&disk).unwrap();
    let root = image.part("root-a");
    flip_bits(&file, root.offset..root.offset + root.size).unwrap();

    let machine = Machine::new(arch, disk).disk_size(4 << 30).forward(22);
    let mut guest = must(machine.prepare().and_then(PoweredOff::start));
    let end = must(guest.console.expect_any(&["Kernel panic", "Reached target", "login:"], LONG));
    let said = guest.console.tail();
    checks.that(
        "the boot ends in a panic",
        if end == 0 { Ok(()) } else { Err(format!("it went on:\n{said}")) },
    );
    let ended = guest.ending(LONG);
    let text = guest.console.text();
    // The panic's text is dm-verity's own: another reason to die is not the one that is tested here.
    let own = ["is corrupted", "dm-verity device corrupted"].iter().all(|line| text.contains(line));
    let known = if own { Ok(()) } else { Err(guest.console.tail()) };
    checks.that("the panic is dm-verity's", known);
    let reset = ended.map(|ending| format!("{ending:?}"));
    checks.equal("the panicked kernel resets the machine", reset, "Reset");
    let late = ["Reached target", "login:"].into_iter().find(|line| text.contains(line));
    checks.that("no service was started", late.map_or(Ok(()), |line| Err(line.to_owned())));
    checks.finish();
}

fn flip_bits(disk: &File, extent: Range<u64>) -> io::Result<()> {
    for offset in (extent.start + STRIDE / 2..extent.end).step_by(STRIDE as usize) {
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
    flip_bits(&file, STRIDE..3 * STRIDE).unwrap();
    let mut bytes = vec![0; 4 * STRIDE as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    let flipped: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at] != 0).collect();
    let half = STRIDE as usize / 2;
    assert_eq!(flipped, [3 * half, 5 * half]);
}
