//! The power goes at every moment at which an update changes what is started: the edits of `fat`, in the order in which
//! the node makes them, over a disk that remembers; every state judged by readers that share nothing with them.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails by panicking and tells why it skipped"
)]

mod kit;

use fat::{FatError, ReadAt, Stamp, Volume, WriteAt};
use kit::{ESP, Lab, MIB};
use lab::{Device, Judge, Medium as _, Verdict, exhaustive};
use std::{io, sync::Arc};

/// The boot partition of a device.
struct Esp<'d>(&'d Device);

impl ReadAt for Esp<'_> {
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        lab::Medium::read_at(self.0, ESP + offset, bytes)
    }
}

impl WriteAt for Esp<'_> {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write(ESP + offset, bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

type Edit<'e> = &'e dyn Fn(&mut Volume<Esp<'_>>) -> Result<(), FatError>;

/// A device, its judge, and how many states were tried.
struct Flip {
    device: Device,
    judge: Judge,
    states: usize,
}

impl Flip {
    /// Makes an edit. Whatever the moment of a cut: `before` or `after` is started, and `after` once it is done.
    fn step(&mut self, what: &str, before: &Verdict, after: &Verdict, edit: Edit<'_>) {
        let from = self.device.mark(what);
        let mut volume = Volume::open(Esp(&self.device), 42 * MIB).unwrap();
        edit(&mut volume).unwrap_or_else(|error| panic!("{what}: {error}"));
        let plan = volume.take_plan();
        drop(volume);
        plan.apply(&mut Esp(&self.device)).unwrap();
        let history = self.device.history();
        let cuts = exhaustive(&history, from..history.len(), 7);
        self.states += cuts.len();
        let mut seen = [false; 2];
        history.walk(cuts, |cut, state| {
            let verdict = self.judge.verdict(state);
            assert!(verdict == *before || verdict == *after, "{what}: {cut}: {verdict:?}");
            seen[usize::from(verdict == *after)] = true;
        });
        assert!(
            seen[1] && (seen[0] || before == after),
            "{what}: there is no state of before, or none of after"
        );
        assert_eq!(self.judge.verdict(&self.device), *after, "{what}");
    }
}

#[test]
fn every_cut_of_a_flip_starts_the_old_or_the_new_release() {
    let test = "every_cut_of_a_flip_starts_the_old_or_the_new_release";
    let Some(lab) = Lab::new(test) else { return };
    lab.entry(test, "hc-a.conf", 1, "a");
    let judge = lab.judge();
    let device = Device::over(Arc::new(lab.medium())).unwrap();
    let mut flip = Flip { device, judge, states: 0 };
    let (old, new) = (Verdict::Old, Verdict::New);
    let at = |volume: &Volume<Esp<'_>>, path: &str| volume.read_file(path, MIB);
    let entry = |slot: &str, generation: u32| {
        format!("title lab\nsort-key 1\nversion {generation:010}\nefi /EFI/Linux/hc-{slot}.efi\n")
            .into_bytes()
    };
    // From A to B, whose root is there already: the kernel image is written under a name that nothing starts.
    flip.step("retire", &old, &old, &|volume| volume.rename("EFI/Linux/hc-b.efi", "hc-b.old"));
    flip.step("write", &old, &old, &|volume| {
        let image = at(volume, "EFI/Linux/hc-b.old")?;
        volume.put("EFI/Linux/hc.new", &image, Stamp::START)
    });
    flip.step("place", &old, &old, &|volume| volume.rename("EFI/Linux/hc.new", "hc-b.efi"));
    flip.step("arm", &old, &new, &|volume| {
        volume.put("loader/entries/hc-b+03-00.conf", &entry("b", 2), Stamp::START)
    });
    // The loader's own doing; it writes no leading zeros.
    flip.step("count", &new, &new, &|volume| {
        volume.rename("loader/entries/hc-b+03-00.conf", "hc-b+2-1.conf")
    });
    flip.step("commit", &new, &new, &|volume| volume.rename("loader/entries/hc-b+2-1.conf", "hc-b.conf"));

    // Back to A by its own kept entry: counted first, then the newest.
    flip.step("count a", &new, &new, &|volume| volume.rename("loader/entries/hc-a.conf", "hc-a+03-00.conf"));
    flip.step("arm a", &new, &old, &|volume| {
        volume.overwrite("loader/entries/hc-a+03-00.conf", &entry("a", 3))
    });
    // Its trial fails: one sector, and B is started again.
    flip.step("give up", &old, &new, &|volume| {
        volume.rename("loader/entries/hc-a+03-00.conf", "hc-a+00-03.conf")
    });
    flip.step("disarm", &new, &new, &|volume| volume.discard("loader/entries/hc-a+00-03.conf"));
    flip.step("forget", &new, &new, &|volume| volume.remove("EFI/Linux/hc-a.efi"));
    eprintln!("timing: flip: {} states tried, 0 lost", flip.states);
    assert!(flip.states > 100 && flip.device.size() == kit::DISK);
}
