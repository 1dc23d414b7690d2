//! A real bundle on real files, past the page cache: `HCIMAGE_BUNDLE` (a bundle), `HCIMAGE_SLOT` (a folder with `root`,
//! `verity` and `uki` of the release that runs; the other slot is made there). Prints what it cost.

use super::*;
use crate::node::update::{
    select::{Entry, Proof, SelectError, Selection, Truth},
    slot::{Device, Pair, SlotError},
    source::Stick,
};
use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

struct Files {
    folder: PathBuf,
}

impl Files {
    fn pair(&self, names: [&str; 2], open: fn(&Path) -> std::io::Result<Device>) -> Pair<'_> {
        let [root, verity] = names.map(|name| Box::new(open(&self.folder.join(name)).unwrap()));
        Pair { root, verity }
    }
}

impl Disk for Files {
    fn running(&self) -> (Slot, Digest) {
        (Slot::A, Digest([0; 32]))
    }
    fn room(&self, _: Slot) -> Result<(u64, u64), SlotError> {
        Ok((0, 0))
    }
    fn source(&self) -> Result<Pair<'_>, SlotError> {
        Ok(self.pair(["root", "verity"], Device::read_only))
    }
    fn target(&self) -> Result<Pair<'_>, SlotError> {
        Ok(self.pair(["new-root", "new-verity"], Device::exclusive))
    }
    fn named(&self, _: Slot) -> Result<Digest, SlotError> {
        Ok(Digest([0; 32]))
    }
    fn name(&mut self, _: &Digest) -> Result<(), SlotError> {
        Ok(())
    }
}

/// A boot partition of two files.
struct Kernels {
    running: File,
    new: PathBuf,
}

fn wrong(source: std::io::Error) -> SelectError {
    SelectError::Medium { act: "use", source }
}

impl Selector for Kernels {
    fn read(&mut self) -> Result<Selection, SelectError> {
        Ok(Selection { a: Some(Entry::Committed { generation: 1 }), ..Selection::default() })
    }
    fn canary(&mut self) -> Result<Proof, SelectError> {
        Ok(Proof::Counts { seen: String::new() })
    }
    fn disarm(&mut self, _: Slot) -> Result<(), SelectError> {
        Ok(())
    }
    fn kernel_size(&mut self, slot: Slot) -> Result<Option<u64>, SelectError> {
        let size = self.running.metadata().map_err(wrong)?.len();
        Ok((slot == Slot::A).then_some(size))
    }
    fn read_installed(&mut self, _: Slot, offset: u64, bytes: &mut [u8]) -> Result<(), SelectError> {
        self.running.read_exact_at(bytes, offset).map_err(wrong)
    }
    fn begin_kernel(&mut self, size: u64) -> Result<(), SelectError> {
        File::create(&self.new).and_then(|file| file.set_len(size)).map_err(wrong)
    }
    fn write_kernel(&mut self, offset: u64, bytes: &[u8]) -> Result<(), SelectError> {
        let file = File::options().write(true).open(&self.new).map_err(wrong)?;
        file.write_all_at(bytes, offset).map_err(wrong)
    }
    fn read_kernel(&mut self, offset: u64, bytes: &mut [u8]) -> Result<(), SelectError> {
        File::open(&self.new).and_then(|file| file.read_exact_at(bytes, offset)).map_err(wrong)
    }
    fn place_kernel(&mut self, _: Slot) -> Result<(), SelectError> {
        Ok(())
    }
    fn arm(&mut self, _: Slot, _: u8) -> Result<(), SelectError> {
        Ok(())
    }
    fn commit(&mut self, _: Slot) -> Result<(), SelectError> {
        Ok(())
    }
    fn give_up(&mut self, _: Slot) -> Result<(), SelectError> {
        Ok(())
    }
    fn repair(&mut self, _: &Truth) -> Result<Vec<String>, SelectError> {
        Ok(Vec::new())
    }
}

/// A line of `/proc/self/status`, in KiB.
fn status(key: &str) -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    line.trim_matches([':', '\t', ' ', 'k', 'B']).parse().unwrap()
}

/// Processor time of this process, in hundredths of a second.
fn ticks() -> u64 {
    let text = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = text.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
#[ignore = "needs a bundle: see the top of this file"]
fn a_real_bundle_is_applied_and_measured() {
    let folder = PathBuf::from(std::env::var_os("HCIMAGE_SLOT").unwrap());
    let mut source = Stick::open(Path::new(&std::env::var_os("HCIMAGE_BUNDLE").unwrap())).unwrap();
    let mut front = vec![0; 160 << 10];
    let size = front.len().min(usize::try_from(source.size().unwrap()).unwrap());
    source.turn_to(0..size as u64).unwrap();
    source.read(&mut front[..size]).unwrap();
    let head = Head::unverified(&front[..size]).unwrap();
    let header = head.header.clone();
    for (name, size) in [("new-root", header.root.size), ("new-verity", header.root.size / 64 + (1 << 20))] {
        let file = File::options().create(true).write(true).truncate(false).open(folder.join(name)).unwrap();
        file.set_len(size.next_multiple_of(1 << 20)).unwrap();
    }
    let mut disk = Files { folder: folder.clone() };
    let mut selector =
        Kernels { running: File::open(folder.join("uki")).unwrap(), new: folder.join("new-uki") };
    let (before, cpu, start) = (status("VmRSS"), ticks(), std::time::Instant::now());
    let mut tell = Steps::default();
    let mut apply = Apply {
        disk: &mut disk,
        selector: &mut selector,
        source: &mut source,
        tell: &mut tell,
        allowed: None,
    };
    let figures = apply.write(&head).unwrap();
    let (wall, cpu) = (start.elapsed(), ticks() - cpu);
    println!("{figures:?} of {} bytes; {:?}", source.size().unwrap(), tell.0);
    println!(
        "applying: {}.{:02} s of CPU, {:.1} s, peak {} KiB over {before} KiB",
        cpu / 100,
        cpu % 100,
        wall.as_secs_f64(),
        status("VmHWM") - before
    );
    check_slot(&disk, &header.root.root_hash).unwrap();
    assert!(status("VmHWM") - before < 64 << 10);
}
