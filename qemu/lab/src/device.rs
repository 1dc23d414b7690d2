//! A disk for a guest that remembers everything, and does what it is told to do wrong.

use crate::{
    Error, History, Medium, Result,
    history::Op,
    layers::{BASE, FIRST, Id, Layers, SECTOR, ZERO},
    nbd,
};
use std::{
    io,
    ops::Range,
    os::unix::{
        fs::FileExt as _,
        net::{UnixListener, UnixStream},
    },
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

/// Which requests a fault concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// Reads.
    Read,
    /// Writes, zeroing among them.
    Write,
    /// Flushes.
    Flush,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// The request fails: a bad sector.
    Io,
    /// The request fails: no space.
    NoSpace,
    /// A write is answered as done, and nothing was written: a disk that lies.
    Dropped,
    /// One bit of what is written or read is another.
    Flipped,
}

/// Something that goes wrong with requests that touch a stretch of the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// With which.
    pub on: On,
    /// Where, in bytes; flushes are everywhere.
    pub within: Range<u64>,
    /// So many of them go well before.
    pub after: u64,
    /// So many of them do not.
    pub times: u64,
    /// What happens to those.
    pub how: How,
}

/// A disk over an image that is never written. Guests reach it by NBD at [`Device::socket`], one at a time; it outlives
/// them, as a disk does.
pub struct Device {
    shared: Arc<Shared>,
    folder: tempfile::TempDir,
    door: Option<thread::JoinHandle<()>>,
}

pub(crate) struct Shared {
    state: Mutex<Disk>,
    closing: AtomicBool,
    pub(crate) size: u64,
}

struct Disk {
    layers: Layers,
    index: Vec<Id>,
    next: Id,
    ops: Vec<Op>,
    faults: Vec<Fault>,
    hits: u64,
    complaints: Vec<String>,
}

impl Device {
    /// A disk that holds what `base` holds.
    ///
    /// # Errors
    /// When there is no place for the log or the socket.
    pub fn over(base: Arc<dyn Medium>) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("hcd-")
            .tempdir()
            .map_err(Error::file("create a folder in", std::env::temp_dir()))?;
        let data = tempfile::tempfile().map_err(Error::io("make a file for the log"))?;
        let size = base.size();
        let index = vec![BASE; usize::try_from(size.div_ceil(SECTOR)).unwrap_or(0)];
        let layers = Layers { base, data: Arc::new(data) };
        let (ops, faults, complaints) = (Vec::new(), Vec::new(), Vec::new());
        let disk = Disk { layers, index, next: FIRST, ops, faults, hits: 0, complaints };
        let shared = Arc::new(Shared { state: Mutex::new(disk), closing: AtomicBool::new(false), size });
        let socket = folder.path().join("disk");
        let door = UnixListener::bind(&socket).map_err(Error::file("listen on", &socket))?;
        let inside = Arc::clone(&shared);
        let door = Some(thread::spawn(move || welcome(&door, &inside)));
        Ok(Self { shared, folder, door })
    }

    /// Where guests reach it.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    /// Leaves a note in the log, and tells its place.
    pub fn mark(&self, note: &str) -> usize {
        let mut disk = self.shared.lock();
        disk.ops.push(Op::Mark(note.to_owned()));
        disk.ops.len() - 1
    }

    /// The number of events so far: a place in the log.
    #[must_use]
    pub fn place(&self) -> usize {
        self.shared.lock().ops.len()
    }

    /// From now on this goes wrong, and no other thing any more.
    pub fn fail(&self, faults: Vec<Fault>) {
        let mut disk = self.shared.lock();
        (disk.faults, disk.hits) = (faults, 0);
    }

    /// How many requests went wrong since.
    #[must_use]
    pub fn hits(&self) -> u64 {
        self.shared.lock().hits
    }

    /// What the protocol did not allow; nothing of it is expected.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        self.shared.lock().complaints.clone()
    }

    /// All that was written so far.
    #[must_use]
    pub fn history(&self) -> History {
        let disk = self.shared.lock();
        History { layers: disk.layers.clone(), ops: disk.ops.clone(), size: self.shared.size }
    }

    /// Writes whole sectors, as a guest does.
    ///
    /// # Errors
    /// When a fault says so, or the log cannot be written.
    pub fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.shared.write(offset, &mut bytes.to_vec())
    }

    /// Flushes, as a guest does.
    ///
    /// # Errors
    /// When a fault says so.
    pub fn flush(&self) -> io::Result<()> {
        self.shared.flush()
    }

    /// Changes bytes behind the guest's back, as a failing medium or a person with another machine does.
    ///
    /// # Errors
    /// When the log cannot be written.
    pub fn damage(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let start = offset / SECTOR * SECTOR;
        let end = (offset + bytes.len() as u64).div_ceil(SECTOR) * SECTOR;
        let mut whole = self.bytes(start..end)?;
        let at = usize::try_from(offset - start).map_err(io::Error::other)?;
        whole[at..at + bytes.len()].copy_from_slice(bytes);
        let mut disk = self.shared.lock();
        disk.write(start, &whole)?;
        disk.ops.push(Op::Flush);
        Ok(())
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        // A knock wakes the thread up, so that it sees that it may go; if nobody hears it, it is gone already.
        drop(UnixStream::connect(self.socket()));
        if let Some(door) = self.door.take() {
            drop(door.join());
        }
    }
}

impl Medium for Device {
    fn size(&self) -> u64 {
        self.shared.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.shared.lock().plain_read(offset, buffer)
    }
}

fn welcome(door: &UnixListener, shared: &Arc<Shared>) {
    for guest in door.incoming() {
        if shared.closing.load(Ordering::SeqCst) {
            return;
        }
        let shared = Arc::clone(shared);
        thread::spawn(move || {
            if let Err(error) = guest.and_then(|guest| nbd::serve(guest, &shared)) {
                // A guest that is killed closes its end wherever it stands.
                let usual =
                    [io::ErrorKind::UnexpectedEof, io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionReset];
                if !usual.contains(&error.kind()) {
                    shared.lock().complaints.push(error.to_string());
                }
            }
        });
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Disk> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let mut disk = self.lock();
        let how = disk.fault(On::Read, offset..offset + buffer.len() as u64);
        fails(how)?;
        disk.plain_read(offset, buffer)?;
        if how == Some(How::Flipped) {
            buffer[0] ^= 1;
        }
        Ok(())
    }

    pub(crate) fn write(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        let mut disk = self.lock();
        let how = disk.fault(On::Write, offset..offset + bytes.len() as u64);
        fails(how)?;
        match how {
            Some(How::Dropped) => return Ok(()),
            Some(How::Flipped) => bytes[0] ^= 1,
            _ => {}
        }
        disk.write(offset, bytes)
    }

    pub(crate) fn zero(&self, extent: Range<u64>) -> io::Result<()> {
        let mut disk = self.lock();
        let how = disk.fault(On::Write, extent.clone());
        fails(how)?;
        if how != Some(How::Dropped) {
            disk.zero(extent);
        }
        Ok(())
    }

    pub(crate) fn flush(&self) -> io::Result<()> {
        let mut disk = self.lock();
        let how = disk.fault(On::Flush, 0..u64::MAX);
        fails(how)?;
        if how != Some(How::Dropped) {
            disk.ops.push(Op::Flush);
        }
        Ok(())
    }
}

/// `ENOSPC` and `EIO` as the protocol and Linux number them.
fn fails(how: Option<How>) -> io::Result<()> {
    match how {
        Some(How::Io) => Err(io::Error::from_raw_os_error(5)),
        Some(How::NoSpace) => Err(io::Error::from_raw_os_error(28)),
        Some(How::Dropped | How::Flipped) | None => Ok(()),
    }
}

impl Disk {
    fn fault(&mut self, on: On, extent: Range<u64>) -> Option<How> {
        let concerned = |fault: &&mut Fault| {
            fault.on == on && fault.within.start < extent.end && extent.start < fault.within.end
        };
        for fault in self.faults.iter_mut().filter(concerned) {
            if fault.after > 0 {
                fault.after -= 1;
            } else if fault.times > 0 {
                fault.times -= 1;
                self.hits += 1;
                return Some(fault.how);
            }
        }
        None
    }

    fn plain_read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let id_of = |sector: u64| {
            usize::try_from(sector).ok().and_then(|sector| self.index.get(sector)).copied().unwrap_or(ZERO)
        };
        self.layers.read(&id_of, offset, buffer)
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let count = u32::try_from(bytes.len() as u64 / SECTOR).map_err(io::Error::other)?;
        let from = self.next;
        let next = from.checked_add(count).ok_or_else(|| io::Error::other("the log is full"))?;
        self.layers.data.write_all_at(bytes, u64::from(from - FIRST) * SECTOR)?;
        self.next = next;
        self.put(offset / SECTOR, count, from);
        Ok(())
    }

    fn zero(&mut self, extent: Range<u64>) {
        let count = u32::try_from((extent.end - extent.start) / SECTOR).unwrap_or(u32::MAX);
        self.put(extent.start / SECTOR, count, ZERO);
    }

    fn put(&mut self, at: u64, count: u32, from: Id) {
        if count == 0 {
            return;
        }
        for nth in 0..count {
            let sector = usize::try_from(at + u64::from(nth)).unwrap_or(usize::MAX);
            if let Some(id) = self.index.get_mut(sector) {
                *id = if from == ZERO { ZERO } else { from + nth };
            }
        }
        self.ops.push(Op::Write { at, count, from });
    }
}
